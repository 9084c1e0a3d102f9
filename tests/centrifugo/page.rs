//! `docs/CENTRIFUGO.md` says what is so: every key of v1 is in it, as honoured or as refused.

use foghorn::dialect::centrifugo::file::node;
use foghorn::dialect::centrifugo::{honoured, refused};
use serde_json::json;

use crate::common::process::{command, need};

const PAGE: &str = include_str!("../../docs/CENTRIFUGO.md");

/// A table of the page: from `begin` to the next empty line.
fn table(begin: &str) -> String {
    let (_, behind) = PAGE
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin:?}"));
    behind
        .trim_start()
        .split_once("\n\n")
        .expect("an end")
        .0
        .to_owned()
        + "\n"
}

#[test]
fn the_keys_that_are_refused_are_those_that_the_page_lists() {
    let rows: String = refused::all()
        .map(|(key, why)| format!("| `{key}` | {why} |\n"))
        .collect();
    let wanted = format!("| key | instead |\n| --- | --- |\n{rows}");
    assert_eq!(
        table("<!-- made from the code: refused -->"),
        wanted,
        "the page should have:\n{wanted}"
    );
}

#[test]
fn the_keys_that_change_nothing_are_those_that_the_page_lists() {
    let rows: String = node::NOTED
        .iter()
        .map(|(key, why)| format!("| `{key}` | {why} |\n"))
        .collect();
    let wanted = format!("| key | why |\n| --- | --- |\n{rows}");
    assert_eq!(
        table("<!-- made from the code: noted -->"),
        wanted,
        "the page should have:\n{wanted}"
    );
}

#[test]
fn the_keys_that_are_honoured_are_those_that_the_page_lists() {
    let rows: String = honoured::KEYS
        .iter()
        .map(|(key, default, what)| format!("| `{key}` | {default} | {what} |\n"))
        .collect();
    let wanted = format!("| key | default | what it does |\n| --- | --- | --- |\n{rows}");
    assert_eq!(
        table("<!-- made from the code: honoured -->"),
        wanted,
        "the page should have:\n{wanted}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and openssl"]
async fn the_pages_commands_publish_and_read_history() {
    let node =
        crate::site::node(&json!({"secret": "secret", "history_size": 10, "history_lifetime": 60}))
            .await;
    let (_, behind) = PAGE
        .split_once("<!-- run: publish -->\n\n```bash\n")
        .expect("the commands");
    let (code, _) = behind.split_once("```\n").expect("their end");
    let mut bash = command(&need("bash", "bash"));
    bash.args(["-e", "-c", code])
        .env("CENTRIFUGO", format!("http://127.0.0.1:{}", node.port()));
    let done = tokio::task::spawn_blocking(move || bash.output())
        .await
        .expect("no panic")
        .expect("bash starts");
    let told = String::from_utf8([done.stdout, done.stderr].concat()).expect("text");
    assert!(
        told.contains(r#"[{"method":"publish","error":null,"body":null}]"#),
        "{told}"
    );
    assert!(told.contains(r#""data":{"text": "hello"}"#), "{told}");
}
