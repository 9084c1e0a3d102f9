//! Certificates that are ordered.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, HOST, answer, connect, trusting};
use crate::common::node::{Node, Plan, foghorn};
use crate::common::ports::free_port;
use crate::common::process::need;
use crate::common::{eventually, http};
use crate::site::plan;

const OTHER: &str = "other.example.com";

/// A connection to `host`, once it shows a certificate that `client` trusts.
async fn trusted(client: &TlsConnector, port: u16, host: &str) -> TlsStream<TcpStream> {
    eventually("a certificate that is trusted", || async move {
        connect(client, port, host).await.ok()
    })
    .await
}

/// The certificate that it showed.
fn certificate_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let chain = stream.get_ref().1.peer_certificates();
    chain.expect("it showed one")[0].to_vec()
}

/// The certificate that `host` shows, once it shows one that `client` trusts.
async fn shown(client: &TlsConnector, port: u16, host: &str) -> Vec<u8> {
    certificate_of(&trusted(client, port, host).await)
}

/// A WebSocket of the host's.
async fn page(client: &TlsConnector, port: u16) -> TlsStream<TcpStream> {
    let mut page = trusted(client, port, HOST).await;
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    let told = answer(&mut page, &request, "\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.1 101 "), "{told}");
    page
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
#[ignore = "needs go"]
async fn a_certificate_is_ordered_and_after_a_restart_taken_from_the_cache() {
    let mut authority = Authority::start(86_400).await;
    let api = free_port();
    let keys = json!({"ssl_autocert_email": "admin@example.com", "ssl_autocert_server_name": HOST, "api_port": api});
    let mut node = authority.plan(&keys).start().await;
    let client = authority.client().await;
    let first = shown(&client, authority.tls, HOST).await;
    page(&client, authority.tls).await;
    // All ports of the dialect share it.
    assert_eq!(shown(&client, api, HOST).await, first);
    assert_eq!(authority.made(), 1);
    // Who names no host is shown the certificate of the one that is named for that, and looks for it in vain in it.
    let unnamed = connect(&client, authority.tls, "127.0.0.1")
        .await
        .expect_err("another name");
    assert!(
        unnamed.to_string().contains("not valid for name"),
        "{unnamed}"
    );
    // Who names a stranger is shown none.
    let other = connect(&client, authority.tls, OTHER)
        .await
        .expect_err("no certificate");
    assert!(other.to_string().contains("fatal alert"), "{other}");
    node.counted("foghorn_certificate_orders_total", "result=\"ok\"", 1.0)
        .await;

    let kept = node
        .folder()
        .join("certs")
        .join(format!("127.0.0.1_{}_dir", authority.port));
    eventually("a certificate and an account that are kept", || async {
        [HOST, "foghorn_account"]
            .iter()
            .all(|name| kept.join(name).exists())
            .then_some(())
    })
    .await;
    assert_eq!(
        (
            mode(&kept),
            mode(&kept.join(HOST)),
            mode(&kept.join("foghorn_account"))
        ),
        (0o700, 0o600, 0o600)
    );
    let key = std::fs::read_to_string(kept.join(HOST)).expect("there");
    let secret = key.lines().nth(1).expect("a line of the key");
    assert!(!node.log().contains(secret));

    authority.pebble.kill();
    node.restart().await;
    assert_eq!(shown(&client, authority.tls, HOST).await, first);
    let log = node.log();
    assert!(
        log.contains("certificate taken from the cache") && !log.contains("not ordered"),
        "{log}"
    );
    authority.names.kill();
}

#[tokio::test]
#[ignore = "needs go"]
async fn a_host_that_does_not_lead_here_holds_up_no_other_and_is_tried_again_on_sighup() {
    let authority = Authority::start(86_400).await;
    authority.moved(OTHER, "127.0.0.9").await;
    let hosts = json!({"ssl_autocert_host_whitelist": format!("{OTHER},{HOST}")});
    let mut node = authority.plan(&hosts).start().await;
    let client = authority.client().await;
    shown(&client, authority.tls, HOST).await;
    node.counted(
        "foghorn_certificate_orders_total",
        "result=\"unproven\"",
        1.0,
    )
    .await;
    let told = http::get(node.ops(), "/readyz").await.expect(200).json();
    let told = told["certificates"].as_str().expect("what is wrong");
    assert!(
        told.starts_with(OTHER) && told.contains("port 443") && !told.contains(HOST),
        "{told}"
    );
    assert!(connect(&client, authority.tls, OTHER).await.is_err());
    for part in [
        "certificate not ordered, so clients cannot be let in",
        "a client could not be let in",
    ] {
        node.process().logged(part).await;
    }

    authority.moved(OTHER, "127.0.0.1").await;
    node.process().signal("HUP");
    shown(&client, authority.tls, OTHER).await;
    let told = http::get(node.ops(), "/readyz").await.expect(200).json();
    assert_eq!(told["certificates"], json!(null));
}

#[tokio::test]
#[ignore = "needs go"]
async fn before_a_certificate_ends_another_one_is_ordered_and_connections_stay() {
    let authority = Authority::start(15).await;
    let endless = json!({"stale_connection_close_delay": 0, "ping_interval": 3600});
    let _node: Node = authority.plan(&endless).start().await;
    let client = authority.client().await;
    let mut page = page(&client, authority.tls).await;
    let first = certificate_of(&page);
    eventually("another certificate", || async {
        (shown(&client, authority.tls, HOST).await != first).then_some(())
    })
    .await;
    assert!(authority.made() >= 2);
    page.write_all(&[0x89, 0x80, 0, 0, 0, 0])
        .await
        .expect("a ping");
    let mut pong = [0; 2];
    let mut read = 0;
    // A ping of the node's own may come before.
    while pong != [0x8a, 0] {
        pong = [pong[1], page.read_u8().await.expect("an answer")];
        read += 1;
        assert!(read < 64, "no pong");
    }
}

#[tokio::test]
#[ignore = "needs go"]
async fn where_it_is_told_to_the_authority_looks_by_http_and_others_are_sent_on() {
    let authority = Authority::start(86_400).await;
    let at = format!("127.0.0.1:{}", authority.http);
    // Nothing is where the authority would look by TLS.
    let keys =
        json!({"ssl_autocert_http": true, "ssl_autocert_http_addr": at, "port": free_port()});
    let node = authority.plan(&keys).start().await;
    shown(&authority.client().await, port_of(&keys), HOST).await;
    for (host, told) in [
        (HOST, format!("location: https://{HOST}/a?b=c\r\n")),
        ("evil.example", "HTTP/1.1 404 ".to_owned()),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", authority.http))
            .await
            .expect("a connection");
        let request = format!("GET /a?b=c HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = answer(&mut stream, &request, "\r\n\r\n").await;
        assert!(answer.contains(&told), "{answer}");
    }
    let gone = http::get(authority.http, "/.well-known/acme-challenge/x").await;
    gone.expect(404);
    drop(node);
}

fn port_of(keys: &Value) -> u16 {
    u16::try_from(keys["port"].as_u64().expect("a port")).expect("a port")
}

#[tokio::test]
async fn an_authority_that_is_away_keeps_no_node_from_serving_and_is_named() {
    let (port, nobody) = (free_port(), free_port());
    let own = Plan::new();
    let keys = json!({"secret": "secret", "address": "127.0.0.1", "port": port, "ssl_autocert": true,
        "ssl_autocert_host_whitelist": HOST, "ssl_autocert_cache_dir": own.folder().join("certs")});
    let directory = format!("https://127.0.0.1:{nobody}/directory");
    let node = plan(own, &keys)
        .env("FOGHORN_CENTRIFUGO_ACME_DIRECTORY", &directory)
        .start()
        .await;
    node.counted(
        "foghorn_certificate_orders_total",
        "result=\"unreachable\"",
        1.0,
    )
    .await;
    let told = http::get(node.ops(), "/readyz").await.expect(200).json();
    let told = told["certificates"].as_str().expect("what is wrong");
    assert!(
        told.contains(&format!("127.0.0.1:{nobody}: connection refused")),
        "{told}"
    );
    // It is the node that refuses: there is no certificate for the client to judge.
    let refused = connect(&trusting(b""), port, HOST)
        .await
        .expect_err("no certificate");
    assert!(refused.to_string().contains("fatal alert"), "{refused}");
}

/// What `openssl` prints, given this.
fn openssl(arguments: &[&str], given: &str) -> String {
    let mut command = Command::new(need("openssl", "openssl"));
    command.args(arguments).stdin(Stdio::piped());
    let mut running = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = running.stdin.take().expect("its input");
    stdin.write_all(given.as_bytes()).expect("written");
    drop(stdin);
    let done = running.wait_with_output().expect("it ends");
    assert!(done.status.success());
    String::from_utf8(done.stdout).expect("text")
}

#[tokio::test]
#[ignore = "needs openssl"]
async fn a_certificate_that_the_predecessor_left_is_taken_and_none_is_ordered() {
    // Go writes keys in this form.
    let key = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "");
    assert!(key.contains("BEGIN EC PRIVATE KEY"), "{key}");
    let same = openssl(&["pkcs8", "-topk8", "-nocrypt"], &key);
    let same = rcgen::KeyPair::from_pem(&same).expect("a key");
    let params = rcgen::CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
    let certificate = params.self_signed(&same).expect("a certificate").pem();

    let (port, nobody) = (free_port(), free_port());
    let own = Plan::new();
    let cache = own.folder().join("certs");
    let kept = cache.join(format!("127.0.0.1_{nobody}_dir"));
    std::fs::create_dir_all(&kept).expect("made");
    std::fs::write(kept.join(HOST), key + &certificate).expect("written");
    let keys = json!({"secret": "secret", "address": "127.0.0.1", "port": port, "ssl_autocert": true,
        "ssl_autocert_host_whitelist": HOST, "ssl_autocert_cache_dir": cache});
    let directory = format!("https://127.0.0.1:{nobody}/dir");
    let node = plan(own, &keys)
        .env("FOGHORN_CENTRIFUGO_ACME_DIRECTORY", &directory)
        .start()
        .await;
    page(&trusting(certificate.as_bytes()), port).await;
    let log = node.log();
    assert!(
        log.contains("certificate taken from the cache") && !log.contains("not ordered"),
        "{log}"
    );
}

#[test]
fn check_config_names_what_is_wrong_with_it() {
    let told = |keys: Value, env: &[(&str, &str)]| {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, keys.to_string()).expect("written");
        let mut check: Command = foghorn(&["check-config"]);
        check
            .env("FOGHORN_DIALECTS", "centrifugo")
            .env("FOGHORN_CENTRIFUGO_CONFIG", &file)
            .envs(env.iter().copied());
        let output = check.output().expect("it runs");
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    };
    let with = |more: Value| {
        let mut keys = json!({"secret": "hush-hush-hush-hush-hush-hush-32", "ssl_autocert": true, "ssl_autocert_host_whitelist": HOST,
            "ssl_autocert_cache_dir": "/tmp"});
        for (key, value) in more.as_object().expect("an object") {
            keys[key] = value.clone();
        }
        keys
    };
    let (good, text) = told(with(json!({"ssl_autocert_force_rsa": false})), &[]);
    assert!(good, "{text}");
    for (keys, part) in [
        (
            json!({"ssl_autocert_host_whitelist": ""}),
            "ssl_autocert: it needs ssl_autocert_host_whitelist",
        ),
        (
            json!({"ssl_cert": "a.pem", "ssl_key": "a.key"}),
            "ssl_autocert: it orders certificates",
        ),
        (
            json!({"ssl_autocert_force_rsa": true}),
            "ssl_autocert_force_rsa: it is not honoured here",
        ),
        (
            json!({"ssl_autocert_cache_dir": "/dev/null/certs"}),
            "no certificate can be ordered: cannot use /dev/null",
        ),
    ] {
        let (good, text) = told(with(keys), &[]);
        assert!(!good && text.contains(part), "{part} is not in {text}");
    }
    let (good, text) = told(with(json!({"ssl_autocert_cache_dir": ""})), &[]);
    assert!(
        good && text.contains("each start orders certificates anew"),
        "{text}"
    );
    let plain = [(
        "FOGHORN_CENTRIFUGO_ACME_DIRECTORY",
        "http://ca.example/directory",
    )];
    let (good, text) = told(with(json!({})), &plain);
    assert!(
        !good && text.contains("a URL that begins with https://"),
        "{text}"
    );
    let trusted = [("FOGHORN_CENTRIFUGO_ACME_CA", "/etc/hostname")];
    let (good, text) = told(with(json!({})), &trusted);
    assert!(
        !good && text.contains("there is no certificate in it"),
        "{text}"
    );
}
