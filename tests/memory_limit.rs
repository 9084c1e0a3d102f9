//! A node that comes near its container's memory limit turns new connections away, says so, and serves those it has.

mod common;

use std::path::Path;

use common::node::{Node, Plan};
use common::socket::Handshake;
use common::{eventually, http, library};

/// Says how much of 1,000 bytes is used.
fn used(cgroup: &Path, bytes: u32) {
    std::fs::write(cgroup.join("memory.current"), format!("{bytes}\n")).expect("written");
}

async fn until_ready_is(node: &Node, status: u16) -> serde_json::Value {
    eventually(&format!("/readyz at {status}"), || async {
        let answer = http::get(node.ops(), "/readyz").await;
        (answer.status == status).then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn near_the_limit_nobody_new_gets_in_and_who_is_in_is_served() {
    let cgroup = tempfile::tempdir().expect("a folder");
    std::fs::write(cgroup.path().join("memory.max"), "1000\n").expect("written");
    used(cgroup.path(), 500);
    let plan = Plan::new().env("FOGHORN_CGROUP", &cgroup.path().display().to_string());
    let mut node = plan.start().await;
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    node.counted("foghorn_memory_limit_used_ratio", "", 0.5)
        .await;

    used(cgroup.path(), 950);
    let checks = until_ready_is(&node, 503).await;
    assert_eq!(
        (
            &checks["checks"]["memory"],
            &checks["checks"]["descriptors"]
        ),
        (&false.into(), &true.into())
    );
    let answer = Handshake::new(node.port()).refused().await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.headers.contains_key("retry-after")
            && answer.body.contains("FOGHORN_MEMORY_PERCENT"),
        "{answer:?}"
    );
    assert_eq!(
        node.metric("foghorn_connections_refused_total", "reason=\"memory\"")
            .await,
        1.0
    );
    node.process()
        .logged("the container's memory limit is near")
        .await;
    http::get(node.port(), "/ping").await.expect(200);
    node.post_update(&library, "1").await;
    client.expect_update(&library, "1").await;

    used(cgroup.path(), 600);
    let checks = until_ready_is(&node, 200).await;
    assert_eq!(checks["checks"]["memory"], true);
    node.subscriber(&library, "ann@example.com").await;
}
