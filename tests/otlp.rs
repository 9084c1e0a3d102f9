//! Traces reach a collector: one from accepting an event to its delivery by every node; and none where none is asked for.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::cluster::Cluster;
use common::node::Plan;
use common::{eventually, library};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A small collector: what came, by the node that sent it.
#[derive(Clone)]
struct Collector {
    port: u16,
    /// The heads of requests.
    heads: Arc<Mutex<Vec<String>>>,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let collector = Self {
            port,
            heads: Arc::default(),
            spans: Arc::default(),
        };
        let copy = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(copy.clone().take(stream));
            }
        });
        collector
    }

    async fn take(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let (head, body) = loop {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            let wanted = end + 4 + length.unwrap_or(0);
            if bytes.len() >= wanted {
                break (head, bytes[end + 4..wanted].to_vec());
            }
        };
        assert!(
            head.starts_with("post /v1/traces ") && head.contains("application/x-protobuf"),
            "{head}"
        );
        let request = ExportTraceServiceRequest::decode(body.as_slice())
            .expect("what the specification says");
        for of in request.resource_spans {
            let resource = of.resource.expect("a resource").attributes;
            let service = attribute(&resource, "service.name").expect("a service");
            self.heads.lock().push(format!("{head}\r\n{service}"));
            let node = attribute(&resource, "service.instance.id").expect("a node");
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans
                .lock()
                .extend(spans.map(|span| (node.clone(), span)));
        }
        // A node that has ended meanwhile does not wait for this.
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
    }
}

fn attribute(of: &[KeyValue], name: &str) -> Option<String> {
    match of
        .iter()
        .find(|pair| pair.key == name)?
        .value
        .clone()?
        .value?
    {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn one_trace_goes_from_the_accepting_node_to_all_that_deliver() {
    let collector = Collector::start().await;
    let mut cluster = Cluster::start(0, 1, Plan::new).await;
    for name in ["a", "b", "c"] {
        let plan = Plan::new().env("FOGHORN_NODE_NAME", name);
        let plan = plan.env(
            "FOGHORN_OTLP_ENDPOINT",
            &format!("http://127.0.0.1:{}", collector.port),
        );
        let node = cluster.member(plan).start().await;
        cluster.nodes.push(node);
    }
    let library = library();
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(node.subscriber(&library, "a@x").await);
    }
    for (n, node) in cluster.nodes.iter().enumerate() {
        node.post_update(&library, &n.to_string()).await;
        for client in &mut clients {
            client.expect_update(&library, &n.to_string()).await;
        }
    }
    let spans = eventually("three traces of four spans", || async {
        Some(collector.spans.lock().clone()).filter(|spans| spans.len() >= 12)
    })
    .await;
    assert_eq!(spans.len(), 12);
    let traces: BTreeSet<&[u8]> = spans
        .iter()
        .map(|(_, span)| span.trace_id.as_slice())
        .collect();
    assert_eq!(traces.len(), 3);
    for trace in traces {
        let of: Vec<_> = spans
            .iter()
            .filter(|(_, span)| span.trace_id == trace)
            .collect();
        let (_, accept) = of
            .iter()
            .find(|(_, span)| span.name == "accept event")
            .expect("it was accepted");
        let delivered: Vec<_> = of
            .iter()
            .filter(|(_, span)| span.name == "deliver event")
            .collect();
        assert_eq!(
            delivered
                .iter()
                .map(|(node, _)| node.as_str())
                .collect::<BTreeSet<_>>(),
            ["a", "b", "c"].into()
        );
        for (_, span) in delivered {
            assert_eq!(span.parent_span_id, accept.span_id);
            assert!(span.start_time_unix_nano >= accept.start_time_unix_nano);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            assert_eq!(
                attribute(&span.attributes, "foghorn.channel"),
                Some(format!("repo/{library}"))
            );
            assert_eq!(
                attribute(&span.attributes, "foghorn.subscribers").as_deref(),
                Some("1")
            );
        }
    }
    // What is still on its way when a node ends goes out before.
    cluster.nodes[0].post_update(&library, "last").await;
    clients[0].expect_update(&library, "last").await;
    drop(clients);
    assert!(cluster.nodes[0].stop().await.success());
    eventually("the last span", || async {
        let spans = collector.spans.lock();
        spans
            .iter()
            .filter(|(node, span)| node == "a" && span.name == "deliver event")
            .nth(3)
            .map(drop)
    })
    .await;
}

#[tokio::test]
async fn opentelemetrys_own_names_are_understood() {
    let collector = Collector::start().await;
    let plan = Plan::new().env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &format!("http://127.0.0.1:{}/", collector.port),
    );
    let plan = plan.env(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer%20secret-of-the-test,x-tenant=7",
    );
    let node = plan.env("OTEL_SERVICE_NAME", "notifications").start().await;
    node.post_update(&library(), "1").await;
    let head = eventually("a trace", || async {
        collector.heads.lock().first().cloned()
    })
    .await;
    assert!(
        head.contains("authorization: bearer secret-of-the-test") && head.contains("x-tenant: 7"),
        "{head}"
    );
    assert!(head.ends_with("notifications"), "{head}");
    assert!(!node.log_so_far().await.contains("secret-of-the-test"));
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nothing_and_is_said_once() {
    let plan = Plan::new().env(
        "FOGHORN_OTLP_ENDPOINT",
        &format!("http://127.0.0.1:{}", common::ports::free_port()),
    );
    let mut node = plan.start().await;
    let library = library();
    let mut client = node.subscriber(&library, "a@x").await;
    for n in 0..50 {
        node.post_update(&library, &n.to_string()).await;
        client.expect_update(&library, &n.to_string()).await;
    }
    node.counted("foghorn_spans_dropped_total", "reason=\"collector\"", 100.0)
        .await;
    node.process()
        .logged("traces do not reach the collector")
        .await;
    assert_eq!(
        node.log_so_far()
            .await
            .matches("traces do not reach the collector")
            .count(),
        1
    );
}
