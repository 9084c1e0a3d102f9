//! Sessions of this node that requests at other nodes fetch from.
//!
//! Invariants: what was fetched for another node is kept until that node asks for what follows, so that an answer that gets lost
//! takes nothing with it, not even the end. A question that comes late, when a later one was answered, takes nothing and changes nothing. A node that
//! asks no more is as good as a request that was cut off.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::super::Centrifugo;
use super::talk::{Question, Reply, Want};
use crate::connection::detached::{Desk, Fetched, Fetcher, TooMuch};
use crate::drain::Tasks;

/// How long an answer waits for something to tell; nodes wait for each other a little longer.
const WAIT: Duration = Duration::from_secs(1);
/// How long a node may take to ask again: as long as its client takes to read what came last.
const LOST: Duration = Duration::from_secs(30);

/// A question about one relay.
enum Asked {
    Fetch {
        number: u32,
        answer: oneshot::Sender<Reply>,
    },
    Leave {
        in_order: bool,
        answer: oneshot::Sender<Reply>,
    },
}

type Open = HashMap<u64, mpsc::Sender<Asked>, RandomState>;

/// What is fetched for requests at other nodes, by the number of the request.
#[derive(Clone, Default)]
pub(super) struct Relays(Arc<Mutex<Open>>);

/// Answers another node's question; `None`: the session is not here.
pub async fn answer(centrifugo: Arc<Centrifugo>, question: Bytes) -> Option<Bytes> {
    let (Question { session, want }, said) = Question::read(&question)?;
    let sockjs = &centrifugo.sockjs;
    let reply = match want {
        Want::Has => {
            sockjs.table.find(&session)?;
            Reply::Done
        }
        Want::Say { id } => match sockjs.table.find(&session)?.say_once(id, said) {
            Ok(()) => Reply::Done,
            Err(TooMuch) => Reply::TooMuch,
        },
        Want::Leave { by, in_order } => {
            let leave = |answer| Asked::Leave { in_order, answer };
            match sockjs.relays.ask(by, leave).await {
                Some(left) => left,
                // Where it has overtaken the beginning, that is not to begin any more.
                None if sockjs.table.find(&session)?.if_new(by, || ()).is_some() => return None,
                // Else it has begun meanwhile, or is over.
                None => sockjs.relays.ask(by, leave).await?,
            }
        }
        Want::Begin { by } => {
            let desk = sockjs.table.find(&session)?;
            let open = || sockjs.relays.open(&desk, by, &sockjs.connections.tasks);
            match desk.if_new(by, open) {
                Some(true) => Reply::Done,
                Some(false) => Reply::Taken,
                None if sockjs.relays.has(by) => Reply::Done,
                // It has left, or was told that another fetches: nobody would fetch.
                None => return None,
            }
        }
        Want::Fetch { by, number } => {
            sockjs
                .relays
                .ask(by, |answer| Asked::Fetch { number, answer })
                .await?
        }
    };
    Some(reply.write())
}

impl Relays {
    fn has(&self, by: u64) -> bool {
        self.0.lock().contains_key(&by)
    }

    /// Begins to fetch for a request elsewhere. Returns whether nobody else fetches.
    fn open(&self, desk: &Arc<Desk>, by: u64, tasks: &Tasks) -> bool {
        // Nobody is here to cut off: who does not ask any more is noticed.
        let Ok(fetcher) = desk.fetch(Box::new(|| {})) else {
            return false;
        };
        let (sender, asked) = mpsc::channel(4);
        self.0.lock().insert(by, sender);
        let place = RelaySeat {
            relays: self.clone(),
            by,
        };
        tasks.spawn("sockjs-relay", relay(fetcher, asked, tasks.clone(), place));
        true
    }

    async fn ask(
        &self,
        by: u64,
        ask: impl FnOnce(oneshot::Sender<Reply>) -> Asked,
    ) -> Option<Reply> {
        let relay = self.0.lock().get(&by).cloned()?;
        let (sender, answer) = oneshot::channel();
        relay.send(ask(sender)).await.ok()?;
        answer.await.ok()
    }
}

/// A relay's place among them, given up when dropped.
struct RelaySeat {
    relays: Relays,
    by: u64,
}

impl Drop for RelaySeat {
    fn drop(&mut self) {
        self.relays.0.lock().remove(&self.by);
    }
}

/// Fetches for a request elsewhere, until that leaves, is not heard of any more, or has all.
async fn relay(
    fetcher: Fetcher,
    mut asked: mpsc::Receiver<Asked>,
    tasks: Tasks,
    _place: RelaySeat,
) {
    let (mut fetcher, mut told) = (Some(fetcher), Told::default());
    loop {
        let next = tokio::select! {
            next = asked.recv() => next,
            () = lost(&tasks) => None,
        };
        let Some(next) = next else { return };
        match next {
            Asked::Leave { in_order, answer } => {
                if let Some(fetcher) = fetcher.take()
                    && in_order
                {
                    fetcher.has_all();
                }
                // Whoever asked does not need it any more then.
                let _ = answer.send(Reply::Done);
                return;
            }
            Asked::Fetch { number, answer } => {
                let reply = match (told.before(number), &mut fetcher) {
                    (Some(reply), _) => reply,
                    (None, Some(fetcher)) => told.fetched(number, fetch(fetcher).await),
                    (None, None) => return,
                };
                // The end is told again to who asks again; the session does not wait for that.
                if matches!(reply, Reply::Fetched(Fetched::End(_)))
                    && let Some(fetcher) = fetcher.take()
                {
                    fetcher.has_all();
                }
                let _ = answer.send(reply);
            }
        }
    }
}

/// What was answered last, and under which number.
#[derive(Default)]
struct Told(Option<(u32, Reply)>);

impl Told {
    /// What a question is answered for which nothing is to be fetched: it comes again, or too late.
    fn before(&self, number: u32) -> Option<Reply> {
        let (told, reply) = self.0.as_ref()?;
        match number.cmp(told) {
            Ordering::Less => Some(Reply::Nothing),
            Ordering::Equal => Some(reply.clone()),
            Ordering::Greater => None,
        }
    }

    fn fetched(&mut self, number: u32, reply: Reply) -> Reply {
        self.0 = Some((number, reply.clone()));
        reply
    }
}

/// Waits until nobody is thought to ask again. A node that ends does not think for long.
async fn lost(tasks: &Tasks) {
    tokio::select! {
        () = sleep(LOST) => {}
        () = async { tasks.stopped().await; sleep(2 * WAIT).await } => {}
    }
}

async fn fetch(fetcher: &mut Fetcher) -> Reply {
    match timeout(WAIT, poll_fn(|cx| fetcher.poll_next(cx))).await {
        Ok(fetched) => Reply::Fetched(fetched),
        Err(_) => Reply::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_comes_late_fetches_nothing_and_what_was_told_last_can_be_told_again() {
        assert_eq!(Told::default().before(0), None);
        let frames = Reply::Fetched(Fetched::Frames(Bytes::from_static(b"x")));
        let told = Told(Some((7, frames.clone())));
        for late in [0, 6] {
            assert_eq!(told.before(late), Some(Reply::Nothing));
        }
        assert_eq!(told.before(7), Some(frames.clone()));
        assert_eq!(told.before(7), Some(frames));
        assert_eq!(told.before(8), None);
    }
}
