//! `foghorn listen` and `foghorn notify`: an inbox from a shell, with proofs from the environment.

use std::process::{Command, Output, Stdio};

use crate::common::node::foghorn;
use crate::common::process::Process;
use crate::site::Inbox;

fn run(command: &mut Command) -> (i32, String, String) {
    let done = tokio::task::block_in_place(|| command.stdin(Stdio::null()).output());
    let Output {
        status,
        stdout,
        stderr,
    } = done.expect("foghorn starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        status.code().expect("an exit code"),
        text(stdout),
        text(stderr),
    )
}

fn listen(node: &Inbox, arguments: &[&str], env: &[(&str, &str)]) -> Process {
    let mut command = foghorn(&["listen", "--url", &node.url()]);
    command.args(arguments).envs(env.iter().copied());
    Process::start(
        "listen",
        command,
        &node
            .folder()
            .join(format!("listen-{:x}", rand::random::<u64>())),
    )
}

fn notify(node: &Inbox, arguments: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = foghorn(&["notify", "--url", &node.url()]);
    run(command.args(arguments).envs(env.iter().copied()))
}

/// What it printed to standard output, which is what begins as this does.
fn lines(process: &Process, begin: &str) -> Vec<String> {
    process
        .log()
        .lines()
        .filter(|line| line.starts_with(begin))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_notify_sends_listen_prints() {
    let node = Inbox::start(&[]).await;
    let mut plain = listen(&node, &["--count", "2", "ann"], &[]);
    let mut json = listen(&node, &["--count", "1", "--json", "b o/b"], &[]);
    plain.logged("listening at").await;
    json.logged("listening at").await;
    let (code, stdout, stderr) = notify(
        &node,
        &[
            "notify",
            "--user",
            "ann",
            "--user",
            "b o/b",
            "text=hello",
            "n:=1.0",
        ],
        &[],
    );
    assert_eq!(
        (code, &*stdout, &*stderr),
        (0, "200: accepted\nfor ann, b o/b\n", "")
    );
    let (code, stdout, _) = notify(
        &node,
        &["appr", "--json", "--user", "ann", "--content", "[ 1 ]"],
        &[],
    );
    let said: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(
        (code, said),
        (
            0,
            serde_json::json!({"accepted": true, "users": ["ann"], "faults": []})
        )
    );
    assert!(plain.end().await.success() && json.end().await.success());
    let printed = [lines(&plain, "notify "), lines(&plain, "appr ")].concat();
    assert_eq!(printed, [r#"notify {"n":1.0,"text":"hello"}"#, "appr [1]"]);
    let printed: serde_json::Value = serde_json::from_str(&lines(&json, "{")[0]).expect("JSON");
    assert_eq!(
        (&printed["event"], &printed["data"]["text"]),
        (&"notify".into(), &"hello".into())
    );
    assert!(
        printed["id"].as_str().is_some_and(|id| id.contains('-')),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_and_secrets_come_from_the_environment_or_files_and_are_not_shown() {
    let (key, secret) = (
        "a-key-for-the-tokens-of-this-test-000",
        "a-secret-for-the-posts-of-this-test",
    );
    for setting in ["FOGHORN_SSE_JWT_KEY", "FOGHORN_SSE_COOKIE_SECRET"] {
        let node = Inbox::start(&[(setting, key), ("FOGHORN_SSE_SECRET", secret)]).await;
        let file = node.folder().join("secret");
        std::fs::write(&file, format!("{secret}\n")).expect("written");
        let mut good = listen(&node, &["--count", "1", "ann"], &[(setting, key)]);
        good.logged("listening at").await;
        let mut bad = listen(
            &node,
            &["ann"],
            &[(setting, "another-key-than-the-node-has-0000000")],
        );
        assert_eq!(bad.end().await.code(), Some(1));
        assert!(
            bad.log()
                .contains("answered 401: The cookie's signature or the token is not good"),
            "{}",
            bad.log()
        );
        let (code, _, stderr) = notify(&node, &["notify", "--user", "ann", "a=1"], &[]);
        assert!(
            code == 1 && stderr.contains("FOGHORN_SSE_SECRET"),
            "{stderr}"
        );
        let by_file = [("FOGHORN_SSE_SECRET_FILE", &*file.to_string_lossy())];
        assert_eq!(
            notify(&node, &["notify", "--user", "ann", "a=1"], &by_file).0,
            0
        );
        assert!(good.end().await.success());
        assert!(
            ![good.log(), bad.log(), stderr]
                .concat()
                .contains("-of-this-test")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_reach_nobody_is_not_sent_unless_it_must() {
    let node = Inbox::start(&[]).await;
    for (arguments, part) in [
        (
            &["a_b", "--user", "ann", "a=1"][..],
            "it would not reach \"ann\"",
        ),
        (
            &["notify", "--user", "ann", "--content", "0"],
            "gives it to nobody",
        ),
        (
            &["notify", "--user", "ann", "--content", "{"],
            "is not JSON",
        ),
        (
            &["notify", "--user", "ann", "nothing"],
            "should be NAME=TEXT",
        ),
    ] {
        let (code, stdout, stderr) = notify(&node, arguments, &[]);
        assert!(
            code == 1 && stdout.is_empty() && stderr.contains(part),
            "{arguments:?}: {stderr}"
        );
    }
    let forced = notify(
        &node,
        &[
            "notify",
            "--force",
            "--json",
            "--user",
            "ann",
            "--content",
            "0",
        ],
        &[],
    );
    assert!(
        forced.0 == 0 && forced.1.contains("gives it to nobody"),
        "{forced:?}"
    );
    for arguments in [
        &["listen"][..],
        &["notify", "notify", "a=1"],
        &["notify", "notify", "--user", "ann"],
    ] {
        assert_eq!(run(&mut foghorn(arguments)).0, 2, "{arguments:?}");
    }
    let (code, _, stderr) =
        run(foghorn(&["notify", "x", "--user", "u", "a=1", "--url"]).arg("ftp://h"));
    assert!(code == 1 && stderr.contains("--url"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn listen_goes_on_where_it_was_when_its_stream_ends() {
    let mut node = Inbox::start(&[
        ("FOGHORN_SETTLE_SECONDS", "0"),
        ("FOGHORN_DRAIN_SECONDS", "10"),
    ])
    .await;
    let mut listening = listen(&node, &["--count", "2", "ann"], &[]);
    listening.logged("listening at").await;
    assert_eq!(notify(&node, &["notify", "--user", "ann", "a=1"], &[]).0, 0);
    listening.logged("notify {").await;
    assert!(node.stop().await.success());
    listening.logged("listening again in").await;
    node.restart().await;
    // The past of a single node has gone with it.
    listening.logged("\nresync ").await;
    assert_eq!(notify(&node, &["notify", "--user", "ann", "a=2"], &[]).0, 0);
    assert!(listening.end().await.success());
    assert_eq!(
        lines(&listening, "notify "),
        [r#"notify {"a":"1"}"#, r#"notify {"a":"2"}"#]
    );
}
