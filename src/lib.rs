//! Foghorn: a clustered notification server.
//!
//! An event goes one way, and the modules follow it:
//!
//! ```text
//! backend --POST /events--> dialect --> node --> broker (memory, or Redis partitions)
//!     --> every node's hub --> outboxes --> sockets
//! ```
//!
//! An event's trip, file by file: its dialect takes the post (a folder of `dialect/`); `node.rs` publishes; the broker
//! carries; `receive.rs` receives on every node; `hub.rs` finds the subscribers and `hub/rendered.rs` has the event written
//! once for each wire they have; `outbox.rs` sends it, or holds it: a WebSocket is written to at once, an event stream's body
//! (`connection/stream.rs`) takes from it. What a client says goes through `connection/websocket.rs` to
//! `connection/link.rs`, which lets the session decide.
//!
//! From the ground up; a room imports rooms above it in this list (`tests/layers` holds them to it):
//!
//! * [`event`]: channels and events, which no client gets as they are. [`json`]: what of JSON is needed, without recursion.
//!   [`drain`]: the tracker of tasks, and where the node stands in its life. [`metrics`]: every metric's name and help.
//!   [`buffer`]: what an event's bytes are written into.
//! * [`session`]: one client's state machine, pure, and what it may want done.
//! * [`outbox`]: what a client has not taken yet; its kind of client, and the wire that writes for it.
//! * [`credentials`]: a request's password or bearer token. [`throttle`]: says the same thing once a minute. [`backoff`]: pauses between attempts. [`files`]: small
//!   files that may be pipes. [`headroom`]: what the process still has to give. [`unfinished`]: what peers have begun to send, bounded over all.
//! * [`client`]: asks others by HTTP. [`acme`]: certificates that are ordered.
//! * [`admission`]: who may come in. [`listen`]: accepts connections, and serves HTTP on them, at the clients' port and at
//!   dialects' own.
//! * [`broker`]: carries events from the node that took them to every node, in order, each once; its [`broker::keep`] has
//!   what outlives delivery, for dialects that ask for it.
//! * [`hub`]: channel to this node's subscribers, and what each channel saw in the last seconds.
//! * [`node`]: publishes for dialects, subscribes for connections.
//! * [`connection`]: one client's connection: a link of session, subscriptions and outbox, in front of a WebSocket, requests that come and go, or an event
//!   stream; mail for sessions and what they ask; the sweep.
//! * [`receive`]: where the broker's events end up.
//! * [`cluster`]: this node among the others: views, warnings, questions, mail to sessions wherever they are.
//! * [`dialect`]: the protocols, one folder each, and the only seam between them and all of the above.
//! * [`ops`]: what operators ask. [`cli`]: the commands. [`app`]: builds a node from its configuration, and ends it.
//!   [`config`]: what a node is told. [`logging`], [`otlp`]: what it writes and traces. [`fault`]: words for what went wrong
//!   below. [`version`]: which build this is.
//!
//! | word | meaning |
//! | --- | --- |
//! | event | one immutable notification: channel, name, data, and whom it is for |
//! | channel | what clients subscribe to, `<kind>/<name>`; each dialect has kinds of its own |
//! | wire | how events and messages are written for one kind of client: a dialect's envelope in a transport's framing |
//! | kind | what sets one kind of client apart: its wire, whether that may be compressed, and what it is told when it is closed |
//! | outbox | a connection's bounded queue; full means that the connection ends, with a reason |
//! | session | what a client may do, decided without a socket or a clock |
//! | link | performs what a session decides |
//! | mail | what another part of its dialect has for a session |
//! | ticket | what a session tells its questions apart by; answers come in the order of the questions |
//! | partition, shard | a share of all channels; the Redis deployment that carries it |
//! | past, place | what a channel keeps of its events, where a dialect wants that; where an event is in it |
//! | hub | finds an event's subscribers on this node; delivering never waits |

// What `clippy.toml` bans, and why, is there.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod acme;
pub mod admission;
pub mod app;
pub mod backoff;
pub mod broker;
pub mod buffer;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod credentials;
pub mod dialect;
pub mod drain;
pub mod event;
pub mod fault;
pub mod files;
pub mod headroom;
pub mod hub;
pub mod json;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod ops;
pub mod otlp;
pub mod outbox;
pub mod receive;
pub mod session;
pub mod throttle;
pub mod unfinished;
pub mod version;
