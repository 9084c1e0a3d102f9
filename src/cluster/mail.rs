//! Mail to sessions, on whichever node they are: each node looks for them among its own connections.
//!
//! Invariant: a letter reaches each session that it is for once, or none; it is waited for no longer than any question between
//! nodes. Looking for a user goes through all connections of every node: it is for what happens now and then, not for events.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};

use super::Cluster;
use crate::connection::tracked::Tracked;

/// What letters are about, to other nodes.
pub(super) const SUBJECT: &str = "mail";
/// How long the sessions of one node have to answer; other nodes wait a little longer.
const WITHIN: Duration = Duration::from_secs(1);

/// Whom a letter is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// All sessions of this user ([`Action::Identify`](crate::session::Action)).
    User(String),
    /// One connection.
    Connection {
        /// The start of a node that has it ([`Identity::id`](super::Identity)).
        node: String,
        /// Its number there.
        id: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    dialect: String,
    to: To,
}

impl Cluster {
    /// Sends `body` to the sessions of `dialect` that it is for, on all nodes, this one included. Returns what they answer in
    /// time; a session that has nothing to say answers nothing.
    pub async fn mail(&self, dialect: &str, to: &To, body: &[u8]) -> Vec<Bytes> {
        let envelope = Envelope {
            dialect: dialect.to_owned(),
            to: to.clone(),
        };
        let Ok(mut letter) = serde_json::to_vec(&envelope) else {
            return Vec::new();
        };
        letter.push(b'\n');
        letter.extend_from_slice(body);
        self.ask(SUBJECT, &letter)
            .await
            .into_iter()
            .flat_map(apart)
            .collect()
    }

    /// Hands a letter out to the sessions of this node that it is for. Returns their answers, put together.
    pub(super) async fn hand_out(&self, letter: Bytes) -> Option<Bytes> {
        let end = letter.iter().position(|byte| *byte == b'\n')?;
        let envelope: Envelope = serde_json::from_slice(&letter[..end]).ok()?;
        let body = letter.slice(end + 1..);
        let is_meant = |peer: &Tracked| match &envelope.to {
            To::User(user) => peer.user() == Some(user),
            To::Connection { id, .. } => peer.outbox.id() == *id,
        };
        let here = match &envelope.to {
            To::Connection { node, .. } => *node == self.identity.id,
            To::User(_) => true,
        };
        let speaks = |peer: &Tracked| peer.outbox.kind().dialect == envelope.dialect;
        let peers = if here {
            self.register.peers(|peer| speaks(peer) && is_meant(peer))
        } else {
            Vec::new()
        };
        if peers.is_empty() {
            return None;
        }
        let letters = peers
            .into_iter()
            .map(|peer: Arc<Tracked>| (peer, body.clone()))
            .collect();
        let answers = self.register.mail().ask(letters, WITHIN).await;
        Some(together(answers.into_iter().map(|(_, answer)| answer)))
    }
}

/// Each answer behind its length.
fn together(answers: impl Iterator<Item = Bytes>) -> Bytes {
    let mut all = Vec::new();
    for answer in answers {
        all.put_u32(answer.len() as u32);
        all.put_slice(&answer);
    }
    all.into()
}

fn apart(mut all: Bytes) -> Vec<Bytes> {
    let mut answers = Vec::new();
    while all.len() >= 4 {
        let length = all.get_u32() as usize;
        if length > all.len() {
            break;
        }
        answers.push(all.split_to(length));
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_apart_as_they_were_put_together() {
        let answers = [&b"one"[..], b"", b"three"].map(Bytes::from_static);
        assert_eq!(apart(together(answers.clone().into_iter())), answers);
        assert!(
            apart(Bytes::from_static(b"\0\0\0\x09short")).is_empty(),
            "another version's"
        );
    }
}
