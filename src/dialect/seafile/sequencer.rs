//! Gives every accepted event its place in its library's order, also while a group's members are being looked up.
//!
//! Invariant: what is accepted for a library is published in that order. Accepting never waits: an event passes straight
//! to the broker, or, behind an unresolved group event of its library, takes a bounded place in the line, though not for
//! long: a look-up that takes longer is no longer waited for, and the group event goes out when its members are known. One
//! whose members cannot be found out goes to nobody: counted, logged, and declared lost for its library, so that clients
//! check anew. Nothing else is ever lost here.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::group_cache::MemberList;
use super::groups::{GroupError, Groups};
use super::waiting_room::{Bounds, Outcome, WaitingRoom};
use crate::backoff::Backoff;
use crate::drain::Tasks;
use crate::event::{Event, Recipients};
use crate::node::Receipt;

/// Who knows the members of groups.
pub trait Directory: Send + Sync + 'static {
    /// The members, if they are known without asking.
    fn cached(&self, group: i64) -> Option<MemberList>;

    /// Asks for the members, once.
    fn members(
        &self,
        group: i64,
    ) -> Pin<Box<dyn Future<Output = Result<MemberList, GroupError>> + Send + '_>>;
}

impl Directory for Groups {
    fn cached(&self, group: i64) -> Option<MemberList> {
        self.cached(group)
    }

    fn members(
        &self,
        group: i64,
    ) -> Pin<Box<dyn Future<Output = Result<MemberList, GroupError>> + Send + '_>> {
        Box::pin(self.members(group))
    }
}

/// What became of an event.
#[derive(Debug)]
pub enum Accepted {
    /// The broker has it.
    Published(Receipt),
    /// It stands in line, and will be published in its place.
    Waiting,
    /// It is for a group that has no members, or none that can be known.
    Nobody,
}

/// How much may wait, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Over all libraries.
    pub bounds: Bounds,
    /// How long what stands behind a group event waits for it.
    pub hold: Duration,
    /// How long a group event waits for its members, with the database asked again and again.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bounds: Bounds {
                events: 10_000,
                bytes: 64 << 20,
            },
            hold: Duration::from_secs(2),
            patience: Duration::from_secs(60),
        }
    }
}

/// The first pause between two look-ups of a group; doubled after each, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// What is dropped because too much waits is logged once in this time.
const LOG_EVERY: Duration = Duration::from_secs(1);

type Publish = Box<dyn Fn(Event) -> Receipt + Send + Sync>;

/// The order of all libraries on this node. Clones share it.
#[derive(Clone)]
pub struct Sequencer(Arc<Inner>);

struct Inner {
    publish: Publish,
    directory: Option<Arc<dyn Directory>>,
    limits: Limits,
    tasks: Tasks,
    /// How many events stand in line; read without the lock by the many that need not wait.
    waiting: AtomicUsize,
    warned: AtomicBool,
    state: Mutex<State>,
}

/// A group event that waits for its members.
struct Waiting {
    since: Instant,
    /// It no longer holds up what stands behind it.
    aside: bool,
}

impl Waiting {
    /// When something is due with it next.
    fn due(&self, limits: &Limits) -> Instant {
        self.since
            + if self.aside {
                limits.patience
            } else {
                limits.hold.min(limits.patience)
            }
    }
}

struct State {
    line: WaitingRoom,
    /// The unresolved events of each group, by ticket. One task looks each group up while it is here.
    groups: HashMap<i64, BTreeMap<u64, Waiting>>,
    /// Events dropped because too much waited: not logged yet, and when it was logged last.
    dropped: (u64, Option<Instant>),
}

impl Sequencer {
    /// Hands events to `publish`, which must not wait. Without a `directory` group events go to nobody.
    pub fn new(
        publish: impl Fn(Event) -> Receipt + Send + Sync + 'static,
        directory: Option<Arc<dyn Directory>>,
        limits: Limits,
        tasks: Tasks,
    ) -> Self {
        let state = State {
            line: WaitingRoom::new(limits.bounds),
            groups: HashMap::new(),
            dropped: (0, None),
        };
        let (waiting, warned) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Inner {
            publish: Box::new(publish),
            directory,
            limits,
            tasks,
            waiting,
            warned,
            state: Mutex::new(state),
        }))
    }

    /// How many events stand in line.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Acquire)
    }

    /// Takes an event whose recipients are known.
    pub fn accept(&self, event: Event) -> Accepted {
        if self.waiting() > 0 {
            let mut state = self.0.state.lock();
            if state.line.holds(&event.channel) {
                state.line.push(event);
                self.0.keep_bounds(&mut state);
                return Accepted::Waiting;
            }
        }
        Accepted::Published((self.0.publish)(event))
    }

    /// Takes an event for the members of `group`. Must be called within the runtime.
    pub fn accept_for_group(&self, mut event: Event, group: i64) -> Accepted {
        let Some(directory) = &self.0.directory else {
            return self.0.no_directory(&event, group);
        };
        // Events of one group keep their order: where some wait for a look-up, this one does too.
        let waits = self.waiting() > 0 && self.0.state.lock().groups.contains_key(&group);
        if let Some(members) = directory.cached(group).filter(|_| !waits) {
            if members.is_empty() {
                return Accepted::Nobody;
            }
            event.recipients = Recipients::Users(members);
            return self.accept(event);
        }
        let mut state = self.0.state.lock();
        if state.groups.len() >= self.0.limits.bounds.events && !state.groups.contains_key(&group) {
            state.drop_one();
            (self.0.publish)(Event::loss(event.channel));
            return Accepted::Nobody;
        }
        let ticket = state.line.push_unresolved(event, group);
        let looked_up = state.groups.contains_key(&group);
        state.groups.entry(group).or_default().insert(
            ticket,
            Waiting {
                since: Instant::now(),
                aside: false,
            },
        );
        if !looked_up {
            let (inner, directory) = (Arc::clone(&self.0), Arc::clone(directory));
            self.0.tasks.spawn("group-members", async move {
                inner.resolve(group, directory).await
            });
        }
        self.0.keep_bounds(&mut state);
        Accepted::Waiting
    }

    /// Gives up whatever still waits: the node ends.
    pub fn give_up(&self) {
        let groups: Vec<i64> = self.0.state.lock().groups.keys().copied().collect();
        groups.into_iter().for_each(|group| self.0.give_up(group));
    }
}

impl State {
    /// Counts a group event that is given up because too much waits, and logs it, once in a while for all of late.
    fn drop_one(&mut self) {
        count_dropped("full", 1);
        self.dropped.0 += 1;
        let (count, last) = self.dropped;
        if last.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            tracing::error!(
                count,
                "group events go to nobody: too many events wait for group members; is the database slow (SEAFILE_MYSQL_DB_HOST)?"
            );
            self.dropped = (0, Some(Instant::now()));
        }
    }
}

impl Inner {
    fn no_directory(&self, event: &Event, group: i64) -> Accepted {
        count_dropped("no_database", 1);
        if self.warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(channel = %event.channel, group, "group event goes to nobody: no database configured");
        } else {
            tracing::warn!(
                channel = %event.channel,
                group,
                "group event goes to nobody, as will all others: no database configured (SEAFILE_MYSQL_DB_HOST, _USER, _PASSWORD)"
            );
        }
        Accepted::Nobody
    }

    /// Settles one event and publishes what need not wait any more, within the lock: that is what keeps the order.
    fn settle(&self, state: &mut State, ticket: u64, outcome: Outcome) {
        // Whoever posted them was answered long ago: nobody waits for the receipts.
        state
            .line
            .settle(ticket, outcome, |event| drop((self.publish)(event)));
        self.waiting.store(state.line.waiting(), Ordering::Release);
    }

    fn keep_bounds(&self, state: &mut State) {
        while let Some((oldest, group)) = state.line.over() {
            if let Some(tickets) = state.groups.get_mut(&group) {
                tickets.remove(&oldest);
            }
            self.settle(state, oldest, Outcome::Lost);
            state.drop_one();
        }
        self.waiting.store(state.line.waiting(), Ordering::Release);
    }

    /// Looks `group` up until its members are known, or none of its events is left to wait for them.
    async fn resolve(&self, group: i64, directory: Arc<dyn Directory>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut last = GroupError::Timeout;
        while let Some(deadline) = self.next_deadline(group, &last) {
            let members = tokio::select! {
                biased;
                members = timeout_at(deadline, directory.members(group)) => members,
                () = self.tasks.stopped() => return self.give_up(group),
            };
            match members {
                Ok(Ok(members)) => return self.found(group, &members),
                Ok(Err(error)) => {
                    tracing::debug!(group, "group members not found out yet: {error}");
                    last = error;
                    let again = Instant::now() + backoff.pause();
                    tokio::select! {
                        () = tokio::time::sleep_until(deadline.min(again)) => {}
                        () = self.tasks.stopped() => return self.give_up(group),
                    }
                }
                // Something is due with one of them; the others go on.
                Err(_) => {}
            }
        }
    }

    /// Lets those behind events pass that waited for long, and gives up those that waited for too long. When something is
    /// due next; `None`: none is left.
    fn next_deadline(&self, group: i64, error: &GroupError) -> Option<Instant> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let tickets = state.groups.get_mut(&group)?;
        let late = |limit: Duration, waiting: &Waiting| now.duration_since(waiting.since) >= limit;
        let over = |(_, waiting): &(&u64, &Waiting)| late(self.limits.patience, waiting);
        let over: Vec<u64> = tickets
            .iter()
            .filter(over)
            .map(|(ticket, _)| *ticket)
            .collect();
        tickets.retain(|_, waiting| !late(self.limits.patience, waiting));
        let mut slow = Vec::new();
        for (ticket, waiting) in tickets.iter_mut().filter(|(_, waiting)| !waiting.aside) {
            waiting.aside = late(self.limits.hold, waiting);
            slow.extend(waiting.aside.then_some(*ticket));
        }
        let next = tickets
            .values()
            .map(|waiting| waiting.due(&self.limits))
            .min();
        if next.is_none() {
            state.groups.remove(&group);
        }
        self.let_pass(&mut state, &slow);
        if !over.is_empty() {
            let (count, patience) = (over.len(), self.limits.patience.as_secs());
            count_dropped("database", count as u64);
            tracing::error!(
                group,
                count,
                "group events go to nobody, members not known after {patience} s: {error}; clients of their libraries are \
                 told to check anew"
            );
            over.into_iter()
                .for_each(|ticket| self.settle(&mut state, ticket, Outcome::Lost));
        }
        next
    }

    /// Those behind these group events wait no longer.
    fn let_pass(&self, state: &mut State, tickets: &[u64]) {
        for ticket in tickets {
            state
                .line
                .step_aside(*ticket, |event| drop((self.publish)(event)));
        }
        self.waiting.store(state.line.waiting(), Ordering::Release);
    }

    fn found(&self, group: i64, members: &MemberList) {
        let mut state = self.state.lock();
        let found = || Outcome::For(Recipients::Users(Arc::clone(members)));
        for ticket in state.groups.remove(&group).unwrap_or_default().into_keys() {
            self.settle(
                &mut state,
                ticket,
                if members.is_empty() {
                    Outcome::Nobody
                } else {
                    found()
                },
            );
        }
    }

    /// The node ends: the group's events go to nobody and are declared lost, and those behind them still go out.
    fn give_up(&self, group: i64) {
        let mut state = self.state.lock();
        let tickets = state.groups.remove(&group).unwrap_or_default();
        count_dropped("stopped", tickets.len() as u64);
        tickets
            .into_keys()
            .for_each(|ticket| self.settle(&mut state, ticket, Outcome::Lost));
    }
}

fn count_dropped(reason: &'static str, events: u64) {
    ::metrics::counter!(super::figures::GROUP_EVENTS_DROPPED, "reason" => reason).increment(events);
}

#[cfg(test)]
mod tests;
