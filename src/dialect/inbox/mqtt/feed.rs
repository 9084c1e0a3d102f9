//! What one connection to a broker brings, until it ends.
//!
//! Invariants: a message is acknowledged when its notification is the cluster's to lose, in the order in which messages came,
//! whatever they were, and one whose notification was dropped never; no more than [`IN_HAND`] are in hand, and none is read while nothing more can be taken.

use std::time::Duration;

use ::metrics::counter;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::time::{
    Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout,
};

use super::super::posted::string;
use super::super::{Inbox, figures, notice};
use super::Source;
use super::frames::{Frame, Message};
use super::link::{KEEP_ALIVE, Link, LinkError, STEP};
use super::message::{Unfit, read};
use crate::broker::keep::Fate;
use crate::event::now_ms;
use crate::metrics;
use crate::throttle::and_more;

/// Messages that are not acknowledged yet, at most.
const IN_HAND: usize = 100;
/// A notification that Redis has not confirmed by now waits for it on this node.
const SAFE: Duration = Duration::from_secs(10);
/// How long a node that ends waits for what is in hand, and then for the broker to hear that it leaves.
const LAST: Duration = Duration::from_secs(2);
const FAREWELL: Duration = Duration::from_millis(500);
/// How often it is looked whether more can be taken again.
const LOOK: Duration = Duration::from_millis(100);
/// What event streams call notifications that came over MQTT.
const NAME: &str = "notify";

/// What the holder of the session has to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The subscription is granted.
    Granted,
    /// It is still there, some time later.
    There,
}

/// See the module's description.
pub(super) struct Feed<'a> {
    inbox: &'a Inbox,
    source: &'a Source,
    link: Link,
    /// What each message is to be acknowledged by, when it may be.
    in_hand: FuturesOrdered<BoxFuture<'static, Result<Option<u16>, LinkError>>>,
    /// Until when the subscription must be granted; `None`: it is.
    granted_by: Option<Instant>,
    pings: Interval,
    /// Whether a ping is not answered yet.
    asked: bool,
}

impl<'a> Feed<'a> {
    /// What comes over `link`, which has just been taken.
    pub fn new(inbox: &'a Inbox, source: &'a Source, link: Link) -> Self {
        let now = Instant::now();
        let mut pings = interval_at(now + KEEP_ALIVE, KEEP_ALIVE);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            inbox,
            source,
            link,
            in_hand: FuturesOrdered::new(),
            granted_by: Some(now + STEP),
            pings,
            asked: false,
        }
    }

    /// Takes what comes, until there is something to see to. It may be given up at any time and called again.
    ///
    /// # Errors
    /// [`LinkError`]
    pub async fn next(&mut self) -> Result<Step, LinkError> {
        loop {
            let full = self.inbox.is_full();
            let reads = !full && self.in_hand.len() < IN_HAND;
            if !reads {
                // What the broker has answered meanwhile is not read.
                self.asked = false;
                self.granted_by = self.granted_by.map(|_| Instant::now() + STEP);
            }
            let granted_by = self.granted_by;
            tokio::select! {
                biased;
                Some(id) = self.in_hand.next() => acknowledge(&mut self.link, id?).await?,
                _ = self.pings.tick() => {
                    if std::mem::replace(&mut self.asked, true) {
                        return Err(LinkError::Late("PINGREQ"));
                    }
                    self.link.ping().await?;
                    if granted_by.is_none() {
                        return Ok(Step::There);
                    }
                }
                () = sleep_until(granted_by.unwrap_or_else(Instant::now)), if granted_by.is_some() => {
                    return Err(LinkError::Late("SUBSCRIBE"));
                }
                () = sleep(LOOK), if full => {}
                frame = self.link.next(), if reads => match frame? {
                    Frame::Message(message) => self.take(message),
                    Frame::Subscribed(true) => {
                        self.granted_by = None;
                        return Ok(Step::Granted);
                    }
                    Frame::Subscribed(false) => return Err(LinkError::Subscription),
                    Frame::Pong => self.asked = false,
                    Frame::Connected(_) => return Err(LinkError::Broken("a second CONNACK".to_owned())),
                },
            }
        }
    }

    /// Takes nothing more, finishes what is in hand, and takes leave.
    pub async fn leave(mut self) {
        let finish = async {
            while let Some(id) = self.in_hand.next().await {
                acknowledge(&mut self.link, id?).await?;
            }
            Ok::<(), LinkError>(())
        };
        // What is not finished comes again, to the next node.
        let _ = timeout(LAST, finish).await;
        let _ = timeout(FAREWELL, self.link.close()).await;
    }

    fn take(&mut self, message: Message) {
        let id = message.id;
        match self.fit(&message) {
            Ok((user, text)) => {
                counter!(figures::MQTT_MESSAGES, "result" => "taken").increment(1);
                counter!(metrics::EVENTS_ACCEPTED, "dialect" => super::super::wire::DIALECT, "type" => "notification")
                    .increment(1);
                tracing::debug!(user, id, "a notification over MQTT");
                let mut data = Vec::new();
                string(
                    if text.is_empty() {
                        &self.inbox.text
                    } else {
                        text
                    },
                    &mut data,
                );
                let event = notice::new(&user.to_string(), NAME, data.into(), rand::random(), text);
                let receipt = self.inbox.keep(event);
                self.in_hand.push_back(Box::pin(async move {
                    match receipt.fate(SAFE).await {
                        Fate::Safe | Fate::Waiting => Ok(id),
                        Fate::Dropped => Err(LinkError::Crowded),
                    }
                }));
            }
            Err(unfit) => {
                counter!(figures::MQTT_MESSAGES, "result" => unfit.label()).increment(1);
                if let Some(unsaid) = self.inbox.warnings.say(unfit.label(), now_ms()) {
                    let (kind, more) = (unfit.label(), and_more(unsaid));
                    tracing::info!(
                        kind,
                        "an MQTT message reaches nobody, since it does not fit FOGHORN_INBOX_TOPIC{more}"
                    );
                }
                self.in_hand.push_back(Box::pin(std::future::ready(Ok(id))));
            }
        }
    }

    fn fit<'m>(&self, message: &'m Message) -> Result<(u64, &'m str), Unfit> {
        let (topic, payload) = message.said.as_ref().ok_or(Unfit::Size)?;
        let fit = read(&self.source.topic, self.source.payload, topic, payload)?;
        if message.retained {
            Err(Unfit::Retained)
        } else {
            Ok(fit)
        }
    }
}

async fn acknowledge(link: &mut Link, id: Option<u16>) -> Result<(), LinkError> {
    let Some(id) = id else { return Ok(()) };
    link.acknowledge(id).await?;
    counter!(figures::MQTT_ACKNOWLEDGED).increment(1);
    Ok(())
}
