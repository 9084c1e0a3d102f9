//! Keeps in Redis, for all nodes: the keys of a channel lie on the shard, and in the slot, of its partition.
//!
//! ```text
//! PREFIX:{PREFIX:PARTITION}:mark:CHANNEL    the place that a past has reached, where its epoch began, and in which run of Redis
//! PREFIX:{PREFIX:PARTITION}:past:CHANNEL    its events
//! PREFIX:{PREFIX:PARTITION}:again:NODE      what a node kept again, since it did not know whether it had
//! PREFIX:{PREFIX:PARTITION}:once:KEY        the place of an event that may be posted again
//! PREFIX:{PREFIX:PARTITION}:said:CHANNEL:…  what was said of a channel of late, or is about to be
//! PREFIX:{PREFIX:PARTITION}:here:CHANNEL    who is present
//! PREFIX:{only:NAME}:lease, …:ground        who alone does something, on the first shard
//! PREFIX:{LIST}:taken, …:turn               what was taken from a list and is not done, and whose turn it is
//! ```
//!
//! Invariants: an event is published after it was kept, in the same order, by the lane of its shard; while Redis is away it waits
//! there, and this node's own clients have it. One that could not be kept leaves a hole that is known here at once, on other
//! nodes with the event, and in Redis as soon as that can be told.

mod entries;
mod gaps;
mod lane;
mod lease;
pub mod queue;
mod reading;
mod scripts;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::entries::Entries;
use self::lane::{Call, Lane, Telling};
use super::{Config, Server};
use crate::broker::clustered::{ClusteredBroker, Unkept};
use crate::broker::keep::heard::Mark;
use crate::broker::keep::listener::Listener;
use crate::broker::keep::{CLAIM, Keep, KeepError, Lease, MEMORY_OF_PLACES, Presence, Saying};
use crate::broker::packet::{Draft, Stamp};
use crate::broker::{Receipt, partition};
use crate::drain::Tasks;
use crate::event::{Channel, Event, Kept, Place, now_ms};
use crate::metrics;

/// For how long an event that may be posted again is known, in milliseconds: as long as the broker knows it.
const ONCE_MS: u64 = 300_000;

fn claimant(number: u128) -> Bytes {
    format!("{number:032x}").into()
}

struct Inner {
    broker: ClusteredBroker,
    prefix: String,
    partitions: u32,
    lanes: Vec<Lane>,
    listener: Arc<Listener>,
    /// What tells what this node keeps from what others do.
    origin: u64,
    /// How much it kept. Locked from an event's number to its turn.
    count: Mutex<u64>,
    entries: Mutex<Entries>,
    tasks: Tasks,
}

/// Keeps for one node.
#[derive(Clone)]
pub struct RedisKeeper(Arc<Inner>);

impl RedisKeeper {
    /// Nothing is connected or written before something is asked. The listener stands in front of the sink of `broker`.
    pub(super) fn start(
        config: &Config,
        broker: ClusteredBroker,
        listener: Arc<Listener>,
        tasks: &Tasks,
    ) -> Self {
        let lane = |(on, server): (usize, &Server)| {
            let broker = broker.clone();
            let carried = move || broker.carries(on);
            Lane::start(server.clone(), config.waiting, carried, tasks)
        };
        let lanes: Vec<Lane> = config.shards.iter().enumerate().map(lane).collect();
        let counts: Vec<_> = lanes.iter().map(Lane::unkept).collect();
        broker.count_unkept(move || {
            let of_lanes = counts.iter().map(|count| count());
            of_lanes.fold(Unkept::default(), |all, one| Unkept {
                events: all.events + one.events,
                bytes: all.bytes + one.bytes,
                oldest: all.oldest.max(one.oldest),
            })
        });
        let inner = Arc::new(Inner {
            broker,
            prefix: config.prefix.clone(),
            partitions: config.partitions,
            lanes,
            listener,
            origin: rand::random(),
            count: Mutex::default(),
            entries: Mutex::default(),
            tasks: tasks.clone(),
        });
        tasks.spawn("keeper-upkeep", upkeep::run(Arc::clone(&inner)));
        tasks.spawn("keeper-gaps", gaps::run(Arc::clone(&inner)));
        Self(inner)
    }

    pub(in crate::broker) fn keep(&self, event: Event, keep: Keep) -> Receipt {
        let (sender, receipt) = Receipt::pending();
        let inner = &self.0;
        let before = inner.listener.heard().get(&event.channel);
        let (telling, then, early) = (Arc::clone(inner), Arc::clone(inner), event.clone());
        let mut count = inner.count.lock();
        *count += 1;
        let call = inner.append(&event, keep, before, *count);
        inner.lane(&event.channel).keep(
            call,
            move |told| telling.tell(early, told),
            move |answer| then.appended(event, before, answer.and_then(scripts::place), sender),
        );
        receipt
    }

    pub(in crate::broker) fn enter(
        &self,
        channel: &Channel,
        id: &str,
        who: Bytes,
        outlives: Duration,
    ) -> Presence {
        let (inner, id) = (&self.0, Arc::<str>::from(id));
        let guard = inner.enter(channel, &id, who, outlives);
        let (inner, channel) = (Arc::clone(inner), channel.clone());
        Presence::new(move || inner.leave(&channel, &id, guard))
    }

    pub(in crate::broker) async fn present(
        &self,
        channel: &Channel,
    ) -> Result<Vec<(Arc<str>, Bytes)>, KeepError> {
        let (keys, args) = (vec![self.0.key("here", channel)], Vec::new());
        let call = Call {
            name: "present",
            script: scripts::PRESENT,
            keys,
            args,
            tells_again: false,
            since: None,
        };
        scripts::present(self.0.lane(channel).ask(call).await?)
    }

    pub(in crate::broker) async fn claim(
        &self,
        channel: &Channel,
        what: &str,
    ) -> Result<Saying, KeepError> {
        let me: u128 = rand::random();
        let call = Call {
            name: "claim",
            script: scripts::CLAIM,
            keys: vec![self.0.said(channel, what)],
            args: vec![claimant(me), number(CLAIM.as_millis() as u64)],
            tells_again: false,
            since: None,
        };
        scripts::saying(self.0.lane(channel).ask(call).await?, me)
    }

    pub(in crate::broker) async fn settle(
        &self,
        channel: &Channel,
        what: &str,
        claim: u128,
        lasts: Option<Duration>,
    ) -> Result<(), KeepError> {
        let lasts_ms = lasts.map_or(0, |lasts| lasts.as_millis() as u64);
        let call = Call {
            name: "settle",
            script: scripts::SETTLE,
            keys: vec![self.0.said(channel, what)],
            args: vec![claimant(claim), number(lasts_ms)],
            tells_again: false,
            since: None,
        };
        self.0.lane(channel).ask(call).await.map(drop)
    }

    pub(in crate::broker) fn queues(&self, name: &str) -> Vec<queue::Queue> {
        let queue = |shard| queue::Queue::new(Arc::clone(&self.0), shard, name);
        (0..self.0.lanes.len()).map(queue).collect()
    }

    pub(in crate::broker) async fn only_one(&self, name: &str) -> Lease {
        lease::only_one(&self.0, name).await
    }

    pub(in crate::broker) fn waiting(&self) -> usize {
        self.0.lanes.iter().map(Lane::waiting).sum()
    }
}

impl Inner {
    fn partition(&self, channel: &Channel) -> u32 {
        partition::of(channel, self.partitions)
    }

    fn shard(&self, channel: &Channel) -> usize {
        partition::shard(self.partition(channel), self.lanes.len())
    }

    fn lane(&self, channel: &Channel) -> &Lane {
        &self.lanes[self.shard(channel)]
    }

    fn said(&self, channel: &Channel, what: &str) -> String {
        format!("{}:{what}", self.key("said", channel))
    }

    fn key(&self, what: &str, channel: &Channel) -> String {
        let Self { prefix, .. } = self;
        format!(
            "{prefix}:{{{prefix}:{}}}:{what}:{channel}",
            self.partition(channel)
        )
    }

    fn append(&self, event: &Event, keep: Keep, heard: Option<Mark>, count: u64) -> Call {
        let Self { prefix, origin, .. } = self;
        let partition = self.partition(&event.channel);
        let mut keys = vec![
            self.key("mark", &event.channel),
            self.key("past", &event.channel),
            format!("{prefix}:{{{prefix}:{partition}}}:again:{origin:016x}"),
        ];
        let lifetime = keep.lifetime.max(Duration::from_millis(1));
        let stamp = Stamp {
            origin: *origin,
            partition,
            number: count,
        };
        let mut args = reading::told(heard);
        args.push(number(count));
        // The stamp makes it unlike all others.
        args.push(Draft::new(event.clone()).stamp(stamp).bytes);
        args.push(number(u64::from(keep.events.max(1))));
        args.push(number(lifetime.as_millis() as u64));
        args.push(number((lifetime + MEMORY_OF_PLACES).as_millis() as u64));
        args.push(number(ONCE_MS));
        if let Some(key) = event.idempotency_key {
            keys.push(format!("{}:{key:016x}", self.key("once", &event.channel)));
        }
        Call {
            name: "keep",
            script: scripts::APPEND,
            tells_again: true,
            since: None,
            keys,
            args,
        }
    }

    /// An event waits to be kept: this node's own clients are given it.
    fn tell(&self, event: Event, telling: Telling) {
        let kept = Kept::Later;
        // Noted as it is given: what another node took of it may come just then.
        let told = |after| telling.done(after);
        let note = |event: &Event| self.listener.told().add(event, told, now_ms());
        self.broker.give_early(Event { kept, ..event }, note);
    }

    /// An event is kept, or is not: it goes out.
    fn appended(
        &self,
        event: Event,
        before: Option<Mark>,
        place: Result<Place, KeepError>,
        receipt: oneshot::Sender<()>,
    ) {
        let (kept, result) = match place {
            Ok(place) => {
                self.listener.heard().mended(&event.channel, before, place);
                self.listener.told().kept(&event);
                self.listener.kept(&event.channel, place);
                (Kept::At(place), "kept")
            }
            // It waited for too long; or, published at once, it would overtake what waits.
            Err(why @ (KeepError::Crowded | KeepError::Expired)) => {
                // What had no room was not told; another of its key may have been, and is still to come.
                if why == KeepError::Expired {
                    self.listener.told().take(&event);
                }
                ::metrics::counter!(metrics::WAITING_DROPPED, "bound" => "keeper").increment(1);
                // Whoever waits for the receipt hears that it is dropped.
                drop(receipt);
                self.listener.heard().broken_here(event.channel.clone());
                let (loss, _) = oneshot::channel();
                return self.broker.hand(
                    Event {
                        kept: Kept::Missed,
                        ..Event::loss(event.channel)
                    },
                    loss,
                );
            }
            Err(_) => (Kept::Missed, "missed"),
        };
        ::metrics::counter!(metrics::KEPT, "result" => result).increment(1);
        let event = Event { kept, ..event };
        if kept == Kept::Missed {
            self.listener.heard().broken_here(event.channel.clone());
            // Where another node's of its key was heard, it does not come here again. Any other one holds back what follows
            // until it comes.
            if event.idempotency_key.is_some() {
                self.listener.told().kept(&event);
            }
        }
        self.broker.hand(event, receipt);
    }
}

fn number(number: u64) -> Bytes {
    number.to_string().into()
}
