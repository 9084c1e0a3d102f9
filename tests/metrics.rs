//! What a node shows at `/metrics` is what the table in `src/metrics.rs` says, and what `docs/METRICS.md` says.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::node::{Node, Plan};
use common::process::{command, need};
use common::socket::{Handshake, Socket};
use common::{eventually, http, library};
use foghorn::dialect;
use foghorn::dialect::seafile::figures;
use foghorn::metrics::{self, MetricKind};

#[test]
fn the_page_of_metrics_is_made_from_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
    let made = metrics::reference::markdown(dialect::metrics());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, &made).expect("the page can be written");
    }
    let there = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        there == made,
        "docs/METRICS.md is not what the table says: UPDATE_DOCS=1 cargo test --test metrics"
    );
}

/// A node on which one of everything has happened that can happen to a node that stands alone.
async fn busy_node() -> (Node, [Socket; 2]) {
    // Long enough that the late one below finds what was posted, however slow the machine is.
    let plan = Plan::new().env("FOGHORN_REPLAY_SECONDS", "120");
    let node = plan.start().await;
    let library = library();
    let mut web = Handshake::new(node.port()).browser().open().await;
    let mut desktop = Handshake::new(node.port()).desktop().open().await;
    web.subscribe(&library, "a@x").await;
    desktop.subscribe(&library, "b@x").await;
    desktop.send(common::socket::PING, b"").await;
    node.post_update(&library, "c0ffee").await;
    node.counted(metrics::DELIVERIES, "", 2.0).await;
    let mut late = node.subscriber(&library, "c@x").await;
    node.counted(metrics::REPLAYED, "", 1.0).await;
    late.send(common::socket::TEXT, b"no message of ours").await;
    late.ended().await;
    http::post_event(
        node.port(),
        "nothing-known",
        &serde_json::json!({"repo_id": library}),
    )
    .await
    .expect(200);
    http::request(node.port(), "POST", "/events", &[], Some(b"{}"))
        .await
        .expect(400);
    http::get(node.port(), "/").await.expect(400);
    node.counted(metrics::CLOSES, "", 1.0).await;
    (node, [web, desktop])
}

async fn page(node: &Node) -> String {
    let answer = http::get(node.ops(), "/metrics").await.expect(200);
    assert_eq!(
        answer.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.body
}

/// Each metric on the page with its type and its labels' names.
fn exposed(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    let mut current = String::new();
    for line in page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# HELP"))
    {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            current = name.to_owned();
            assert!(
                found
                    .insert(current.clone(), (kind.to_owned(), BTreeSet::new()))
                    .is_none(),
                "{name} comes twice"
            );
            continue;
        }
        let sample = line.split(['{', ' ']).next().expect("a sample has a name");
        assert!(
            sample.starts_with(&current),
            "{line} stands under {current}"
        );
        let labels = line
            .split_once('{')
            .map_or("", |(_, rest)| rest.rsplit_once('}').expect("closed").0);
        let names = labels
            .split("\",")
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        found
            .get_mut(&current)
            .expect("types come first")
            .1
            .extend(names.filter(|name| name != "le"));
    }
    found
}

#[tokio::test]
async fn what_a_node_shows_is_in_the_table_and_the_other_way_round() {
    let (node, _clients) = busy_node().await;
    let found = exposed(&page(&node).await);
    for (name, (kind, labels)) in &found {
        let metric = dialect::metrics().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        let wanted = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Seconds | MetricKind::Count => "histogram",
        };
        assert_eq!(kind, wanted, "{name}");
        let known: BTreeSet<String> = metric.labels.iter().map(ToString::to_string).collect();
        assert_eq!(*labels, known, "{name}");
    }
    // What this node could not have met: Redis, another dialect, a dialect that keeps something, a database, its own overload, wrong passwords.
    let elsewhere = [
        "foghorn_redis_",
        "foghorn_waiting_",
        "foghorn_gaps_",
        "foghorn_group_",
        "foghorn_publish_",
        "foghorn_heal_",
        "foghorn_held_",
        "foghorn_misfit",
        "foghorn_duplicates_",
        "foghorn_broker_",
        "foghorn_resyncs_",
        "foghorn_outbox_overflows_",
        "foghorn_connections_refused_",
        "foghorn_ops_refused_",
        "foghorn_certificate_",
        "foghorn_subscriptions_expired_",
        "foghorn_cluster_",
        "foghorn_spans_",
        "foghorn_events_repeated_",
        "foghorn_log_",
        "foghorn_accept_pauses_",
        "foghorn_idle_closed_",
        "foghorn_unfinished_ended_",
        "foghorn_memory_",
        "foghorn_kept_",
        "foghorn_keeper_",
        "foghorn_past_",
        "foghorn_present",
        "foghorn_leases",
        "foghorn_inbox_",
        "foghorn_centrifugo_",
    ];
    for metric in dialect::metrics()
        .filter(|metric| !elsewhere.iter().any(|start| metric.name.starts_with(start)))
    {
        assert!(
            found.contains_key(metric.name),
            "{} is not shown",
            metric.name
        );
    }
}

#[tokio::test]
async fn the_figures_are_true() {
    let (node, _clients) = busy_node().await;
    for (name, label, value) in [
        (metrics::CONNECTIONS, "client=\"web\"", 1.0),
        (metrics::CONNECTIONS, "client=\"desktop\"", 1.0),
        (metrics::SUBSCRIPTIONS, "", 2.0),
        (metrics::HANDSHAKES, "result=\"accepted\"", 3.0),
        (metrics::EVENTS_ACCEPTED, "type=\"repo-update\"", 1.0),
        (metrics::EVENTS_REFUSED, "reason=\"token\"", 1.0),
        (figures::TOKENS_REFUSED, "use=\"events\"", 1.0),
        (metrics::FRAMES_OUT, "kind=\"message\"", 3.0),
        (metrics::FRAMES_IN, "kind=\"message\"", 4.0),
        (metrics::OUTBOX_MESSAGES, "", 0.0),
        (metrics::OUTBOX_BYTES, "", 0.0),
        ("foghorn_delivery_seconds_count", "", 1.0),
        ("foghorn_fanout_subscribers_sum", "", 2.0),
    ] {
        eventually(&format!("{name}{{{label}}} = {value}"), || async {
            (node.metric(name, label).await == value).then_some(())
        })
        .await;
    }
    let pings = node.metric(metrics::FRAMES_IN, "kind=\"ping\"").await;
    assert!(pings >= 1.0 && pings <= node.metric(metrics::FRAMES_OUT, "kind=\"pong\"").await);
    assert!(node.metric(metrics::PROCESS_RESIDENT_BYTES, "").await > 1e6);
    assert!(node.metric(metrics::PROCESS_OPEN_FDS, "").await > 5.0);
    assert!(node.metric(metrics::RUNTIME_TASKS, "").await > 2.0);
}

#[tokio::test]
#[ignore = "needs promtool"]
async fn promtool_finds_nothing_to_complain_about() {
    let (node, _clients) = busy_node().await;
    let mut check = command(&need("promtool", "prometheus"));
    check
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = check.spawn().expect("promtool runs");
    let page = page(&node).await;
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(page.as_bytes())
        .expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{page}"
    );
}
