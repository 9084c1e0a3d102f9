//! `foghorn doctor` says what a broker grants, and disturbs no node that is connected to it.

use serde_json::Value;

use crate::brokers::Broker;
use crate::common::node::{Plan, foghorn};
use crate::publisher::Publisher;
use crate::sockets::{from, page, text};
use crate::tls::certificates;

/// What is said of the broker.
fn all(url: &str) -> Vec<Value> {
    // Where nobody listens there is nothing else to be looked at.
    let mut doctor = foghorn(&["doctor", "--json", "--sse", "http://127.0.0.1:1"]);
    doctor
        .env("FOGHORN_DIALECTS", "inbox")
        .env("FOGHORN_INBOX_BROKER_URL", url);
    let done = tokio::task::block_in_place(|| doctor.output()).expect("it starts");
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("a list").iter();
    let found: Vec<Value> = checks
        .filter(|check| check["place"] == "mqtt")
        .cloned()
        .collect();
    assert!(!found.is_empty(), "{report:#}");
    found
}

/// How the first check of the broker came out: its name, outcome, and all that was said.
fn examined(url: &str) -> (String, String, String) {
    let found = all(url).swap_remove(0);
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
        let delivers = &all(&broker.url())[1];
        assert_eq!(delivers["outcome"], "ok", "{delivers}");
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

/// Mosquitto grants every subscription, and delivers what the user may read; what he may not publish it drops in silence.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Mosquitto"]
async fn a_broker_that_grants_and_never_delivers_is_told_of() {
    for (rights, outcome, words) in [
        (
            "topic readwrite +",
            "ok",
            "delivers what is published at notification",
        ),
        ("topic write +", "fail", "topic read +"),
        ("topic read +", "skipped", "as it need not"),
        ("topic readwrite elsewhere/#", "skipped", "as it need not"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rights");
        std::fs::write(&file, format!("user guest\n{rights}\n")).expect("written");
        let broker = Broker::mosquitto_with(&format!("acl_file {}\n", file.display())).await;
        let checks = all(&broker.url());
        let of = |name: &str| {
            let of = checks.iter().find(|check| check["check"] == name);
            of.unwrap_or_else(|| panic!("{name}: {checks:?}"))
        };
        assert_eq!(of("subscribe")["outcome"], "ok", "{rights}: {checks:?}");
        let delivers = of("deliver");
        assert_eq!(delivers["outcome"], outcome, "{rights}: {delivers}");
        assert!(
            delivers.to_string().replace('\\', "").contains(words),
            "{rights}: {delivers}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ"]
async fn a_broker_that_says_that_nothing_may_be_published_is_not_tried() {
    let broker = Broker::rabbitmq().await;
    broker.rabbitmqctl(&["set_topic_permissions", "guest", "amq.topic", "^$", ".*"]);
    let checks = all(&broker.url());
    let delivers = checks.iter().find(|check| check["check"] == "deliver");
    let delivers = delivers.unwrap_or_else(|| panic!("{checks:?}"));
    assert_eq!(delivers["outcome"], "skipped", "{delivers}");
}
