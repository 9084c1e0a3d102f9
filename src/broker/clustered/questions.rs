//! Questions to all nodes: who waits for answers, and which were answered already.
//!
//! Invariants: a question that comes over several shards, or twice, is answered once, and each node's answer is taken once;
//! a question that nobody waits for any more is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Questions that are remembered, so as not to answer one twice.
const REMEMBERED: usize = 256;

type Answer = (u64, Bytes);

/// A question whose answers are waited for, and who has answered.
struct Pending {
    sender: mpsc::UnboundedSender<Answer>,
    answered: Vec<u64>,
}

/// See the module.
#[derive(Default)]
pub struct Questions {
    last: AtomicU64,
    pending: Mutex<HashMap<u64, Pending>>,
    answered: Mutex<VecDeque<(u64, u64)>>,
}

/// One question's answers; dropping it forgets the question.
pub struct Answers<'a> {
    questions: &'a Questions,
    id: u64,
    receiver: mpsc::UnboundedReceiver<Answer>,
}

impl Questions {
    /// A question is about to be asked.
    pub fn ask(&self) -> Answers<'_> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = mpsc::unbounded_channel();
        self.pending.lock().insert(
            id,
            Pending {
                sender,
                answered: Vec::new(),
            },
        );
        Answers {
            questions: self,
            id,
            receiver,
        }
    }

    /// A node answered; what a carrier brings twice counts once.
    pub fn answered(&self, id: u64, from: u64, body: Bytes) {
        let mut pending = self.pending.lock();
        let Some(asked) = pending
            .get_mut(&id)
            .filter(|asked| !asked.answered.contains(&from))
        else {
            return;
        };
        asked.answered.push(from);
        // Whoever waited may have just gone.
        let _ = asked.sender.send((from, body));
    }

    /// Whether the question `id` of the node `from` was not heard before.
    pub fn is_new(&self, from: u64, id: u64) -> bool {
        let mut answered = self.answered.lock();
        let new = !answered.contains(&(from, id));
        if new {
            answered.push_back((from, id));
            if answered.len() > REMEMBERED {
                answered.pop_front();
            }
        }
        new
    }
}

impl Answers<'_> {
    /// The question's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The next answer, and whose it is.
    pub async fn next(&mut self) -> Option<Answer> {
        self.receiver.recv().await
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        self.questions.pending.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once() {
        let questions = Questions::default();
        assert!(questions.is_new(1, 7) && !questions.is_new(1, 7) && questions.is_new(2, 7));
        (10..10 + 2 * REMEMBERED as u64).for_each(|id| assert!(questions.is_new(1, id)));
        assert!(questions.answered.lock().len() <= REMEMBERED);
    }

    #[test]
    fn nobody_is_remembered_who_does_not_wait() {
        let questions = Questions::default();
        let mut answers = questions.ask();
        questions.answered(1, 5, Bytes::from_static(b"a"));
        questions.answered(1, 5, Bytes::from_static(b"a"));
        questions.answered(2, 5, Bytes::from_static(b"b"));
        assert_eq!(
            answers.receiver.try_recv().ok(),
            Some((5, Bytes::from_static(b"a")))
        );
        assert!(
            answers.receiver.try_recv().is_err(),
            "each node counts once"
        );
        drop(answers);
        assert!(questions.pending.lock().is_empty());
    }
}
