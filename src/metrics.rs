//! Every metric's name, kind, labels and help, in one table.
//!
//! Invariant: no label's values grow with users or libraries; each label below has a fixed, small set.
//! `docs/METRICS.md` is made from the table ([`reference`]).

pub mod process;
pub mod reference;

/// Whether a metric counts up, goes up and down, or collects a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence for the operator.
    pub help: &'static str,
}

macro_rules! table {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $id: &str = $name;)*
        /// All of them.
        pub const TABLE: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

table! {
    CONNECTIONS = "foghorn_connections", Gauge, ["dialect", "client"], "Open client connections.";
    SUBSCRIPTIONS = "foghorn_subscriptions", Gauge, [], "Subscriptions held by this node's clients.";
    CHANNELS = "foghorn_channels", Gauge, [], "Channels with a subscriber or a recent event on this node.";
    HANDSHAKES = "foghorn_handshakes_total", Counter, ["dialect", "result"], "WebSocket handshakes by result.";
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
    TOKENS_REFUSED = "foghorn_tokens_refused_total", Counter, ["use", "cause"], "Tokens refused, by what they were for and why.";
    SUBSCRIPTIONS_EXPIRED = "foghorn_subscriptions_expired_total", Counter, [], "Subscriptions ended because their token ran out.";
    GROUP_LOOKUPS = "foghorn_group_lookups_total", Counter, ["result"], "Group member look-ups by result.";
    GROUP_EVENTS_DROPPED = "foghorn_group_events_dropped_total", Counter, ["reason"], "Group events that went to nobody because members could not be found out.";
    GAPS_SEEN = "foghorn_gaps_seen_total", Counter, [], "Holes seen in a partition's sequence.";
    GAPS_FILLED = "foghorn_gaps_filled_total", Counter, [], "Holes filled from the log.";
    GAPS_LOST = "foghorn_gaps_lost_total", Counter, [], "Holes that the log could not fill.";
    EPOCH_CHANGES = "foghorn_epoch_changes_total", Counter, [], "Times a partition's log was found to be another one than before.";
    DUPLICATES = "foghorn_duplicates_total", Counter, [], "Events heard again and not delivered again.";
    EVENTS_REPEATED = "foghorn_events_repeated_total", Counter, [], "Events posted again with the same Idempotency-Key and not delivered again.";
    MESSAGES_SKIPPED = "foghorn_broker_messages_skipped_total", Counter, ["reason"], "Broker messages that could not be read and were skipped.";
    RESYNCS = "foghorn_resyncs_total", Counter, [], "Connections closed so that their clients check everything anew.";
    WAITING_EVENTS = "foghorn_waiting_events", Gauge, [], "Accepted events that Redis does not have yet.";
    WAITING_BYTES = "foghorn_waiting_bytes", Gauge, [], "Bytes of accepted events that Redis does not have yet.";
    WAITING_SECONDS = "foghorn_waiting_seconds", Gauge, [], "Age of the oldest accepted event that Redis does not have yet.";
    WAITING_DROPPED = "foghorn_waiting_dropped_total", Counter, ["bound"], "Accepted events dropped from the waiting queue, by the bound they hit.";
    REPUBLISHED = "foghorn_republished_total", Counter, [], "Events published again because Redis had lost them.";
    PUBLISH_SECONDS = "foghorn_publish_seconds", Seconds, ["shard"], "Round trip of one publish.";
    REDIS_UP = "foghorn_redis_up", Gauge, ["shard"], "1 where the shard answers and is heard.";
    REDIS_RECONNECTS = "foghorn_redis_reconnects_total", Counter, ["shard"], "Connections to the shard made anew.";
    REDIS_LAG = "foghorn_redis_lag_events", Gauge, ["shard"], "Events in the shard's logs that this node has not delivered yet, as last probed.";
    CONNECTIONS_REFUSED = "foghorn_connections_refused_total", Counter, ["reason"], "Connections and requests turned away, by the limit they hit.";
    BUILD_INFO = "foghorn_build_info", Gauge, ["version"], "Always 1; the label says which version runs.";
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

/// Upper bounds of the buckets of [`Kind::Seconds`], in seconds.
pub const SECONDS_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of the buckets of [`Kind::Count`].
pub const COUNT_BUCKETS: &[f64] = &[0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0];

/// Tells the recorder every metric's help. Call once, after the recorder is installed.
pub fn describe() {
    for metric in TABLE {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.help),
            Kind::Seconds | Kind::Count => ::metrics::describe_histogram!(metric.name, metric.help),
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
                ["foghorn_", "process_"].iter().any(|p| metric.name.starts_with(p)) && metric.help.ends_with('.'),
                "{}",
                metric.name
            );
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            if metric.kind == Kind::Seconds {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }
}
