//! The commands that ask a node: status, nodes, lookup, disconnect; and explain-token, which asks nobody.

mod common;

use std::io::Write;
use std::process::{Output, Stdio};

use common::node::{Node, Plan, foghorn};
use common::socket::End;
use common::{eventually, library, token};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

/// Exit code, standard output, standard error.
type Said = (i32, String, String);

/// Runs `foghorn` with these arguments and variables, and gives it `input` to read.
fn run(args: &[&str], env: &[(&str, &str)], input: &str) -> Said {
    let mut command = foghorn(args);
    command
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("foghorn starts");
    // A command that reads nothing may have ended already.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("foghorn ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        status.code().expect("an exit code"),
        text(stdout),
        text(stderr),
    )
}

/// The same without holding up this test's own clients.
async fn ask(node: &Node, args: &[&str], more: &[(&str, &str)]) -> Said {
    let address = format!("127.0.0.1:{}", node.ops());
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut env = vec![("FOGHORN_OPS_ADDR".to_owned(), address)];
    env.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let run = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let env: Vec<(&str, &str)> = env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        run(&args, &env, "")
    };
    tokio::task::spawn_blocking(run).await.expect("it runs")
}

#[tokio::test]
async fn status_and_nodes_show_the_cluster_and_exit_codes_say_how_it_is() {
    let node = Plan::new().env("FOGHORN_NODE_NAME", "one").start().await;
    let (code, stdout, _) = ask(&node, &["status"], &[]).await;
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("one: ready (running)\n") && stdout.contains("NODE"),
        "{stdout}"
    );
    let (code, stdout, stderr) = ask(&node, &["status", "--local"], &[]).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok\n", ""));
    let (code, stdout, _) = ask(&node, &["nodes", "--json"], &[]).await;
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &json["nodes"][0]["name"]), (0, &"one".into()));

    let nobody = format!("127.0.0.1:{}", common::ports::free_port());
    let nobody = [("FOGHORN_OPS_ADDR", nobody.as_str())];
    for args in [
        &["status"][..],
        &["status", "--local"],
        &["nodes"],
        &["disconnect", "--user", "a"],
    ] {
        let (code, stdout, stderr) = ask(&node, args, &nobody).await;
        assert_eq!((code, stdout.as_str()), (1, ""), "{args:?}");
        assert!(stderr.contains("cannot connect"), "{stderr}");
    }
    let url = format!("http://127.0.0.1:{}", node.ops());
    assert_eq!(ask(&node, &["nodes", "--url", &url], &nobody).await.0, 0);
}

#[tokio::test]
async fn status_speaks_to_programs_and_to_monitoring() {
    let node = Plan::new().env("FOGHORN_NODE_NAME", "one").start().await;
    let (code, stdout, _) = ask(&node, &["status", "--json"], &[]).await;
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(
        (code, &json["state"], &json["ready"], &json["problems"]),
        (0, &"well".into(), &true.into(), &Value::Array(vec![]))
    );
    assert_eq!(json["cluster"]["nodes"][0]["name"], "one");
    let (code, stdout, _) = ask(&node, &["status", "--format", "nagios"], &[]).await;
    assert_eq!(code, 0);
    assert_eq!(
        stdout,
        "FOGHORN OK - one: ready (running) | waiting=0 shards_away=0 nodes=1 lost=0 connections=0 subscriptions=0\n"
    );
    let (code, stdout, _) = ask(&node, &["status", "--format", "prometheus"], &[]).await;
    assert_eq!(code, 0);
    for line in [
        "foghorn_status_up{node=\"one\"} 1",
        "foghorn_status_ready{node=\"one\"} 1",
        "foghorn_status_degraded{node=\"one\"} 0",
    ] {
        assert!(
            stdout.lines().any(|found| found == line),
            "{line} in {stdout}"
        );
    }

    let nobody = format!("127.0.0.1:{}", common::ports::free_port());
    let nobody = [("FOGHORN_OPS_ADDR", nobody.as_str())];
    let (code, stdout, _) = ask(&node, &["status", "--json"], &nobody).await;
    assert!(
        code == 1
            && stdout.contains("\"state\": \"silent\"")
            && stdout.contains("connection refused"),
        "{stdout}"
    );
    let (code, stdout, _) = ask(&node, &["status", "--format", "nagios"], &nobody).await;
    assert!(
        code == 2 && stdout.starts_with("FOGHORN CRITICAL - cannot connect to 127.0.0.1:"),
        "{stdout}"
    );
    let (code, stdout, _) = ask(&node, &["status", "--format", "prometheus"], &nobody).await;
    assert!(
        code == 0 && stdout.ends_with("foghorn_status_up 0\n"),
        "{stdout}"
    );
    let (code, stdout, _) = ask(
        &node,
        &["status", "--format", "nagios"],
        &[("FOGHORN_OPS_ADDR", "here")],
    )
    .await;
    assert!(
        code == 3
            && stdout.starts_with("FOGHORN UNKNOWN - ")
            && stdout.contains("FOGHORN_OPS_ADDR"),
        "{stdout}"
    );
}

#[tokio::test]
async fn clients_are_found_and_disconnected() {
    let node = Plan::new().env("FOGHORN_NODE_NAME", "one").start().await;
    let library = library();
    let mut client = node.subscriber(&library, "a+b@x").await;
    let (code, stdout, _) = ask(&node, &["lookup", "--user", "a+b@x", "--json"], &[]).await;
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &json["total"]), (0, &1.into()));
    let id = json["nodes"][0]["clients"][0]["id"].to_string();
    // A session that has not said in half a second when a subscription ends is shown without.
    let stdout = eventually("a look-up that says until when", || async {
        let (_, stdout, _) = ask(&node, &["lookup", "--library", &library], &[]).await;
        stdout.contains("  in ").then_some(stdout)
    })
    .await;
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].contains("a+b@x") && lines[1].contains("  in "),
        "{stdout}"
    );
    assert_eq!(lines[2], "1 subscription");

    let (code, stdout, _) = ask(&node, &["disconnect", "--user", "nobody"], &[]).await;
    assert_eq!((code, stdout.as_str()), (1, "disconnected: 0\n"));
    let (code, stdout, _) = ask(
        &node,
        &["disconnect", "--node", "one", "--client", &id],
        &[],
    )
    .await;
    assert_eq!((code, stdout.as_str()), (0, "disconnected: 1\n"));
    assert_eq!(
        client.ended().await,
        End::Closed(1008, "disconnected by an administrator".into())
    );
    for wrong in [
        &["disconnect"][..],
        &["disconnect", "--client", "1"],
        &["lookup"],
    ] {
        assert_eq!(ask(&node, wrong, &[]).await.0, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn the_password_comes_from_the_environment_and_the_certificate_is_the_nodes_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["one", "two"].map(|name| {
        let key = KeyPair::generate().expect("a key");
        let made = CertificateParams::new(vec!["node.example".to_owned()])
            .expect("a name")
            .self_signed(&key);
        let [cert, pem] =
            ["cert", "key"].map(|kind| folder.path().join(format!("{name}-{kind}.pem")));
        std::fs::write(&cert, made.expect("a certificate").pem()).expect("writing");
        std::fs::write(&pem, key.serialize_pem()).expect("writing");
        [cert, pem].map(|path| path.display().to_string())
    });
    let tls = |n: usize| {
        [
            ("FOGHORN_OPS_TLS_CERT", files[n][0].as_str()),
            ("FOGHORN_OPS_TLS_KEY", files[n][1].as_str()),
        ]
    };
    let mut plan = Plan::new().env("FOGHORN_OPS_PASSWORD", "secret");
    for (name, value) in tls(0) {
        plan = plan.env(name, value);
    }
    let mut node = plan.launch();
    let ops = node.ops();
    node.process().listening(ops).await;

    let (code, stdout, stderr) = ask(&node, &["status", "--local"], &tls(0)).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok\n", ""));
    let (code, _, stderr) = ask(&node, &["status", "--local"], &tls(1)).await;
    assert!(
        code == 1 && stderr.contains("another certificate"),
        "{stderr}"
    );
    assert_eq!(
        ask(&node, &["status", "--local"], &[]).await.0,
        1,
        "plain HTTP is not spoken"
    );

    let (code, _, stderr) = ask(&node, &["nodes"], &tls(0)).await;
    assert!(
        code == 1 && stderr.contains("401") && stderr.contains("FOGHORN_OPS_PASSWORD"),
        "{stderr}"
    );
    let known = [tls(0)[0], tls(0)[1], ("FOGHORN_OPS_PASSWORD", "secret")];
    assert_eq!(ask(&node, &["nodes"], &known).await.0, 0);
}

#[test]
fn a_token_is_explained_without_being_shown() {
    let key = [("JWT_PRIVATE_KEY", token::KEY)];
    let good = token::subscription("some-library", "a@x");
    let (code, stdout, stderr) = run(&["explain-token"], &key, &format!("{good}\n"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("It is good for subscribing") && stdout.contains("some-library"),
        "{stdout}"
    );
    assert!(
        stdout.contains("expires  in ") && !stdout.contains(&good[..20]),
        "{stdout}"
    );

    let (code, stdout, _) = run(
        &["explain-token", "--json"],
        &[("JWT_PRIVATE_KEY", "another")],
        &good,
    );
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &json["cause"]), (1, &"signature".into()));
    let rotating = [
        ("JWT_PRIVATE_KEY", "another"),
        ("JWT_PRIVATE_KEY_PREVIOUS", token::KEY),
    ];
    assert_eq!(run(&["explain-token"], &rotating, &good).0, 0);
    assert_eq!(run(&["explain-token"], &key, "").0, 1);
    assert_eq!(
        run(&["explain-token", &good], &key, "").0,
        2,
        "never an argument"
    );
}
