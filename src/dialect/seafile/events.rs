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
use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::Seafile;
use super::backend_event::{Audience, BackendEvent, BadBody, EventType, Parsed};
use super::clients::DIALECT;
use super::message::CHANNEL_KIND;
use super::sequencer::Accepted;
use super::token_failures::Use;
use crate::event::{Channel, Event, Recipients, now_ms};
use crate::listen::whole::whole;
use crate::metrics;

/// How long an answer may wait for the event to be safe with the broker. The C server hangs up after a second.
const CONFIRM: Duration = Duration::from_millis(150);

/// What a proxy that may post twice gives each post (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What the reference answers to any token that is not good.
const NOT_MATCH: &str = "Notification token not match\n";

/// By type, as [`EventType::ALL`] has them.
static ACCEPTED: LazyLock<[Counter; 4]> = LazyLock::new(|| {
    EventType::ALL
        .map(|kind| counter!(metrics::EVENTS_ACCEPTED, "dialect" => DIALECT, "type" => kind.name()))
});

/// Takes one event, by any method.
pub async fn post(State(seafile): State<Arc<Seafile>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let sender = seafile.shared.admission.sender(&parts);
    if let Err(rejection) = seafile.shared.admission.may_post(sender) {
        return refuse(
            StatusCode::FORBIDDEN,
            rejection.label(),
            rejection.advice().to_owned(),
        );
    }
    let authorization = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
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
    let key = parts
        .headers
        .get(IDEMPOTENCY_KEY)
        .map(|key| idempotency_key(key.as_bytes(), &body));
    match take(&seafile, &body, key).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(bad) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            bad.label(),
            format!("{bad}\n"),
        ),
    }
}

/// What the copies of a post have in common, and no other post: one key given to different events tells nothing.
fn idempotency_key(given: &[u8], body: &[u8]) -> u64 {
    let digest = Sha1::new()
        .chain_update(given)
        .chain_update(b"\n")
        .chain_update(body)
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// Takes an event whose sender may post it. `Some` says why it goes to nobody.
pub(super) async fn take(
    seafile: &Seafile,
    body: &[u8],
    idempotency_key: Option<u64>,
) -> Result<Option<String>, BadBody> {
    match BackendEvent::parse(body) {
        Ok(Parsed::Deliver(event)) => {
            accept(seafile, event, idempotency_key).await;
            Ok(None)
        }
        Ok(Parsed::Nowhere { reason, detail }) => {
            counter!(metrics::EVENTS_UNDELIVERABLE, "dialect" => DIALECT, "reason" => reason.label()).increment(1);
            tracing::debug!(reason = reason.label(), detail, "an event goes to nobody");
            Ok(Some(format!("the event goes to nobody: {detail}")))
        }
        Err(bad) => {
            tracing::debug!(%bad, "an event was refused");
            Err(bad)
        }
    }
}

async fn read(seafile: &Seafile, body: Body) -> Result<Bytes, Response> {
    let (most, within) = (seafile.config.max_event, seafile.config.request);
    whole(body, most, within).await.map_err(|unread| {
        let advice = format!("{}\n", unread.advice(most, within));
        refuse(unread.status(), unread.label(), advice)
    })
}

async fn accept(seafile: &Seafile, posted: BackendEvent, idempotency_key: Option<u64>) {
    ACCEPTED[posted.kind as usize].increment(1);
    let (recipients, group) = match posted.audience {
        Audience::All => (Recipients::All, None),
        Audience::User(user) => (Recipients::users([user]), None),
        Audience::Group(group) => (Recipients::users::<_, &str>([]), Some(group)),
    };
    let channel = Channel::new(CHANNEL_KIND, &posted.repo_id);
    let event = Event {
        recipients,
        idempotency_key,
        ..Event::new(channel, posted.kind.name(), posted.content)
    };
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
    counter!(metrics::EVENTS_REFUSED, "dialect" => DIALECT, "reason" => reason).increment(1);
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        advice,
    )
        .into_response()
}
