//! The Centrifugo dialect against its users: recorded conversations, SockJS, several nodes, what is refused, configurations.

mod admin;
mod api;
mod authority;
mod autocert;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod compression;
mod conversations;
mod ledger;
mod lists;
mod nodes;
mod page;
mod real;
mod real_browser;
mod reload;
mod site;
mod sockjs;
mod sockjs_ends;
mod sockjs_nodes;
mod sockjs_page;
mod start;
mod web;
mod web_browser;
