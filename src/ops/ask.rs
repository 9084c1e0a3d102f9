//! What nodes ask each other for their operators, and how one answers: who holds a library or a user's subscriptions,
//! and ending connections.
//!
//! Invariant: an answer is bounded, however many clients there are; nothing here waits for a client for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ops;
use crate::connection::Close;
use crate::connection::peer::Peer;
use crate::event::{Channel, now_ms};
use crate::hub::look::{Holder, Wanted};

/// Clients that one node tells of at most.
const CLIENTS: usize = 500;
/// How long sessions have to say when their subscriptions end.
const PATIENCE: Duration = Duration::from_millis(500);
/// What an administrator's disconnect looks like to the client.
const GOODBYE: Close = Close::new(1008, "disconnected by an administrator", "admin");

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
    pub node: String,
    /// The clients found.
    pub clients: Vec<ClientView>,
    /// How many there are, shown or not.
    pub total: usize,
    /// How many were disconnected.
    pub disconnected: usize,
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
    /// To which library.
    pub library: String,
    /// When it connected, Unix milliseconds.
    pub connected_ms: u64,
    /// When the subscription ends, Unix milliseconds; `None`: not known, the connection is just ending.
    pub expires_ms: Option<u64>,
}

impl Ops {
    /// Answers for this node.
    pub(super) async fn reply(&self, question: Question) -> Reply {
        let node = self.identity.name.clone();
        match question {
            Question::Channel(channel) => self.clients(Wanted::Channel(&Channel::from_text(&channel))).await,
            Question::User(user) => self.clients(Wanted::User(&user)).await,
            Question::DisconnectClient { node: wanted, id } => {
                let disconnected = if wanted == node { self.disconnect(&|other| other == id) } else { 0 };
                Reply { node, disconnected, ..Reply::default() }
            }
            Question::DisconnectUser(user) => {
                let (found, _) = self.node.hub().holders(Wanted::User(&user), usize::MAX);
                let ids: std::collections::HashSet<u64> = found.iter().map(|holder| holder.outbox.id()).collect();
                Reply { node, disconnected: self.disconnect(&|id| ids.contains(&id)), ..Reply::default() }
            }
        }
    }

    fn disconnect(&self, wanted: &dyn Fn(u64) -> bool) -> usize {
        let peers = self.register.peers(|outbox| wanted(outbox.id()) && !outbox.is_closing());
        peers.iter().for_each(|peer| peer.outbox.close(GOODBYE));
        if !peers.is_empty() {
            tracing::info!(connections = peers.len(), "disconnected by an administrator");
        }
        peers.len()
    }

    async fn clients(&self, wanted: Wanted<'_>) -> Reply {
        let (holders, total) = self.node.hub().holders(wanted, CLIENTS);
        let mut channels: HashMap<u64, Vec<Channel>> = HashMap::new();
        for holder in &holders {
            channels.entry(holder.outbox.id()).or_default().push(holder.channel.clone());
        }
        let peers = self.register.peers(|outbox| channels.contains_key(&outbox.id()));
        let asked = |peer: &Arc<Peer>| (Arc::clone(peer), channels.get(&peer.outbox.id()).cloned().unwrap_or_default());
        let asked: Vec<_> = peers.iter().map(asked).collect();
        let ends = self.register.inquiries().ask(&asked, PATIENCE).await;
        let peers: HashMap<u64, &Arc<Peer>> = peers.iter().map(|peer| (peer.outbox.id(), peer)).collect();
        let view = |holder: &Holder| {
            let peer = peers.get(&holder.outbox.id())?;
            let end = ends.get(&(holder.outbox.id(), holder.channel.clone())).copied();
            Some(client_view(holder, peer, end))
        };
        let clients = holders.iter().filter_map(view).collect();
        Reply { node: self.identity.name.clone(), clients, total, disconnected: 0 }
    }
}

fn client_view(holder: &Holder, peer: &Peer, expires_ms: Option<u64>) -> ClientView {
    ClientView {
        id: holder.outbox.id(),
        address: peer.address.to_string(),
        kind: holder.outbox.client().label().to_owned(),
        user: holder.user.to_string(),
        library: holder.channel.name().to_owned(),
        connected_ms: now_ms().saturating_sub(peer.age().as_millis() as u64),
        expires_ms,
    }
}
