//! Every HTTP that curl speaks is answered as it was asked.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::process::{command, need};
use crate::site::Site;

fn curl(site: &Site, port: &str, how: &[&str], path: &str) -> String {
    let scheme = if port == "plain" { "http" } else { "https" };
    let mut curl = command(&need("curl", "curl"));
    curl.args([
        "-sS",
        "--max-time",
        "30",
        "-w",
        "%{http_version}",
        "--cacert",
    ])
    .arg(site.folder.path().join("cert.pem"));
    let url = format!("{scheme}://{}{path}", site.at(port));
    let output = curl
        .args(how)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .expect("curl runs");
    assert!(
        output.status.success(),
        "{how:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn every_version_of_http_is_answered_in_clear_text_and_over_tls() {
    let site = Site::start(&[]).await;
    for (port, how, wanted) in [
        ("plain", "--http1.0", "plain HTTP/1.0\n1"),
        ("plain", "--http1.1", "plain HTTP/1.1\n1.1"),
        // An upgrade is offered, and need not be taken.
        ("plain", "--http2", "plain HTTP/1.1\n1.1"),
        ("plain", "--http2-prior-knowledge", "plain HTTP/2.0\n2"),
        ("encrypted", "--http1.0", "encrypted HTTP/1.0\n1"),
        ("encrypted", "--http1.1", "encrypted HTTP/1.1\n1.1"),
        ("encrypted", "--http2", "encrypted HTTP/2.0\n2"),
        (
            "encrypted",
            "--http2-prior-knowledge",
            "encrypted HTTP/2.0\n2",
        ),
    ] {
        assert_eq!(
            curl(&site, port, &[how], "/version"),
            wanted,
            "{port} {how}"
        );
        // Doubled slashes are mended there too.
        assert_eq!(
            curl(&site, port, &[how], "//version/"),
            wanted,
            "{port} {how}"
        );
    }
    let body = "x".repeat(1 << 20);
    let file = site.folder.path().join("body");
    std::fs::write(&file, &body).expect("written");
    let data = format!("@{}", file.display());
    for (port, how, wanted) in [
        ("plain", "--http1.0", "10485761"),
        ("plain", "--http1.1", "10485761.1"),
        ("plain", "--http2-prior-knowledge", "10485762"),
        ("encrypted", "--http2", "10485762"),
    ] {
        let post = [
            how,
            "--data-binary",
            &data,
            "-H",
            "Content-Type: text/plain",
        ];
        assert_eq!(curl(&site, port, &post, "/length"), wanted, "{port} {how}");
    }
    assert!(site.running.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn a_stream_by_http_1_0_has_no_chunks_and_ends_with_the_connection() {
    let site = Site::start(&[]).await;
    let mut curl = command(&need("curl", "curl"));
    curl.args(["-sN", "--http1.0", "--raw", "-i", "--max-time", "60"])
        .arg(format!("http://{}/ticks", site.at("plain")));
    let mut curl = curl
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut lines = BufReader::new(curl.stdout.take().expect("a pipe")).lines();
    // The head, and what is far more than its first lines.
    let text = tokio::task::block_in_place(|| {
        let mut text = String::new();
        for _ in 0..50 {
            text += &lines.next().expect("it goes on").expect("text");
            text += "\n";
        }
        text
    });
    curl.kill().and_then(|()| curl.wait()).expect("curl ends");
    // `lines` takes the line's whole end away.
    let (head, body) = text.split_once("\n\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "{head}"
    );
    assert!(body.starts_with("0\n1\n2\n"), "{body}");
    site.running.stop().await;
}
