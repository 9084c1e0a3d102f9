//! Brokers that are spoken to over TLS.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::brokers::Broker;
use crate::common::node::Plan;
use crate::common::{eventually, http};
use crate::publisher::Publisher;
use crate::sockets::{from, page, text};

/// A folder with an authority (`ca.pem`), and a certificate of it for 127.0.0.1 (`cert.pem`, `key.pem`).
pub fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let cert = params.signed_by(&key, &authority).expect("a certificate");
    let write =
        |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("written");
    write("ca.pem", authority.pem());
    write("cert.pem", cert.pem());
    write("key.pem", key.serialize_pem());
    folder
}

async fn speaks_tls(start: impl AsyncFn(&std::path::Path) -> (Broker, String)) {
    let folder = certificates();
    let (broker, url) = start(folder.path()).await;
    let ca = folder.path().join("ca.pem").display().to_string();
    let settings = [
        ("FOGHORN_INBOX_BROKER_URL", &*url),
        ("FOGHORN_INBOX_BROKER_CA", &*ca),
    ];
    let node = from(Plan::new(), &settings).await;
    node.counted("foghorn_inbox_mqtt_connected", "", 1.0).await;
    let mut socket = page(node.port, 7).await;
    Publisher::new(broker.port)
        .publish("notification7", "7")
        .await;
    assert_eq!(text(&mut socket).await, "New Message");
    // The system's authorities know nothing of that one.
    let strange = from(
        Plan::new(),
        &[
            ("FOGHORN_INBOX_BROKER_URL", &url),
            ("FOGHORN_INBOX_CLIENT_ID", "other"),
        ],
    )
    .await;
    strange
        .counted("foghorn_inbox_mqtt_ends_total", "cause=\"tls\"", 1.0)
        .await;
    eventually("the words", || async {
        let answer = http::get(strange.ops(), "/readyz").await.expect(200);
        let said = answer
            .body
            .contains("signed by an authority that is not trusted here");
        (said && answer.body.contains("FOGHORN_INBOX_BROKER_CA")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Mosquitto"]
async fn mosquitto_is_spoken_to_over_tls_and_only_if_it_is_trusted() {
    speaks_tls(Broker::mosquitto_over_tls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ"]
async fn rabbitmq_is_spoken_to_over_tls_and_only_if_it_is_trusted() {
    speaks_tls(Broker::rabbitmq_over_tls).await;
}
