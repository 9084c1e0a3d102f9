//! What the parent says to a worker process and hears from it: one JSON document a line.
//!
//! Invariant: the first order is [`Instruction::Start`]; a worker whose stdin ends, ends.

use crate::dialect::{Dialect, Manner};
use crate::stats::Packed;
use crate::target::Target;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the reasons for which a stuck reader's connection ended begin.
pub const STUCK: &str = "stuck reader: ";

/// Why the connections of clients ended that were told to leave.
pub const LEFT: &str = "left when told to";

/// Everything a worker needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Wire protocol.
    pub dialect: Dialect,
    /// As whom clients behave.
    pub manner: Manner,
    /// Servers; client `i` starts with the `i`th, counted round.
    pub targets: Vec<Target>,
    /// The shared key.
    pub key: String,
    /// Marks this run's libraries and events.
    pub run: u32,
    /// Clients of this worker.
    pub clients: u32,
    /// Number of its first client.
    pub first: u32,
    /// Libraries in all.
    pub channels: u32,
    /// Libraries of each client: the `per_client` from `client * per_client`, counted round.
    pub per_client: u32,
    /// Posters of each library, whose events have an order each; see [`crate::stamp::poster`].
    pub posters: u32,
    /// Loopback addresses to connect from.
    pub sources: u32,
    /// Picks other source addresses for each leg, so that ports in TIME_WAIT are no matter.
    pub source_base: u32,
    /// Connections being made at one time; 0 for no limit.
    pub in_flight: u32,
    /// Connections begun in a second; 0 for no limit.
    pub connect_rate: u32,
    /// Milliseconds until a client whose connection ended comes back; `None`: it does not.
    pub reconnect_ms: Option<u64>,
    /// Keeps book of every event each client got.
    pub ledger: bool,
    /// Subscribes with a key of its own making: every token is refused.
    pub wrong_key: bool,
    /// This many of the first clients stop reading once they are subscribed.
    pub stuck: u32,
    /// Clients that hang up each second, without a word, and come back as `reconnect_ms` says.
    pub hang_up_rate: u32,
    /// Clients that come back ask for what they missed.
    pub recover: bool,
}

impl Plan {
    /// Why there can be no such clients, if there cannot.
    pub fn fault(&self) -> Option<&'static str> {
        if self.dialect.streams() && self.manner == Manner::Desktop {
            Some("who listens to an event stream cannot ping, as desktop clients and bystanders do")
        } else if self.dialect.subscribes_by_connecting() && self.per_client > 1 {
            Some("the connection is the subscription, so a client cannot have several libraries")
        } else if self.recover && !self.dialect.keeps() {
            Some("only clients of centrifugo1 and centrifugo can recover")
        } else {
            None
        }
    }
}

/// From the parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// Connect and subscribe.
    Start(Box<Plan>),
    /// Count from here; say [`WorkerMessage::Done`] when that many events have come (0: never).
    Mark(u64),
    /// Say [`WorkerMessage::Report`].
    Report,
    /// Subscribe to and unsubscribe from so many libraries nobody else has, on all connections together.
    Churn(u64),
    /// No more hanging up at random.
    Calm,
    /// All clients hang up, without a word, and stay away; say [`WorkerMessage::Left`].
    Leave,
    /// They come back, all at once.
    Return,
    /// Balance the book against these accepted events.
    Settle(Settle),
}

/// What the posters know at the end, for the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settle {
    /// For each library, for each number from 1: when it was posted (microseconds of the common clock), or 0 if it was not accepted.
    pub accepted: Vec<Vec<u64>>,
    /// How long the server promises to replay, in microseconds.
    pub replay_us: u64,
}

/// From a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerMessage {
    /// Now and then: clients subscribed, and those given up.
    Progress {
        /// Subscribed now.
        ready: u32,
        /// Given up for good.
        lost: u32,
    },
    /// Every client is subscribed or given up.
    Ready {
        /// When the first began to connect.
        began_ns: u64,
        /// When the last was subscribed.
        ended_ns: u64,
    },
    /// [`Instruction::Mark`] is done: what is posted now is counted.
    Marked,
    /// [`Instruction::Leave`] is done.
    Left,
    /// As many events as were expected have come.
    Done {
        /// When the last came.
        at_ns: u64,
    },
    /// Asked for by [`Instruction::Report`].
    Report(Box<Tally>),
    /// [`Instruction::Churn`] is finished.
    Churned {
        /// Pairs done.
        pairs: u64,
    },
    /// Asked for by [`Instruction::Settle`].
    Ledger(Ledger),
    /// It cannot go on.
    Fault(String),
}

/// Counts since the last [`Instruction::Mark`], except where it says otherwise.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Clients subscribed now.
    pub ready: u32,
    /// Events received.
    pub received: u64,
    /// From posted to received.
    pub latency: Packed,
    /// When the last one came, nanoseconds of the common clock.
    pub last_ns: u64,
    /// From ping to pong.
    pub pong: Packed,
    /// Pings of the server.
    pub server_pings: u64,
    /// Events that came a second time on one connection.
    pub duplicates: u64,
    /// Events that came after a newer one of the same library and poster on the same connection.
    pub reordered: u64,
    /// Events a client had already had on an earlier connection (with a ledger; not in `received`).
    pub replayed: u64,
    /// Answers to clients that recover: all that they missed is there.
    pub recovered: u64,
    /// Such answers that say that something may be missing.
    pub holes: u64,
    /// Text that is no event of this run.
    pub foreign: u64,
    /// `jwt-expired` messages.
    pub expired: u64,
    /// Since the start, or since all came back: connecting until subscribed.
    pub subscribe: Packed,
    /// Since the start: how connections ended, and how often.
    pub ends: BTreeMap<String, u64>,
    /// Since the start: connections begun.
    pub begun: u64,
    /// This worker's own CPU seconds since the start.
    pub cpu_s: f64,
}

/// The balance of a soak.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Ledger {
    /// Accepted events × clients that were there.
    pub owed: u64,
    /// Of these, how many came.
    pub made: u64,
    /// Of these, how many never came.
    pub missing: u64,
    /// Missing, but the client was told: closed with 1012, which makes it look at everything afresh, or answered when it came back
    /// that not all could be recovered.
    pub told: u64,
    /// Not owed: the client was away for longer than the replay, or left without coming back.
    pub excused: u64,
    /// Came to a client although its post was not answered with 200.
    pub unaccepted: u64,
    /// Came twice on one connection.
    pub duplicates: u64,
    /// The same of those from before the client was told that not all could be recovered.
    pub doubled_told: u64,
    /// Accepted, and came after a newer one of the same poster.
    pub reordered: u64,
    /// The same of those from before the client was told that not all could be recovered.
    pub late_told: u64,
    /// A few that are missing, duplicated or out of order.
    pub examples: Vec<String>,
}

impl Ledger {
    /// Names an event of a client and a library as one of those.
    pub fn example(&mut self, what: &str, (client, library, number): (u32, u32, u32)) {
        if self.examples.len() < 10 {
            self.examples.push(format!(
                "{what}: client {client}, library {library}, event {number}"
            ));
        }
    }
}
