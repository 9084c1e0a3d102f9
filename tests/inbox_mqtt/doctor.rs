//! `foghorn doctor` says what a broker grants, and disturbs no node that is connected to it.

use serde_json::Value;

use crate::brokers::Broker;
use crate::common::node::{Plan, foghorn};
use crate::publisher::Publisher;
use crate::sockets::{from, page, text};
use crate::tls::certificates;

/// How the check of the broker came out: its name, outcome, and all that was said.
fn examined(url: &str) -> (String, String, String) {
    // Where nobody listens there is nothing else to be looked at.
    let mut doctor = foghorn(&["doctor", "--json", "--sse", "http://127.0.0.1:1"]);
    doctor
        .env("FOGHORN_DIALECTS", "inbox")
        .env("FOGHORN_INBOX_BROKER_URL", url);
    let done = tokio::task::block_in_place(|| doctor.output()).expect("it starts");
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("a list");
    let found = checks
        .iter()
        .find(|check| check["place"] == "mqtt")
        .unwrap_or_else(|| panic!("{report:#}"));
    let word = |name: &str| found[name].as_str().expect("a text").to_owned();
    let said = format!("{}\n{}", word("what"), found["mend"]);
    assert!(
        !said.contains("hush-secret") && !said.contains("guest:guest"),
        "{said}"
    );
    (word("check"), word("outcome"), said)
}

fn failed(url: &str, check: &str) -> String {
    let (found, outcome, said) = examined(url);
    assert_eq!((&*found, &*outcome), (check, "fail"), "{said}");
    said
}

async fn grants(broker: Broker) {
    let node = from(Plan::new(), &[("FOGHORN_INBOX_BROKER_URL", &broker.url())]).await;
    node.counted("foghorn_inbox_mqtt_connected", "", 1.0).await;
    let mut socket = page(node.port, 7).await;
    for _ in 0..3 {
        let (check, outcome, said) = examined(&broker.url());
        assert_eq!((&*check, &*outcome), ("subscribe", "ok"), "{said}");
    }
    // The node was not thrown out, and what comes is still its.
    Publisher::new(broker.port)
        .publish("notification7", "7")
        .await;
    assert_eq!(text(&mut socket).await, "New Message");
    assert_eq!(
        node.metric("foghorn_inbox_mqtt_connections_total", "")
            .await,
        1.0
    );
    let wrong = broker.url().replace("guest:guest", "guest:hush-secret");
    let said = failed(&wrong, "login");
    assert!(
        said.contains("refuses user and password")
            && said.contains("rabbitmqctl set_permissions guest"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Mosquitto"]
async fn what_mosquitto_grants_is_said_and_its_node_stays() {
    grants(Broker::mosquitto().await).await;
    let said = failed("mqtt://127.0.0.1:1", "connect");
    assert!(
        said.contains("cannot be reached") && said.contains("listener 1883 0.0.0.0"),
        "{said}"
    );
    let folder = certificates();
    let (_broker, url) = Broker::mosquitto_over_tls(folder.path()).await;
    let said = failed(&url, "connect");
    assert!(
        said.contains("not trusted here") && said.contains("FOGHORN_INBOX_BROKER_CA="),
        "{said}"
    );
    let said = failed(&url.replace("mqtts://", "mqtt://"), "protocol");
    assert!(said.contains("FOGHORN_INBOX_BROKER_URL=mqtts://"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ"]
async fn what_rabbitmq_grants_is_said_and_its_node_stays() {
    grants(Broker::rabbitmq().await).await;
}
