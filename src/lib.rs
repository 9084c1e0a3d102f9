//! Foghorn: a clustered notification server.
//!
//! An event goes one way, and the modules follow it:
//!
//! ```text
//! backend --POST /events--> dialect --> node --> broker (memory, or Redis partitions)
//!     --> every node's hub --> outboxes --> sockets
//! ```
//!
//! * [`event`]: what flows.
//! * [`auth`]: who may post and who may subscribe.
//! * [`broker`]: carries events from the node that took them to every node, in order, once.

pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod connection;
pub mod drain;
pub mod event;
pub mod logging;
pub mod metrics;
