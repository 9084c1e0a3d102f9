//! Channel → this node's subscribers, and what each channel saw in the last seconds.
//!
//! Invariants: a subscriber gets each event once: first, on subscribing, the recent ones, then all later ones, in
//! order; delivering never waits for a client and never keeps a worker for long; a channel without subscribers and
//! without recent events takes no memory.

pub mod counts;
mod debug_log;
mod held;
pub mod inspect;
mod rendered;
mod subscribers;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use ahash::RandomState;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::event::{Channel, Event, now_ms};
use crate::metrics;
use crate::otlp::Traces;
use crate::outbox::Outbox;
use counts::Counts;
use held::Held;
use inspect::Delivered;
use rendered::Rendered;
pub use subscribers::{Position, Subscriber};
use subscribers::{Recent, Subscribers, give};

/// Locks that the channels are spread over.
const SHARDS: usize = 64;
/// A delivery lets other tasks run after working this long.
const TURN: Duration = Duration::from_millis(1);
/// Subscribers written to before the clock is looked at.
const CHUNK: usize = 32;

#[derive(Default)]
struct Stripe {
    channels: HashMap<Channel, Subscribers, RandomState>,
    /// Which channel's oldest recent event runs out when; oldest first.
    expiry: VecDeque<(Instant, Channel)>,
    /// Who waits for the past of a channel.
    held: HashMap<Channel, Vec<Held>, RandomState>,
    position: Position,
}

struct Meters {
    subscriptions: Gauge,
    channels: Gauge,
    delivered: Counter,
    deliveries: Counter,
    frames: Counter,
    replayed: Counter,
    fanout: Histogram,
    fanout_seconds: Histogram,
    delivery_seconds: Histogram,
}

/// See the module's description.
pub struct Hub {
    shards: Vec<Mutex<Stripe>>,
    hasher: RandomState,
    replay: Duration,
    replay_bytes: usize,
    recent_bytes: AtomicUsize,
    meters: Meters,
    tally: Counts,
    tap: broadcast::Sender<Delivered>,
    traces: OnceLock<Traces>,
}

impl Hub {
    /// An empty hub that keeps what channels saw for `replay`, in `replay_bytes` of memory at most.
    pub fn new(replay: Duration, replay_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            replay,
            replay_bytes,
            recent_bytes: AtomicUsize::new(0),
            meters: Meters {
                subscriptions: gauge!(metrics::SUBSCRIPTIONS),
                channels: gauge!(metrics::CHANNELS),
                delivered: counter!(metrics::EVENTS_DELIVERED),
                deliveries: counter!(metrics::DELIVERIES),
                frames: counter!(metrics::FRAMES_OUT, "kind" => "message"),
                replayed: counter!(metrics::REPLAYED),
                fanout: histogram!(metrics::FANOUT_SIZE),
                fanout_seconds: histogram!(metrics::FANOUT_SECONDS),
                delivery_seconds: histogram!(metrics::DELIVERY_SECONDS),
            },
            tally: Counts::default(),
            tap: broadcast::Sender::new(inspect::TAP),
            traces: OnceLock::new(),
        })
    }

    /// From now on events are traced.
    pub fn trace(&self, traces: Traces) {
        // Given twice, the first one stays.
        let _ = self.traces.set(traces);
    }

    /// Where events are traced, if they are.
    pub fn traces(&self) -> Option<&Traces> {
        self.traces.get()
    }

    /// What was done so far.
    pub fn tally(&self) -> &Counts {
        &self.tally
    }

    fn shard(&self, channel: &Channel) -> &Mutex<Stripe> {
        &self.shards[(self.hasher.hash_one(channel) >> 32) as usize % SHARDS]
    }

    /// Subscribes an outbox that is not subscribed to the channel yet. It is first given the channel's recent events, those
    /// after `seen` where it had some before.
    pub fn subscribe(&self, channel: &Channel, new: Subscriber, seen: Option<Position>) {
        let mut shard = self.shard(channel).lock();
        let recent = shard
            .channels
            .get(channel)
            .map(|entry| entry.recent_for(&new, seen, self.replay));
        self.begin(&mut shard, channel, new, &recent.unwrap_or_default());
    }

    /// The subscription of the outbox `id`, if there is one, belongs to `user` from now on.
    pub fn change_user(&self, channel: &Channel, id: u64, user: Arc<str>) {
        let mut shard = self.shard(channel).lock();
        let Some(user) = shard.change_held(channel, id, user) else {
            return;
        };
        let Some(entry) = shard.channels.get_mut(channel) else {
            return;
        };
        if let Some(at) = entry.position(id)
            && entry.list[at].user != user
        {
            Arc::make_mut(&mut entry.list)[at].user = user;
        }
    }

    /// Ends the subscription of the outbox `id`, if there is one. Returns up to where it has been given the channel's
    /// events; `None` where none is recent, so that nobody who comes back could be given one again.
    pub fn unsubscribe(&self, channel: &Channel, id: u64) -> Option<Position> {
        let mut shard = self.shard(channel).lock();
        if let Some(held) = shard.take_held(channel, id) {
            self.count(-i64::from(held.is_passing()));
            return None;
        }
        let position = shard.position;
        let entry = shard.channels.get_mut(channel)?;
        let at = entry.position(id)?;
        let seen = (!entry.recent.is_empty()).then_some(position);
        let list = Arc::make_mut(&mut entry.list);
        list.swap_remove(at);
        if list.capacity() > 4 * list.len().max(4) {
            list.shrink_to_fit();
        }
        self.count(-1);
        if entry.is_idle() {
            self.forget(&mut shard, channel);
        }
        seen
    }

    /// Gives `event` to every subscriber it is for, and keeps it for those to come.
    pub async fn deliver(&self, event: Event) {
        let started = Instant::now();
        let traced = self.traces().map(|traces| (traces, SystemTime::now()));
        let subscribers = self.record(&event, Duration::ZERO);
        let mut given = 0;
        if !subscribers.is_empty() {
            let mut rendered = Rendered::new(&event);
            let mut turn = started;
            let shown = debug_log::is_wanted();
            for chunk in subscribers.chunks(CHUNK) {
                if shown {
                    debug_log::say(chunk, &event, &mut rendered);
                }
                given += give(chunk, &event, &mut rendered);
                if chunk.len() == CHUNK && turn.elapsed() > TURN {
                    tokio::task::yield_now().await;
                    turn = Instant::now();
                }
            }
        }
        self.meters.delivered.increment(1);
        self.meters.deliveries.increment(given);
        self.meters.frames.increment(given);
        self.meters.fanout.record(given as f64);
        if given > 0 {
            self.meters.fanout_seconds.record(started.elapsed());
            let since_accepted = now_ms().saturating_sub(event.accepted_ms);
            self.meters
                .delivery_seconds
                .record(since_accepted as f64 / 1_000.0);
            self.tally.delivered(given, since_accepted as f64 / 1_000.0);
            if let Some((traces, from)) = traced {
                traces.delivered(&event, from, given);
            }
        }
        if self.tap.receiver_count() > 0 {
            // Nobody looking on any more is no matter.
            let _ = self.tap.send(Delivered {
                event,
                subscribers: given,
            });
        }
    }

    /// Keeps an event, `age` old, that was delivered before this node listened.
    pub fn remember(&self, event: &Event, age: Duration) {
        self.record(event, age);
    }

    /// The outboxes subscribed to a channel for which `touched` holds, each once.
    pub fn outboxes(&self, touched: impl Fn(&Channel) -> bool) -> Vec<Arc<Outbox>> {
        let mut found: HashMap<u64, Arc<Outbox>, RandomState> = HashMap::default();
        for shard in &self.shards {
            let shard = shard.lock();
            found.extend(
                shard
                    .held(&touched)
                    .map(|outbox| (outbox.id(), Arc::clone(outbox))),
            );
            for (channel, entry) in &shard.channels {
                if !entry.list.is_empty() && touched(channel) {
                    found.extend(
                        entry
                            .list
                            .iter()
                            .map(|s| (s.outbox.id(), Arc::clone(&s.outbox))),
                    );
                }
            }
        }
        found.into_values().collect()
    }

    /// The outboxes subscribed to these channels, each once. No other channels are looked at.
    pub fn outboxes_of(&self, channels: &[Channel]) -> Vec<Arc<Outbox>> {
        let mut found: HashMap<u64, Arc<Outbox>, RandomState> = HashMap::default();
        for channel in channels {
            let shard = self.shard(channel).lock();
            let held = shard.held.get(channel).into_iter().flatten();
            let held = held.map(|held| &held.subscriber.outbox);
            let entry = shard.channels.get(channel).into_iter();
            let going_on = entry.flat_map(|entry| entry.list.iter().map(|s| &s.outbox));
            let all = held.chain(going_on);
            found.extend(all.map(|outbox| (outbox.id(), Arc::clone(outbox))));
        }
        found.into_values().collect()
    }

    /// Forgets recent events that have run out. To be called every second or so, for channels that fell silent.
    pub fn prune(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            self.prune_shard(&mut shard);
            for (channel, subscriber) in shard.passed(Instant::now()) {
                self.count(-1);
                self.begin(&mut shard, &channel, subscriber, &[]);
            }
        }
    }

    fn record(&self, event: &Event, age: Duration) -> Arc<Vec<Subscriber>> {
        let mut shard = self.shard(&event.channel).lock();
        shard.position += 1;
        if age.is_zero() {
            let given = shard.hold_back(event);
            if given > 0 {
                self.meters.deliveries.increment(given);
                self.meters.frames.increment(given);
            }
        }
        if self.replay.is_zero() {
            return shard
                .channels
                .get(&event.channel)
                .map(|entry| Arc::clone(&entry.list))
                .unwrap_or_default();
        }
        self.prune_shard(&mut shard);
        let Some(heard) = Instant::now()
            .checked_sub(age)
            .filter(|_| age < self.replay)
        else {
            return Arc::default();
        };
        let (position, known) = (shard.position, shard.channels.len());
        let entry = shard.channels.entry(event.channel.clone()).or_default();
        entry.recent.push_back(Recent {
            heard,
            position,
            event: event.clone(),
        });
        let list = Arc::clone(&entry.list);
        self.recent_bytes.fetch_add(event.cost(), Ordering::Relaxed);
        self.meters
            .channels
            .increment((shard.channels.len() - known) as f64);
        shard
            .expiry
            .push_back((heard + self.replay, event.channel.clone()));
        list
    }

    fn prune_shard(&self, shard: &mut Stripe) {
        let now = Instant::now();
        while let Some((at, _)) = shard.expiry.front()
            && (*at <= now || self.recent_bytes.load(Ordering::Relaxed) > self.replay_bytes)
        {
            let Some((_, channel)) = shard.expiry.pop_front() else {
                return;
            };
            let Some(entry) = shard.channels.get_mut(&channel) else {
                continue;
            };
            if let Some(old) = entry.recent.pop_front() {
                self.recent_bytes
                    .fetch_sub(old.event.cost(), Ordering::Relaxed);
            }
            if entry.is_idle() {
                self.forget(shard, &channel);
            } else if entry.recent.is_empty() {
                entry.recent = VecDeque::new();
            }
        }
    }

    fn forget(&self, shard: &mut Stripe, channel: &Channel) {
        shard.channels.remove(channel);
        self.meters.channels.decrement(1.0);
        if shard.channels.capacity() > 8 * shard.channels.len().max(16) {
            shard.channels.shrink_to_fit();
            shard.expiry.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
