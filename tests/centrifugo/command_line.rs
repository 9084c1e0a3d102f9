//! v1's command line, its ports, its file with the process' number: whoever starts `centrifugo` starts this in its place.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::common::http;
use crate::common::node::{Node, Plan, foghorn};
use crate::common::ports::free_port;
use crate::common::redis::Redis;
use crate::site::{Page, call, node, post, sign};

/// A node at `port` that is started as v1 is, with a configuration in the format of its name.
fn plan(port: u16, name: &str, text: &str, flags: &[&str]) -> Plan {
    let plan = Plan::on(port, free_port())
        .without("NOTIFICATION_SERVER_PORT")
        .without("NOTIFICATION_SERVER_HOST");
    let file = plan.folder().join(name);
    std::fs::write(&file, text).expect("the folder can be written");
    let config = format!("--config={}", file.to_str().expect("a path"));
    plan.args(&[&["centrifugo", &config], flags].concat())
}

fn said(mut command: Command) -> (Output, String) {
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output, told)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test]
async fn a_flag_wins_over_its_variable_and_that_over_the_file_in_any_format() {
    for (name, text) in [
        (
            "c.json",
            r#"{"secret": "secret", "insecure": true, "port": "1", "name": "file"}"#,
        ),
        (
            "c.yaml",
            "secret: secret\ninsecure: true\nport: 1\nname: file\n",
        ),
        (
            "c.toml",
            "secret = \"secret\"\ninsecure = true\nport = 1\nname = \"file\"\n",
        ),
    ] {
        let port = free_port();
        let plan = plan(port, name, text, &["-p", &port.to_string()]);
        let node = plan
            .env("CENTRIFUGO_PORT", "2")
            .env("CENTRIFUGO_NAME", "variable")
            .start()
            .await;
        Page::connect(port, "42")
            .await
            .ask("subscribe", json!({"channel": "news"}))
            .await;
        let answer = call(node.port(), "node", json!({})).await;
        assert_eq!(answer["body"]["data"]["name"], "variable", "{name}");
    }
}

#[tokio::test]
async fn unless_it_is_told_where_it_listens_everywhere() {
    let (port, own) = (free_port(), free_port().to_string());
    let flags = ["-p", &port.to_string(), "--api_port", &own];
    let node = plan(port, "c.json", r#"{"secret": "secret"}"#, &flags)
        .start()
        .await;
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    for host in ["127.0.0.1", "::1"]
        .into_iter()
        .take(1 + usize::from(has_ipv6))
    {
        for port in [port, own.parse().expect("a port")] {
            let by = format!("by {host} at {port}");
            drop(TcpStream::connect((host, port)).expect(&by));
        }
    }
    drop(node);
}

#[test]
fn checkconfig_genconfig_and_version_are_there() {
    let folder = folder();
    let file = folder.path().join("config.toml");
    let run = |words: &[&str]| {
        let mut command = foghorn(words);
        command.current_dir(folder.path());
        said(command)
    };
    let (output, told) = run(&["centrifugo", "genconfig", "--config=config.toml"]);
    assert!(output.status.success(), "{told}");
    let (output, told) = run(&["centrifugo", "checkconfig", "-c", "config.toml"]);
    assert!(
        output.status.success() && told.contains("NOTIFICATION_SERVER_PORT"),
        "{told}"
    );
    assert!(
        told.contains("8000  (Centrifugo's configuration, port)"),
        "{told}"
    );
    let secret = std::fs::read_to_string(&file).expect("it is there");
    assert!(
        !run(&["centrifugo", "genconfig", "--config=config.toml"])
            .0
            .status
            .success(),
        "none is written over"
    );
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), secret);
    std::fs::write(&file, "secret = \"s\"\nweb_path = \"x\"\n").expect("written");
    let (output, told) = run(&[
        "centrifugo",
        "checkconfig",
        "-c",
        "config.toml",
        "--redis_pool=9",
    ]);
    assert!(
        output.status.code() == Some(1) && told.contains("web_path: it is not honoured here"),
        "{told}"
    );
    let (output, told) = run(&["centrifugo", "version"]);
    assert!(
        output.status.success() && told.contains(env!("CARGO_PKG_VERSION")),
        "{told}"
    );
    let (output, told) = run(&["centrifugo", "--redis_password=hunter2"]);
    assert!(
        output.status.code() == Some(2) && told.contains("CENTRIFUGO_REDIS_PASSWORD"),
        "{told}"
    );
}

#[test]
fn called_by_that_name_it_is_that_program() {
    let folder = folder();
    let link = folder.path().join("centrifugo");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_foghorn"), &link).expect("a link");
    let mut command = Command::new(&link);
    command.args(["version"]).env_clear();
    let (output, told) = said(command);
    assert!(
        output.status.success() && told.contains("Centrifugo v1"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_with_the_process_number_is_there_while_it_runs() {
    let pid = folder();
    let path = pid.path().join("pid");
    let flag = format!("--pid_file={}", path.display());
    let config = r#"{"secret": "secret"}"#;
    let port = free_port();
    let mut node = plan(port, "c.json", config, &[&flag, &format!("--port={port}")])
        .start()
        .await;
    assert_eq!(
        std::fs::read_to_string(&path).expect("it is there"),
        node.process().pid().to_string()
    );
    assert!(node.stop().await.success());
    assert!(!path.exists());
}

#[tokio::test]
async fn backends_and_operators_have_ports_of_their_own() {
    let [api, admin] = [free_port(), free_port()];
    let config = json!({"secret": "secret", "admin": true, "insecure_admin": true, "insecure": true,
        "api_port": api.to_string(), "admin_port": admin.to_string(), "address": "127.0.0.1"});
    let node = node(&config).await;
    Page::connect(node.port(), "42").await;
    let body = r#"{"method":"channels"}"#;
    post(api, body, &sign(body)).await.expect(200);
    let login = async |port| {
        http::try_request(port, "POST", "/auth/", &[], Some(b""))
            .await
            .expect("an answer")
    };
    login(admin).await.expect(200);
    for port in [node.port(), admin] {
        post(port, body, &sign(body)).await.expect(404);
    }
    for port in [node.port(), api] {
        login(port).await.expect(404);
    }
}

/// A certificate for `localhost` and its key, in files.
pub fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (cert, key)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn with_ssl_clients_and_backends_speak_tls() {
    let (folder, port) = (folder(), free_port());
    let (cert, key) = certificate(folder.path());
    let config = json!({"secret": "secret", "ssl": true, "ssl_cert": cert, "ssl_key": key, "address": "127.0.0.1",
        "port": port, "insecure_api": true});
    let _node = node(&config).await;
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--fail",
        "--cacert",
        cert.to_str().expect("a path"),
        "-H",
        "Content-Type: application/json",
    ]);
    curl.args([
        "--data",
        r#"{"method":"channels"}"#,
        &format!("https://localhost:{port}/api/"),
    ]);
    let (output, told) = tokio::task::spawn_blocking(move || said(curl))
        .await
        .expect("no panic");
    assert!(
        output.status.success() && told.contains(r#""method":"channels""#),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_v1_says_of_redis_joins_the_nodes() {
    let redis = Redis::start().await;
    let start = async || -> Node {
        let port = free_port();
        let (ours, redis) = (port.to_string(), redis.port());
        let text = format!("secret: secret\ninsecure: true\nengine: redis\nredis_port: {redis}\n");
        plan(
            port,
            "c.yml",
            &text,
            &["--port", &ours, "--redis_host=127.0.0.1"],
        )
        .start()
        .await
    };
    let (first, second) = (start().await, start().await);
    let mut page = Page::connect(second.port(), "42").await;
    page.ask("subscribe", json!({"channel": "news"})).await;
    call(
        first.port(),
        "publish",
        json!({"channel": "news", "data": 7}),
    )
    .await;
    assert_eq!(page.next().await.expect("a message")["body"]["data"], 7);
}
