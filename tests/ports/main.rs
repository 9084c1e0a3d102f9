//! Ports of their own for dialects: every HTTP in clear text and over TLS, the same bounds as at the clients' port, and
//! certificates that change under load.

mod bounds;
mod certificates;
#[path = "../common/mod.rs"]
mod common;
mod site;
mod versions;
