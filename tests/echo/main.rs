//! A dialect that lives outside of the server's own source: it is built on the public seams, and switched on without a line
//! changed in `src/`. It subscribes, publishes, keeps, recovers, asks and is asked, over WebSockets and event streams, on several nodes.

mod across;
mod asking;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod dialect;
mod encrypted;
mod keeping;
mod kinds;
mod session;
mod streams;
mod talking;
mod tutorial;
