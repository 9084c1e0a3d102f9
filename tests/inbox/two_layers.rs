//! `deploy/nginx-two-layers/` as it is shipped, its addresses and files made local: streams, WebSockets and posts go through both,
//! and whatever is away, an event stream is told to come back.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use crate::common::node::Plan;
use crate::common::ports::free_port;
use crate::common::process::{Process, command, need, run};
use crate::common::proxy::Proxy;
use crate::common::token;
use crate::site::Inbox;

const OUTER: &str = include_str!("../../deploy/nginx-two-layers/outer.conf");
const INNER: &str = include_str!("../../deploy/nginx-two-layers/inner.conf");
/// The key of tokens.
const KEY: &str = "testkey-testkey-testkey-testkey-00";

/// What a client asks for a WebSocket with.
pub const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
];

/// Two nginx, and a node behind them.
struct Site {
    folder: TempDir,
    node: Inbox,
    inner: Proxy,
    _outer: Proxy,
    port: u16,
}

/// Certificates of one authority, for both layers.
pub fn certify(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params
        .distinguished_name
        .push(DnType::CommonName, "An authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key");
    let write =
        |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
    write(
        "inner-ca.pem",
        params.self_signed(&ca_key).expect("an authority").pem(),
    );
    let authority = Issuer::new(params, ca_key);
    for name in ["push.example.com", "inner.example.com"] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        write(
            &format!("{name}.pem"),
            params
                .signed_by(&key, &authority)
                .expect("a certificate")
                .pem(),
        );
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// A node behind a proxy on this machine, with WebSockets at this port, that ends quickly.
pub async fn behind(sockets: u16) -> Inbox {
    let plan = Plan::new().env("FOGHORN_INBOX_ADDR", &format!("127.0.0.1:{sockets}"));
    let settings = [
        ("FOGHORN_INBOX_JWT_KEY", KEY),
        ("FOGHORN_TRUSTED_PROXIES", "127.0.0.1"),
        ("FOGHORN_EVENTS_FROM", "127.0.0.1"),
        ("FOGHORN_SETTLE_SECONDS", "0"),
        ("FOGHORN_DRAIN_SECONDS", "1"),
    ];
    Inbox::from(plan, &settings).await
}

/// A token of user 7, good for a while.
pub fn token_of_7() -> String {
    let claims = json!({"sub": 7, "exp": token::now() + 300});
    token::sign(KEY, jsonwebtoken::Algorithm::HS256, &claims)
}

impl Site {
    async fn start() -> Self {
        let (folder, sockets) = (TempDir::new().expect("a folder"), free_port());
        certify(folder.path());
        let node = behind(sockets).await;
        let (inner, outer) = (free_port(), free_port());
        let place = folder.path().display().to_string();
        let local = |shipped: &str| {
            // The second and third node are away.
            let text = shipped.replace("10.0.0.11:3030", &format!("127.0.0.1:{sockets}"));
            let text = text.replace("10.0.0.11:3000", &format!("127.0.0.1:{}", node.port));
            let text = text
                .replace("10.0.0.12:", "127.0.8.2:")
                .replace("10.0.0.13:", "127.0.8.3:");
            let text = text.replace("10.0.0.31:3040", &format!("127.0.0.1:{inner}"));
            let text = text.replace("set_real_ip_from 10.0.0.30", "set_real_ip_from 127.0.0.1");
            let text = text.replace("listen 443 ssl", &format!("listen 127.0.0.1:{outer} ssl"));
            let text = text.replace("listen 3040 ssl", &format!("listen 127.0.0.1:{inner} ssl"));
            text.replace("/etc/nginx/cert", &place)
                .replace("/var/www/dist", &place)
        };
        let (behind, before) = (local(INNER), local(OUTER));
        let inner = Proxy::nginx(&behind, inner).await;
        let _outer = Proxy::nginx(&before, outer).await;
        Self {
            folder,
            node,
            inner,
            _outer,
            port: outer,
        }
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Command {
        let mut curl = command(&need("curl", "curl"));
        curl.args(["--silent", "--show-error", "--no-buffer", "--cacert"])
            .arg(self.folder.path().join("inner-ca.pem"));
        curl.args([
            "--resolve",
            &format!("push.example.com:{}:127.0.0.1", self.port),
        ])
        .args(arguments);
        curl.arg(format!("https://push.example.com:{}{path}", self.port));
        curl
    }

    fn answer(&self, arguments: &[&str], path: &str) -> String {
        tokio::task::block_in_place(|| run("curl", self.curl(arguments, path)))
    }

    fn open(&self, name: &str, arguments: &[&str], path: &str) -> Process {
        Process::start(
            name,
            self.curl(arguments, path),
            &self.folder.path().join(name),
        )
    }

    /// The page is told to come back, in the one way that does not end it for good.
    fn says_try_again(&self) {
        let said = self.answer(&["--include"], "/sse/7");
        assert!(
            said.starts_with("HTTP/2 200") && said.contains("content-type: text/event-stream"),
            "{said}"
        );
        assert!(said.ends_with("\r\n\r\nretry: 7000\n\n"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx and curl"]
async fn two_nginx_pass_streams_sockets_and_posts_on_and_answer_for_what_is_away() {
    let mut site = Site::start().await;
    let versions: [&[&str]; 2] = [&["--http2"], &["--http1.1", "--compressed"]];
    let mut streams: Vec<Process> = Vec::new();
    for (n, version) in versions.iter().enumerate() {
        let mut stream = site.open(&format!("stream{n}"), version, "/SSE/7");
        stream.logged("event: connect\n").await;
        streams.push(stream);
    }
    let token = token_of_7();
    let headers: Vec<&str> = UPGRADE
        .iter()
        .flat_map(|header| ["--header", header])
        .collect();
    let arguments = [&["--http1.1", "--include"], &headers[..]].concat();
    let mut socket = site.open(
        "socket",
        &arguments,
        &format!("/websocket/api/v1/notification/ws?token={token}"),
    );
    socket.logged("HTTP/1.1 101").await;
    site.node
        .counted("foghorn_connections", "dialect=\"inbox\"", 3.0)
        .await;
    // Whoever says that they are somebody else is who they are.
    let form = [
        "--data",
        "id=notify_7&data=hello",
        "--header",
        "X-Forwarded-For: 192.0.2.7",
    ];
    assert_eq!(
        site.answer(&form, "/webNotification"),
        r#"received: {"id":"notify_7","data":"hello"}"#
    );
    for stream in &mut streams {
        stream.logged("event: notify\ndata: \"hello\"\n").await;
    }
    socket.logged("New Message").await;
    let script = site.answer(&["--compressed", "--fail"], "/foghorn.js");
    assert_eq!(script, include_str!("../../clients/js/foghorn.js"));
    for version in [
        ["--tlsv1.2", "--tls-max", "1.2"],
        ["--tlsv1.3", "--tls-max", "1.3"],
    ] {
        site.answer(
            &[&["--fail", "--head"][..], &version].concat(),
            "/foghorn.js",
        );
    }
    drop((streams, socket));
    site.node.stop().await;
    site.says_try_again();
    site.inner.process.kill();
    site.says_try_again();
}
