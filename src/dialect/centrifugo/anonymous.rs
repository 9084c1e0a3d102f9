//! A client that has not said who it is: it may say that, and nothing else.
//!
//! Invariant: pure.

use std::sync::Arc;

use super::Site;
use super::answers::{LIMIT_EXCEEDED, UNAUTHORIZED};
use super::claims::{Claims, Expired, welcome};
use super::command::Command;
use super::connected::Connected;
use super::rules::Rules;
use crate::session::Close;

/// See the module.
pub(super) struct Anonymous {
    /// When it has to have said it, Unix milliseconds; `None`: whenever it likes.
    pub(super) until_ms: Option<u64>,
}

/// What comes of `connect`.
pub enum Welcome {
    /// It is known who that is.
    Known(Box<Connected>),
    /// The proof has run out: the client may try again.
    Expired,
}

impl Anonymous {
    /// A client that has just come.
    pub fn new(rules: &Rules, now_ms: u64) -> Self {
        let delay = rules.stale_delay_s;
        Self {
            until_ms: (delay > 0).then(|| now_ms + delay * 1_000),
        }
    }

    /// Does a command. Returns the answer's body too.
    ///
    /// # Errors
    /// What ends the connection.
    pub fn take(
        &self,
        site: &Site,
        command: &Command,
        now_ms: u64,
    ) -> Result<(Welcome, String), Close> {
        if *command.method != *"connect" {
            return Err(UNAUTHORIZED);
        }
        let (rules, now_s) = (site.rules(), now_ms / 1_000);
        let claims = Claims::of(command)?;
        let proven = if rules.insecure {
            claims.believed(now_s)?
        } else {
            claims.proven(&rules, now_s)?
        };
        let until_ms = match proven.until_ms(&rules, now_s) {
            Ok(until_ms) => until_ms,
            Err(Expired) => return Ok((Welcome::Expired, welcome(&rules, "", true))),
        };
        let user: Arc<str> = claims.user.as_ref().into();
        let seat = site
            .attendance
            .enter(&user, rules.connections)
            .ok_or(LIMIT_EXCEEDED)?;
        let connected = Connected::new(user, proven.info, until_ms, seat);
        let body = welcome(&rules, &connected.client, false);
        Ok((Welcome::Known(Box::new(connected)), body))
    }
}
