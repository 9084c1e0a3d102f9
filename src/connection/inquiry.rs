//! Asking sessions when their subscriptions end: only they know, and they live in their connections' tasks.
//!
//! Invariant: a connection keeps one bit for this; what is asked and what was answered stands here, once a node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::peer::Peer;
use crate::event::Channel;

/// When subscriptions end, in Unix milliseconds, by connection and channel.
pub type Ends = HashMap<(u64, Channel), u64, ahash::RandomState>;

/// What is asked of each connection.
type Asked = HashMap<u64, Vec<Channel>, ahash::RandomState>;

struct Open {
    asked: Asked,
    answers: mpsc::UnboundedSender<(u64, Vec<(Channel, u64)>)>,
}

/// See the module's description.
#[derive(Default)]
pub struct Inquiries {
    /// One inquiry at a time.
    turn: tokio::sync::Mutex<()>,
    open: Mutex<Option<Open>>,
}

impl Inquiries {
    /// When the subscriptions of `peers` to the channels beside them end. What is not answered `within` this time,
    /// because a connection has just ended, is left out.
    pub async fn ask(&self, peers: &[(Arc<Peer>, Vec<Channel>)], within: Duration) -> Ends {
        let _turn = self.turn.lock().await;
        let (answers, mut receiver) = mpsc::unbounded_channel();
        let asked = peers.iter().map(|(peer, channels)| (peer.outbox.id(), channels.clone())).collect();
        *self.open.lock() = Some(Open { asked, answers });
        peers.iter().for_each(|(peer, _)| peer.ask());
        let mut ends = Ends::default();
        let collect = async {
            for _ in peers {
                let Some((id, answer)) = receiver.recv().await else { return };
                ends.extend(answer.into_iter().map(|(channel, end)| ((id, channel), end)));
            }
        };
        // Too late is as good as not at all.
        let _ = tokio::time::timeout(within, collect).await;
        *self.open.lock() = None;
        ends
    }

    /// Connection `id` answers what it was asked; `ends` tells when its subscription to a channel ends.
    pub fn answer(&self, id: u64, ends: impl Fn(&Channel) -> Option<u64>) {
        let mut open = self.open.lock();
        let Some(open) = open.as_mut() else { return };
        let Some(channels) = open.asked.remove(&id) else { return };
        let answer = channels.into_iter().filter_map(|channel| ends(&channel).map(|end| (channel, end))).collect();
        // Nobody waits any more: then nobody needs it.
        let _ = open.answers.send((id, answer));
    }
}
