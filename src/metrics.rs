//! Every metric's name, kind, labels and help, in one table.
//!
//! Invariant: no label's values grow with users or channels; each label below has a fixed, small set.
//! `docs/METRICS.md` is made from the table ([`reference`]).

pub mod incidents;
pub mod process;
pub mod reference;

/// Whether a metric counts up, goes up and down, or collects a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; adds up across nodes.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets in seconds; add up across nodes.
    Seconds,
    /// Buckets of counts; add up across nodes.
    Count,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, as scraped.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: MetricKind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence for the operator.
    pub help: &'static str,
}

/// Says metrics, each once: a constant for each name, and `TABLE`, in which all of them stand. An entry is
/// `ID = "name", Kind, ["label", …], "Help.";`.
#[macro_export]
macro_rules! metrics {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $id: &str = $name;)*
        /// All of them.
        pub const TABLE: &[$crate::metrics::Metric] = &[
            $($crate::metrics::Metric {
                name: $name,
                kind: $crate::metrics::MetricKind::$kind,
                labels: &[$($label),*],
                help: $help,
            },)*
        ];
    };
}

crate::metrics! {
    CONNECTIONS = "foghorn_connections", Gauge, ["dialect", "client"], "Open client connections.";
    SUBSCRIPTIONS = "foghorn_subscriptions", Gauge, [], "Subscriptions held by this node's clients.";
    CHANNELS = "foghorn_channels", Gauge, [], "Channels with a subscriber or a recent event on this node.";
    HANDSHAKES = "foghorn_handshakes_total", Counter, ["dialect", "result"], "Attempts of clients to connect, by WebSocket or as an event stream, by result.";
    CLOSES = "foghorn_closes_total", Counter, ["dialect", "reason"], "Connections ended, by reason.";
    FRAMES_IN = "foghorn_frames_received_total", Counter, ["kind"], "WebSocket messages and control frames received.";
    FRAMES_OUT = "foghorn_frames_sent_total", Counter, ["kind"], "WebSocket messages and control frames handed to sockets.";
    EVENTS_ACCEPTED = "foghorn_events_accepted_total", Counter, ["dialect", "type"], "Events accepted from backends.";
    EVENTS_UNDELIVERABLE = "foghorn_events_undeliverable_total", Counter, ["dialect", "reason"], "Events answered 200 that can go to nobody, by reason.";
    EVENTS_REFUSED = "foghorn_events_refused_total", Counter, ["dialect", "reason"], "Event posts refused, by reason.";
    EVENTS_DELIVERED = "foghorn_events_delivered_total", Counter, [], "Events taken from the broker and given to this node's subscribers.";
    DELIVERIES = "foghorn_deliveries_total", Counter, [], "Messages given to single subscribers.";
    FANOUT_SIZE = "foghorn_fanout_subscribers", Count, [], "Subscribers that one event went to on this node.";
    FANOUT_SECONDS = "foghorn_fanout_seconds", Seconds, [], "Time to hand one event to all its subscribers on this node.";
    DELIVERY_SECONDS = "foghorn_delivery_seconds", Seconds, [], "Time from accepting an event, on whichever node, to writing it to the last of this node's sockets.";
    REPLAYED = "foghorn_replayed_total", Counter, [], "Recent events given to new subscribers.";
    OUTBOX_OVERFLOWS = "foghorn_outbox_overflows_total", Counter, ["bound"], "Connections closed because their outbox was full, by the bound they hit.";
    OUTBOX_MESSAGES = "foghorn_outbox_messages", Gauge, [], "Messages waiting in outboxes for slow clients.";
    OUTBOX_BYTES = "foghorn_outbox_bytes", Gauge, [], "Bytes waiting in outboxes for slow clients.";
    GAPS_SEEN = "foghorn_gaps_seen_total", Counter, [], "Holes seen in the numbers of what another node published.";
    GAPS_FILLED = "foghorn_gaps_filled_total", Counter, [], "Holes filled, as a rule by the node that published what was missing.";
    GAPS_LOST = "foghorn_gaps_lost_total", Counter, [], "Holes given up because no node has what is missing.";
    HEAL_ASKS = "foghorn_heal_asks_total", Counter, [], "Times this node asked another for events that it missed.";
    HEAL_BYTES = "foghorn_heal_bytes_total", Counter, [], "Bytes that this node sent to others that had missed events.";
    MEMORY_EVENTS = "foghorn_memory_events", Gauge, [], "Events remembered for nodes that missed some.";
    MEMORY_BYTES = "foghorn_memory_bytes", Gauge, [], "Bytes of events remembered for nodes that missed some.";
    HELD_EVENTS = "foghorn_held_events", Gauge, [], "Events that wait for others of the same node and partition that came before them.";
    DUPLICATES = "foghorn_duplicates_total", Counter, [], "Events heard again and not delivered again.";
    EVENTS_REPEATED = "foghorn_events_repeated_total", Counter, [], "Events posted again with the same Idempotency-Key and not delivered again.";
    MESSAGES_SKIPPED = "foghorn_broker_messages_skipped_total", Counter, ["reason"], "Broker messages that could not be read and were skipped.";
    RESYNCS = "foghorn_resyncs_total", Counter, [], "Connections closed so that their clients check everything anew.";
    WAITING_EVENTS = "foghorn_waiting_events", Gauge, [], "Accepted events that Redis does not have yet, those that are to be kept among them.";
    WAITING_BYTES = "foghorn_waiting_bytes", Gauge, [], "Bytes of accepted events that Redis does not have yet.";
    WAITING_SECONDS = "foghorn_waiting_seconds", Gauge, [], "Age of the oldest accepted event that Redis does not have yet.";
    WAITING_DROPPED = "foghorn_waiting_dropped_total", Counter, ["bound"], "Accepted events dropped from the waiting queue, by the bound they hit.";
    PUBLISH_SECONDS = "foghorn_publish_seconds", Seconds, ["shard"], "Round trip of one publish.";
    MISFIT = "foghorn_misfit", Gauge, [], "1 where this node stays out of the cluster because its settings differ from those of nodes that were there first.";
    REDIS_UP = "foghorn_redis_up", Gauge, ["shard"], "1 where the shard answers and is heard.";
    REDIS_RECONNECTS = "foghorn_redis_reconnects_total", Counter, ["shard"], "Connections to the shard made anew.";
    KEPT = "foghorn_kept_total", Counter, ["result"], "Events that their channel's past should have: kept, or missed since Redis could not take them; those were delivered all the same.";
    PAST_GAPS = "foghorn_past_gaps_total", Counter, ["result"], "Times that an event of a channel was heard before one that its past has first: the past was read for that one, or could not be (failed); hole: it was passed over, and the channel's clients were told that something may be missing.";
    KEEPER_CALLS = "foghorn_keeper_calls_total", Counter, ["call", "result"], "What was asked of Redis beside carrying events (pasts, presence, queues, leases), by what became of it.";
    KEEPER_SECONDS = "foghorn_keeper_seconds", Seconds, ["shard"], "Round trip of what is asked of Redis beside carrying events.";
    KEEPER_WAITING = "foghorn_keeper_waiting", Gauge, ["shard"], "Calls that wait for Redis, beside carrying events; while it is away, events that wait to be kept.";
    PAST_EVENTS = "foghorn_past_events", Gauge, [], "Events that the pasts of channels have in this process; absent where Redis has them.";
    PAST_BYTES = "foghorn_past_bytes", Gauge, [], "Bytes of events that the pasts of channels have in this process.";
    PRESENT = "foghorn_present", Gauge, [], "Entries of presence that this node keeps alive in Redis.";
    LEASES = "foghorn_leases", Gauge, [], "Things that this node alone of all nodes does now.";
    CONNECTIONS_REFUSED = "foghorn_connections_refused_total", Counter, ["reason"], "Connections and requests turned away, by the limit they hit.";
    ACCEPT_PAUSED = "foghorn_accept_paused", Gauge, [], "1 while no client is accepted, since all descriptors that clients may have are taken.";
    ACCEPT_PAUSES = "foghorn_accept_pauses_total", Counter, [], "Times that accepting waited for a descriptor.";
    IDLE_CONNECTIONS = "foghorn_idle_connections", Gauge, [], "HTTP connections that wait for a request.";
    IDLE_CLOSED = "foghorn_idle_closed_total", Counter, ["reason"], "HTTP connections closed while they waited for a request, by the bound that was hit.";
    UNFINISHED_BYTES = "foghorn_unfinished_bytes", Gauge, [], "Bytes of heads, bodies and messages that have begun to come and are not whole.";
    UNFINISHED_ENDED = "foghorn_unfinished_ended_total", Counter, ["reason"], "Connections ended in the midst of what they sent, by the bound that was hit; stalled: in the midst of what they were sent, and took nothing of for 30 s, which over HTTP/2 ends that answer alone.";
    MEMORY_LIMIT_USED = "foghorn_memory_limit_used_ratio", Gauge, [], "Share of the container's memory limit that is in use, from 0 to 1; absent where there is no limit.";
    MEMORY_SHORT = "foghorn_memory_short", Gauge, [], "1 while new connections are refused, since the container's memory limit is near.";
    LOG_LINES_DROPPED = "foghorn_log_lines_dropped_total", Counter, ["reason"], "Lines that the log lost, because what takes them was too slow (full) or failed (error).";
    BUILD_INFO = "foghorn_build_info", Gauge, ["version", "commit", "date"], "Always 1; the labels say which version runs, the commit it was built from, and the day of that commit.";
    CERTIFICATE_READS = "foghorn_certificate_reads_total", Counter, ["result"], "Times that a certificate and its key were read again, by result: ok, or what is wrong with them, and then the former ones stay in use.";
    CERTIFICATE_ORDERS = "foghorn_certificate_orders_total", Counter, ["host", "result"], "Certificates that were ordered by ACME, by host and result: ok, or why there is none, and then the former one stays in use.";
    CERTIFICATE_FAILING = "foghorn_certificate_failing", Gauge, ["host"], "1 while a host's certificate could not be ordered, the first one or the next; absent where none is ordered.";
    OPS_REFUSED = "foghorn_ops_refused_total", Counter, ["reason"], "Requests to the ops address turned away, by reason.";
    CLUSTER_NODES = "foghorn_cluster_nodes", Gauge, [], "Nodes that this node sees in the cluster, itself included.";
    CLUSTER_WARNINGS = "foghorn_cluster_warnings", Gauge, ["code"], "1 where this node sees that something about the cluster is wrong, by what it is.";
    SPANS_DROPPED = "foghorn_spans_dropped_total", Counter, ["reason"], "Spans of traces that did not reach the collector, by reason.";
    RUNTIME_WORKERS = "foghorn_runtime_workers", Gauge, [], "Worker threads of the runtime.";
    RUNTIME_TASKS = "foghorn_runtime_tasks", Gauge, [], "Tasks that are alive, about one for each connection.";
    RUNTIME_QUEUE = "foghorn_runtime_queue", Gauge, [], "Tasks waiting in the runtime's global queue.";
    RUNTIME_BUSY_SECONDS = "foghorn_runtime_busy_seconds_total", Counter, [], "Time that all worker threads were busy, in seconds.";
    PROCESS_RESIDENT_BYTES = "process_resident_memory_bytes", Gauge, [], "Resident memory of the process.";
    PROCESS_VIRTUAL_BYTES = "process_virtual_memory_bytes", Gauge, [], "Virtual memory of the process.";
    PROCESS_CPU_SECONDS = "process_cpu_seconds_total", Counter, [], "CPU time spent by the process, in user and kernel mode.";
    PROCESS_OPEN_FDS = "process_open_fds", Gauge, [], "Open file descriptors, one for each connection.";
    PROCESS_MAX_FDS = "process_max_fds", Gauge, [], "File descriptors that the process may have open.";
    PROCESS_THREADS = "process_threads", Gauge, [], "Threads of the process.";
    START_TIME = "foghorn_start_time_seconds", Gauge, [], "Unix time at which the process started.";
}

/// Upper bounds of the buckets of [`MetricKind::Seconds`], in seconds.
pub const SECONDS_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// Upper bounds of the buckets of [`MetricKind::Count`].
pub const COUNT_BUCKETS: &[f64] = &[
    0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0,
];

/// Tells the recorder the help of these metrics. Call once for each, after the recorder is installed.
pub fn describe(table: &[Metric]) {
    for metric in table {
        match metric.kind {
            MetricKind::Counter => ::metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => ::metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Seconds | MetricKind::Count => {
                ::metrics::describe_histogram!(metric.name, metric.help)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus_and_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for metric in TABLE {
            assert!(seen.insert(metric.name), "{} twice", metric.name);
            assert!(
                ["foghorn_", "process_"]
                    .iter()
                    .any(|p| metric.name.starts_with(p))
                    && metric.help.ends_with('.'),
                "{}",
                metric.name
            );
            assert_eq!(
                metric.kind == MetricKind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            if metric.kind == MetricKind::Seconds {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }
}
