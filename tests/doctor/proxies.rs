//! What proxies do wrong: each is named, with the line that mends it; and that line does.

use super::common::node::Node;
use super::common::ports::free_port;
use super::common::proxy::Proxy;
use super::common::token;
use super::{GOOD, Report, doctor, examine, haproxy, nginx, run};

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn nginx_without_upgrade_headers() {
    let node = Node::start().await;
    let pass = format!("proxy_pass http://127.0.0.1:{};", node.port());
    // Its defaults: HTTP/1.0, or 1.1 in newer ones, and both headers gone.
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} }}")).await;
    let report = examine(Some(port), Some(node.port())).await;
    report.expect("public", "ping", "ok");
    let said = report.expect("public", "upgrade", "fail");
    for line in [
        "in nginx:",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection \"upgrade\";",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains("HAProxy"), "{said}");
    report.expect("inner", "upgrade", "ok");
    report.expect("inner", "event", "ok");

    let (_proxy, port) = nginx(&format!(
        "location /notification {{ {pass} proxy_http_version 1.1; }}"
    ))
    .await;
    let said = examine(Some(port), None)
        .await
        .expect("public", "upgrade", "fail");
    assert!(
        said.contains("does not pass the upgrade on") && said.contains("$http_upgrade"),
        "{said}"
    );

    let old = GOOD.replace("1.1", "1.0");
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} {old} }}")).await;
    let said = examine(Some(port), None)
        .await
        .expect("public", "upgrade", "fail");
    assert!(
        said.contains("HTTP/1.0") && said.contains("proxy_http_version 1.1;"),
        "{said}"
    );

    let lost = "proxy_set_header Sec-WebSocket-Key '';";
    let (_proxy, port) = nginx(&format!(
        "location /notification {{ {pass} {GOOD} {lost} }}"
    ))
    .await;
    let said = examine(Some(port), None)
        .await
        .expect("public", "upgrade", "fail");
    assert!(
        said.contains("proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key;"),
        "{said}"
    );
}

/// Apache with these lines in its one server.
async fn apache(lines: &str) -> (Proxy, u16) {
    let port = free_port();
    (
        Proxy::apache(
            &["proxy", "proxy_http", "authz_host", "headers"],
            lines,
            port,
        )
        .await,
        port,
    )
}

#[tokio::test]
#[ignore = "needs apache2"]
async fn apache_without_upgrade() {
    let node = Node::start().await;
    let (_proxy, port) = apache(&format!(
        "ProxyPass /notification http://127.0.0.1:{}/notification",
        node.port()
    ))
    .await;
    let report = examine(Some(port), Some(node.port())).await;
    report.expect("public", "ping", "ok");
    report.expect("public", "post", "ok");
    let said = report.expect("public", "upgrade", "fail");
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("ProxyPass"))
        .expect("the line that mends it");
    let line = line.split('#').next().expect("a line");
    let (_proxy, port) = apache(&format!("ProxyPass {line}")).await;
    let report = examine(Some(port), Some(node.port())).await;
    assert!(report.healthy(), "{:#}", report.0);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_proxy_that_redirects_or_wants_a_password() {
    let (_proxy, port) =
        nginx("location /notification { return 301 https://cloud.example.com$request_uri; }").await;
    let report = examine(Some(port), None).await;
    for check in ["ping", "upgrade"] {
        let said = report.expect("public", check, "fail");
        assert!(
            said.contains("NOTIFICATION_SERVER_URL=https://cloud.example.com/notification"),
            "{said}"
        );
        // Seafile's own address is right as it is.
        assert!(
            !said.contains(" SERVICE_URL")
                && !said.contains("URL=https://cloud.example.com/notification/ping"),
            "{said}"
        );
    }
    report.expect("public", "post", "fail");
    let (_proxy, port) = nginx("location /notification { return 401; }").await;
    let said = examine(Some(port), None)
        .await
        .expect("public", "ping", "fail");
    assert!(said.contains("no password for the proxy"), "{said}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_proxy_without_patience() {
    let node = Node::start().await;
    let pass = format!("proxy_pass http://127.0.0.1:{}; {GOOD}", node.port());
    let (_proxy, port) = nginx(&format!(
        "location /notification {{ {pass} proxy_read_timeout 2s; }}"
    ))
    .await;
    let mut command = doctor(Some(port), Some(node.port()), token::KEY);
    command.args(["--json", "--hold", "6"]);
    let (code, text) = run(command).await;
    let report = Report(serde_json::from_str(&text).expect("JSON"));
    let said = report.expect("public", "hold", "fail");
    assert!(
        code == 1 && said.contains("proxy_read_timeout 90s;") && !said.contains("HAProxy"),
        "{said}"
    );
    report.expect("inner", "hold", "ok");
}

/// What Seafile's manual tells to write works.
#[tokio::test]
#[ignore = "needs nginx"]
async fn the_manuals_nginx_is_healthy() {
    let (node, port) = (Node::start().await, free_port());
    let config = include_str!("../manual/nginx.conf")
        .replace("127.0.0.1:8083", &format!("127.0.0.1:{}", node.port()));
    let config = config.replace("127.0.0.1:8781", &format!("127.0.0.1:{port}"));
    let _proxy = Proxy::nginx(&config, port).await;
    let report = examine(Some(port), Some(node.port())).await;
    assert!(report.flawless(), "{:#}", report.0);
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn the_mended_line_mends_it() {
    let node = Node::start().await;
    let (_proxy, port) = nginx(&format!(
        "location /notification {{ proxy_pass http://127.0.0.1:{}; }}",
        node.port()
    ))
    .await;
    let said = examine(Some(port), Some(node.port()))
        .await
        .expect("public", "upgrade", "fail");
    // The very lines, put into the place they name.
    let inside: String = said
        .lines()
        .filter_map(|line| line.strip_prefix("        "))
        .collect();
    let mended = format!(
        "location /notification {{ proxy_pass http://127.0.0.1:{}; {inside} }}",
        node.port()
    );
    let (_proxy, port) = nginx(&mended).await;
    let report = examine(Some(port), Some(node.port())).await;
    assert!(report.healthy(), "{:#}", report.0);
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_path_that_leads_nowhere_or_to_nobody() {
    let node = Node::start().await;
    let (_proxy, port) = nginx("").await;
    let report = examine(Some(port), Some(node.port())).await;
    for check in ["ping", "upgrade", "post"] {
        let said = report.expect("public", check, "fail");
        assert!(said.contains("404"), "{said}");
        assert!(
            said.contains(&format!("proxy_pass http://127.0.0.1:{};", node.port())),
            "{said}"
        );
    }
    // Seafile's own pages answer 200 to anything that looks like a page.
    let (_proxy, port) =
        nginx("location /notification { return 200 '<html>Seafile</html>'; }").await;
    let said = examine(Some(port), None)
        .await
        .expect("public", "ping", "fail");
    assert!(
        said.contains("something else than a notification server"),
        "{said}"
    );

    let nobody = free_port();
    let (_proxy, port) = nginx(&format!(
        "location /notification {{ proxy_pass http://127.0.0.1:{nobody}; {GOOD} }}"
    ))
    .await;
    let report = examine(Some(port), Some(node.port())).await;
    for check in ["ping", "upgrade", "post"] {
        let said = report.expect("public", check, "fail");
        assert!(said.contains("502") && said.contains("in nginx:"), "{said}");
    }
    let (_proxy, port) = haproxy("", nobody).await;
    let said = examine(Some(port), Some(node.port()))
        .await
        .expect("public", "ping", "fail");
    assert!(
        said.contains("503")
            && said.contains(&format!("server foghorn1 127.0.0.1:{}", node.port())),
        "{said}"
    );

    let report = examine(Some(free_port()), Some(nobody)).await;
    assert!(
        report
            .expect("public", "ping", "fail")
            .contains("does the proxy run")
    );
    assert!(
        report
            .expect("inner", "ping", "fail")
            .contains("INNER_NOTIFICATION_SERVER_URL=")
    );
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn haproxy_that_deletes_headers() {
    let node = Node::start().await;
    let rules = "  http-request del-header Upgrade\n  http-request del-header Connection";
    let (_proxy, port) = haproxy(rules, node.port()).await;
    let mut command = doctor(Some(port), Some(node.port()), token::KEY);
    command.args(["--json", "--proxy", "haproxy"]);
    let (code, text) = run(command).await;
    assert_eq!(code, 1);
    let report = Report(serde_json::from_str(&text).expect("JSON"));
    let said = report.expect("public", "upgrade", "fail");
    assert!(
        said.contains("in HAProxy:") && said.contains("del-header") && !said.contains("nginx"),
        "{said}"
    );
    report.expect("public", "ping", "ok");
    report.expect("public", "post", "ok");

    // Untold which proxy it is, the lines of all are shown.
    let said = examine(Some(port), None)
        .await
        .expect("public", "upgrade", "fail");
    assert!(
        said.contains("in HAProxy:") && said.contains("in nginx:"),
        "{said}"
    );
}
