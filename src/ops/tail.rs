//! The live tail: events as this node delivers them, as Server-Sent Events.
//!
//! Invariants: looking on slows nothing down: who is too slow misses some and is told how many; what is in an event is
//! shown only where the configuration allows it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
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
use super::answer::{Failure, asked};
use crate::drain::Tasks;
use crate::event::{Recipients, now_ms};
use crate::hub::inspect::Delivered;

/// So many may look on at once.
const ONLOOKERS: usize = 32;

/// What to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only this channel's: `KIND/NAME`, or only its name.
    channel: Option<String>,
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
pub async fn tail(
    State(ops): State<Arc<Ops>>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let filter = match asked(query) {
        Ok(filter) => filter,
        Err(failure) => return failure.into_response(),
    };
    let payloads = matches!(filter.payload.as_deref(), Some("1" | "true"));
    if payloads && !ops.payloads {
        let text = "What is in events is not shown here: FOGHORN_OPS_PAYLOADS is not set.";
        return Failure::new(StatusCode::FORBIDDEN, "payloads_hidden", text).into_response();
    }
    let Some(events) = ops.node.hub().tap(ONLOOKERS) else {
        return Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Too many look on already.",
        )
        .into_response();
    };
    let tail = Tail {
        events,
        filter,
        payloads,
        tasks: ops.tasks.clone(),
    };
    let events = stream::unfold(tail, |mut tail| async move {
        Some((Ok::<_, Infallible>(tail.next().await?), tail))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
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
        if self.filter.channel.as_ref().is_some_and(|wanted| {
            wanted != event.channel.name() && wanted != event.channel.as_str()
        }) {
            return None;
        }
        if self
            .filter
            .kind
            .as_ref()
            .is_some_and(|wanted| **wanted != *event.name)
        {
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
            "type": &*event.name,
            "recipients": recipients,
            "subscribers": delivered.subscribers,
            "bytes": event.data.len(),
        });
        if self.payloads {
            let text = || Value::String(String::from_utf8_lossy(&event.data).into_owned());
            let content = serde_json::from_slice(&event.data).unwrap_or_else(|_| text());
            shown["payload"] = json!({"type": &*event.name, "content": content});
        }
        Some(shown)
    }
}
