//! Requests at this node for sessions that are at another one: the nodes are asked who has it, and that one is asked on and on.
//!
//! Invariants: what is fetched is asked for by number, so that nothing is lost with an answer, or told twice; what is said travels
//! only to a session that is somewhere; how many such requests there are at once is bounded.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::metrics::gauge;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::wire::DIALECT;
use super::super::{Centrifugo, figures};
use super::talk::{Question, Reply, Want};
use crate::cluster::{Cluster, Found};
use crate::connection::detached::Fetched;
use crate::drain::Tasks;
use crate::session::Close;

/// Requests for sessions elsewhere that this node answers at once.
pub const MOST: usize = 1_024;
/// Requests at once of which this node does not know where their sessions are: a new session is one until all nodes have said that
/// they have none of its name, and those that come together when a node is silent wait for it together.
pub const LOOKS: usize = 8 * MOST;
/// Answers in a row that may get lost.
const MISSES: u8 = 3;

/// Why nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// No other node has the session.
    Nowhere,
    /// Another request fetches from it.
    Taken,
    /// More was said to it than may wait.
    TooMuch,
    /// There are as many such requests as there may be.
    Full,
}

/// Says something to a session elsewhere.
///
/// # Errors
/// [`Failed`]
pub async fn say(centrifugo: &Centrifugo, name: &str, said: &[u8]) -> Result<(), Failed> {
    let look = room(&centrifugo.sockjs.looks)?;
    let cluster = &centrifugo.context.cluster;
    let question = |want| Question {
        session: name.to_owned(),
        want,
    };
    // Every node hears every question, and anybody may name a session that is nowhere.
    let has = question(Want::Has).write(b"");
    if answered(cluster, &has).await != Some(Reply::Done) {
        return Err(Failed::Nowhere);
    }
    drop(look);
    let _permit = Permit::new(room(&centrifugo.sockjs.elsewhere)?);
    let id = rand::random();
    let say = question(Want::Say { id }).write(said);
    match answered(cluster, &say).await {
        Some(Reply::Done) => Ok(()),
        Some(Reply::TooMuch) => Err(Failed::TooMuch),
        _ => Err(Failed::Nowhere),
    }
}

/// What the node that has the session answers; a node that says nothing in time is asked again.
async fn answered(cluster: &Cluster, question: &[u8]) -> Option<Reply> {
    for _ in 0..MISSES {
        match cluster.find(DIALECT, question).await {
            Found::Unsure => {}
            found => return reply(found),
        }
    }
    None
}

fn room(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failed> {
    Arc::clone(room)
        .try_acquire_owned()
        .map_err(|_| Failed::Full)
}

fn reply(found: Found) -> Option<Reply> {
    match found {
        Found::Answer(answer) => Reply::read(&answer),
        Found::Nowhere | Found::Unsure => None,
    }
}

/// A request that is being answered, as metrics count it.
struct Permit(#[allow(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Permit {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        gauge!(figures::ELSEWHERE).increment(1.0);
        Self(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        gauge!(figures::ELSEWHERE).decrement(1.0);
    }
}

/// A request that fetches from a session elsewhere. Dropped before [`RemoteFetch::leave`], it was cut off, and the session ends.
pub struct RemoteFetch {
    cluster: Arc<Cluster>,
    tasks: Tasks,
    name: String,
    by: u64,
    number: u32,
    asked: Option<BoxFuture<'static, Found>>,
    misses: u8,
    /// Nothing is to be said to the session any more.
    over: bool,
    permit: Option<Permit>,
}

impl RemoteFetch {
    /// Begins to fetch from the session of this name, wherever it is.
    ///
    /// # Errors
    /// [`Failed`]
    pub async fn begin(centrifugo: &Centrifugo, name: &str) -> Result<Self, Failed> {
        let look = room(&centrifugo.sockjs.looks)?;
        let mut remote = Self {
            cluster: Arc::clone(&centrifugo.context.cluster),
            tasks: centrifugo.sockjs.connections.tasks.clone(),
            name: name.to_owned(),
            by: rand::random(),
            number: 0,
            asked: None,
            misses: 0,
            // Wherever the question arrives, the session is taken: also if it comes late, and if the client does not wait for it.
            over: false,
            permit: None,
        };
        let found = remote.ask(Want::Begin { by: remote.by }).await;
        drop(look);
        remote.over = found == Found::Nowhere;
        match reply(found) {
            Some(Reply::Done) => {}
            Some(Reply::Taken) => {
                remote.over = true;
                return Err(Failed::Taken);
            }
            _ => return Err(Failed::Nowhere),
        }
        match room(&centrifugo.sockjs.elsewhere) {
            Ok(room) => {
                remote.permit = Some(Permit::new(room));
                Ok(remote)
            }
            Err(full) => {
                // Nothing was fetched, so nothing is lost with it.
                remote.leave().await;
                Err(full)
            }
        }
    }

    fn ask(&self, want: Want) -> BoxFuture<'static, Found> {
        let (cluster, question) = (
            Arc::clone(&self.cluster),
            Question {
                session: self.name.clone(),
                want,
            }
            .write(b""),
        );
        Box::pin(async move { cluster.find(DIALECT, &question).await })
    }

    /// What is next; `None`: this node ends, and another one has to go on.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Fetched>> {
        loop {
            if self.asked.is_none() && self.tasks.is_stopped() {
                return Poll::Ready(None);
            }
            let asked = match &mut self.asked {
                Some(asked) => asked,
                None => {
                    let asked = self.ask(Want::Fetch {
                        by: self.by,
                        number: self.number,
                    });
                    self.asked.insert(asked)
                }
            };
            let reply = reply(ready!(asked.as_mut().poll(cx)));
            self.asked = None;
            match reply {
                Some(Reply::Fetched(fetched)) => {
                    self.noted();
                    if let Fetched::End(_) = fetched {
                        // It has arrived, and need not be told again.
                        self.part();
                    }
                    return Poll::Ready(Some(fetched));
                }
                Some(Reply::Nothing) => self.noted(),
                _ if self.misses < MISSES => self.misses += 1,
                _ => {
                    // The node that had it is gone, or nearly so.
                    let lost = Close::new(
                        Close::ABNORMAL,
                        "the node that has the session does not answer",
                        "lost",
                    );
                    self.over = true;
                    return Poll::Ready(Some(Fetched::End(lost)));
                }
            }
        }
    }

    /// Leaves without another request to come.
    fn part(&mut self) {
        self.over = true;
        let left = self.ask(Want::Leave {
            by: self.by,
            in_order: false,
        });
        self.tasks
            .spawn("sockjs-part", async move { drop(left.await) });
    }

    fn noted(&mut self) {
        (self.number, self.misses) = (self.number.wrapping_add(1), 0);
    }

    /// The request has all that it is to have: another one will come, once this is done. It is done also where nobody waits.
    pub fn leave(mut self) -> BoxFuture<'static, ()> {
        if std::mem::replace(&mut self.over, true) {
            return Box::pin(std::future::ready(()));
        }
        let left = self.ask(Want::Leave {
            by: self.by,
            in_order: true,
        });
        let (done, is_done) = oneshot::channel();
        self.tasks.clone().spawn("sockjs-leave", async move {
            left.await;
            drop(self);
            // Who waited may be gone.
            let _ = done.send(());
        });
        Box::pin(async move { drop(is_done.await) })
    }
}

impl Drop for RemoteFetch {
    fn drop(&mut self) {
        if !self.over {
            self.part();
        }
    }
}
