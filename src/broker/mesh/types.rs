//! What goes into a mesh and what comes out of it.
//!
//! Invariant: plain values; nothing here decides anything.

use std::time::Duration;

use bytes::Bytes;

use super::members::Misfit;
use crate::broker::control::Control;
use crate::broker::packet::{self, CONTROL, Head, Packet, Unreadable};
use crate::broker::{Bounds, Lost};
use crate::event::Event;
use crate::metrics;

/// What does not change while a node runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This start of this node.
    pub(in crate::broker) origin: u64,
    /// Into how many partitions channels are divided.
    pub(in crate::broker) partitions: u32,
    /// For each shard, whether its topics are apart; see [`crate::broker::carrier::Carrier::topics_are_apart`].
    pub(in crate::broker) shards: Vec<bool>,
    /// Events of the last so many milliseconds are kept for subscribers to come.
    pub(in crate::broker) replay_ms: u64,
    /// Bounds of what waits.
    pub(in crate::broker) waiting: Bounds,
}

/// What the node is called, and what it shows of itself; taken anew for each announcement.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// What operators know it by.
    pub(in crate::broker) id: String,
    /// Its name.
    pub(in crate::broker) name: String,
    /// Fingerprints of the keys that it takes.
    pub(in crate::broker) keys: Vec<String>,
    /// What it shows operators.
    pub(in crate::broker) view: Bytes,
}

/// The time, as whoever drives the mesh has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds on a clock that never goes back and stands still while the process does.
    pub(in crate::broker) ms: u64,
    /// How long the node has been running, in milliseconds.
    pub(in crate::broker) uptime_ms: u64,
    /// Unix time in milliseconds.
    pub(in crate::broker) unix_ms: u64,
}

/// What a partition's task is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Give it to this node's subscribers.
    Deliver(Event),
    /// Keep it for subscribers to come; others delivered it this long ago, before this node listened.
    Remember(Event, Duration),
    /// Events may be missing.
    Lost(Lost),
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The shard's subscription hears nothing: make it anew.
    Resubscribe(usize),
    /// From now on the shard carries this node's events, and it hears the others there.
    Up(usize),
    /// It does not any more.
    Down {
        /// Which shard.
        on: usize,
        /// Whether this node fits in: otherwise it is not the shard's fault.
        fits: bool,
    },
    /// A node asks this one's peer something; the answer goes to [`super::Mesh::answer`].
    Asked {
        /// Over which shard.
        on: usize,
        /// Who asks.
        from: u64,
        /// The question's number.
        id: u64,
        /// What is asked.
        body: Bytes,
    },
    /// A node answered a question of this node's.
    Answered {
        /// Who answers.
        from: u64,
        /// The question's number.
        id: u64,
        /// What it says.
        body: Bytes,
    },
}

/// How a mesh is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it learned what happened before.
    pub(super) joined: bool,
    /// Why it stays out.
    pub(in crate::broker) misfit: Option<Misfit>,
    /// Events that are not confirmed, and their bytes.
    pub(in crate::broker) waiting: (usize, usize),
    /// For how long the oldest of them has waited.
    pub(in crate::broker) oldest_ms: Option<u64>,
    /// For each shard whether it carries.
    pub(in crate::broker) up: Vec<bool>,
    /// Packets remembered, and their bytes.
    pub(in crate::broker) remembered: (usize, usize),
    /// Packets held behind holes.
    pub(in crate::broker) held: usize,
}

/// Something heard, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A numbered packet.
    Packet(Packet),
    /// What a node says of itself or asks.
    Control(Head, Control),
}

/// Reads what came over a carrier.
///
/// # Errors
/// [`Unreadable`], which the caller counts.
pub fn read(bytes: Bytes) -> Result<Incoming, Unreadable> {
    let head = packet::head(&bytes)?;
    if head.kind < CONTROL {
        return Ok(Incoming::Packet(packet::read(head, bytes)));
    }
    let newer = if head.format > packet::FORMAT {
        Unreadable::Newer
    } else {
        Unreadable::Malformed
    };
    Control::read(head, &bytes)
        .map(|control| Incoming::Control(head, control))
        .ok_or(newer)
}

/// Something that was heard cannot be read: it is counted.
pub fn skipped(why: Unreadable) {
    ::metrics::counter!(metrics::MESSAGES_SKIPPED, "reason" => why.label()).increment(1);
    tracing::debug!("broker message skipped: {why}");
}
