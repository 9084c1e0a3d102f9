//! Mail for sessions: what another part of their dialect has for them, and what they answer. Sessions live in their
//! connections' tasks, so nobody else can reach them.
//!
//! Invariant: a connection keeps one bit for this; its letters lie here, once a node, bounded for each connection, and go
//! with the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::tracked::Tracked;

/// Letters that may lie for one connection; its task takes them within milliseconds.
const LETTERS: usize = 64;

/// Something for one session.
pub struct Letter {
    /// What it says; only the session's dialect can read it.
    pub(super) body: Bytes,
    answers: Option<mpsc::UnboundedSender<(u64, Bytes)>>,
}

impl Letter {
    /// The session of connection `id` answers.
    pub fn answer(&self, id: u64, answer: Bytes) {
        if let Some(answers) = &self.answers {
            // Nobody waits any more: then nobody needs it.
            let _ = answers.send((id, answer));
        }
    }
}

/// See the module's description.
#[derive(Default)]
pub struct Mailroom(Mutex<HashMap<u64, Vec<Letter>, ahash::RandomState>>);

impl Mailroom {
    /// Sends a letter that needs no answer. Returns whether the connection had room for it.
    pub fn send(&self, to: &Tracked, body: Bytes) -> bool {
        self.put(
            to,
            Letter {
                body,
                answers: None,
            },
        )
    }

    /// Sends all letters. Returns what is answered, by connection, `within` this time; it waits no longer than for the last
    /// answer.
    pub async fn ask(
        &self,
        letters: Vec<(Arc<Tracked>, Bytes)>,
        within: Duration,
    ) -> Vec<(u64, Bytes)> {
        let (answers, mut receiver) = mpsc::unbounded_channel();
        for (to, body) in letters {
            self.put(
                &to,
                Letter {
                    body,
                    answers: Some(answers.clone()),
                },
            );
        }
        // From here on only letters can answer: when the last one is gone, so is the last answer.
        drop(answers);
        let mut all = Vec::new();
        let collect = async {
            while let Some(answer) = receiver.recv().await {
                all.push(answer);
            }
        };
        // Too late is as good as not at all.
        let _ = tokio::time::timeout(within, collect).await;
        all
    }

    fn put(&self, to: &Tracked, letter: Letter) -> bool {
        let mut letters = self.0.lock();
        // A connection is marked before its letters are taken for the last time, so none is left behind.
        if to.is_over() {
            return false;
        }
        let lying = letters.entry(to.outbox.id()).or_default();
        if lying.len() >= LETTERS {
            return false;
        }
        lying.push(letter);
        drop(letters);
        to.has_mail();
        true
    }

    /// The letters for connection `id`.
    pub(super) fn take(&self, id: u64) -> Vec<Letter> {
        self.0.lock().remove(&id).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::outbox::testing::BARE;
    use crate::outbox::{Bounds, Outbox};

    async fn peer(id: u64) -> Arc<Tracked> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_far, near) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        let (_, writer) = near.unwrap().0.into_split();
        let bounds = Bounds {
            messages: 10,
            bytes: 1_000,
        };
        Tracked::new(
            Outbox::new(id, &BARE, bounds, writer),
            IpAddr::from([127, 0, 0, 1]),
        )
    }

    #[tokio::test]
    async fn who_asks_gets_every_answer_and_waits_for_nobody_who_has_none() {
        let (mail, [a, b, gone]) = (
            Mailroom::default(),
            [peer(1).await, peer(2).await, peer(3).await],
        );
        gone.mark_over();
        let letters = [&a, &b, &gone]
            .map(|peer| (Arc::clone(peer), Bytes::from_static(b"who?")))
            .to_vec();
        let tasks = async {
            assert!(a.take_mail() && b.take_mail() && !gone.take_mail());
            for letter in mail.take(1) {
                letter.answer(1, letter.body.clone());
            }
            // The other one has nothing to say.
            assert_eq!(mail.take(2).len(), 1);
        };
        let (answers, ()) = tokio::join!(mail.ask(letters, Duration::MAX), tasks);
        assert_eq!(answers, [(1, Bytes::from_static(b"who?"))]);
        assert!(mail.0.lock().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn letters_are_bounded_for_each_connection() {
        let (mail, peer) = (Mailroom::default(), peer(1).await);
        let sent = (0..2 * LETTERS)
            .filter(|_| mail.send(&peer, Bytes::new()))
            .count();
        assert_eq!((sent, mail.take(1).len()), (LETTERS, LETTERS));
    }
}
