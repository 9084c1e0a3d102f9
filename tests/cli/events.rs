//! `token`, `publish` and `tail`: events that commands send and print.

use std::io::Write;
use std::process::Stdio;

use crate::common::node::{Node, foghorn};
use crate::common::process::Process;
use crate::common::{library, token};
use crate::run;

#[test]
fn tokens_are_what_seafile_would_mint() {
    let mint = |args: &[&str]| {
        let (code, stdout, stderr) = run(foghorn(args).env("JWT_PRIVATE_KEY", token::KEY));
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout.trim_end().to_owned()
    };
    let keys = foghorn::dialect::seafile::auth::Keys::new(token::KEY, None);
    let now = token::now();
    let claims = keys
        .verify(
            &mint(&["token", "--repo", "r", "--user", "a@x", "--ttl", "60"]),
            now,
        )
        .expect("a good token");
    assert_eq!(
        (claims.repo_id.as_deref(), claims.username.as_deref()),
        (Some("r"), Some("a@x"))
    );
    assert!((now + 58..=now + 90).contains(&claims.exp));
    let claims = keys
        .verify(&mint(&["token", "--events"]), now)
        .expect("a good token");
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
        command.env("FOGHORN_OPS_ADDR", format!("127.0.0.1:{}", node.ops()));
        command
    };
    let (code, stdout, stderr) = run(&mut publish(&[
        "repo-update",
        "--repo",
        &repo,
        "commit_id=c1",
    ]));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.starts_with("200: accepted\n")
            && stdout.contains(&format!("everybody who holds {repo}: 1 subscription on ")),
        "{stdout}"
    );

    let mut piped = publish(&["file-lock-changed", "--force", "--content", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("publish");
    let content = format!("{{\"repo_id\":\"{repo}\",\"expire\":-1.0}}");
    piped
        .stdin
        .take()
        .expect("a pipe")
        .write_all(content.as_bytes())
        .expect("writing");
    assert!(piped.wait().expect("its end").success());

    assert!(tail.end().await.success());
    let printed = tail.log();
    let messages: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    assert_eq!(messages.len(), 2, "{printed}");
    assert!(
        messages[0].contains("repo-update") && messages[0].contains("c1"),
        "{printed}"
    );
    assert_eq!(
        messages[1],
        format!("{{\"type\":\"file-lock-changed\",\"content\":{content}}}")
    );
}

#[tokio::test]
async fn publish_says_for_whom_it_was_and_keeps_back_what_is_for_nobody() {
    let node = Node::start().await;
    let repo = library();
    let _clients = [
        node.subscriber(&repo, "a@x").await,
        node.subscriber(&repo, "b@x").await,
    ];
    let publish = |args: &[&str]| {
        let mut command = foghorn(&["publish", "--json", "--url", &url(&node), "--repo", &repo]);
        command.args(args).env("JWT_PRIVATE_KEY", token::KEY);
        let (code, stdout, stderr) =
            run(command.env("FOGHORN_OPS_ADDR", format!("127.0.0.1:{}", node.ops())));
        let json: serde_json::Value =
            serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        (code, json)
    };
    let permission = [
        "folder-perm-changed",
        "path=/",
        "type=user",
        "change_event=add",
        "perm=r",
    ];
    let (code, said) = publish(&[&permission[..], &["user=a@x"]].concat());
    assert_eq!(
        (
            code,
            &said["reached"]["audience"]["user"],
            &said["reached"]["subscriptions"]
        ),
        (0, &"a@x".into(), &1.into()),
        "{said}"
    );
    let (code, said) = publish(&["repo-update", "commit_id=1"]);
    assert_eq!(
        (
            code,
            &said["reached"]["audience"],
            &said["reached"]["subscriptions"]
        ),
        (0, &"all".into(), &2.into()),
        "{said}"
    );
    for (args, part) in [
        (&["repo-updat"][..], "did you mean repo-update?"),
        (&permission, "add user=EMAIL or group:=NUMBER"),
    ] {
        let (code, said) = publish(args);
        assert!(code == 1 && said["accepted"] == false, "{said}");
        assert!(
            said["error"]
                .as_str()
                .is_some_and(|text| text.contains(part) && text.contains("--force")),
            "{said}"
        );
    }
    let (code, said) = publish(&["repo-updat", "--force"]);
    assert!(code == 0 && said["reached"].is_null(), "{said}");
}

#[tokio::test]
async fn a_wrong_key_is_named_as_the_likely_mistake() {
    let node = Node::start().await;
    let mut command = foghorn(&[
        "publish",
        "repo-update",
        "commit_id=1",
        "--repo",
        &library(),
        "--url",
        &url(&node),
    ]);
    let (code, _, stderr) = run(command.env("JWT_PRIVATE_KEY", "another"));
    assert!(
        code == 1 && stderr.contains("400") && stderr.contains("JWT_PRIVATE_KEY is another one"),
        "{stderr}"
    );
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
    let port = crate::common::ports::free_port();
    let mut command = foghorn(&[
        "publish",
        "t",
        "--force",
        "--repo",
        "r",
        "--url",
        &format!("http://127.0.0.1:{port}"),
    ]);
    let (code, _, stderr) = run(command.env("JWT_PRIVATE_KEY", "k"));
    assert!(
        code == 1 && stderr.contains(&format!("cannot connect to 127.0.0.1:{port}")),
        "{stderr}"
    );
}
