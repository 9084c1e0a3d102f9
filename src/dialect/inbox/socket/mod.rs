//! A user's inbox as a WebSocket that says "look": the page then asks its backend what there is.
//!
//! * [`session`]: one page's state, pure; [`wire`]: what it is sent.
//! * [`login`]: who a page's user is, by a JWT or by a session that the backend keeps in its Redis ([`store`]).
//! * [`routes`]: which path is what.

pub mod login;
pub mod routes;
pub mod session;
pub mod store;
pub mod wire;
