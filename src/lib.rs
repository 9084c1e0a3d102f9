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
//! * [`connection`]: one client, seen as a session that decides and an outbox that holds.
//! * [`dialect`]: the wire protocols towards clients and backends.

pub mod app;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod connection;
pub mod dialect;
pub mod drain;
pub mod event;
pub mod fetch;
pub mod hub;
pub mod json;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod ops;
pub mod otlp;
pub mod sink;
