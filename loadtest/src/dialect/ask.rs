//! What a backend asks of a channel by the APIs of Centrifugo 1 and 6: who is there, and what was published.
//!
//! Invariant: how many an answer tells of is counted from its text, the same way for both.

use super::Dialect;
use super::publish::{JSON, request};
use crate::stamp;
use crate::target::Target;
use memchr::memmem;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is there?
    Presence,
    /// What was published?
    History,
}

impl Question {
    fn method(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::History => "history",
        }
    }

    /// Of how many clients, or messages, an answer tells.
    pub fn told(self, answer: &[u8]) -> usize {
        let one: &[u8] = match self {
            Self::Presence => br#""client":"#,
            Self::History => stamp::MARK,
        };
        memmem::find_iter(answer, one).count()
    }
}

impl Dialect {
    /// Appends the request that asks this of `channel`; of its messages `most` are wanted.
    pub fn ask(self, t: &Target, q: Question, channel: &str, most: u32, out: &mut Vec<u8>) {
        let method = q.method();
        if self == Self::Centrifugo1 {
            let body = format!(r#"{{"method":"{method}","params":{{"channel":"{channel}"}}}}"#);
            return request(t, "/api/", JSON, &[&body], out);
        }
        let limit = match q {
            Question::Presence => String::new(),
            Question::History => format!(r#","limit":{most}"#),
        };
        let body = format!(r#"{{"channel":"{channel}"{limit}}}"#);
        request(t, &format!("/api/{method}"), JSON, &[&body], out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::answer;

    #[test]
    fn a_channel_is_asked() {
        let t = Target::parse("http://127.0.0.1:1", false).unwrap();
        for (dialect, question, want) in [
            (
                Dialect::Centrifugo1,
                Question::Presence,
                r#"POST /api/ {"method":"presence","params":{"channel":"c"}}"#,
            ),
            (
                Dialect::Centrifugo1,
                Question::History,
                r#"POST /api/ {"method":"history","params":{"channel":"c"}}"#,
            ),
            (
                Dialect::Centrifugo,
                Question::Presence,
                r#"POST /api/presence {"channel":"c"}"#,
            ),
            (
                Dialect::Centrifugo,
                Question::History,
                r#"POST /api/history {"channel":"c","limit":9}"#,
            ),
        ] {
            let mut out = Vec::new();
            dialect.ask(&t, question, "c", 9, &mut out);
            let a = answer(&out).unwrap();
            assert_eq!(a.head + a.body, out.len());
            let text = String::from_utf8(out).unwrap();
            let line = text.split(" HTTP/1.1").next().unwrap();
            assert_eq!(format!("{line} {}", &text[a.head..]), want);
        }
    }

    #[test]
    fn what_is_told_is_counted() {
        let (v1, v6) = (
            br#"[{"body":{"channel":"c","data":{"1":{"user":"","client":"1"},"2":{"user":"","client":"2"}}}}]"#,
            br#"{"result":{"presence":{"1":{"client":"1"},"2":{"client":"2"}}}}"#,
        );
        assert_eq!(Question::Presence.told(v1), 2);
        assert_eq!(Question::Presence.told(v6), 2);
        let event = r#"{"content":{"commit_id":"00"}}"#;
        let messages = format!(r#"[{{"data":{event}}},{{"data":{event}}},{{"data":{event}}}]"#);
        assert_eq!(Question::History.told(messages.as_bytes()), 3);
    }
}
