//! Traces for an OpenTelemetry collector (OTLP over HTTP, protobuf): from accepting an event to its deliveries.
//!
//! Invariants: off, this costs an event one look at an empty cell; on, it never waits: what the queue or the collector
//! does not take is counted and gone. A trace's number is computed from the event, so all nodes agree on it, and on
//! which events are traced, without a byte more on the wire.

mod span;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::metrics::counter;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::mpsc;
use url::{Position, Url};

use self::span::{Record, numbers, resource, span};
use crate::client::dial::Server;
use crate::client::exchange;
use crate::drain::Tasks;
use crate::event::Event;
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
