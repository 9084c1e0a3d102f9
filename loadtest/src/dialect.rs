//! What is said on the wire: the Seafile protocol, and nchan's URLs for the comparison with it.
//!
//! Invariant: both carry the same event bytes to the client; only how one subscribes and publishes differs.

use crate::stamp;
use crate::target::Target;
use crate::token::Signer;
use crate::{clock, wire};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Which server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Subscribe by message, publish to `/events` with a token.
    Seafile,
    /// Subscribe by connecting to `/sub/CHANNEL`, publish to `/pub/CHANNEL`.
    Nchan,
}

/// As whom a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    /// The desktop client: a ping each idle second, hangs up after five silent ones, one library a message.
    Desktop,
    /// A web page: answers pings, sends none.
    Web,
}

/// The key all clients send in their handshake, and the answer to it (RFC 6455, 1.3).
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// See [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Dialect {
    /// The upgrade request of a client whose first library is `repo`.
    pub fn handshake(self, t: &Target, manner: Manner, repo: &str, out: &mut Vec<u8>) {
        let path = match self {
            Self::Seafile => format!("{}/", t.path),
            Self::Nchan => format!("{}/sub/{repo}", t.path),
        };
        let who = match manner {
            Manner::Desktop if self == Self::Seafile => {
                "User-Agent: Seafile/9.0.5 (Linux)\r\nSec-WebSocket-Protocol: notification.seafile.com\r\n"
            }
            Manner::Desktop => "User-Agent: Seafile/9.0.5 (Linux)\r\n",
            Manner::Web => "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n",
        };
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{who}\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            t.host
        );
        out.extend_from_slice(text.as_bytes());
    }

    /// Appends the frames that subscribe `user` to `repos`; nothing for nchan, where the connection is the subscription.
    pub fn subscribe(self, signer: &Signer, user: &str, repos: &[String], each: bool, key: [u8; 4], out: &mut Vec<u8>) {
        if self == Self::Nchan {
            return;
        }
        let exp = clock::unix_s() + 72 * 3600;
        for some in repos.chunks(if each { 1 } else { repos.len().max(1) }) {
            let mut text = String::from(r#"{"type":"subscribe","content":{"repos":["#);
            for (i, repo) in some.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let token = signer.subscription(repo, user, exp);
                write!(text, r#"{comma}{{"id":"{repo}","jwt_token":"{token}"}}"#).expect("a string takes all");
            }
            text.push_str("]}}");
            wire::push_client(out, wire::TEXT, text.as_bytes(), key);
        }
    }

    /// Appends the frame that gives up `repo`.
    pub fn unsubscribe(self, repo: &str, key: [u8; 4], out: &mut Vec<u8>) {
        let text = format!(r#"{{"type":"unsubscribe","content":{{"repos":[{{"id":"{repo}"}}]}}}}"#);
        wire::push_client(out, wire::TEXT, text.as_bytes(), key);
    }

    /// Appends the request that posts an event, with `token` in it.
    pub fn post(self, t: &Target, token: &str, s: stamp::Stamp, body: &str, out: &mut Vec<u8>) {
        let Target { host, path, .. } = t;
        let len = body.len();
        let head = match self {
            Self::Seafile => format!(
                "POST {path}/events HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Seafile Server\r\n\
                 Authorization: Token {token}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
            ),
            Self::Nchan => format!(
                "POST {path}/pub/{} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Content-Length: {len}\r\n\r\n",
                stamp::repo(s.run, s.channel)
            ),
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }
}

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
}

/// Reads an answer's head; `None` while some of it is missing.
pub fn answer(b: &[u8]) -> Option<Answer> {
    let head = memchr::memmem::find(b, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&b[..head]);
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut a = Answer { status, head, body: 0, retry_s: None, close: false, upgraded: false };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => a.body = value.parse().unwrap_or(0),
            "retry-after" => a.retry_s = value.parse().ok(),
            "connection" => a.close |= value.eq_ignore_ascii_case("close"),
            // We never need a chunked body's text; giving the connection up is simpler than reading it.
            "transfer-encoding" => a.close = true,
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
        assert_eq!((a.status, a.body, a.close, a.upgraded), (200, 3, false, false));
        let a = answer(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nconnection: Close\r\n\r\n").unwrap();
        assert_eq!((a.status, a.retry_s, a.close), (503, Some(7), true));
        let ok = format!("HTTP/1.1 101 S\r\nSec-Websocket-Accept: {ACCEPT}\r\n\r\n");
        assert!(answer(ok.as_bytes()).unwrap().upgraded);
    }

    #[test]
    fn a_subscription_is_one_message_each_or_one_for_all() {
        let (signer, repos) = (Signer::new("k"), [stamp::repo(1, 1), stamp::repo(1, 2)]);
        for (each, want) in [(true, 2), (false, 1)] {
            let mut out = Vec::new();
            Dialect::Seafile.subscribe(&signer, "u", &repos, each, [9, 9, 9, 9], &mut out);
            let (mut at, mut n) = (0, 0);
            while let Some(f) = wire::frame(&out[at..]) {
                let mut text = out[at + f.head..at + f.size()].to_vec();
                wire::mask(&mut text, f.mask.unwrap());
                let v: serde_json::Value = serde_json::from_slice(&text).unwrap();
                assert_eq!(v["type"], "subscribe");
                assert_eq!(v["content"]["repos"].as_array().unwrap().len(), 2 / want);
                (at, n) = (at + f.size(), n + 1);
            }
            assert_eq!((at, n), (out.len(), want));
        }
    }
}
