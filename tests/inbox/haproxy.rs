//! `haproxy/inbox.cfg` as it is shipped, its addresses and files made local: streams, WebSockets and posts go through, unbuffered, and
//! where nobody is there to answer, an event stream is told to come back.

use std::process::Command;

use tempfile::TempDir;

use crate::common::ports::free_port;
use crate::common::process::{Process, command, need, run};
use crate::common::proxy::Proxy;
use crate::site::Inbox;
use crate::two_layers::{UPGRADE, behind, certify, token_of_7};

const SHIPPED: &str = include_str!("../../haproxy/inbox.cfg");
const NAME: &str = "push.example.com";

/// The shipped file, in front of one node; the second and third are away.
fn local(node: &Inbox, sockets: u16, port: u16, folder: &TempDir) -> String {
    let read = |end: &str| {
        let path = folder.path().join(format!("{NAME}.{end}"));
        std::fs::read_to_string(path).expect("a file")
    };
    let both = folder.path().join("both.pem");
    std::fs::write(&both, read("pem") + &read("key")).expect("written");
    let mut text = SHIPPED.to_owned();
    for (shipped, here) in [
        (
            "    log /dev/log local0\n    user haproxy\n    group haproxy\n",
            "",
        ),
        // A machine that stands still for a moment has not lost its node.
        ("timeout check           1s", "timeout check           30s"),
        ("bind :443", &*format!("bind 127.0.0.1:{port}")),
        (
            "/etc/haproxy/push.example.com.pem",
            &both.display().to_string(),
        ),
        ("check port 8084", &format!("check port {}", node.ops())),
        ("10.0.0.11:3000", &format!("127.0.0.1:{}", node.port)),
        ("10.0.0.11:3030", &format!("127.0.0.1:{sockets}")),
        ("10.0.0.12:", "127.0.8.2:"),
        ("10.0.0.13:", "127.0.8.3:"),
    ] {
        assert!(text.contains(shipped), "{shipped}");
        text = text.replace(shipped, here);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HAProxy and curl"]
async fn haproxy_passes_streams_sockets_and_posts_on_and_answers_for_what_is_away() {
    let (folder, sockets, port) = (TempDir::new().expect("a folder"), free_port(), free_port());
    certify(folder.path());
    let mut node = behind(sockets).await;
    let _proxy = Proxy::haproxy(&local(&node, sockets, port, &folder), port).await;
    let curl = |arguments: &[&str], path: &str| -> Command {
        let mut curl = command(&need("curl", "curl"));
        curl.args(["--silent", "--show-error", "--no-buffer", "--cacert"])
            .arg(folder.path().join("inner-ca.pem"))
            .args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://{NAME}:{port}{path}"));
        curl
    };
    let answer = |arguments: &[&str], path: &str| {
        tokio::task::block_in_place(|| run("curl", curl(arguments, path)))
    };
    let open = |name: &str, arguments: &[&str], path: &str| {
        Process::start(name, curl(arguments, path), &folder.path().join(name))
    };
    let mut streams = Vec::new();
    for (name, version) in [("stream2", "--http2"), ("stream1", "--http1.1")] {
        let mut stream = open(name, &[version], "/SSE/7");
        stream.logged("event: connect\n").await;
        streams.push(stream);
    }
    let token = token_of_7();
    let headers: Vec<&str> = UPGRADE
        .iter()
        .flat_map(|header| ["--header", header])
        .collect();
    let path = format!("/websocket/api/v1/notification/ws?token={token}");
    let mut socket = open(
        "socket",
        &[&["--http1.1", "--include"], &headers[..]].concat(),
        &path,
    );
    socket.logged("HTTP/1.1 101").await;
    let received = answer(&["--data", "id=notify_7&data=hello"], "/webNotification");
    assert_eq!(received, r#"received: {"id":"notify_7","data":"hello"}"#);
    for stream in &mut streams {
        stream.logged("event: notify\ndata: \"hello\"\n").await;
    }
    socket.logged("New Message").await;
    let script = answer(&["--fail"], "/foghorn.js");
    assert_eq!(script, include_str!("../../clients/js/foghorn.js"));
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    assert_eq!(
        answer(&status, "/users"),
        "404",
        "what is for operators stays inside"
    );

    drop((streams, socket));
    node.stop().await;
    let page = [
        "--include",
        "--header",
        "Origin: https://groupware.example.com",
    ];
    let said = answer(&page, "/sse/7");
    assert!(
        said.starts_with("HTTP/2 200") && said.ends_with("\r\n\r\nretry: 7000\n\n"),
        "{said}"
    );
    for header in [
        "content-type: text/event-stream",
        "access-control-allow-origin: https://groupware.example.com",
        "access-control-allow-credentials: true",
    ] {
        assert!(said.contains(header), "{said}");
    }
    // As backends post. By HTTP/2 HAProxy 2.6 may cancel a request that it refuses before all of its body is here.
    let post = ["--http1.1", "--data", "id=notify_7&data=hello"];
    let posted = answer(&[&post, &status[..]].concat(), "/webNotification");
    assert_eq!(posted, "503");
}
