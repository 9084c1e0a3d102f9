//! What nodes tell of themselves: their channels, and their figures by v1's names.
//!
//! Invariant: a node that does not answer in time is left out; a question of a newer version is not answered.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};

use super::Centrifugo;
use super::message::quoted;
use super::totals::Count;
use super::wire::DIALECT;
use crate::event::now_ms;
use crate::json;
use crate::metrics::process;

/// Which channels have a subscriber?
const CHANNELS: &[u8] = b"channels";
/// What happened of late?
const STATS: &[u8] = b"stats";

/// Totals at one moment.
#[derive(Clone, Copy, Default)]
struct Reading {
    counts: [u64; NAMES.len()],
    /// Messages that the node gave to clients, whatever their dialect.
    deliveries: u64,
    cpu_seconds: f64,
}

/// What is counted, by v1's names.
const NAMES: [(&str, Count); 12] = [
    ("client_api_num_requests", Count::Requests),
    ("client_bytes_in", Count::BytesIn),
    ("client_bytes_out", Count::BytesOut),
    ("client_num_connect", Count::Connects),
    ("client_num_msg_published", Count::ClientPublished),
    ("client_num_subscribe", Count::Subscribes),
    ("http_api_num_requests", Count::Api),
    ("http_raw_ws_num_requests", Count::WebSockets),
    ("http_sockjs_num_requests", Count::SockJs),
    ("node_num_client_msg_published", Count::Published),
    ("node_num_join_msg_published", Count::Joins),
    ("node_num_leave_msg_published", Count::Leaves),
];

/// What `stats` shows: what happened in the last whole interval.
#[derive(Default)]
pub(super) struct Snapshot(RwLock<Reading>);

impl Reading {
    fn since(self, before: Self) -> Self {
        let counts = std::array::from_fn(|at| self.counts[at] - before.counts[at]);
        Self {
            counts,
            deliveries: self.deliveries - before.deliveries,
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
        }
    }
}

/// Answers what this dialect on another node asks.
pub fn answer(centrifugo: &Centrifugo, question: &[u8]) -> Option<Bytes> {
    match question {
        CHANNELS => {
            let names: Vec<String> = centrifugo
                .site
                .attendance
                .channels()
                .iter()
                .map(|name| quoted(name))
                .collect();
            Some(format!("[{}]", names.join(",")).into())
        }
        STATS => {
            let shown = *centrifugo.snapshot.0.read();
            Some(
                centrifugo
                    .view(shown, centrifugo.interval.as_secs_f64())
                    .into(),
            )
        }
        _ => None,
    }
}

/// Takes a snapshot every interval.
pub fn watch(centrifugo: &Arc<Centrifugo>) {
    let (tasks, centrifugo) = (centrifugo.context.tasks.clone(), Arc::downgrade(centrifugo));
    tasks.clone().spawn("centrifugo-figures", async move {
        let Some(interval) = centrifugo.upgrade().map(|centrifugo| centrifugo.interval) else {
            return;
        };
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = Reading::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = tasks.stopped() => return,
            }
            let Some(centrifugo) = centrifugo.upgrade() else {
                return;
            };
            let now = centrifugo.reading();
            *centrifugo.snapshot.0.write() = now.since(before);
            before = now;
        }
    });
}

impl Centrifugo {
    fn reading(&self) -> Reading {
        let totals = &self.site.totals;
        Reading {
            counts: NAMES.map(|(_, count)| totals.get(count)),
            deliveries: totals.get(Count::Answers)
                + self.connections.node.hub().tally().deliveries(),
            cpu_seconds: process::cpu_seconds().unwrap_or(0.0),
        }
    }

    /// This node, as v1 shows one, with these figures of the last `seconds`.
    fn view(&self, shown: Reading, seconds: f64) -> String {
        let identity = self.context.cluster.identity();
        let (rules, here) = (self.site.rules(), self.site.attendance.present());
        let started_s = identity.started_ms / 1_000;
        let mut metrics = String::new();
        let mut put = |name: &str, value: u64| {
            let comma = if metrics.is_empty() { "" } else { "," };
            // Writing to a string does not fail.
            let _ = write!(metrics, r#"{comma}"{name}":{value}"#);
        };
        NAMES
            .iter()
            .zip(shown.counts)
            .for_each(|((name, _), value)| put(name, value));
        put("client_num_msg_queued", shown.deliveries);
        put("client_num_msg_sent", shown.deliveries);
        put("node_num_clients", here.clients as u64);
        put("node_num_unique_clients", here.users as u64);
        put("node_num_channels", here.channels as u64);
        put(
            "node_memory_sys",
            process::resident_bytes().unwrap_or(0.0) as u64,
        );
        put(
            "node_cpu_usage",
            (100.0 * shown.cpu_seconds / seconds.max(1.0)) as u64,
        );
        put(
            "node_num_goroutine",
            Handle::current().metrics().num_alive_tasks() as u64,
        );
        put(
            "node_uptime_seconds",
            (now_ms() / 1_000).saturating_sub(started_s),
        );
        let (uid, name) = (
            quoted(&identity.id),
            quoted(rules.name.as_deref().unwrap_or(&self.connections.name)),
        );
        let version = quoted(env!("CARGO_PKG_VERSION"));
        format!(
            r#"{{"uid":{uid},"version":{version},"name":{name},"started_at":{started_s},"metrics":{{{metrics}}}}}"#
        )
    }

    /// This node: totals since its start.
    pub(super) fn node(&self) -> String {
        let seconds =
            now_ms().saturating_sub(self.context.cluster.identity().started_ms) as f64 / 1_000.0;
        format!(r#"{{"data":{}}}"#, self.view(self.reading(), seconds))
    }

    /// All nodes.
    pub(super) async fn stats(&self) -> String {
        let nodes = self.context.cluster.ask(DIALECT, STATS).await;
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| String::from_utf8_lossy(node))
            .collect();
        let (nodes, seconds) = (nodes.join(","), self.interval.as_secs());
        format!(r#"{{"data":{{"nodes":[{nodes}],"metrics_interval":{seconds}}}}}"#)
    }

    /// The channels of all nodes.
    pub(super) async fn channels(&self) -> String {
        let mut all = BTreeSet::new();
        for names in self.context.cluster.ask(DIALECT, CHANNELS).await {
            let text = String::from_utf8_lossy(&names);
            all.extend(
                json::items(&text)
                    .unwrap_or_default()
                    .into_iter()
                    .map(str::to_owned),
            );
        }
        format!(
            r#"{{"data":[{}]}}"#,
            all.into_iter().collect::<Vec<_>>().join(",")
        )
    }
}
