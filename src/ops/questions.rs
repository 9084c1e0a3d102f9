//! What nodes ask each other for their operators, and how one answers: who holds a channel or a user's subscriptions,
//! and ending connections.
//!
//! Invariant: an answer is bounded, however many clients there are; nothing here waits for a client for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::Ops;
use crate::connection::tracked::Tracked;
use crate::dialect::Ends;
use crate::event::{Channel, now_ms};
use crate::hub::inspect::{Lookup, Match};
use crate::session::Why;

/// Clients that one node tells of at most.
const CLIENTS: usize = 500;
/// How long sessions have to say when their subscriptions end.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Who is subscribed to this channel?
    Channel(String),
    /// Which subscriptions does this user have?
    User(String),
    /// End one connection of one node.
    DisconnectClient {
        /// The node's name.
        node: String,
        /// The connection's number there.
        id: u64,
    },
    /// End all connections of a user.
    DisconnectUser(String),
}

/// What one node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// The node's name.
    pub(super) node: String,
    /// The clients found.
    pub(super) clients: Vec<ClientView>,
    /// How many there are, shown or not.
    pub(super) total: usize,
    /// How many were disconnected.
    pub(super) disconnected: usize,
}

/// One client's subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientView {
    /// The connection's number on its node.
    pub id: u64,
    /// Where it comes from.
    pub address: String,
    /// desktop, web or other.
    pub kind: String,
    /// Whose subscription it is.
    pub user: String,
    /// To which channel, `KIND/NAME`.
    pub channel: String,
    /// When it connected, Unix milliseconds.
    pub connected_ms: u64,
    /// When the subscription ends, Unix milliseconds; `None`: not known, the connection is just ending.
    pub expires_ms: Option<u64>,
}

/// What questions of operators are about, to the cluster.
pub const SUBJECT: &str = "operators";

impl Ops {
    /// Asks every node of the cluster, this one included.
    pub(super) async fn ask_all(&self, question: &Question) -> Vec<Reply> {
        let Ok(question) = serde_json::to_vec(question) else {
            return Vec::new();
        };
        let answers = self.cluster.ask(SUBJECT, &question).await;
        let mut replies: Vec<Reply> = answers
            .iter()
            .filter_map(|bytes| serde_json::from_slice(bytes).ok())
            .collect();
        replies.sort_by(|a, b| a.node.cmp(&b.node));
        replies
    }

    /// Answers what [`Ops::ask_all`] of another node asks.
    pub async fn answer(&self, question: Bytes) -> Option<Bytes> {
        // A newer node may ask what this one does not understand.
        let reply = self.reply(serde_json::from_slice(&question).ok()?).await;
        Some(serde_json::to_vec(&reply).ok()?.into())
    }

    /// Answers for this node.
    async fn reply(&self, question: Question) -> Reply {
        let node = self.cluster.identity().name.clone();
        match question {
            Question::Channel(channel) => {
                self.clients(Lookup::Channel(&Channel::from_text(&channel)))
                    .await
            }
            Question::User(user) => self.clients(Lookup::User(&user)).await,
            Question::DisconnectClient { node: wanted, id } => {
                let disconnected = if wanted == node {
                    self.disconnect(&|other| other == id)
                } else {
                    0
                };
                Reply {
                    node,
                    disconnected,
                    ..Reply::default()
                }
            }
            Question::DisconnectUser(user) => {
                let (found, _) = self.node.hub().holders(Lookup::User(&user), usize::MAX);
                let ids: std::collections::HashSet<u64> =
                    found.iter().map(|holder| holder.outbox.id()).collect();
                Reply {
                    node,
                    disconnected: self.disconnect(&|id| ids.contains(&id)),
                    ..Reply::default()
                }
            }
        }
    }

    fn disconnect(&self, wanted: &dyn Fn(u64) -> bool) -> usize {
        let peers = self
            .register
            .peers(|peer| wanted(peer.outbox.id()) && !peer.outbox.is_closing());
        for peer in &peers {
            peer.outbox.end(&Why::Administrator);
        }
        if !peers.is_empty() {
            tracing::info!(
                connections = peers.len(),
                "disconnected by an administrator"
            );
        }
        peers.len()
    }

    async fn clients(&self, wanted: Lookup<'_>) -> Reply {
        let (holders, total) = self.node.hub().holders(wanted, CLIENTS);
        let mut channels: HashMap<u64, Vec<Channel>> = HashMap::new();
        for holder in &holders {
            channels
                .entry(holder.outbox.id())
                .or_default()
                .push(holder.channel.clone());
        }
        let peers = self
            .register
            .peers(|peer| channels.contains_key(&peer.outbox.id()));
        let asked = |peer: &Arc<Tracked>| {
            (
                Arc::clone(peer),
                channels.get(&peer.outbox.id()).cloned().unwrap_or_default(),
            )
        };
        // Each dialect is asked about who holds its channels, whatever they speak; all at once.
        let ends = self.operated.iter().map(|operated| {
            let kind = operated.operate.words().kind;
            let own = |(_, held): &(_, Vec<Channel>)| held.iter().any(|held| held.kind() == kind);
            let asked = peers.iter().map(asked).filter(own).collect();
            Arc::clone(&operated.operate).ends(asked, PATIENCE)
        });
        let ends: Ends = join_all(ends).await.into_iter().flatten().collect();
        let peers: HashMap<u64, &Arc<Tracked>> =
            peers.iter().map(|peer| (peer.outbox.id(), peer)).collect();
        let view = |holder: &Match| {
            let peer = peers.get(&holder.outbox.id())?;
            let end = ends
                .get(&(holder.outbox.id(), holder.channel.clone()))
                .copied();
            Some(client_view(holder, peer, end))
        };
        let clients = holders.iter().filter_map(view).collect();
        Reply {
            node: self.cluster.identity().name.clone(),
            clients,
            total,
            disconnected: 0,
        }
    }
}

fn client_view(holder: &Match, peer: &Tracked, expires_ms: Option<u64>) -> ClientView {
    ClientView {
        id: holder.outbox.id(),
        address: peer.address.to_string(),
        kind: holder.outbox.kind().label.to_owned(),
        user: holder.user.to_string(),
        channel: holder.channel.as_str().to_owned(),
        connected_ms: now_ms().saturating_sub(peer.age().as_millis() as u64),
        expires_ms,
    }
}
