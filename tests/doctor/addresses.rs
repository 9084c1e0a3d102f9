//! Where doctor looks: at the addresses that Seafile's own environment has, at `/notification` where no path is given, at
//! each node; and what it advises never touches another path.

use super::common::cluster::Cluster;
use super::common::node::{Node, Plan};
use super::common::token;
use super::{GOOD, Report, eventually, examine, foghorn, http, nginx, run};

/// A report, of doctor with these arguments and variables.
async fn look(args: &[&str], env: &[(&str, &str)]) -> Report {
    let mut command = foghorn(&[&["doctor", "--json"], args].concat());
    command
        .env("JWT_PRIVATE_KEY", token::KEY)
        .envs(env.iter().copied());
    let (_, text) = run(command).await;
    Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")))
}

/// Everything that it says and advises.
fn all(report: &Report) -> String {
    let checks = report.0["checks"].as_array().expect("checks");
    checks
        .iter()
        .map(|check| format!("{} {}\n", check["what"], check["mend"]))
        .collect()
}

#[tokio::test]
async fn the_addresses_are_those_of_seafiles_environment() {
    let node = Node::start().await;
    let inner = format!("http://127.0.0.1:{}", node.port());
    let public = format!("{inner}/notification");
    let report = look(
        &[],
        &[
            ("NOTIFICATION_SERVER_URL", &public),
            ("INNER_NOTIFICATION_SERVER_URL", &inner),
        ],
    )
    .await;
    assert!(report.healthy(), "{:#}", report.0);
    for place in ["public", "inner"] {
        report.expect(place, "event", "ok");
    }
    // Nothing is said: the node of this machine.
    let port = node.port().to_string();
    let report = look(
        &[],
        &[
            ("NOTIFICATION_SERVER_HOST", "127.0.0.1"),
            ("NOTIFICATION_SERVER_PORT", &port),
        ],
    )
    .await;
    assert!(
        report.healthy() && report.find("inner", "event").len() == 1,
        "{:#}",
        report.0
    );
    report.expect("public", "address", "skipped");

    let mut wrong = foghorn(&["doctor"]);
    wrong.env("NOTIFICATION_SERVER_URL", "cloud.example.com");
    let output = tokio::task::spawn_blocking(move || wrong.output().expect("it starts"))
        .await
        .expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1)
            && said.contains("NOTIFICATION_SERVER_URL: \"cloud.example.com\" should be"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_address_without_a_path_is_looked_at_where_clients_do() {
    let node = Node::start().await;
    let (_proxy, port) = nginx(&format!(
        "location /notification {{ proxy_pass http://127.0.0.1:{}; {GOOD} }}",
        node.port()
    ))
    .await;
    let url = format!("http://127.0.0.1:{port}");
    let report = look(&["--url", &url], &[]).await;
    assert!(report.healthy(), "{:#}", report.0);
    // Nothing there: what is advised is about /notification and leaves all else to Seafile.
    let (_proxy, port) = nginx("").await;
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/seafile"),
    ] {
        let report = look(&["--url", &url], &[]).await;
        let said = all(&report);
        assert!(
            report
                .expect("public", "ping", "fail")
                .contains("/notification {"),
            "{said}"
        );
        for other in [
            "location / {",
            "location /seafile {",
            "ProxyPass \"/\"",
            "path / ",
            "{ path  }",
            "reverse_proxy *",
        ] {
            assert!(!said.contains(other), "{other} in {said}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_slash_too_many_is_named_with_the_line_to_change() {
    let node = Node::start().await;
    let pass = format!("proxy_pass http://127.0.0.1:{}; {GOOD}", node.port());
    let (_proxy, port) = nginx(&format!("location /notification/ {{ {pass} }}")).await;
    let report = examine(Some(port), None).await;
    report.expect("public", "ping", "ok");
    let said = report.expect("public", "upgrade", "fail");
    assert!(
        said.contains("location /notification {") && said.contains("without the slash"),
        "{said}"
    );
    assert!(!said.contains("SERVICE_URL"), "{said}");
    // The line does it.
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} }}")).await;
    examine(Some(port), None)
        .await
        .expect("public", "upgrade", "ok");
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_node_with_another_key_is_met_whichever_the_proxy_shows() {
    let cluster = Cluster::start(0, 1, Plan::new).await;
    let good = cluster
        .member(Plan::new().env("FOGHORN_NODE_NAME", "good"))
        .start()
        .await;
    let other = Plan::new()
        .env("FOGHORN_NODE_NAME", "other")
        .env("JWT_PRIVATE_KEY", "another-key-another-key-another-0");
    let mut other = cluster.member(other).launch();
    let port = other.ops();
    other.process().listening(port).await;
    eventually("both nodes", || async {
        let view = http::get(good.ops(), "/nodes").await.json();
        (view["nodes"].as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    let inner = format!("http://127.0.0.1:{}", good.port());
    let ops = format!("http://127.0.0.1:{}", good.ops());
    let report = look(&["--inner", &inner, "--ops", &ops], &[]).await;
    let checks = report.find("nodes", "key");
    assert_eq!(checks.len(), 2, "{:#}", report.0);
    let bad: Vec<_> = checks
        .iter()
        .filter(|check| check["outcome"] == "fail")
        .collect();
    let said = format!("{} {}", bad[0]["what"], bad[0]["mend"]);
    assert!(
        bad.len() == 1
            && said.contains("other at 127.0.0.1:")
            && said.contains("JWT_PRIVATE_KEY=…    # on other"),
        "{said}"
    );
}
