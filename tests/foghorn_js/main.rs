//! `foghorn.js` in Chromium: the snippets of `docs/FOGHORN-JS.md`, whatever happens to the network, the page and the server.

#[path = "../common/mod.rs"]
mod common;
mod origins;
mod package;
mod page;
mod relay;
mod site;
mod sockets;
mod streams;
