//! Seafile's notification protocol, towards its clients and its backends.
//!
//! * [`message`] and [`posted`]: the wire types, pure.
//! * [`session`]: one client's state, pure; [`pauses`], [`refusals`] and [`rules`] are parts of it.
//! * [`groups`]: who is in a group, from Seafile's database.
//! * [`order`]: each event in its place, also while a group is looked up.

pub mod groups;
mod json;
pub mod line;
pub mod members;
pub mod message;
pub mod order;
pub mod pauses;
pub mod posted;
pub mod refusals;
pub mod rules;
pub mod session;
