//! The live tail: events as this node delivers them, as Server-Sent Events.
//!
//! Invariants: looking on slows nothing down: who is too slow misses some and is told how many; what is in an event is
//! shown only where the configuration allows it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Ops;
use super::api::Failure;
use crate::drain::Tasks;
use crate::event::{Recipients, now_ms};
use crate::hub::look::Delivered;

/// So many may look on at once.
const ONLOOKERS: usize = 32;

/// What to show.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    /// Only this library's.
    library: Option<String>,
    /// Only events of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `1`: with what is in them.
    payload: Option<String>,
}

struct Tail {
    events: Receiver<Delivered>,
    filter: Filter,
    payloads: bool,
    tasks: Tasks,
}

/// `GET /api/v1/tail`.
pub async fn tail(State(ops): State<Arc<Ops>>, Query(filter): Query<Filter>) -> Response {
    let payloads = matches!(filter.payload.as_deref(), Some("1" | "true"));
    if payloads && !ops.payloads {
        let text = "What is in events is not shown here: FOGHORN_OPS_PAYLOADS is not set.";
        return Failure::new(StatusCode::FORBIDDEN, "payloads_hidden", text).into_response();
    }
    let Some(events) = ops.node.hub().tap(ONLOOKERS) else {
        return Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many look on already.").into_response();
    };
    let tail = Tail { events, filter, payloads, tasks: ops.tasks.clone() };
    let events = stream::unfold(tail, |mut tail| async move { Some((Ok::<_, Infallible>(tail.next().await?), tail)) });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Tail {
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            let delivered = tokio::select! {
                delivered = self.events.recv() => delivered,
                () = self.tasks.stopped() => return None,
            };
            let (name, data) = match delivered {
                Ok(delivered) => match self.show(&delivered) {
                    Some(data) => ("event", data),
                    None => continue,
                },
                Err(RecvError::Lagged(missed)) => ("missed", json!({"missed": missed})),
                Err(RecvError::Closed) => return None,
            };
            return sse::Event::default().event(name).json_data(data).ok();
        }
    }

    fn show(&self, delivered: &Delivered) -> Option<Value> {
        let event = &delivered.event;
        if self.filter.library.as_ref().is_some_and(|library| library != event.channel.name()) {
            return None;
        }
        let payload: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        let kind = payload.get("type").and_then(Value::as_str).unwrap_or_default();
        if self.filter.kind.as_ref().is_some_and(|wanted| wanted != kind) {
            return None;
        }
        let recipients = match &event.recipients {
            Recipients::All => json!("all"),
            Recipients::Users(users) => json!(users.len()),
        };
        let mut shown = json!({
            "at_ms": now_ms(),
            "accepted_ms": event.accepted_ms,
            "channel": event.channel.as_str(),
            "library": event.channel.name(),
            "type": kind,
            "recipients": recipients,
            "subscribers": delivered.subscribers,
            "bytes": event.payload.len(),
        });
        if self.payloads {
            shown["payload"] = payload;
        }
        Some(shown)
    }
}
