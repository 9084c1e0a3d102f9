//! How an event is posted.
//!
//! Invariant: the event's text is in the request as it is; what a server wants around it stands before and after.

use super::Dialect;
use crate::stamp::{self, Stamp};
use crate::target::Target;

impl Dialect {
    /// Appends the request that posts an event, with `token` in it where the server wants one.
    pub fn post(self, t: &Target, token: &str, s: Stamp, body: &str, out: &mut Vec<u8>) {
        let (before, after) = self.around(&stamp::repo(s.run, s.channel));
        let to = match self {
            Self::Seafile => "/events".to_owned(),
            Self::Nchan | Self::NchanStreams => format!("/pub/{}", stamp::repo(s.run, s.channel)),
            Self::Centrifugo => "/api/publish".to_owned(),
            Self::Centrifugo1 => "/api/".to_owned(),
            Self::Inbox => "/webNotification".to_owned(),
        };
        let who = if self == Self::Seafile {
            format!("User-Agent: Seafile Server\r\nAuthorization: Token {token}\r\n")
        } else {
            String::new()
        };
        request(t, &to, &who, &[&before, body, after], out);
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
        }
    }
}

/// Appends a request that posts JSON, whose parts stand one behind the other, with `who` among its headers.
pub fn request(t: &Target, to: &str, who: &str, parts: &[&str], out: &mut Vec<u8>) {
    let Target { host, path, .. } = t;
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let head = format!(
        "POST {path}{to} HTTP/1.1\r\nHost: {host}\r\n{who}Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
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
    fn posted(dialect: Dialect) -> (Value, Value) {
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
        let read = |text: &[u8]| serde_json::from_slice(text).unwrap();
        (read(&out[a.head..]), read(body.as_bytes()))
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
            assert_eq!(sent.pointer(named).unwrap(), want, "{dialect:?}");
            let data = named.rsplit_once('/').unwrap().0.to_owned() + "/data";
            assert_eq!(sent.pointer(&data).unwrap(), &event, "{dialect:?}");
        }
    }

    #[test]
    fn others_are_posted_the_event_alone() {
        for dialect in [Dialect::Seafile, Dialect::Nchan, Dialect::NchanStreams] {
            let (sent, event) = posted(dialect);
            assert_eq!(sent, event, "{dialect:?}");
        }
    }
}
