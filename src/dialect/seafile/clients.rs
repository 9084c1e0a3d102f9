//! The kinds of Seafile clients: how they are told apart, written to, and told that their connection ends.
//!
//! Invariant: a web page survives only five closes in its life, and checks nothing on connecting: it is closed only where
//! nothing else is left, and after all others.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use bytes::Bytes;

use crate::connection::handshake::has_token;
use crate::connection::websocket::framing::{PING, payload, text_frame};
use crate::event::Event;
use crate::outbox::{Deflate, Kind, Wire};
use crate::session::{Close, Why};

/// How metrics and logs call the dialect.
pub const DIALECT: &str = "seafile";

/// What desktop clients offer as `Sec-WebSocket-Protocol`.
const SUBPROTOCOL: &str = "notification.seafile.com";

/// libwebsockets pings every idle second; a client that did and stopped is gone.
const PINGER_PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// A desktop client or SeaDrive: comes back 60 s after any close and then checks everything anew.
pub static DESKTOP: Kind = Kind {
    dialect: DIALECT,
    label: "desktop",
    wire: &WebSocket,
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: false,
    pinger_patience: PINGER_PATIENCE,
    close: |why| Some(close(why)),
};

/// A web page: comes back five times in its life, then never.
static WEB: Kind = Kind {
    dialect: DIALECT,
    label: "web",
    wire: &WebSocket,
    deflate: Deflate::Never,
    drained_last: true,
    closed_at_once: false,
    pinger_patience: PINGER_PATIENCE,
    close: |why| (*why != Why::Missed).then(|| close(why)),
};

/// Anything else; treated as a desktop client.
pub static OTHER: Kind = Kind {
    dialect: DIALECT,
    label: "other",
    wire: &WebSocket,
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: false,
    pinger_patience: PINGER_PATIENCE,
    close: |why| Some(close(why)),
};

/// What kind of client sends such headers.
pub fn kind(headers: &HeaderMap) -> &'static Kind {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .unwrap_or_default();
    if has_token(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) || agent.starts_with("Sea") {
        &DESKTOP
    } else if headers.contains_key(ORIGIN) && agent.starts_with("Mozilla/") {
        &WEB
    } else {
        &OTHER
    }
}

fn close(why: &Why) -> Close {
    match why {
        Why::Draining => Close::new(1001, "this node is about to end: connect again", "drain"),
        Why::Missed => Close::new(1012, "events may have been lost: connect again", "resync"),
        Why::Slow => Close::new(1013, "too slow: messages were not read in time", "overflow"),
        Why::Silent => Close::new(
            Close::ABNORMAL,
            "dead: nothing was heard of the client",
            "dead",
        ),
        Why::Idle => Close::new(1008, "no subscription in time", "unauthenticated"),
        Why::Administrator => Close::new(1008, "disconnected by an administrator", "admin"),
        Why::Unfinished => Close::new(
            1008,
            "the message did not come to its end in time",
            "unfinished",
        ),
        Why::Crowded => Close::new(
            1013,
            "too much has begun to come to this node: connect again",
            "crowded",
        ),
        Why::TooLong => Close::new(
            1009,
            "the message is longer than this server takes",
            "too-big",
        ),
        Why::NotText => Close::new(1007, "a text message must be UTF-8", "utf8"),
        Why::Protocol(how) => Close {
            code: 1002,
            reason: how.chars().take(100).collect::<String>().into(),
            label: "protocol",
        },
    }
}

/// One JSON object in one text frame, always: clients read each piece that they receive as a document of its own.
pub struct WebSocket;

impl Wire for WebSocket {
    fn name(&self) -> &'static str {
        "seafile/websocket"
    }

    fn event(&self, event: &Event) -> Bytes {
        text_frame(&[
            br#"{"type":""#,
            event.name.as_bytes(),
            br#"","content":"#,
            &event.data,
            b"}\n",
        ])
    }

    fn message(&self, text: &[u8]) -> Bytes {
        text_frame(&[text])
    }

    fn heartbeat(&self) -> &'static [u8] {
        PING
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        payload(frame).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    #[test]
    fn clients_are_told_apart() {
        let kind = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(k, v)| (HeaderName::from_static(k), v.parse().expect("a value")));
            kind(&pairs.collect()).label
        };
        assert_eq!(
            kind(&[
                ("sec-websocket-protocol", "notification.seafile.com"),
                ("origin", "http://x")
            ]),
            "desktop"
        );
        assert_eq!(kind(&[("user-agent", "SeaDrive/3.0")]), "desktop");
        assert_eq!(
            kind(&[("user-agent", "Mozilla/5.0"), ("origin", "https://cloud")]),
            "web"
        );
        assert_eq!(kind(&[("user-agent", "curl/8")]), "other");
    }

    #[test]
    fn only_web_pages_stay_when_events_may_have_been_lost() {
        assert_eq!((WEB.close)(&Why::Missed), None);
        for kind in [&DESKTOP, &OTHER] {
            assert_eq!(
                (kind.close)(&Why::Missed).map(|close| close.code),
                Some(1012)
            );
        }
        assert_eq!((WEB.close)(&Why::Slow).map(|close| close.code), Some(1013));
    }
}
