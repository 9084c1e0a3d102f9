//! What the command line promises: every fault at once, no secret shown, a message for each mistake, exit codes that
//! scripts can rely on.

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::node::{Node, Plan, foghorn};
use common::process::Process;
use common::{http, library, token};

/// Runs `command` to its end: exit code, standard output, standard error.
fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("foghorn starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

#[test]
fn every_fault_is_told_at_once_and_no_secret_is() {
    let mut command = foghorn(&["check-config", "-c", "/nowhere"]);
    command.envs([
        ("NOTIFICATION_SERVER_PORT", "eighty"),
        ("NOTIFICATION_SERVER_LOG_LEVEL", "loud"),
        ("SEAFILE_MYSQL_DB_HOST", "db"),
        ("SEAFILE_MYSQL_DB_PASSWORD", "hunter2"),
        ("FOGHORN_REDIS_URLS", "redis://:hunter2@10.0.0.5:6379,http://:hunter2@h"),
        ("FOGHORN_OUTBOX_BYTES", "1MiB"),
    ]);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, 1);
    for name in [
        "-c: is \"/nowhere\"; it should be a folder that exists",
        "NOTIFICATION_SERVER_PORT: is \"eighty\"; it should be a port from 0 to 65535",
        "JWT_PRIVATE_KEY: is not set: give it the same value as",
        "NOTIFICATION_SERVER_LOG_LEVEL: is \"loud\"; it should be one of debug, info, warning, error",
        "SEAFILE_MYSQL_DB_USER: is missing, and group members are to be looked up since SEAFILE_MYSQL_DB_HOST and",
        "FOGHORN_REDIS_URLS: should be URLs",
        "FOGHORN_OUTBOX_BYTES: should be at least",
    ] {
        assert!(stderr.contains(name), "{name} in {stderr}");
    }
    assert!(
        stderr.contains("7 faults") && !stderr.contains("hunter2") && !stdout.contains("hunter2"),
        "{stdout}{stderr}"
    );
}

#[test]
fn settings_are_shown_with_where_they_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let conf = "[notification]\nenabled = true\nport = 9083\njwt_private_key = hunter2\n";
    std::fs::write(folder.path().join("seafile.conf"), conf).expect("writing");
    let mut command = foghorn(&["check-config", "-l", "-"]);
    command.arg("-c").arg(folder.path()).env("REDIS_HOST", "redis").env("REDIS_PASSWORD", "hunter2");
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let shown = |name: &str| {
        let line = stdout.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("NOTIFICATION_SERVER_PORT"), "9083 (seafile.conf, port)");
    assert_eq!(shown("JWT_PRIVATE_KEY"), "*** (seafile.conf, jwt_private_key)");
    assert_eq!(shown("REDIS_HOST"), "redis (environment)");
    assert_eq!(shown("REDIS_PASSWORD"), "*** (environment)");
    assert_eq!(shown("-l"), "- (command line)");
    assert_eq!(shown("FOGHORN_PARTITIONS"), "64 (default)");
    assert!(!stdout.contains("hunter2"), "{stdout}");
}

#[tokio::test]
async fn a_node_without_its_key_says_what_to_do() {
    let (status, output) = Plan::new().without("JWT_PRIVATE_KEY").refused().await;
    assert_eq!(status.code(), Some(1));
    assert!(
        output.contains("JWT_PRIVATE_KEY: is not set: give it the same value as JWT_PRIVATE_KEY has in Seafile's own"),
        "{output}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (status, output) = Plan::new().env("NOTIFICATION_SERVER_PORT", &port).refused().await;
    assert_eq!(status.code(), Some(1));
    assert!(output.contains(&format!("cannot listen on 127.0.0.1:{port} (NOTIFICATION_SERVER_HOST")), "{output}");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_named() {
    let (status, output) =
        Plan::new().without("SEAFILE_LOG_TO_STDOUT").args(&["-l", "/nowhere/foghorn.log"]).refused().await;
    assert_eq!(status.code(), Some(1));
    assert!(output.contains("cannot open the log file /nowhere/foghorn.log"), "{output}");
}

#[test]
fn a_command_line_not_understood_is_2() {
    for args in
        [&["--no-such-flag"][..], &["no-such-command"], &["token"], &["tail"], &["token", "--repo", "r", "--ttl", "0"]]
    {
        let (code, stdout, stderr) = run(&mut foghorn(args));
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    }
    assert_eq!(run(&mut foghorn(&["--version"])).1, format!("foghorn {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn tokens_are_what_seafile_would_mint() {
    let mint = |args: &[&str]| {
        let (code, stdout, stderr) = run(foghorn(args).env("JWT_PRIVATE_KEY", token::KEY));
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout.trim_end().to_owned()
    };
    let keys = foghorn::auth::Keys::new(token::KEY, None);
    let now = token::now();
    let claims =
        keys.verify(&mint(&["token", "--repo", "r", "--user", "a@x", "--ttl", "60"]), now).expect("a good token");
    assert_eq!((claims.repo_id.as_deref(), claims.username.as_deref()), (Some("r"), Some("a@x")));
    assert!((now + 58..=now + 90).contains(&claims.exp));
    let claims = keys.verify(&mint(&["token", "--events"]), now).expect("a good token");
    assert_eq!((claims.repo_id, claims.username), (None, None));

    let (code, stdout, stderr) = run(&mut foghorn(&["token", "--events"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("JWT_PRIVATE_KEY: is not set"), "{stderr}");
}

/// `tail`, printing to a file.
fn tail(node: &Node, args: &[&str], key: &str) -> Process {
    let mut command = foghorn(&["tail", "--url", &url(node)]);
    command.args(args).env("JWT_PRIVATE_KEY", key);
    Process::start("tail", command, &node.folder().join("tail"))
}

fn url(node: &Node) -> String {
    format!("http://127.0.0.1:{}", node.port())
}

#[tokio::test]
async fn what_publish_sends_tail_prints() {
    let node = Node::start().await;
    let repo = library();
    let mut tail = tail(&node, &["--user", "a@x", "--count", "2", &repo], token::KEY);
    node.counted("foghorn_subscriptions", "", 1.0).await;

    let publish = |args: &[&str]| {
        let mut command = foghorn(&["publish", "--url", &url(&node)]);
        command.args(args).env("JWT_PRIVATE_KEY", token::KEY);
        command
    };
    let (code, stdout, stderr) = run(&mut publish(&["repo-update", "--repo", &repo, "commit_id=c1"]));
    assert_eq!((code, stdout.as_str()), (0, "200: accepted\n"), "{stderr}");

    let mut piped = publish(&["file-lock-changed", "--content", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("publish");
    let content = format!("{{\"repo_id\":\"{repo}\",\"expire\":-1.0}}");
    piped.stdin.take().expect("a pipe").write_all(content.as_bytes()).expect("writing");
    assert!(piped.wait().expect("its end").success());

    assert!(tail.end().await.success());
    let printed = tail.log();
    let messages: Vec<&str> = printed.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(messages.len(), 2, "{printed}");
    assert!(messages[0].contains("repo-update") && messages[0].contains("c1"), "{printed}");
    assert_eq!(messages[1], format!("{{\"type\":\"file-lock-changed\",\"content\":{content}}}"));
}

#[tokio::test]
async fn a_wrong_key_is_named_as_the_likely_mistake() {
    let node = Node::start().await;
    let mut command = foghorn(&["publish", "repo-update", "--repo", "r", "--url", &url(&node)]);
    let (code, _, stderr) = run(command.env("JWT_PRIVATE_KEY", "another"));
    assert!(code == 1 && stderr.contains("400") && stderr.contains("JWT_PRIVATE_KEY is another one"), "{stderr}");
    let mut tail = tail(&node, &[&library()], "another");
    tail.logged("the server refuses the token").await;
}

#[tokio::test]
async fn tail_mints_anew_when_a_token_runs_out_and_comes_back_when_a_node_does() {
    let mut node = Node::start().await;
    let repo = library();
    let mut tail = tail(&node, &["--ttl", "6", "--count", "1", &repo], token::KEY);
    tail.logged("ran out; subscribing with a new one").await;
    node.restart().await;
    tail.logged("connecting again").await;
    node.counted("foghorn_subscriptions", "", 1.0).await;
    node.post_update(&repo, "c").await;
    assert!(tail.end().await.success());
}

#[tokio::test]
async fn nobody_there_is_said() {
    let port = common::ports::free_port();
    let mut command = foghorn(&["publish", "t", "--repo", "r", "--url", &format!("http://127.0.0.1:{port}")]);
    let (code, _, stderr) = run(command.env("JWT_PRIVATE_KEY", "k"));
    assert!(code == 1 && stderr.contains(&format!("cannot connect to 127.0.0.1:{port}")), "{stderr}");
}

#[tokio::test]
async fn a_node_logs_where_upstream_would_and_reopens_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, moved) = (folder.path().join("notification-server.log"), folder.path().join("moved"));
    let conf = folder.path().to_str().expect("text").to_owned();
    let mut node = Plan::new().without("SEAFILE_LOG_TO_STDOUT").args(&["-c", &conf]).start().await;
    std::fs::rename(&log, &moved).expect("renaming");
    node.process().signal("USR1");
    common::eventually("the new file", || async {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("log file reopened"))
    })
    .await;
    assert!(std::fs::read_to_string(&moved).expect("the old file").contains("serving"));
    assert_eq!(node.log(), "", "nothing is printed where a log file is written");
    // Settling and draining are not what this is about.
    node.process().kill();
}

#[tokio::test]
async fn a_signal_ends_a_node_and_a_second_one_at_once() {
    let quick = Plan::new().env("FOGHORN_SETTLE_SECONDS", "0").env("FOGHORN_DRAIN_SECONDS", "1");
    let mut node = quick.start().await;
    assert_eq!(node.stop().await.code(), Some(0));
    let mut node = Plan::new().env("FOGHORN_SETTLE_SECONDS", "600").start().await;
    node.process().signal("TERM");
    node.process().logged("ending").await;
    node.process().signal("INT");
    assert_eq!(node.process().end().await.code(), Some(1));
}

#[tokio::test]
async fn a_hangup_puts_a_new_key_into_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let conf = folder.path().join("seafile.conf");
    let write =
        |key: &str| std::fs::write(&conf, format!("[notification]\njwt_private_key = {key}\n")).expect("writing");
    write("first");
    let plan = Plan::new().without("JWT_PRIVATE_KEY").args(&["-c", folder.path().to_str().expect("text")]);
    let mut node = plan.start().await;
    assert_eq!(node.post("repo-update", &serde_json::json!({"repo_id": "r"})).await.status, 400);
    write(token::KEY);
    node.process().signal("HUP");
    node.process().logged("configuration read again").await;
    http::post_update(node.port(), "r", "c").await;
}
