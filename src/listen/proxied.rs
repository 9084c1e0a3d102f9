//! Looks at how a connection begins: with HTTP/1, with HTTP/2 by prior knowledge, or with the PROXY protocol, which a balancer
//! puts in front of what its clients send, and which is not spoken here.
//!
//! Invariant: looking takes nothing away from the connection, and waits for its first bytes only.

use std::time::Duration;

use tokio::net::TcpStream;

use super::http2::PREFACE;

/// How a connection in version 1 begins, a line of text.
const TEXT: &[u8] = b"PROXY ";
/// How one in version 2 begins.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What would mend it.
pub(super) const ADVICE: &str = "the connection begins with the PROXY protocol, which is not spoken here: switch it off \
    towards this port (HAProxy: no send-proxy or send-proxy-v2 on the server line; nginx stream: no proxy_protocol on; \
    AWS: proxy_protocol_v2.enabled=false on the target group; Traefik: no proxyProtocol for the service) and have the \
    proxy send X-Forwarded-For instead";

/// What the peer is answered.
pub(super) fn answer() -> Vec<u8> {
    let length = ADVICE.len() + 1;
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{ADVICE}\n"
    )
    .into_bytes()
}

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// A request of HTTP/1.
    Http1,
    /// HTTP/2's preface.
    Http2,
    /// The PROXY protocol.
    Proxied,
}

/// How often a peer is looked at again that has sent the half of HTTP/2's preface.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the peer begins with. Waits until it has sent something, or hung up.
pub(super) async fn beginning(stream: &TcpStream, http2: bool) -> Beginning {
    let mut first = [0; PREFACE.len()];
    loop {
        // Where it cannot be looked at it cannot be read either; whoever reads finds out.
        let count = stream.peek(&mut first).await.unwrap_or(0);
        match &first[..count] {
            first if is_proxied(first) => return Beginning::Proxied,
            first if http2 && first == PREFACE => return Beginning::Http2,
            first if http2 && !first.is_empty() && PREFACE.starts_with(first) => {}
            _ => return Beginning::Http1,
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn is_proxied(first: &[u8]) -> bool {
    first.starts_with(TEXT) || first.starts_with(BINARY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_recognised_and_requests_are_not() {
        assert!(is_proxied(b"PROXY TCP4 1"));
        assert!(is_proxied(b"\r\n\r\n\x00\r\nQUIT\n"));
        for request in [
            &b"POST /events"[..],
            b"PROPFIND / H",
            b"GET / HTTP/1",
            b"P",
            b"",
            b"\r\n\r\nGET / H",
        ] {
            assert!(!is_proxied(request), "{request:?}");
        }
    }
}
