//! Traces for an OpenTelemetry collector (OTLP over HTTP, protobuf): from accepting an event to its deliveries.
//!
//! Invariants: off, this costs an event one look at an empty cell; on, it never waits: what the queue or the collector
//! does not take is counted and gone. A trace's number is computed from the event, so all nodes agree on it, and on
//! which events are traced, without a byte more on the wire.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::metrics::counter;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::mpsc;
use url::{Position, Url};

use crate::broker::partition::fnv1a64;
use crate::client::dial::Server;
use crate::client::exchange;
use crate::drain::Tasks;
use crate::event::{Event, Recipients};
use crate::metrics;

/// Spans that may wait.
const QUEUE: usize = 8_192;
/// Spans sent at once.
const BATCH: usize = 512;
/// How long a span waits for others to go with it.
const LINGER: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same when the node ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// At most one complaint in this time.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Config {
    /// A collector.
    pub endpoint: Url,
    /// How many of a hundred events are traced.
    pub percent: u8,
    /// What this node is called.
    pub node: String,
    /// What is sent along.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the service is called.
    pub service: String,
}

struct Record {
    event: Event,
    from: SystemTime,
    until: SystemTime,
    /// `None`: the event was accepted here; else it was given to so many.
    subscribers: Option<u64>,
}

/// Takes what is to be traced.
#[derive(Clone)]
pub struct Traces {
    queue: mpsc::Sender<Record>,
    percent: u64,
}

impl Traces {
    /// Starts sending.
    pub fn start(config: Config, tasks: &Tasks) -> Self {
        let (queue, records) = mpsc::channel(QUEUE);
        let percent = u64::from(config.percent);
        let resource = resource(&config.service, &config.node);
        let sender = Sender {
            url: config.endpoint,
            headers: config.headers,
            resource,
            said: Mutex::new(None),
        };
        tasks.spawn("otlp", sender.run(records, tasks.clone()));
        Self { queue, percent }
    }

    /// An event was accepted here and is now with the broker.
    pub fn accepted(&self, event: &Event) {
        let from = UNIX_EPOCH + Duration::from_millis(event.accepted_ms);
        self.record(event, from, None);
    }

    /// An event was given to `subscribers` of this node, from `from` until now.
    pub fn delivered(&self, event: &Event, from: SystemTime, subscribers: u64) {
        self.record(event, from, Some(subscribers));
    }

    fn record(&self, event: &Event, from: SystemTime, subscribers: Option<u64>) {
        if numbers(event).0 % 100 >= self.percent {
            return;
        }
        let record = Record {
            event: event.clone(),
            from,
            until: SystemTime::now(),
            subscribers,
        };
        if self.queue.try_send(record).is_err() {
            counter!(metrics::SPANS_DROPPED, "reason" => "queue").increment(1);
        }
    }
}

struct Sender {
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    resource: Resource,
    /// When the last complaint was.
    said: Mutex<Option<tokio::time::Instant>>,
}

impl Sender {
    async fn run(self, mut records: mpsc::Receiver<Record>, tasks: Tasks) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                count = records.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = tasks.stopped() => break,
            }
            let linger = tokio::time::sleep(LINGER);
            tokio::pin!(linger);
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    count = records.recv_many(&mut batch, room) => if count == 0 { break },
                    () = &mut linger => break,
                    () = tasks.stopped() => break,
                }
            }
            tokio::select! {
                () = self.send(batch, PATIENCE) => {}
                () = farewell(&tasks) => {}
            }
        }
        let mut rest = Vec::new();
        while let Ok(record) = records.try_recv() {
            rest.push(record);
        }
        if !rest.is_empty() {
            self.send(rest, FAREWELL).await;
        }
    }

    async fn send(&self, batch: Vec<Record>, within: Duration) {
        let count = batch.len() as u64;
        let spans = batch.iter().map(span).collect();
        let name = env!("CARGO_PKG_NAME").to_owned();
        let scope = InstrumentationScope {
            name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        };
        let scope_spans = vec![ScopeSpans {
            scope: Some(scope),
            spans,
            schema_url: String::new(),
        }];
        let resource = Some(self.resource.clone());
        let body = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource,
                scope_spans,
                schema_url: String::new(),
            }],
        };
        let request = Request::post(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body.encode_to_vec());
        let (Ok(mut request), Ok(server)) = (request, Server::parse(self.url.as_str())) else {
            return;
        };
        request.headers_mut().extend(self.headers.iter().cloned());
        let why = match exchange::send(&server, request, within).await {
            Ok((answer, _)) if (200..300).contains(&answer.status) => return,
            Ok((answer, _)) => format!("it answered {}", answer.status),
            Err(error) => error.to_string(),
        };
        counter!(metrics::SPANS_DROPPED, "reason" => "collector").increment(count);
        let mut said = self.said.lock();
        if said.is_none_or(|at| at.elapsed() > COMPLAIN) {
            *said = Some(tokio::time::Instant::now());
            tracing::warn!(url = %self.url, "traces do not reach the collector (FOGHORN_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT): {why}");
        }
    }
}

/// Ends a little after the tasks were stopped: the node's end is not held up by a collector that hangs.
async fn farewell(tasks: &Tasks) {
    tasks.stopped().await;
    tokio::time::sleep(FAREWELL).await;
}

fn resource(service: &str, node: &str) -> Resource {
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
fn numbers(event: &Event) -> (u64, u64) {
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

fn span(record: &Record) -> Span {
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
