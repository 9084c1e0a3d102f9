//! The module as a package, and as a node serves it.

use crate::common::http;
use crate::common::process::{command, need};
use crate::site::{Site, node};

const SCRIPT: &str = include_str!("../../clients/js/foghorn.js");

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_the_packages_module_and_says_when_a_copy_is_still_good() {
    let site = Site::start(false, &[]).await;
    let get = async |headers: &[(&str, &str)]| {
        http::request(site.ports.streams, "GET", "/foghorn.js", headers, None).await
    };
    let sent = get(&[]).await.expect(200);
    assert_eq!(
        (&*sent.body, &*sent.headers["content-type"]),
        (SCRIPT, "text/javascript; charset=utf-8")
    );
    assert_eq!(
        (
            &*sent.headers["cache-control"],
            &*sent.headers["access-control-allow-origin"]
        ),
        ("no-cache", "*")
    );
    let known = get(&[("If-None-Match", &sent.headers["etag"])])
        .await
        .expect(304);
    assert_eq!(
        (&*known.body, &known.headers["etag"]),
        ("", &sent.headers["etag"])
    );
    let posted = http::request(site.ports.streams, "POST", "/foghorn.js", &[], Some(b""))
        .await
        .expect(405);
    assert_eq!(posted.headers["allow"], "GET, HEAD");
    let plan = crate::common::node::Plan::new();
    let (_node, ports) = node(
        plan,
        false,
        &[("FOGHORN_SSE_ORIGINS", "https://gw.example.com")],
    )
    .await;
    let page = [("Origin", "https://gw.example.com")];
    let sent = http::request(ports.streams, "GET", "/foghorn.js", &page, None)
        .await
        .expect(200);
    assert_eq!(
        sent.headers["access-control-allow-origin"],
        "https://gw.example.com"
    );
}

#[test]
#[ignore = "needs npm"]
fn the_package_is_packed_with_its_types_and_can_be_imported() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = command(&need(program, "npm"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("HOME", folder.path());
        let done = command.output().expect("it starts");
        let said = String::from_utf8([done.stdout, done.stderr].concat()).expect("text");
        assert!(done.status.success(), "{program} {arguments:?}: {said}");
        said
    };
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/js");
    let packed = run("npm", &["pack", "--offline", "--json", package]);
    for file in [
        "foghorn.js",
        "foghorn.d.ts",
        "package.json",
        "README.md",
        "LICENSE",
    ] {
        assert!(
            packed.contains(&format!("\"path\": \"{file}\"")),
            "{file}: {packed}"
        );
    }
    let name = format!("./foghorn-inbox-{}.tgz", env!("CARGO_PKG_VERSION"));
    std::fs::write(folder.path().join("package.json"), r#"{"private": true}"#).expect("written");
    run(
        "npm",
        &["install", "--offline", "--no-audit", "--no-fund", &name],
    );
    let import = "import('foghorn-inbox').then((it) => console.log(Object.keys(it).join()))";
    assert_eq!(
        run("node", &["--input-type=module", "--eval", import]).trim(),
        "connect,listen,useWebsocket"
    );
    let types = std::fs::read_to_string(
        folder
            .path()
            .join("node_modules/foghorn-inbox/foghorn.d.ts"),
    );
    assert!(
        types
            .expect("the types")
            .contains("export function listen(")
    );
}
