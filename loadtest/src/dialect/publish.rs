//! How an event is posted.
//!
//! Invariant: the event's text is in the request as it is, percent-encoded where that is a form; what a server wants around it stands
//! before and after.

use super::Dialect;
use crate::stamp::{self, Stamp};
use crate::target::Target;
use crate::token::Signer;
use std::borrow::Cow;
use url::form_urlencoded;

/// Where Mercure is subscribed to, and published to.
pub const HUB: &str = "/.well-known/mercure";

/// The header of a request whose body is JSON.
pub const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

impl Dialect {
    /// The token that [`Self::post`] wants; `exp` in Unix seconds.
    pub fn token(self, signer: &Signer, exp: i64) -> String {
        if self == Self::Mercure {
            signer.publication(exp)
        } else {
            signer.event(exp)
        }
    }

    /// Appends the request that posts an event, with `token` in it where the server wants one.
    pub fn post(self, t: &Target, token: &str, s: Stamp, body: &str, out: &mut Vec<u8>) {
        let (before, after) = self.around(&stamp::repo(s.run, s.channel));
        let to = match self {
            Self::Seafile => "/events".to_owned(),
            Self::Nchan | Self::NchanStreams => format!("/pub/{}", stamp::repo(s.run, s.channel)),
            Self::Centrifugo => "/api/publish".to_owned(),
            Self::Centrifugo1 => "/api/".to_owned(),
            Self::Inbox => "/webNotification".to_owned(),
            Self::Mercure => HUB.to_owned(),
        };
        let headers = match self {
            Self::Seafile => {
                format!("User-Agent: Seafile Server\r\nAuthorization: Token {token}\r\n{JSON}")
            }
            Self::Mercure => format!("Authorization: Bearer {token}\r\n{FORM}"),
            _ => JSON.to_owned(),
        };
        let body: Cow<str> = match self {
            Self::Mercure => form_urlencoded::byte_serialize(body.as_bytes()).collect(),
            _ => body.into(),
        };
        request(t, &to, &headers, &[&before, &body, after], out);
    }

    /// What stands before and after the event in the body: the channel, where the path does not name it.
    fn around(self, channel: &str) -> (String, &'static str) {
        match self {
            Self::Seafile | Self::Nchan | Self::NchanStreams => Default::default(),
            Self::Centrifugo => (format!(r#"{{"channel":"{channel}","data":"#), "}"),
            Self::Centrifugo1 => (
                format!(r#"{{"method":"publish","params":{{"channel":"{channel}","data":"#),
                "}}",
            ),
            Self::Inbox => (format!(r#"{{"id":"notify_{channel}","data":"#), "}"),
            Self::Mercure => (format!("topic={channel}&data="), ""),
        }
    }
}

/// Appends a request that posts `parts`, one behind the other, with `headers`, its type among them.
pub fn request(t: &Target, to: &str, headers: &str, parts: &[&str], out: &mut Vec<u8>) {
    let Target { host, path, .. } = t;
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let head = format!(
        "POST {path}{to} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {len}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::answer;
    use serde_json::Value;

    /// The body that is posted for one event, and the event.
    fn posted(dialect: Dialect) -> (Vec<u8>, Value) {
        let t = Target::parse("http://127.0.0.1:1", false).unwrap();
        let s = Stamp {
            run: 1,
            channel: 2,
            seq: 3,
            at_ns: 4,
        };
        let (mut body, mut out) = (String::new(), Vec::new());
        stamp::body(&mut body, s, 0);
        dialect.post(&t, "", s, &body, &mut out);
        let a = answer(&out).unwrap();
        assert_eq!(a.body, out.len() - a.head, "{dialect:?}");
        (out.split_off(a.head), read(body.as_bytes()))
    }

    fn read(text: &[u8]) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    #[test]
    fn the_channel_is_named_around_the_event() {
        let (channel, of_user) = (stamp::repo(1, 2), format!("notify_{}", stamp::repo(1, 2)));
        for (dialect, named, want) in [
            (Dialect::Centrifugo, "/channel", &channel),
            (Dialect::Centrifugo1, "/params/channel", &channel),
            (Dialect::Inbox, "/id", &of_user),
        ] {
            let (sent, event) = posted(dialect);
            let sent = read(&sent);
            assert_eq!(sent.pointer(named).unwrap(), want, "{dialect:?}");
            let data = named.rsplit_once('/').unwrap().0.to_owned() + "/data";
            assert_eq!(sent.pointer(&data).unwrap(), &event, "{dialect:?}");
        }
    }

    #[test]
    fn others_are_posted_the_event_alone() {
        for dialect in [Dialect::Seafile, Dialect::Nchan, Dialect::NchanStreams] {
            let (sent, event) = posted(dialect);
            assert_eq!(read(&sent), event, "{dialect:?}");
        }
    }

    #[test]
    fn a_form_has_the_event_encoded() {
        let (sent, event) = posted(Dialect::Mercure);
        let fields: Vec<_> = form_urlencoded::parse(&sent).collect();
        let [(topic, channel), (data, text)] = &fields[..] else {
            panic!("{fields:?}")
        };
        assert_eq!((&**topic, &**data), ("topic", "data"));
        assert_eq!(channel, &stamp::repo(1, 2));
        assert_eq!(read(text.as_bytes()), event);
        assert!(
            sent.iter()
                .all(|b| b.is_ascii_alphanumeric() || b"=&%-_.*+".contains(b))
        );
    }
}
