//! What nodes say to one another of a session that is at one of them, while a request for it is at another.
//!
//! Invariants: what a newer version says and this one cannot read is left unanswered; an answer tells all of what it answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::connection::detached::Fetched;
use crate::session::Close;

/// What such a question begins with.
pub const SUBJECT: &[u8] = b"sockjs\n";

/// What is wanted of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// To fetch from it from now on, while nobody else does. It takes nothing yet.
    Begin {
        /// The request that fetches.
        by: u64,
    },
    /// To fetch what is next. Asked again under the same number, it is the same once more.
    Fetch {
        /// The request that fetches.
        by: u64,
        /// Counts what it fetches, from 0.
        number: u32,
    },
    /// To fetch nothing more.
    Leave {
        /// The request that fetched.
        by: u64,
        /// Whether another one will come.
        in_order: bool,
    },
    /// To say what stands behind the question.
    Say {
        /// Names what is said. What comes again under the same one is done once.
        id: u64,
    },
    /// To know whether it is there. What is long is said only to a session that is.
    Has,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The session's name.
    pub(super) session: String,
    /// What is wanted of it.
    pub(super) want: Want,
}

impl Question {
    /// As it travels, with what is said behind it.
    pub fn write(&self, said: &[u8]) -> Vec<u8> {
        let head = serde_json::to_vec(self).unwrap_or_default();
        [SUBJECT, &head, b"\n", said].concat()
    }

    /// Reads one, and what is said behind it.
    pub fn read(question: &Bytes) -> Option<(Self, Bytes)> {
        let head = question.strip_prefix(SUBJECT)?;
        let end = SUBJECT.len() + head.iter().position(|byte| *byte == b'\n')?;
        Some((
            serde_json::from_slice(&question[SUBJECT.len()..end]).ok()?,
            question.slice(end + 1..),
        ))
    }
}

/// What the node that has the session answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// There is nothing yet.
    Nothing,
    /// This is next.
    Fetched(Fetched),
    /// Another request fetches.
    Taken,
    /// It is done.
    Done,
    /// More was said than may wait.
    TooMuch,
}

impl Reply {
    /// As it travels.
    pub fn write(&self) -> Bytes {
        match self {
            Self::Nothing => Bytes::from_static(b"n"),
            Self::Taken => Bytes::from_static(b"t"),
            Self::Done => Bytes::from_static(b"d"),
            Self::TooMuch => Bytes::from_static(b"m"),
            Self::Fetched(Fetched::Begun) => Bytes::from_static(b"o"),
            Self::Fetched(Fetched::Frames(frames)) => [b"f", frames.as_ref()].concat().into(),
            Self::Fetched(Fetched::End(close)) => {
                format!("c{} {}", close.code, close.reason).into()
            }
        }
    }

    /// Reads one.
    pub fn read(reply: &Bytes) -> Option<Self> {
        Some(match reply.first()? {
            b'n' => Self::Nothing,
            b't' => Self::Taken,
            b'd' => Self::Done,
            b'm' => Self::TooMuch,
            b'o' => Self::Fetched(Fetched::Begun),
            b'f' => Self::Fetched(Fetched::Frames(reply.slice(1..))),
            b'c' => {
                let (code, reason) = std::str::from_utf8(&reply[1..]).ok()?.split_once(' ')?;
                let reason = reason.to_owned().into();
                Self::Fetched(Fetched::End(Close {
                    code: code.parse().ok()?,
                    reason,
                    label: "elsewhere",
                }))
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_arrive_as_they_were_sent() {
        let question = Question {
            session: "a\"b\n".to_owned(),
            want: Want::Fetch {
                by: u64::MAX,
                number: 3,
            },
        };
        assert_eq!(
            Question::read(&question.write(b"x\ny").into()),
            Some((question, Bytes::from_static(b"x\ny")))
        );
        for strange in [
            &b"stats"[..],
            b"sockjs\n",
            b"sockjs\n{}\n",
            b"sockjs\n{\"session\":\"a\",\"want\":\"zork\"}\n",
        ] {
            assert_eq!(Question::read(&Bytes::copy_from_slice(strange)), None);
        }
        let end = Close {
            code: 3000,
            reason: "a b".into(),
            label: "elsewhere",
        };
        for reply in [
            Reply::Nothing,
            Reply::Taken,
            Reply::Done,
            Reply::TooMuch,
            Reply::Fetched(Fetched::Begun),
            Reply::Fetched(Fetched::Frames(Bytes::from_static(b"\"x\"\n"))),
            Reply::Fetched(Fetched::End(end)),
        ] {
            assert_eq!(Reply::read(&reply.write()), Some(reply));
        }
        assert_eq!(
            (
                Reply::read(&Bytes::new()),
                Reply::read(&Bytes::from_static(b"z"))
            ),
            (None, None)
        );
    }
}
