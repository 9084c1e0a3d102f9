//! Which node is connected to the broker, and how often it tries.
//!
//! Invariants: never two nodes at once; a node that ends takes its leave before another comes; where the broker has lost the
//! session, everybody who is connected is told to look once the subscription is granted, since notifications may be gone with
//! it. That is owed until it is done: the broker says that a session is new on one connection, which may end before it grants
//! anything.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::super::{Inbox, figures, missed};
use super::Source;
use super::address::Address;
use super::feed::{Feed, Step};
use super::link::{Link, LinkError};
use super::pauses::{Course, Pauses};
use crate::broker::keep::{Keep, Lease};
use crate::drain::Phase;
use crate::event::{Channel, Event, now_ms};
use crate::throttle::and_more;

/// What nodes agree by on who is connected.
const LEASE: &str = "inbox-mqtt";
/// How often a node looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);
/// For how long it is known that there was a session, after it was last used.
const KNOWN: Duration = Duration::from_secs(7_200);
/// How often that is said anew.
const ANEW: Duration = Duration::from_secs(1_800);

/// What is kept of the session.
const THERE: &[u8] = b"there";
/// It is a new one, and nobody has been told yet.
const LOST: &[u8] = b"lost";

/// Where it is kept that there is a session.
fn memory() -> Channel {
    Channel::new("inbox", "mqtt")
}

/// See the module's description.
pub struct Holder {
    inbox: Arc<Inbox>,
    source: Source,
    pauses: Pauses,
    /// Which of the addresses is next.
    at: usize,
    /// Whether a session of this cluster's was there.
    had: bool,
    /// When that was said last.
    said: Option<Instant>,
    /// Whether everybody is to be told to look.
    lost: bool,
    /// Whether it is known what the node that was connected before has left to do.
    is_settled: bool,
}

impl Holder {
    /// Nobody is connected yet.
    pub fn new(inbox: Arc<Inbox>, source: Source) -> Self {
        Self {
            inbox,
            source,
            pauses: Pauses::default(),
            at: 0,
            had: false,
            said: None,
            lost: false,
            is_settled: false,
        }
    }

    /// Is connected whenever it is this node's turn, until the node ends.
    pub async fn run(mut self) {
        loop {
            self.inbox.standing.set(
                false,
                "another node is connected, or none is yet".to_owned(),
            );
            let keeper = self.inbox.context.keeper.clone();
            let lease = tokio::select! {
                lease = keeper.only_one(LEASE) => lease,
                () = leaving(Arc::clone(&self.inbox)) => return,
            };
            tracing::info!("this node takes what comes over MQTT from now on");
            let inbox = Arc::clone(&self.inbox);
            inbox.standing.holds(true);
            // Another node may have been connected meanwhile.
            self.is_settled = false;
            let ends = self.hold(&lease, &inbox).await;
            // Given up before the node's tasks end: another node takes over at once.
            drop(lease);
            inbox.standing.holds(false);
            if ends {
                inbox.standing.set(
                    false,
                    "this node ends, and has left the broker to another one".to_owned(),
                );
                return;
            }
        }
    }

    /// Connects again and again while the lease holds. Returns whether the node ends.
    async fn hold(&mut self, lease: &Lease, inbox: &Arc<Inbox>) -> bool {
        loop {
            let pause = tokio::select! {
                biased;
                () = lease.ended() => return false,
                done = self.connection() => match done {
                    None => return true,
                    Some(pause) => pause,
                },
            };
            tokio::select! {
                () = lease.ended() => return false,
                () = leaving(Arc::clone(inbox)) => return true,
                () = sleep(pause) => {}
            }
        }
    }

    /// One connection. Returns how long to wait before the next; `None`: the node ends.
    async fn connection(&mut self) -> Option<Duration> {
        let (inbox, address) = (
            Arc::clone(&self.inbox),
            self.source.addresses[self.at].clone(),
        );
        let opened = tokio::select! {
            opened = Link::open(&self.source, &address) => opened,
            () = leaving(Arc::clone(&inbox)) => return None,
        };
        let (error, course) = match opened {
            Ok((link, present)) => {
                let began = Instant::now();
                counter!(figures::MQTT_CONNECTIONS).increment(1);
                tracing::info!(broker = %address, session = present, "connected to the MQTT broker");
                let waits = format!("connected to {address}, the subscription is not granted yet");
                inbox.standing.set(false, waits);
                if !present && self.had_session().await {
                    self.lost = true;
                    self.say(LOST);
                }
                match self.feed(&inbox, &address, link).await {
                    None => return None,
                    Some(error @ LinkError::Ended(_)) => (error, Course::Ended(began.elapsed())),
                    Some(error) => (error, Course::GivenUp(began.elapsed())),
                }
            }
            Err(error) => (error, Course::Failed),
        };
        counter!(figures::MQTT_ENDS, "cause" => error.label()).increment(1);
        Some(self.pause(&address.to_string(), &error, course))
    }

    /// Subscribes, and takes what comes over one connection, until that ends; `None`: the node ends.
    async fn feed(
        &mut self,
        inbox: &Arc<Inbox>,
        address: &Address,
        mut link: Link,
    ) -> Option<LinkError> {
        let source = self.source.clone();
        if let Err(error) = link.subscribe(&source).await {
            return Some(error);
        }
        let mut feed = Feed::new(inbox, &source, link);
        loop {
            let step = tokio::select! {
                biased;
                () = leaving(Arc::clone(inbox)) => {
                    feed.leave().await;
                    return None;
                }
                step = feed.next() => step,
            };
            match step {
                Ok(Step::Granted) => {
                    // Before that a new session has no subscription: what is sent then is nowhere.
                    inbox.standing.set(true, format!("connected to {address}"));
                    self.see_to().await;
                }
                Ok(Step::There) => self.see_to().await,
                Err(error) => return Some(error),
            }
        }
    }

    fn pause(&mut self, address: &str, error: &LinkError, course: Course) -> Duration {
        let pause = self.pauses.after(course, rand::random_range(0.5..1.0));
        if !course.was_good() {
            self.at = (self.at + 1) % self.source.addresses.len();
        }
        let seconds = pause.lasts.as_secs();
        if pause.ousted {
            counter!(figures::MQTT_OUSTED).increment(1);
            let name = &self.source.client_id;
            let text = format!(
                "another client seems to use the id {name:?}: give each a FOGHORN_INBOX_CLIENT_ID of its own; next try in {seconds} s"
            );
            tracing::error!(
                broker = address,
                "thrown out by the MQTT broker three times: {text}"
            );
            self.inbox.standing.set(false, text);
            return pause.lasts;
        }
        if let Some(unsaid) = self.inbox.warnings.say(error.label(), now_ms()) {
            let more = and_more(unsaid);
            tracing::warn!(
                broker = address,
                "no connection to the MQTT broker: {error}; next try in {seconds} s{more}"
            );
        }
        self.inbox
            .standing
            .set(false, format!("not connected: {address}: {error}"));
        pause.lasts
    }

    /// The subscription is granted, or still there: whoever is owed something is told, and the session is known.
    async fn see_to(&mut self) {
        if !self.is_settled
            && let Some(owed) = self.owes().await
        {
            self.is_settled = true;
            self.lost |= owed;
        }
        if self.lost {
            counter!(figures::MQTT_SESSIONS_LOST).increment(1);
            tracing::warn!(
                "the MQTT broker has lost the session, and what it held: everybody who is connected is told to look (`persistence` of Mosquitto and `mqtt.subscription_ttl` of RabbitMQ keep it)"
            );
            missed::tell_everybody(Arc::clone(&self.inbox));
            (self.lost, self.said) = (false, None);
        }
        self.had = true;
        if self.is_settled && self.said.is_none_or(|said| said.elapsed() > ANEW) {
            self.said = Some(Instant::now());
            self.say(THERE);
        }
    }

    fn say(&self, what: &'static [u8]) {
        let event = Event::new(memory(), "session", Bytes::from_static(what));
        let _receipt = self.inbox.context.keeper.keep(
            event,
            Keep {
                events: 1,
                lifetime: KNOWN,
            },
        );
    }

    /// Whether this cluster has had a session at the broker; where nobody can say, it may have.
    async fn had_session(&self) -> bool {
        let past = self.inbox.context.keeper.past(&memory()).await;
        self.had || past.map_or(true, |past| past.newest.is_some())
    }

    /// Whether the node that was connected before has told nobody that the session was lost; `None`: that cannot be known now.
    async fn owes(&self) -> Option<bool> {
        let past = self.inbox.context.keeper.past(&memory()).await.ok()?;
        let last = past.events.last();
        Some(last.is_some_and(|event| event.data.as_ref() == LOST))
    }
}

/// Waits until the node begins to end.
async fn leaving(inbox: Arc<Inbox>) {
    let connections = &inbox.context.connections;
    while connections.life.phase() < Phase::Settling && !inbox.context.tasks.is_stopped() {
        sleep(LOOK).await;
    }
}
