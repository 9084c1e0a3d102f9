//! Recovering what was missed, by both protocols of Centrifugo: from where a client goes on, and what it is told.
//!
//! Invariant: messages are given in the order in which they were published, whichever way round a server sends them.

use super::Dialect;
use crate::wire;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write;

/// How far a client has come in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The last message: its id by v1's protocol, its number by that of 6. Empty: there was none.
    pub last: String,
    /// What the number is of; v1 has none.
    pub epoch: String,
}

/// What a client hears.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Something was published.
    Message(Message<'a>),
    /// The client is subscribed to one of its channels.
    Subscribed(Subscribed<'a>),
    /// It is not, for this reason.
    Refused(String),
}

/// One message.
#[derive(Debug)]
pub struct Message<'a> {
    /// Where the client is when it has had it: [`Place::last`].
    pub last: Cow<'a, str>,
    /// What was published, JSON.
    pub data: &'a str,
}

/// The answer to a subscription.
#[derive(Debug)]
pub struct Subscribed<'a> {
    /// To which of the client's channels, from 0.
    pub nth: usize,
    /// Where the client is then, if the answer says so.
    pub place: Option<Place>,
    /// Where the client had named a place: whether all that came after it is in `messages`; else something may be missing.
    pub recovered: Option<bool>,
    /// What it missed.
    pub messages: Vec<Message<'a>>,
}

/// The number of the command that subscribes to a client's first channel; the one before connects.
const FIRST: usize = 2;

impl Dialect {
    /// Whether a channel keeps what was published and who is there, and clients can recover.
    pub fn keeps(self) -> bool {
        matches!(self, Self::Centrifugo | Self::Centrifugo1)
    }

    /// Appends the frame that connects and subscribes to each of these channels, from where the client is if it has been there.
    pub fn subscribe_from(
        self,
        wanted: &[(String, Option<Place>)],
        key: [u8; 4],
        out: &mut Vec<u8>,
    ) {
        let v1 = self == Self::Centrifugo1;
        let mut text = String::from(if v1 {
            r#"[{"uid":"1","method":"connect","params":{}}"#
        } else {
            r#"{"id":1,"connect":{}}"#
        });
        for (id, (channel, place)) in (FIRST..).zip(wanted) {
            let from = place.as_ref().map(|Place { last, epoch }| {
                if v1 {
                    format!(r#","recover":true,"last":"{last}""#)
                } else {
                    format!(r#","recover":true,"offset":{last},"epoch":"{epoch}""#)
                }
            });
            let from = from.unwrap_or_default();
            if v1 {
                write!(text, r#",{{"uid":"{id}","method":"subscribe","params":{{"channel":"{channel}"{from}}}}}"#)
            } else {
                write!(text, "\n{{\"id\":{id},\"subscribe\":{{\"channel\":\"{channel}\"{from}}}}}")
            }
            .expect("a string takes all");
        }
        text.push_str(if v1 { "]" } else { "" });
        wire::push_client(out, wire::TEXT, text.as_bytes(), key);
    }

    /// What a text tells a client that recovers; nothing where it is about something else.
    pub fn hear(self, text: &[u8]) -> Vec<Heard<'_>> {
        if self == Self::Centrifugo1 {
            hear_v1(text)
        } else {
            hear_6(text)
        }
    }
}

fn nth(id: usize) -> Option<usize> {
    id.checked_sub(FIRST)
}

#[derive(Deserialize)]
struct AnswerV1<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: SubscriptionV1<'a>,
}

/// The body of the answer to `connect` has nothing of this.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct SubscriptionV1<'a> {
    #[serde(borrow)]
    last: Cow<'a, str>,
    #[serde(borrow)]
    messages: Option<Vec<MessageV1<'a>>>,
    recovered: bool,
}

#[derive(Deserialize)]
struct MessageV1<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct PushV1<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    body: MessageV1<'a>,
}

fn hear_v1(text: &[u8]) -> Vec<Heard<'_>> {
    if let Ok(PushV1 { method, body }) = serde_json::from_slice(text) {
        let heard = (method == "message").then(|| Heard::Message(body.into()));
        return heard.into_iter().collect();
    }
    let answers: Vec<AnswerV1<'_>> = serde_json::from_slice(text).unwrap_or_default();
    answers.into_iter().filter_map(AnswerV1::heard).collect()
}

impl<'a> AnswerV1<'a> {
    fn heard(self) -> Option<Heard<'a>> {
        if let Some(error) = self.error {
            return Some(Heard::Refused(error.into_owned()));
        }
        let nth = nth(self.uid.parse().ok()?)?;
        let body = self.body;
        let recovered = body.messages.is_some().then_some(body.recovered);
        // The newest comes first.
        let messages = body.messages.into_iter().flatten().rev();
        Some(Heard::Subscribed(Subscribed {
            nth,
            // Who recovers is told no place: it is where the last message is, or where it was.
            place: recovered.is_none().then(|| Place {
                last: body.last.into_owned(),
                epoch: String::new(),
            }),
            recovered,
            messages: messages.map(Into::into).collect(),
        }))
    }
}

impl<'a> From<MessageV1<'a>> for Message<'a> {
    fn from(message: MessageV1<'a>) -> Self {
        Self {
            last: message.uid,
            data: message.data.get(),
        }
    }
}

#[derive(Deserialize)]
struct Reply6<'a> {
    id: Option<usize>,
    #[serde(borrow)]
    error: Option<Error6<'a>>,
    #[serde(borrow)]
    subscribe: Option<Subscription6<'a>>,
    #[serde(borrow)]
    push: Option<Push6<'a>>,
}

#[derive(Deserialize)]
struct Error6<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Subscription6<'a> {
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    offset: u64,
    #[serde(borrow)]
    publications: Vec<Publication6<'a>>,
    recovered: bool,
    was_recovering: bool,
}

#[derive(Deserialize)]
struct Push6<'a> {
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication6<'a>>,
}

#[derive(Deserialize)]
struct Publication6<'a> {
    #[serde(default)]
    offset: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn hear_6(text: &[u8]) -> Vec<Heard<'_>> {
    let reply = serde_json::from_slice(text).ok();
    reply.and_then(Reply6::heard).into_iter().collect()
}

impl<'a> Reply6<'a> {
    fn heard(self) -> Option<Heard<'a>> {
        if let Some(error) = self.error {
            return Some(Heard::Refused(error.message.into_owned()));
        }
        if let Some(push) = self.push {
            return Some(Heard::Message(push.publication?.into()));
        }
        let (nth, body) = (nth(self.id?)?, self.subscribe?);
        Some(Heard::Subscribed(Subscribed {
            nth,
            place: Some(Place {
                last: body.offset.to_string(),
                epoch: body.epoch.into_owned(),
            }),
            recovered: body.was_recovering.then_some(body.recovered),
            messages: body.publications.into_iter().map(Into::into).collect(),
        }))
    }
}

impl<'a> From<Publication6<'a>> for Message<'a> {
    fn from(publication: Publication6<'a>) -> Self {
        Self {
            last: publication.offset.to_string().into(),
            data: publication.data.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is heard, in short.
    fn heard(dialect: Dialect, text: &str) -> Vec<String> {
        let messages = |all: &[Message<'_>]| -> Vec<String> {
            let one = |m: &Message<'_>| format!("{}:{}", m.last, m.data);
            all.iter().map(one).collect()
        };
        let short = |heard: &Heard<'_>| match heard {
            Heard::Message(m) => messages(std::slice::from_ref(m)).concat(),
            Heard::Refused(why) => why.clone(),
            Heard::Subscribed(s) => format!(
                "{} {:?} {:?} {}",
                s.nth,
                s.place.as_ref().map(|p| format!("{}@{}", p.last, p.epoch)),
                s.recovered,
                messages(&s.messages).join(" ")
            ),
        };
        dialect.hear(text.as_bytes()).iter().map(short).collect()
    }

    #[test]
    fn version_1_tells_the_newest_first_and_all_subscriptions_in_one_list() {
        let it = |text: &str| heard(Dialect::Centrifugo1, text);
        let connected = r#"{"uid":"1","method":"connect","body":{"client":"c","expires":false}}"#;
        let fresh = r#"{"uid":"2","method":"subscribe","body":{"channel":"a","status":true,"last":"u9","messages":null,"recovered":false}}"#;
        let back = r#"{"uid":"3","method":"subscribe","body":{"channel":"b","status":true,"last":"","messages":[{"uid":"u2","channel":"b","data":2},{"uid":"u1","channel":"b","data":{"n":1}}],"recovered":true}}"#;
        assert_eq!(
            it(&format!("[{connected},{fresh},{back}]")),
            [
                r#"0 Some("u9@") None "#,
                r#"1 None Some(true) u1:{"n":1} u2:2"#
            ]
        );
        let refused = r#"{"uid":"3","method":"subscribe","error":"internal server error","advice":"retry","body":{"channel":"b","status":false,"last":"","messages":null,"recovered":false}}"#;
        assert_eq!(
            it(&format!("[{connected},{refused}]")),
            ["internal server error"]
        );
        assert_eq!(
            it(r#"{"method":"message","body":{"uid":"u3","channel":"a","data":[3]}}"#),
            ["u3:[3]"]
        );
        assert!(it(r#"{"method":"join","body":{"channel":"a","data":{"client":"c"}}}"#).is_empty());
    }

    #[test]
    fn version_6_numbers_messages_and_answers_one_by_one() {
        let it = |text: &str| heard(Dialect::Centrifugo, text);
        assert!(
            it(r#"{"id":1,"connect":{"client":"c","ping":25}}"#).is_empty() && it("{}").is_empty()
        );
        assert_eq!(
            it(
                r#"{"id":3,"subscribe":{"recoverable":true,"epoch":"e","publications":[{"data":1,"offset":7},{"data":2,"offset":8}],"recovered":true,"offset":8,"was_recovering":true}}"#
            ),
            [r#"1 Some("8@e") Some(true) 7:1 8:2"#]
        );
        assert_eq!(
            it(r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"e","positioned":true}}"#),
            [r#"0 Some("0@e") None "#]
        );
        assert_eq!(
            it(r#"{"id":2,"error":{"code":112,"message":"unrecoverable position"}}"#),
            ["unrecoverable position"]
        );
        assert_eq!(
            it(r#"{"push":{"channel":"a","pub":{"data":{"n":1},"offset":9}}}"#),
            [r#"9:{"n":1}"#]
        );
    }

    #[test]
    fn who_was_there_says_where_it_is() {
        let place = |last: &str, epoch: &str| {
            Some(Place {
                last: last.into(),
                epoch: epoch.into(),
            })
        };
        let text = |dialect: Dialect, second| {
            let mut out = Vec::new();
            let wanted = [("a".to_owned(), None), ("b".to_owned(), second)];
            dialect.subscribe_from(&wanted, [0; 4], &mut out);
            let f = wire::frame(&out).expect("a whole frame");
            String::from_utf8(out[f.head..].to_vec()).expect("text")
        };
        let v1: serde_json::Value =
            serde_json::from_str(&text(Dialect::Centrifugo1, place("u1", ""))).expect("a list");
        assert_eq!(v1[1]["params"], serde_json::json!({"channel": "a"}));
        let back = serde_json::json!({"channel": "b", "recover": true, "last": "u1"});
        assert_eq!(v1[2]["params"], back);
        let text = text(Dialect::Centrifugo, place("7", "e"));
        let last = text.lines().nth(2).expect("three commands");
        let want = serde_json::json!({"id": 3, "subscribe": {"channel": "b", "recover": true, "offset": 7, "epoch": "e"}});
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(last).expect("JSON"),
            want
        );
    }
}
