//! Commands that backends push into lists in Redis: publish, broadcast, unsubscribe and disconnect, with no answer.
//!
//! Invariants: one node at a time takes from a list, for as long as its turn is renewed, and what it took stays in Redis until it
//! is with the broker, so that nothing is lost when the node dies over it. Commands of a list are done in their order: nothing
//! is done behind one that the broker is seen to drop. What a living node has done it does not do again, even if it could
//! not tell Redis, unless another one had its turn meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::metrics::counter;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::unconstrained;
use tokio::time::sleep;

use super::perform::ROOM;
use super::posted::{self, ApiCommand, Call};
use super::{Centrifugo, figures};
use crate::broker::keep::{Fate, Queue};
use crate::drain::Phase;
use crate::json;
use crate::node::Receipt;

/// How often a node looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Takes from `lists`, each on every shard, until the node is about to end.
pub fn take(centrifugo: &Arc<Centrifugo>, lists: &[String]) {
    for name in lists {
        for queue in centrifugo.context.keeper.queues(name) {
            let worker = Worker {
                centrifugo: Arc::clone(centrifugo),
                queue,
            };
            centrifugo
                .context
                .tasks
                .spawn("centrifugo-list", worker.run());
        }
    }
}

struct Worker {
    centrifugo: Arc<Centrifugo>,
    queue: Queue,
}

impl Worker {
    async fn run(mut self) {
        let tasks = self.centrifugo.context.tasks.clone();
        loop {
            let leaving = leaving(Arc::clone(&self.centrifugo));
            let taken = tokio::select! {
                taken = self.queue.next() => taken,
                // The next node has its turn at once.
                () = leaving => return,
            };
            let done = tokio::select! {
                done = self.work(&taken) => done,
                // What is not with the broker yet stays in Redis for the next node.
                () = tasks.stopped() => return,
            };
            // Where Redis was not told, or it was another's turn, that shows when something is taken the next time.
            let _ = self.queue.done(done).await;
            if done < taken.len() {
                sleep(ROOM).await;
            }
        }
    }

    /// Does elements while it is this node's turn. Returns how many of them are done.
    async fn work(&mut self, elements: &[Bytes]) -> usize {
        let lost = AtomicBool::new(false);
        let (centrifugo, queue) = (&self.centrifugo, &mut self.queue);
        let held = async {
            queue.hold().await;
            lost.store(true, Ordering::Relaxed);
            std::future::pending().await
        };
        tokio::select! {
            done = centrifugo.carry_out_all(elements, &lost) => done,
            done = held => done,
        }
    }
}

async fn leaving(centrifugo: Arc<Centrifugo>) {
    while centrifugo.connections.life.phase() < Phase::Settling
        && !centrifugo.context.tasks.is_stopped()
    {
        sleep(LOOK).await;
    }
}

impl Centrifugo {
    /// Does elements of a list, in order, until the turn is lost. Returns how many of them are done.
    async fn carry_out_all(&self, elements: &[Bytes], lost: &AtomicBool) -> usize {
        let mut published = Published::default();
        let done = self.carry_out_each(elements, lost, &mut published).await;
        self.accepted(published.safe);
        done
    }

    async fn carry_out_each(
        &self,
        elements: &[Bytes],
        lost: &AtomicBool,
        published: &mut Published,
    ) -> usize {
        let is_over = || lost.load(Ordering::Relaxed);
        for (at, element) in elements.iter().enumerate() {
            for ApiCommand { call, .. } in self.read_element(element) {
                if !matches!(call, Call::Publish { .. }) {
                    // Those whom it is about are to have what was published before.
                    if let Some(dropped) = published.dropped().await {
                        return dropped;
                    }
                }
                if is_over() {
                    return published.dropped().await.unwrap_or(at);
                }
                match call {
                    Call::Broadcast { channels, content } => {
                        if !self.broadcast_in_full(&channels, content, is_over).await {
                            return at;
                        }
                    }
                    call => published.add(at, self.carry_out(call).await),
                }
                if published.is_dropped() {
                    return published.dropped().await.unwrap_or(at);
                }
            }
        }
        published.dropped().await.unwrap_or(elements.len())
    }

    /// The commands of an element that are done by lists; what else there is, is passed over.
    fn read_element(&self, element: &[u8]) -> Vec<ApiCommand> {
        let text = std::str::from_utf8(element)
            .ok()
            .filter(|text| text.len() <= self.max_body);
        // The older form has an array of commands in it.
        let data = text.and_then(|text| json::fields(text, ["data", "method"]));
        let commands: Vec<&str> = match (text, data) {
            (Some(_), Some([Some(data), None])) => json::items(data).unwrap_or_default(),
            (Some(text), Some(_)) => vec![text],
            _ => Vec::new(),
        };
        let is_done = |call: &Call| {
            matches!(
                call,
                Call::Publish { .. }
                    | Call::Broadcast { .. }
                    | Call::Unsubscribe { .. }
                    | Call::Disconnect(_)
            )
        };
        let (mut found, mut passed_over) = (Vec::new(), usize::from(commands.is_empty()));
        for command in commands {
            let read = posted::read(command)
                .ok()
                .and_then(|mut commands| commands.pop());
            match read.filter(|command| is_done(&command.call)) {
                Some(command) => found.push(command),
                None => passed_over += 1,
            }
        }
        if passed_over > 0 {
            counter!(figures::API_REFUSED, "reason" => "list").increment(passed_over as u64);
            tracing::debug!(
                passed_over,
                "commands in a list in Redis cannot be read, or are none for lists"
            );
        }
        found
    }
}

/// What was published for elements of a list.
#[derive(Default)]
struct Published {
    /// What may not be with the broker yet, by its element.
    on_its_way: FuturesUnordered<BoxFuture<'static, (usize, Fate)>>,
    /// How many are with it.
    safe: usize,
    /// The first element of which something was dropped.
    dropped: Option<usize>,
}

impl Published {
    fn add(&mut self, at: usize, receipts: Vec<Receipt>) {
        for receipt in receipts {
            // It is with the broker, or is dropped, in the end: the broker bounds how long it holds it.
            self.on_its_way
                .push(async move { (at, receipt.fate(Duration::MAX).await) }.boxed());
        }
    }

    fn note(&mut self, (at, fate): (usize, Fate)) {
        if fate == Fate::Safe {
            self.safe += 1;
        } else {
            self.dropped = Some(self.dropped.map_or(at, |first| first.min(at)));
        }
    }

    /// Whether something was dropped, as far as that shows now.
    fn is_dropped(&mut self) -> bool {
        while let Some(Some(one)) = unconstrained(self.on_its_way.next()).now_or_never() {
            self.note(one);
        }
        self.dropped.is_some()
    }

    /// Waits until everything is with the broker or dropped. The first element of which something was dropped, if any.
    async fn dropped(&mut self) -> Option<usize> {
        while let Some(one) = self.on_its_way.next().await {
            self.note(one);
        }
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_still_on_its_way_is_not_done() {
        let (sender, receipt) = Receipt::pending();
        let mut published = Published::default();
        published.add(0, vec![receipt]);
        assert_eq!(published.dropped().now_or_never(), None);
        assert!(!published.is_dropped());
        sender.send(()).expect("it is waited for");
        assert_eq!(published.dropped().await, None);
        assert_eq!(published.safe, 1);
    }

    #[tokio::test]
    async fn a_drop_is_seen_at_once_though_what_is_before_it_is_on_its_way() {
        let mut published = Published::default();
        let mut senders = Vec::new();
        // More than a task is given in one go.
        for at in 0..1_000 {
            let (sender, receipt) = Receipt::pending();
            senders.push(sender);
            published.add(at, vec![receipt]);
            assert!(!published.is_dropped(), "{at}");
        }
        for at in [900, 700] {
            drop(senders.remove(at));
            assert!(published.is_dropped());
        }
        for sender in senders {
            sender.send(()).expect("it is waited for");
        }
        assert_eq!(published.dropped().await, Some(700));
    }
}
