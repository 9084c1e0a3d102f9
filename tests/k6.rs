//! The load scripts for k6 run, and their thresholds hold, for a short while against a node.

mod common;

use common::node::Node;
use common::{process, token};

#[tokio::test]
#[ignore = "needs k6, which loadtest/k6/get-k6.sh builds"]
async fn the_k6_scripts_pass_a_smoke_test() {
    let node = Node::start().await;
    let mut smoke = process::command(&process::need("bash", "bash"));
    smoke.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/k6/smoke.sh"));
    smoke.args([&format!("http://127.0.0.1:{}", node.port()), token::KEY]);
    let output = process::run("the k6 smoke test", smoke);
    assert!(output.contains("3 scripts passed"), "{output}");
}
