//! The inbox dialect against its users: recorded conversations, several nodes, nodes that end, the page's commands.

mod access_log;
mod cluster;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod conversations;
mod haproxy;
mod library;
mod life;
mod list;
mod operators;
mod page;
mod site;
mod slow;
mod stream;
mod two_layers;
