//! A real Prometheus scrapes a cluster with the rules that are shipped: what it adds up is true, and it has an answer for
//! every panel of the dashboard.

mod common;

use std::path::Path;

use common::cluster::Cluster;
use common::node::{Node, Plan};
use common::ports::free_port;
use common::process::{Process, command, need};
use common::{eventually, http, library};
use serde_json::Value;

/// Starts Prometheus with the shipped rules, evaluated every second, on `nodes`; gives its port.
async fn prometheus(folder: &Path, nodes: &[Node]) -> (Process, u16) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    let targets: Vec<String> = nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.ops()))
        .collect();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}/foghorn.rules.yml', \
         '{rules}/foghorn.alerts.yml']\nscrape_configs:\n  - job_name: foghorn\n    static_configs: [{{targets: {targets:?}}}]\n",
        rules = shipped.display(),
    );
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, config).expect("writing");
    let port = free_port();
    let mut start = command(&need("prometheus", "prometheus"));
    start.arg(format!("--config.file={}", file.display()));
    start.arg(format!(
        "--storage.tsdb.path={}",
        folder.join("data").display()
    ));
    start.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut process = Process::start("prometheus", start, &folder.join("output"));
    process.listening(port).await;
    // Until then it answers 503 to everything.
    eventually("Prometheus is ready", || async {
        http::try_request(port, "GET", "/-/ready", &[], None)
            .await
            .filter(|answer| answer.status == 200)
            .map(drop)
    })
    .await;
    (process, port)
}

async fn api(port: u16, path: &str) -> Value {
    http::try_request(port, "GET", &format!("/api/v1/{path}"), &[], None)
        .await
        .map_or(Value::Null, |a| a.json())
}

/// What Prometheus answers to `query`.
async fn answer(port: u16, query: &str) -> Value {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    api(port, &format!("query?query={query}")).await
}

/// The one number that `query` gives, if it does.
async fn number(port: u16, query: &str) -> Option<f64> {
    answer(port, query).await["data"]["result"][0]["value"][1]
        .as_str()?
        .parse()
        .ok()
}

#[tokio::test]
#[ignore = "needs Prometheus and Redis"]
async fn what_prometheus_adds_up_over_three_nodes_is_what_happened() {
    let cluster = Cluster::start(3, 1, Plan::new).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_prometheus, port) = prometheus(folder.path(), &cluster.nodes).await;

    let library = library();
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(node.subscriber(&library, "a@x").await);
        clients.push(node.subscriber(&library, "b@x").await);
    }
    for (n, node) in cluster.nodes.iter().cycle().take(9).enumerate() {
        node.post_update(&library, &n.to_string()).await;
        for client in &mut clients {
            client.expect_update(&library, &n.to_string()).await;
        }
    }
    for (query, value) in [
        ("sum(up{job='foghorn'})", 3.0),
        ("sum(foghorn_connections)", 6.0),
        ("foghorn:subscriptions:sum", 6.0),
        ("sum(foghorn_events_accepted_total)", 9.0),
        ("sum(foghorn_events_delivered_total)", 27.0),
        ("sum(foghorn_deliveries_total)", 54.0),
        ("sum(foghorn_delivery_seconds_count)", 27.0),
        ("sum(foghorn_fanout_subscribers_sum)", 54.0),
        ("min(foghorn_redis_up)", 1.0),
        ("min(foghorn_cluster_nodes)", 3.0),
        ("count(process_resident_memory_bytes > 0)", 3.0),
    ] {
        eventually(query, || async {
            (number(port, query).await == Some(value)).then_some(())
        })
        .await;
    }
    // Buckets add up over nodes, so a percentile of the whole cluster can be told.
    let query = "histogram_quantile(0.99, sum by (le) (foghorn_delivery_seconds_bucket))";
    // A scrape has a second only: one that came late leaves no figure until the next.
    let p99 = eventually("a percentile", || number(port, query)).await;
    assert!(p99 > 0.0 && p99 < 60.0, "{p99}");

    eventually("all targets are up, without an error", || async {
        let targets = api(port, "targets").await;
        let targets = targets["data"]["activeTargets"].as_array()?;
        let well = |target: &Value| target["health"] == "up" && target["lastError"] == "";
        (targets.len() == 3 && targets.iter().all(well)).then_some(())
    })
    .await;
    let rules = api(port, "rules").await;
    let groups = rules["data"]["groups"].as_array().expect("groups").clone();
    let rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
        .collect();
    assert!(rules.len() > 20);
    for rule in rules {
        assert_eq!(rule["lastError"].as_str().unwrap_or_default(), "", "{rule}");
        assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
    }
}

/// What the dashboard's panels and annotations ask, with Grafana's variables filled in as it does for all nodes.
fn dashboard() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/foghorn.json");
    let board: Value =
        serde_json::from_slice(&std::fs::read(file).expect("the dashboard")).expect("JSON");
    let targets = board["panels"]
        .as_array()
        .expect("panels")
        .iter()
        .flat_map(|panel| panel["targets"].as_array());
    let asked = targets
        .chain(board["annotations"]["list"].as_array())
        .flatten();
    let asked = asked.map(|target| target["expr"].as_str().expect("an expression").to_owned());
    let variables = [
        ("$instance", ".*"),
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
    ];
    let filled = |text: String| {
        variables
            .iter()
            .fold(text, |text, (name, value)| text.replace(name, value))
    };
    let asked: Vec<_> = asked.map(filled).collect();
    assert!(
        asked.len() > 50 && asked.iter().all(|query| !query.contains('$')),
        "{asked:?}"
    );
    asked
}

#[tokio::test]
#[ignore = "needs Prometheus and Redis"]
async fn every_panel_of_the_dashboard_is_answered() {
    let cluster = Cluster::start(2, 1, Plan::new).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_prometheus, port) = prometheus(folder.path(), &cluster.nodes).await;
    let library = library();
    let mut client = cluster.nodes[0].subscriber(&library, "a@x").await;
    cluster.nodes[1].post_update(&library, "1").await;
    client.expect_update(&library, "1").await;
    drop(client);

    let mut pages = String::new();
    for node in &cluster.nodes {
        pages += &http::request(node.ops(), "GET", "/metrics", &[], None)
            .await
            .body;
    }
    let happened = |metric: &str| {
        pages
            .lines()
            .any(|line| line.split(['{', ' ']).next() == Some(metric))
    };
    for query in dashboard() {
        let mut words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = |word: &str| {
            ["foghorn_", "process_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        };
        // Nothing to see where nothing has happened, and a comparison leaves only what it holds for.
        let may_be_empty = query.contains(" > ") || words.any(|word| ours(word) && !happened(word));
        eventually(&query, || async {
            let answer = answer(port, &query).await;
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            let series = answer["data"]["result"].as_array().expect("a result");
            (may_be_empty || !series.is_empty()).then_some(())
        })
        .await;
    }
}
