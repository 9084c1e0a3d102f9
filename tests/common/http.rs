//! A plain HTTP/1.1 client: one request, one answer, nothing hidden.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, token};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.body))
    }

    /// Panics unless the status is `status`.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Sends one request on a connection of its own. `None`: nothing listens, or the connection ended before the answer.
pub async fn try_request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Option<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    // A server may answer and close before it has read all of a body that is too large.
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "no answer to {method} {path} within {PATIENCE:?}"
    );
    parse(&answer)
}

/// Sends one request on a connection of its own, and waits for the answer.
pub async fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    let answer = try_request(port, method, path, headers, body).await;
    answer.unwrap_or_else(|| panic!("no answer from port {port} to {method} {path}"))
}

/// `GET path`.
pub async fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path, &[], None).await
}

/// Posts an event as seaf-server does.
pub async fn post_event(port: u16, kind: &str, content: &Value) -> Answer {
    let body = serde_json::json!({"type": kind, "content": content}).to_string();
    let authorization = format!("Token {}", token::event());
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
    ];
    request(port, "POST", "/events", &headers, Some(body.as_bytes())).await
}

/// Posts a `repo-update` for `library` and panics unless it is accepted.
pub async fn post_update(port: u16, library: &str, commit: &str) {
    let content = serde_json::json!({"repo_id": library, "commit_id": commit});
    post_event(port, "repo-update", &content).await.expect(200);
}

/// Reads an answer; `None` where it is not whole.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        // Of a header that comes several times all values count, as in one list.
        let known = headers.entry(name.trim().to_lowercase()).or_default();
        let comma = if known.is_empty() { "" } else { ", " };
        known.push_str(&format!("{comma}{}", value.trim()));
    }
    let body = &bytes[at + 4..];
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|v| v == "chunked");
    let body = if chunked {
        unchunk(body)?
    } else {
        body.to_vec()
    };
    Some(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(
            std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?,
            16,
        )
        .ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 4 + size..)?;
    }
}
