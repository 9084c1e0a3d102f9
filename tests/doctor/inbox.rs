//! What proxies do wrong with event streams: each is named, with the line that mends it; and a good way is found good.

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::common::node::{Node, Plan, foghorn};
use super::common::ports::free_port;
use super::common::proxy::Proxy;
use super::redis::certificates;
use super::{Report, run};

const SECRET: &str = "a-secret-for-the-posts-of-this-test";

/// A node with inboxes, and where they are.
async fn node(settings: &[(&str, &str)]) -> (Node, u16) {
    let port = free_port();
    let plan = Plan::new()
        .env("FOGHORN_DIALECTS", "inbox")
        .env("FOGHORN_SSE_ADDR", &format!("127.0.0.1:{port}"));
    let plan = plan.env("FOGHORN_SSE_SECRET", SECRET);
    (
        settings
            .iter()
            .fold(plan, |plan, (name, value)| plan.env(name, value))
            .start()
            .await,
        port,
    )
}

/// nginx in front of `node`, with these lines for `/sse`.
async fn nginx(node: u16, lines: &str) -> (Proxy, u16) {
    let port = free_port();
    let pass = format!(
        "proxy_pass http://127.0.0.1:{node}; proxy_http_version 1.1; proxy_set_header Connection '';"
    );
    let http = format!(
        "server {{ listen 127.0.0.1:{port}; location /sse {{ {pass} {lines} }} location /webNotification {{ {pass} }} \
         location @sse_wait {{ default_type text/event-stream; return 200 \"retry: 7000\\n\\n\"; }} }}"
    );
    (Proxy::nginx(&http, port).await, port)
}

async fn examine(url: &str, arguments: &[&str], env: &[(&str, &str)]) -> Report {
    let mut command = foghorn(&["doctor", "--json", "--sse", url]);
    command
        .args(arguments)
        .env("FOGHORN_SSE_SECRET", SECRET)
        .envs(env.iter().copied());
    let (code, text) = run(command).await;
    assert!(!text.contains(SECRET), "a secret is shown: {text}");
    let report =
        Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")));
    assert_eq!(code, if report.healthy() { 0 } else { 1 }, "{text}");
    report
}

async fn at(port: u16, arguments: &[&str]) -> Report {
    examine(&format!("http://127.0.0.1:{port}"), arguments, &[]).await
}

#[tokio::test]
async fn a_node_that_is_reached_is_found_good_and_a_wrong_proof_is_named() {
    let key = "a-key-for-the-tokens-of-this-test-000";
    let (_node, port) = node(&[("FOGHORN_SSE_JWT_KEY", key)]).await;
    let url = format!("http://127.0.0.1:{port}");
    let report = examine(&url, &["--hold", "1"], &[("FOGHORN_SSE_JWT_KEY", key)]).await;
    assert!(
        report.healthy() && report.0["warned"] == 0,
        "{:#}",
        report.0
    );
    for check in ["stream", "event", "hold"] {
        report.expect("sse", check, "ok");
    }
    for check in ["cors", "http2"] {
        report.expect("sse", check, "skipped");
    }
    assert!(
        report.find("inner", "ping").is_empty(),
        "nothing of Seafile's was asked for"
    );
    let said = at(port, &[]).await.expect("sse", "stream", "fail");
    assert!(
        said.contains("401") && said.contains("FOGHORN_SSE_JWT_KEY"),
        "{said}"
    );
    let said = at(free_port(), &[]).await.expect("sse", "stream", "fail");
    assert!(
        said.contains("cannot connect") && said.contains("FOGHORN_SSE_ADDR"),
        "{said}"
    );
    let nowhere = examine(&format!("{url}/below"), &[], &[])
        .await
        .expect("sse", "stream", "fail");
    assert!(nowhere.contains("404"), "{nowhere}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_nginx_does_to_streams_is_named_with_the_line_that_mends_it() {
    let (mut node, inboxes) = node(&[]).await;
    for (lines, check, part, mend) in [
        (
            "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;",
            "gzip",
            "compresses event streams",
            "gzip off;",
        ),
        (
            "proxy_read_timeout 1s;",
            "hold",
            "was cut after",
            "proxy_read_timeout 90s;",
        ),
    ] {
        let (_nginx, port) = nginx(inboxes, lines).await;
        let said = at(port, &["--hold", "4"])
            .await
            .expect("sse", check, "fail");
        assert!(
            said.contains(part) && said.contains("in nginx:") && said.contains(mend),
            "{lines}: {said}"
        );
        assert!(!said.contains("HAProxy"), "{said}");
        let line = said
            .lines()
            .find(|line| line.contains(mend))
            .and_then(|line| line.split('#').next());
        let mended = line.expect("the line that mends it");
        let (_nginx, port) = nginx(inboxes, mended).await;
        let report = at(port, &["--hold", "4"]).await;
        assert!(report.healthy(), "{mended}: {:#}", report.0);
        report.expect("sse", "event", "ok");
    }
    let (_nginx, port) = nginx(inboxes, "").await;
    let (_waits, waits) = nginx(inboxes, "error_page 502 503 504 = @sse_wait;").await;
    node.stop().await;
    let said = at(port, &[]).await.expect("sse", "stream", "fail");
    assert!(
        said.contains("502") && said.contains("error_page 502 503 504 = @sse_wait;"),
        "{said}"
    );
    let said = at(waits, &[]).await.expect("sse", "stream", "warn");
    assert!(
        said.contains("come back in 7 s") && said.contains("foghorn nodes"),
        "{said}"
    );
}

/// What stands before a node and gathers what it should pass on: the head of a stream comes, and nothing more.
async fn gathering() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(head).await;
            held.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn a_proxy_that_holds_streams_back_is_named() {
    let said = at(gathering().await, &[])
        .await
        .expect("sse", "stream", "fail");
    assert!(
        said.contains("the proxy holds it back") && said.contains("proxy_buffering off;"),
        "{said}"
    );
    assert!(!said.contains("HAProxy"), "{said}");
}

#[tokio::test]
#[ignore = "needs apache2"]
async fn a_proxy_that_lacks_a_path_is_named() {
    let (_node, inboxes) = node(&[]).await;
    let port = free_port();
    let lines = format!("ProxyPass /sse http://127.0.0.1:{inboxes}/sse\n");
    let _apache = Proxy::apache(&["proxy", "proxy_http"], &lines, port).await;
    let report = at(port, &["--proxy", "apache"]).await;
    report.expect("sse", "stream", "ok");
    let said = report.expect("sse", "event", "fail");
    assert!(
        said.contains("404") && said.contains("# and /webNotification") && !said.contains("nginx"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn origins_that_cannot_read_are_named() {
    let (_node, inboxes) = node(&[("FOGHORN_SSE_ORIGINS", "https://a.example.com")]).await;
    let good = at(inboxes, &["--origin", "https://a.example.com"]).await;
    good.expect("sse", "cors", "ok");
    let said = at(inboxes, &["--origin", "https://b.example.com"])
        .await
        .expect("sse", "cors", "fail");
    assert!(
        said.contains("FOGHORN_SSE_ORIGINS=https://b.example.com"),
        "{said}"
    );
    let (_nginx, port) = nginx(inboxes, "add_header Access-Control-Allow-Origin *;").await;
    let said = at(port, &["--origin", "https://a.example.com"])
        .await
        .expect("sse", "cors", "fail");
    assert!(
        said.contains("should be that once")
            && said.contains("take out `add_header Access-Control-"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_proxy_that_speaks_no_http2_is_named() {
    let (_node, inboxes) = node(&[]).await;
    let folder = TempDir::new().expect("a folder");
    certificates(folder.path(), "127.0.0.1");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key, authority) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    for (http2, outcome) in [("", "warn"), ("http2", "ok")] {
        let port = free_port();
        let http = format!(
            "server {{ listen 127.0.0.1:{port} ssl {http2}; ssl_certificate {cert}; ssl_certificate_key {key}; \
             location / {{ proxy_pass http://127.0.0.1:{inboxes}; proxy_http_version 1.1; }} }}"
        );
        let _nginx = Proxy::nginx(&http, port).await;
        let report = examine(
            &format!("https://127.0.0.1:{port}"),
            &[],
            &[("SSL_CERT_FILE", &authority)],
        )
        .await;
        let said = report.expect("sse", "http2", outcome);
        assert!(
            outcome == "ok" || said.contains("listen 443 ssl http2;"),
            "{said}"
        );
        report.expect("sse", "event", "ok");
    }
    let said = examine("https://127.0.0.1:1", &[], &[("SSL_CERT_FILE", &authority)])
        .await
        .expect("sse", "stream", "fail");
    assert!(said.contains("cannot connect to 127.0.0.1:1"), "{said}");
}
