//! The inbox dialect over WebSockets and MQTT: recorded conversations, real brokers, several nodes, what the page shows.

mod brokers;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod conversations;
mod deviations;
mod doctor;
mod misbehaving;
mod pages;
mod publisher;
mod sessions;
mod settings;
mod site;
mod sockets;
mod tls;
