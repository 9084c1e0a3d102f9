//! The head of an HTTP answer, as far as it is looked at (RFC 9112).
//!
//! Invariant: nothing is said of an answer whose head is not whole.

use super::ACCEPT;

/// The type of an event stream.
const STREAM: &str = "text/event-stream";

/// An HTTP answer's head, as far as we look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Bytes of head, blank line included.
    pub head: usize,
    /// Bytes of body.
    pub body: usize,
    /// Seconds of `Retry-After`, where there is one.
    pub retry_s: Option<u32>,
    /// The connection cannot be used again.
    pub close: bool,
    /// It accepts our [`KEY`].
    pub upgraded: bool,
    /// Its body is an event stream.
    pub streams: bool,
    /// Its body comes in chunks.
    pub chunked: bool,
}

/// Reads an answer's head; `None` while some of it is missing.
pub fn answer(b: &[u8]) -> Option<Answer> {
    let head = memchr::memmem::find(b, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&b[..head]);
    let mut lines = text.split("\r\n");
    let status = lines
        .next()?
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let mut a = Answer {
        status,
        head,
        body: 0,
        retry_s: None,
        close: false,
        upgraded: false,
        streams: false,
        chunked: false,
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => a.body = value.parse().unwrap_or(0),
            "retry-after" => a.retry_s = value.parse().ok(),
            "connection" => a.close |= value.eq_ignore_ascii_case("close"),
            "transfer-encoding" => a.chunked = true,
            "content-type" => a.streams = status == 200 && value.starts_with(STREAM),
            "sec-websocket-accept" => a.upgraded = status == 101 && value == ACCEPT,
            _ => {}
        }
    }
    Some(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), None);
        let a = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!(
            (a.status, a.body, a.close, a.upgraded),
            (200, 3, false, false)
        );
        let a = answer(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nconnection: Close\r\n\r\n").unwrap();
        assert_eq!((a.status, a.retry_s, a.close), (503, Some(7), true));
        let ok = format!("HTTP/1.1 101 S\r\nSec-Websocket-Accept: {ACCEPT}\r\n\r\n");
        assert!(answer(ok.as_bytes()).unwrap().upgraded);
        let stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";
        let a = answer(stream).unwrap();
        assert_eq!((a.streams, a.chunked), (true, false));
        let stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n8A\r\n";
        let a = answer(stream).unwrap();
        assert_eq!((a.streams, a.chunked), (true, true));
        let other = b"HTTP/1.1 429 No\r\nContent-Type: text/event-stream\r\n\r\n";
        assert!(!answer(other).unwrap().streams);
    }
}
