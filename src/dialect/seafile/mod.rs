//! Seafile's notification protocol, towards its clients and its backends.
//!
//! * [`message`]: the wire types, pure.
//! * [`session`]: one client's state, pure; [`pauses`] and [`refusals`] are parts of it.

mod json;
pub mod message;
pub mod pauses;
pub mod refusals;
pub mod session;
