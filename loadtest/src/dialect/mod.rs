//! What is said on the wire: the protocols that Foghorn serves, and what nchan, Centrifugo 6 and Mercure want, for the comparison
//! with them.
//!
//! Invariant: all carry the same event bytes to the client; only how one subscribes and publishes differs.

mod answer;
mod ask;
mod publish;
mod recover;

use crate::target::Target;
use crate::token::Signer;
use crate::{clock, sse, wire};
pub use answer::answer;
pub use ask::Question;
pub use recover::{Heard, Message, Place, Subscribed};
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
    /// Connect and subscribe by commands (JSON, bidirectional), publish to `/api/publish`. It is to ask for no token and no key:
    /// `client.insecure` and `http_api.insecure`.
    Centrifugo,
    /// Foghorn's inbox: an event stream of `/sse/USER` for each client, JSON to `/webNotification`. It is to ask for no proof. A
    /// library is a user, and its subscribers are tabs of that user.
    Inbox,
    /// nchan's EventSource subscriber: an event stream of `/sub/CHANNEL`, publish to `/pub/CHANNEL`.
    NchanStreams,
    /// Foghorn's dialect of Centrifugo v1: connect and subscribe by commands (JSON), publish to `/api/`. It is to ask for no token and
    /// no sign: `insecure` and `insecure_api`.
    Centrifugo1,
    /// Mercure: an event stream of `/.well-known/mercure?topic=CHANNEL` without a token, publish a form to the same path with one.
    /// It is to let the anonymous subscribe.
    Mercure,
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
    /// Whether clients listen to event streams; else they have WebSockets.
    pub fn streams(self) -> bool {
        matches!(self, Self::Inbox | Self::NchanStreams | Self::Mercure)
    }

    /// Whether the head of a stream's answer says that its client is subscribed, as far as it can be known: Mercure's first block
    /// is the first event, and its comments, which no blank line ends, are lines of the next.
    pub fn subscribed_by_head(self) -> bool {
        self == Self::Mercure
    }

    /// Whether the connection is the subscription, to one library.
    pub fn subscribes_by_connecting(self) -> bool {
        self.streams() || self == Self::Nchan
    }

    /// How the floor is spoken to, so that it carries to the same kind of client.
    pub fn of_floor(self) -> Self {
        if self.streams() {
            Self::Inbox
        } else {
            Self::Seafile
        }
    }

    /// How nchan is spoken to, likewise.
    pub fn of_nchan(self) -> Self {
        if self.streams() {
            Self::NchanStreams
        } else {
            Self::Nchan
        }
    }

    /// The first request of a client whose first library is `repo`: it asks for a WebSocket, or for the event stream.
    pub fn handshake(self, t: &Target, manner: Manner, repo: &str, out: &mut Vec<u8>) {
        let path = match self {
            Self::Seafile => format!("{}/", t.path),
            Self::Nchan | Self::NchanStreams => format!("{}/sub/{repo}", t.path),
            Self::Centrifugo | Self::Centrifugo1 => format!("{}/connection/websocket", t.path),
            Self::Inbox => format!("{}/sse/{repo}", t.path),
            Self::Mercure => format!("{}{}?topic={repo}", t.path, publish::HUB),
        };
        let who = match manner {
            Manner::Desktop if self == Self::Seafile => {
                "User-Agent: Seafile/9.0.5 (Linux)\r\nSec-WebSocket-Protocol: notification.seafile.com\r\n"
            }
            Manner::Desktop => "User-Agent: Seafile/9.0.5 (Linux)\r\n",
            Manner::Web => {
                "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
            }
        };
        let what = if self.streams() {
            "Accept: text/event-stream\r\nCache-Control: no-cache\r\n".to_owned()
        } else {
            format!(
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
            )
        };
        let text = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{who}{what}\r\n", t.host);
        out.extend_from_slice(text.as_bytes());
    }

    /// Appends the frames that subscribe `user` to `repos`; nothing where the connection is the subscription.
    pub fn subscribe(
        self,
        signer: &Signer,
        user: &str,
        repos: &[String],
        each: bool,
        key: [u8; 4],
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Seafile => Self::subscribe_with_tokens(signer, user, repos, each, key, out),
            Self::Nchan | Self::Inbox | Self::NchanStreams | Self::Mercure => {}
            Self::Centrifugo | Self::Centrifugo1 => {
                let wanted: Vec<_> = repos.iter().map(|repo| (repo.clone(), None)).collect();
                self.subscribe_from(&wanted, key, out);
            }
        }
    }

    fn subscribe_with_tokens(
        signer: &Signer,
        user: &str,
        repos: &[String],
        each: bool,
        key: [u8; 4],
        out: &mut Vec<u8>,
    ) {
        let exp = clock::unix_s() + 72 * 3600;
        for some in repos.chunks(if each { 1 } else { repos.len().max(1) }) {
            let mut text = String::from(r#"{"type":"subscribe","content":{"repos":["#);
            for (i, repo) in some.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let token = signer.subscription(repo, user, exp);
                write!(text, r#"{comma}{{"id":"{repo}","jwt_token":"{token}"}}"#)
                    .expect("a string takes all");
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

    /// The messages in a frame's text. Centrifugo joins what it sends at once by line ends.
    pub fn messages(self, text: &[u8]) -> impl Iterator<Item = &[u8]> {
        let joined = self == Self::Centrifugo;
        text.split(move |byte| joined && *byte == b'\n')
    }

    /// Whether a message is a sign of life. Centrifugo's is to be answered with the same, a stream's with nothing.
    pub fn is_ping(self, message: &[u8]) -> bool {
        match self {
            Self::Centrifugo => message == b"{}",
            Self::Inbox | Self::NchanStreams => sse::is_sign_of_life(message),
            Self::Seafile | Self::Nchan | Self::Centrifugo1 | Self::Mercure => false,
        }
    }

    /// Whether a message says that a command was done.
    pub fn is_answer(self, message: &[u8]) -> bool {
        let begin: &[u8] = match self {
            Self::Centrifugo => br#"{"id":"#,
            // Several commands are answered with a list; all else that comes is an object.
            Self::Centrifugo1 => b"[",
            _ => return false,
        };
        message.starts_with(begin) && memchr::memmem::find(message, b"\"error\"").is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp;

    #[test]
    fn centrifugo_joins_messages() {
        let it = Dialect::Centrifugo;
        let text = b"{}\n{\"id\":2,\"subscribe\":{}}\n{\"push\":{}}";
        let seen: Vec<_> = it
            .messages(text)
            .map(|m| (it.is_ping(m), it.is_answer(m)))
            .collect();
        assert_eq!(seen, [(true, false), (false, true), (false, false)]);
        assert!(!it.is_answer(br#"{"id":2,"error":{"code":103}}"#));
    }

    #[test]
    fn centrifugo_1_answers_with_a_list() {
        let it = Dialect::Centrifugo1;
        assert!(it.is_answer(br#"[{"uid":"1","method":"connect","body":{}}]"#));
        assert!(!it.is_answer(br#"[{"uid":"2","method":"subscribe","error":"limit exceeded"}]"#));
        assert!(!it.is_answer(br#"{"method":"message","body":{}}"#));
    }

    #[test]
    fn mercure_s_comments_are_lines_of_the_next_event() {
        let comment = "2\r\n:\n\r\n";
        let event = "id: 1\ndata: {}\n\n";
        let wire = format!("{comment}{comment}{:x}\r\n{event}\r\n", event.len());
        let mut blocks = Vec::new();
        let take = |block: &[u8]| {
            blocks.push(block.to_vec());
            true
        };
        let done = sse::Body::new(true).take(wire.as_bytes(), take);
        assert_eq!(done, Ok(wire.len()));
        assert_eq!(blocks, [format!(":\n:\n{event}").as_bytes()]);
        assert!(!Dialect::Mercure.is_ping(&blocks[0]));
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
