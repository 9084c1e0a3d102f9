//! Notifications that come over MQTT: one node of the cluster is subscribed at the broker, and publishes what comes.
//!
//! * [`message`]: what a message says, pure. [`pauses`]: when to connect again, pure.
//! * [`address`]: where the broker is. [`link`]: one connection to it; [`frames`]: packets out of bytes; [`tls`]: whom it trusts.
//! * [`feed`]: what one connection brings, and when it is acknowledged. [`holder`]: who of the nodes is connected, and how often.
//! * [`standing`]: what operators are told of it. [`permission`]: whether a user may publish, which `doctor` asks.
//!
//! The wire's packets are `rumqttc`'s, which is named in [`link`] and [`frames`] only. Its event loop is not used: it keeps a
//! packet of any size in memory before anybody can refuse it, and hands what is to be acknowledged on to the next connection.
//! The few bytes of MQTT 5 are written in [`permission`].

pub mod address;
pub mod feed;
pub mod frames;
pub mod holder;
pub mod link;
pub mod message;
pub mod pauses;
mod permission;
pub mod standing;
pub mod tls;

use std::path::PathBuf;

use self::address::Address;
use self::message::{Payload, Topic};

/// How the broker is reached, and what is taken from it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Brokers, tried in turn.
    pub addresses: Vec<Address>,
    /// Authorities to trust, a PEM file; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// The session's name at the broker.
    pub client_id: String,
    /// The users' topics.
    pub topic: Topic,
    /// What payloads mean.
    pub payload: Payload,
    /// The longest packet that is kept, bytes.
    pub longest: usize,
}
