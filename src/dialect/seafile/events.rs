//! `/events`: what Seafile's backends post.
//!
//! Invariants: the token is judged before a byte of the body is read; 200 means that the event is ours to lose, and comes
//! in well under a second whatever Redis or the database does, since no backend posts an event twice.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::metrics::{Counter, counter};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha1::{Digest, Sha1};

use super::message::CHANNEL_KIND;
use super::order::Accepted;
use super::posted::{Audience, BackendEvent, BadBody, EventType, Posted};
use super::refusals::Use;
use super::{DIALECT, Seafile};
use crate::event::{Channel, Event, Recipients, now_ms};
use crate::metrics;

/// How long an answer may wait for the event to be safe with the broker. The C server hangs up after a second.
const CONFIRM: Duration = Duration::from_millis(150);

/// What a proxy that may post twice gives each post (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What the reference answers to any token that is not good.
const NOT_MATCH: &str = "Notification token not match\n";

/// By type, as [`EventType::ALL`] has them.
static ACCEPTED: LazyLock<[Counter; 4]> = LazyLock::new(|| {
    EventType::ALL.map(|kind| counter!(metrics::EVENTS_ACCEPTED, "dialect" => DIALECT.name, "type" => kind.name()))
});

/// Takes one event, by any method.
pub async fn post(State(seafile): State<Arc<Seafile>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let sender = seafile.shared.door.sender(&parts);
    if let Err(turned) = seafile.shared.door.post(sender) {
        return refuse(StatusCode::FORBIDDEN, turned.label(), turned.advice().to_owned());
    }
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let now_ms = now_ms();
    if let Err(cause) = seafile.rules.may_post(authorization, now_ms) {
        if let Some(warning) = seafile.rules.refusals.note(Use::Events, cause, "", now_ms) {
            tracing::warn!(client = %sender, "{warning}");
        }
        return refuse(StatusCode::BAD_REQUEST, "token", NOT_MATCH.to_owned());
    }
    let body = match read(&seafile, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let key = parts.headers.get(IDEMPOTENCY_KEY).map(|key| idempotency_key(key.as_bytes(), &body));
    match take(&seafile, &body, key).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(bad) => refuse(StatusCode::INTERNAL_SERVER_ERROR, bad.label(), format!("{bad}\n")),
    }
}

/// What the copies of a post have in common, and no other post: one key given to different events tells nothing.
fn idempotency_key(given: &[u8], body: &[u8]) -> u64 {
    let digest = Sha1::new().chain_update(given).chain_update(b"\n").chain_update(body).finalize();
    digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// Takes an event whose sender may post it. `Some` says why it goes to nobody.
pub(super) async fn take(
    seafile: &Seafile,
    body: &[u8],
    idempotency_key: Option<u64>,
) -> Result<Option<String>, BadBody> {
    match BackendEvent::parse(body) {
        Ok(Posted::Deliver(event)) => {
            accept(seafile, event, idempotency_key).await;
            Ok(None)
        }
        Ok(Posted::Nowhere { reason, detail }) => {
            counter!(metrics::EVENTS_UNDELIVERABLE, "dialect" => DIALECT.name, "reason" => reason.label()).increment(1);
            tracing::debug!(reason = reason.label(), detail, "an event goes to nobody");
            Ok(Some(format!("the event goes to nobody: {detail}")))
        }
        Err(bad) => {
            tracing::debug!(%bad, "an event was refused");
            Err(bad)
        }
    }
}

async fn read(seafile: &Seafile, body: Body) -> Result<bytes::Bytes, Response> {
    let max = seafile.config.max_event;
    let within = seafile.config.request;
    match tokio::time::timeout(within, Limited::new(body, max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let advice = format!("The event is longer than {max} bytes (FOGHORN_MAX_EVENT_BYTES).\n");
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_big", advice))
        }
        Ok(Err(_)) => Err(refuse(StatusCode::BAD_REQUEST, "cut_off", "The body broke off.\n".to_owned())),
        Err(_) => {
            let advice = format!("The body did not come within {} s (FOGHORN_REQUEST_SECONDS).\n", within.as_secs());
            Err(refuse(StatusCode::REQUEST_TIMEOUT, "too_slow", advice))
        }
    }
}

async fn accept(seafile: &Seafile, posted: BackendEvent, idempotency_key: Option<u64>) {
    ACCEPTED[posted.kind as usize].increment(1);
    let (recipients, group) = match posted.audience {
        Audience::All => (Recipients::All, None),
        Audience::User(user) => (Recipients::users([user]), None),
        Audience::Group(group) => (Recipients::users::<_, &str>([]), Some(group)),
    };
    let channel = Channel::new(CHANNEL_KIND, &posted.repo_id);
    let event = Event { channel, payload: posted.payload, recipients, accepted_ms: now_ms(), idempotency_key };
    let accepted = match group {
        None => seafile.order.accept(event),
        Some(group) => seafile.order.accept_for_group(event, group),
    };
    if let Accepted::Published(receipt) = accepted {
        // Not confirmed in time: the event is queued, and this node's own clients have it already.
        receipt.confirmed(CONFIRM).await;
    }
}

fn refuse(status: StatusCode, reason: &'static str, advice: String) -> Response {
    counter!(metrics::EVENTS_REFUSED, "dialect" => DIALECT.name, "reason" => reason).increment(1);
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], advice).into_response()
}
