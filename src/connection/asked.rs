//! What a session has asked for: answers that are still to come, in the order of the questions, and what the client has sent
//! meanwhile and nobody has looked at.
//!
//! Invariant: every question is answered, after [`WITHIN`] at the latest.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::time::Instant;

use super::Shared;
use crate::event::{Channel, Past};
use crate::node::Receipt;
use crate::session::{Answer, Query, Ticket};

/// How long a question may take.
const WITHIN: Duration = Duration::from_secs(10);
/// How long an event may take to be with the broker; it is on its way all the same.
const CONFIRMED: Duration = Duration::from_millis(150);

/// Answers what sessions of one dialect ask of it on this node; `None`: it cannot.
pub type Asker = Box<dyn Fn(Bytes) -> BoxFuture<'static, Option<Bytes>> + Send + Sync>;

/// See the module's description.
#[derive(Default)]
pub(super) struct Asked {
    answers: FuturesOrdered<BoxFuture<'static, (Ticket, Answer)>>,
    /// Subscriptions that are held until the question of this ticket is answered.
    released_by: Vec<(Ticket, Channel)>,
    /// Those whose questions are answered, and what of the past was.
    told: Vec<(Channel, Past)>,
    /// What was read and not looked at.
    held: Vec<u8>,
}

impl Asked {
    /// Begins to answer `query`, asked by a session of `dialect`.
    pub(super) fn ask(&mut self, shared: &Shared, dialect: &str, ticket: Ticket, query: Query) {
        let answer = begin(shared, dialect, query);
        self.answers
            .push_back(Box::pin(async move { (ticket, answer.await) }));
    }

    /// The next answer; `None`: all are here.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Ticket, Answer)>> {
        self.answers.poll_next_unpin(cx)
    }

    /// Whether answers are still to come.
    pub(super) fn is_open(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Asks for the past of `channel`, whose subscription began after `since` and is held until then.
    pub(super) fn ask_past(
        &mut self,
        shared: &Shared,
        ticket: Ticket,
        channel: Channel,
        since: Instant,
    ) {
        self.released_by.push((ticket, channel.clone()));
        let answer = past(shared, channel, since);
        self.answers
            .push_back(Box::pin(async move { (ticket, answer.await) }));
    }

    /// The past of a held subscription is read.
    pub(super) fn is_told(&mut self, channel: Channel, had: Past) {
        self.told.push((channel, had));
    }

    /// The held subscriptions whose pasts are read.
    pub(super) fn told(&mut self) -> Vec<(Channel, Past)> {
        std::mem::take(&mut self.told)
    }

    /// The subscription that goes on once the question of this ticket is answered.
    pub(super) fn releases(&mut self, ticket: Ticket) -> Option<Channel> {
        let at = self.released_by.iter().position(|(by, _)| *by == ticket)?;
        Some(self.released_by.swap_remove(at).1)
    }

    /// Keeps what the client has sent meanwhile.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// What it has sent meanwhile.
    pub(super) fn into_held(self) -> Vec<u8> {
        self.held
    }
}

fn published(receipt: Receipt) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        receipt.confirmed(CONFIRMED).await;
        Answer::Published
    })
}

fn past(shared: &Shared, channel: Channel, since: Instant) -> BoxFuture<'static, Answer> {
    let keeper = shared.node.keeper().clone();
    Box::pin(async move {
        let past = keeper.past_since(&channel, since).await;
        past.map_or(Answer::Unavailable, Answer::Past)
    })
}

/// What is published is on its way when this returns; everything else begins when it is waited for.
pub(super) fn begin(shared: &Shared, dialect: &str, query: Query) -> BoxFuture<'static, Answer> {
    match query {
        Query::Publish(event) => published(shared.node.publish(event)),
        Query::Keep(event, keep) => published(shared.node.keep(event, keep)),
        Query::Past(channel) => past(shared, channel, Instant::now()),
        Query::Present(channel) => {
            let keeper = shared.node.keeper().clone();
            Box::pin(async move {
                keeper
                    .present(&channel)
                    .await
                    .map_or(Answer::Unavailable, Answer::Present)
            })
        }
        Query::Own(question) => {
            let askers = shared.askers.get().map(Vec::as_slice).unwrap_or_default();
            let answer = askers
                .iter()
                .find(|(name, _)| *name == dialect)
                .map(|(_, asker)| asker(question));
            Box::pin(async move {
                let Some(answer) = answer else {
                    return Answer::Unavailable;
                };
                let answered = tokio::time::timeout(WITHIN, answer).await;
                answered
                    .ok()
                    .flatten()
                    .map_or(Answer::Unavailable, Answer::Own)
            })
        }
    }
}
