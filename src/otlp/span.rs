//! What a collector is sent of an event, as OpenTelemetry writes it.
//!
//! Invariant: what an event's trace is called is computed from the event alone, so that all nodes agree on it.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::broker::partition::fnv1a64;
use crate::event::{Event, Recipients};

/// What is known of a span.
pub(super) struct Record {
    pub(super) event: Event,
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
    /// `None`: the event was accepted here; else it was given to so many.
    pub(super) subscribers: Option<u64>,
}

/// Who sends spans.
pub(super) fn resource(service: &str, node: &str) -> Resource {
    let attributes = HashMap::from([
        ("service.name", service),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", node),
    ]);
    let attributes = attributes
        .into_iter()
        .map(|(name, value)| text(name, value))
        .collect();
    Resource {
        attributes,
        ..Default::default()
    }
}

/// Two numbers that every node computes alike for an event.
pub(super) fn numbers(event: &Event) -> (u64, u64) {
    let mut bytes = event.accepted_ms.to_be_bytes().to_vec();
    bytes.extend_from_slice(event.channel.as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(event.name.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&event.data);
    let first = mixed(fnv1a64(&bytes));
    (first, mixed(first))
}

/// The finalizer of splitmix64: every bit depends on every other.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A span as the collector takes it. That of a delivery hangs below that of the event.
pub(super) fn span(record: &Record) -> Span {
    let event = &record.event;
    let (high, low) = numbers(event);
    let accept = mixed(low).to_be_bytes().to_vec();
    let nanos = |at: SystemTime| {
        at.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64)
    };
    let mut attributes = vec![
        text("foghorn.channel", event.channel.as_str()),
        number("foghorn.bytes", event.data.len() as u64),
    ];
    if let Recipients::Users(users) = &event.recipients {
        attributes.push(number("foghorn.recipients", users.len() as u64));
    }
    let (name, kind, span_id, parent_span_id) = match record.subscribers {
        None => ("accept event", SpanKind::Producer, accept, Vec::new()),
        Some(subscribers) => {
            attributes.push(number("foghorn.subscribers", subscribers));
            (
                "deliver event",
                SpanKind::Consumer,
                rand::random::<u64>().to_be_bytes().to_vec(),
                accept,
            )
        }
    };
    Span {
        trace_id: [high.to_be_bytes(), low.to_be_bytes()].concat(),
        span_id,
        parent_span_id,
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(record.from),
        end_time_unix_nano: nanos(record.until.max(record.from)),
        attributes,
        ..Default::default()
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    attribute(name, Value::StringValue(value.to_owned()))
}

fn number(name: &str, value: u64) -> KeyValue {
    attribute(
        name,
        Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Channel;

    fn event(data: &'static str) -> Event {
        Event {
            accepted_ms: 7,
            ..Event::new(Channel::new("c", "a"), "news", data)
        }
    }

    #[test]
    fn all_nodes_compute_the_same_numbers() {
        let record = |subscribers| {
            span(&Record {
                event: event("x"),
                from: UNIX_EPOCH,
                until: UNIX_EPOCH,
                subscribers,
            })
        };
        let (accept, here, there) = (record(None), record(Some(1)), record(Some(2)));
        assert_eq!(
            (&accept.trace_id, &accept.span_id),
            (&here.trace_id, &here.parent_span_id)
        );
        assert_eq!(
            (&here.trace_id, &here.parent_span_id),
            (&there.trace_id, &there.parent_span_id)
        );
        assert!(here.span_id != there.span_id && accept.parent_span_id.is_empty());
        assert_eq!((accept.trace_id.len(), accept.span_id.len()), (16, 8));
        assert_ne!(numbers(&event("x")), numbers(&event("y")));
    }
}
