//! Doing what backends post.
//!
//! Invariants: commands of a post are done in their order, each when the one before it is done; what is published is with the
//! broker, or on its way, when it is answered, or the answer says that it is not.

use std::time::Duration;

use ::metrics::counter;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::answers::{Refusal, api_answer, data};
use super::connected::inactive;
use super::message::{self, From, new_uid, newest_first};
use super::posted::{ApiCommand, Call, Content};
use super::rules::Options;
use super::session::Order;
use super::subscribe::{kept, presence};
use super::totals::Count;
use super::wire::DIALECT;
use super::{Centrifugo, figures};
use crate::broker::keep::Fate;
use crate::cluster::mail::To;
use crate::metrics;
use crate::node::Receipt;

/// How long an event may take to be with the broker; it is on its way all the same.
const CONFIRM: Duration = Duration::from_millis(150);

/// How long whoever can wait does, where the broker has no room.
pub(super) const ROOM: Duration = Duration::from_secs(1);
/// Channels of a broadcast that are on their way at once, where room for each is waited for.
const SPREAD: usize = 64;

/// What comes of a call: why it is not done, whether advice is told, and the answer's body.
struct Called {
    refusal: Option<Refusal>,
    advice: bool,
    body: String,
}

impl Called {
    fn done(body: impl Into<String>) -> Self {
        Self {
            refusal: None,
            advice: false,
            body: body.into(),
        }
    }

    /// Publishing is refused with advice.
    fn advised(refusal: Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            advice: true,
            body: "null".into(),
        }
    }

    fn refused(refusal: Refusal, body: impl Into<String>) -> Self {
        Self {
            refusal: Some(refusal),
            advice: false,
            body: body.into(),
        }
    }
}

impl Centrifugo {
    /// Does a command. Returns its answer.
    pub(super) async fn perform(&self, command: ApiCommand) -> String {
        let ApiCommand { uid, call } = command;
        let method = call.method();
        let Called {
            refusal,
            advice,
            body,
        } = match call {
            Call::Publish {
                channel,
                uid,
                content,
            } => self.publish_one(&channel, &uid, &content).await,
            Call::Broadcast { channels, content } => self.broadcast(&channels, content).await,
            Call::Unsubscribe { user, channel } => self.put_out(user, &channel).await,
            Call::Disconnect(user) => self.order(user, Order::End).await,
            Call::Presence(channel) => self.presence(&channel).await,
            Call::History(channel) => self.history(&channel).await,
            Call::Channels => Called::done(self.channels().await),
            Call::Stats => Called::done(self.stats().await),
            Call::Node => Called::done(self.node()),
        };
        let result = refusal.map_or("ok", Refusal::label);
        counter!(figures::CALLS, "method" => method, "result" => result).increment(1);
        api_answer(uid.as_deref(), method, refusal, advice, &body)
    }

    async fn publish_one(&self, channel: &str, uid: &str, content: &Content) -> Called {
        match self.site.rules().options(channel) {
            None => Called::advised(Refusal::NamespaceNotFound),
            Some(options) => {
                let fate = self
                    .publish(channel, uid, content, options)
                    .await
                    .fate(CONFIRM)
                    .await;
                if fate == Fate::Dropped {
                    return Called::advised(Refusal::Internal);
                }
                self.accepted(1);
                Called::done("null")
            }
        }
    }

    /// Publishes, unsubscribes or disconnects, where nobody waits for the answer. What is published is on its way, in order; the
    /// receipts tell of it.
    pub(super) async fn carry_out(&self, call: Call) -> Vec<Receipt> {
        let method = call.method();
        let (receipts, Called { refusal, .. }) = match call {
            Call::Publish {
                channel,
                uid,
                content,
            } => match self.site.rules().options(&channel) {
                None => (Vec::new(), Called::advised(Refusal::NamespaceNotFound)),
                Some(options) => (
                    vec![self.publish(&channel, &uid, &content, options).await],
                    Called::done("null"),
                ),
            },
            Call::Unsubscribe { user, channel } => (Vec::new(), self.put_out(user, &channel).await),
            Call::Disconnect(user) => (Vec::new(), self.order(user, Order::End).await),
            Call::Broadcast { .. }
            | Call::Presence(_)
            | Call::History(_)
            | Call::Channels
            | Call::Stats
            | Call::Node => return Vec::new(),
        };
        let result = refusal.map_or("ok", Refusal::label);
        counter!(figures::CALLS, "method" => method, "result" => result).increment(1);
        receipts
    }

    async fn broadcast(&self, channels: &[String], content: Option<Content>) -> Called {
        let (receipts, result) = self.spread(channels, content).await;
        let fates = join_all(receipts.into_iter().map(|receipt| receipt.fate(CONFIRM))).await;
        self.accepted(fates.iter().filter(|fate| **fate != Fate::Dropped).count());
        if fates.contains(&Fate::Dropped) {
            Called::advised(Refusal::Internal)
        } else {
            result
        }
    }

    /// Does a broadcast that nobody waits for the answer of. Where the broker has no room for some of it, those channels get
    /// theirs when there is, and no other gets it twice. Returns whether all have it, or never will: once it `is_over` nothing more
    /// goes out.
    pub(super) async fn broadcast_in_full(
        &self,
        channels: &[String],
        content: Option<Content>,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let mut result = "ok";
        for some in channels.chunks(SPREAD) {
            let mut owed = some.to_vec();
            while !owed.is_empty() {
                if is_over() {
                    return false;
                }
                let (receipts, Called { refusal, .. }) = self.spread(&owed, content.clone()).await;
                let fates = join_all(receipts.into_iter().map(|to| to.fate(Duration::MAX))).await;
                // Behind the first that cannot have it nobody does.
                result = refusal.map_or(result, Refusal::label);
                let sent = fates.iter().filter(|fate| **fate != Fate::Dropped);
                self.accepted(sent.count());
                let dropped = fates.iter().map(|fate| *fate == Fate::Dropped);
                let dropped = owed.into_iter().zip(dropped);
                owed = dropped
                    .filter_map(|(channel, dropped)| dropped.then_some(channel))
                    .collect();
                if !owed.is_empty() {
                    sleep(ROOM).await;
                }
            }
            if result != "ok" {
                break;
            }
        }
        counter!(figures::CALLS, "method" => "broadcast", "result" => result).increment(1);
        true
    }

    /// A message goes into each channel, up to the first that cannot have it.
    async fn spread(
        &self,
        channels: &[String],
        content: Option<Content>,
    ) -> (Vec<Receipt>, Called) {
        let Some(content) = content.filter(|_| !channels.is_empty()) else {
            return (Vec::new(), Called::advised(Refusal::InvalidMessage));
        };
        let (rules, mut receipts) = (self.site.rules(), Vec::new());
        for channel in channels {
            match rules.options(channel) {
                _ if channel.is_empty() => {
                    return (receipts, Called::advised(Refusal::InvalidMessage));
                }
                None => return (receipts, Called::advised(Refusal::NamespaceNotFound)),
                Some(options) => receipts.push(self.publish(channel, "", &content, options).await),
            }
        }
        (receipts, Called::done("null"))
    }

    /// So many messages are the broker's to deliver.
    pub(super) fn accepted(&self, count: usize) {
        counter!(metrics::EVENTS_ACCEPTED, "dialect" => DIALECT, "type" => "message")
            .increment(count as u64);
        self.site.totals.add(Count::Published, count);
    }

    async fn publish(
        &self,
        channel: &str,
        uid: &str,
        content: &Content,
        options: Options,
    ) -> Receipt {
        let uid = if uid.is_empty() {
            new_uid()
        } else {
            uid.to_owned()
        };
        let from = From {
            client: &content.client,
            info: "",
        };
        let event = message::message(channel, &uid, &content.data, from);
        let node = &self.connections.node;
        match options.keep {
            Some(keep) if self.keeps(channel, options).await => node.keep(event, keep),
            _ => node.publish(event),
        }
    }

    /// Whether the channel keeps what is published now: some keep nothing where nobody is, and nothing was of late.
    async fn keeps(&self, channel: &str, options: Options) -> bool {
        if inactive(options).is_none() {
            return true;
        }
        let (keeper, used) = (&self.context.keeper, message::in_use(channel));
        // What cannot be told now may be so: rather is too much kept than too little.
        let here = keeper
            .present(&used)
            .await
            .map_or(true, |here| !here.is_empty());
        here || keeper
            .past(&used)
            .await
            .map_or(true, |past| !past.events.is_empty())
            || keeper
                .past(&message::channel(channel))
                .await
                .map_or(true, |past| !past.events.is_empty())
    }

    async fn put_out(&self, user: String, channel: &str) -> Called {
        if !channel.is_empty() && self.site.rules().options(channel).is_none() && !user.is_empty() {
            return Called::refused(Refusal::NamespaceNotFound, "null");
        }
        self.order(user, Order::Leave(channel)).await
    }

    /// Has all sessions of a user, on all nodes, do something.
    async fn order(&self, user: String, order: Order<'_>) -> Called {
        if user.is_empty() {
            return Called::refused(Refusal::InvalidMessage, "null");
        }
        // Whoever does not answer in time does it all the same, or is gone.
        self.context
            .cluster
            .mail(DIALECT, &To::User(user), &order.write())
            .await;
        Called::done("null")
    }

    async fn presence(&self, channel: &str) -> Called {
        match self.options(channel, |options| options.presence) {
            Err(refusal) => Called::refused(refusal, data(channel, "null")),
            Ok(_) => match self
                .context
                .keeper
                .present(&message::channel(channel))
                .await
            {
                Ok(here) => Called::done(data(channel, &presence(&here))),
                Err(_) => Called::refused(Refusal::Internal, data(channel, "null")),
            },
        }
    }

    async fn history(&self, channel: &str) -> Called {
        let keep = match self.options(channel, |options| options.keep.is_some()) {
            Err(refusal) => return Called::refused(refusal, data(channel, "null")),
            Ok(options) => options.keep,
        };
        match self.context.keeper.past(&message::channel(channel)).await {
            Err(_) => Called::refused(Refusal::Internal, data(channel, "null")),
            Ok(past) => Called::done(data(channel, &newest_first(kept(keep, &past)))),
        }
    }

    /// What is done in a channel that is asked about, where what is asked for is there.
    fn options(
        &self,
        channel: &str,
        there: impl FnOnce(&Options) -> bool,
    ) -> Result<Options, Refusal> {
        if channel.is_empty() {
            return Err(Refusal::InvalidMessage);
        }
        let options = self
            .site
            .rules()
            .options(channel)
            .ok_or(Refusal::NamespaceNotFound)?;
        if there(&options) {
            Ok(options)
        } else {
            Err(Refusal::NotAvailable)
        }
    }
}
