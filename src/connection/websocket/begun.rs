//! What a client has begun to send and not ended, as all connections' common bound knows it.
//!
//! Invariant: a client whose messages come whole costs nothing here.

use std::sync::Arc;

use super::Connection;
use super::closing::unfinished;
use super::progress::Progress;
use crate::session::Session;
use crate::unfinished::Share;

/// Something that a client has begun to send.
pub(super) struct Begun {
    pub(super) progress: Progress,
    pub(super) share: Share,
}

impl<S: Session> Connection<S> {
    /// Notes how far the client is in what it sends.
    pub(super) fn measure(&mut self, input: &[u8]) {
        let mut progress = self
            .begun
            .as_ref()
            .map_or_else(Progress::default, |begun| begun.progress);
        progress.take(input);
        let held = progress.held();
        match &mut self.begun {
            _ if held == 0 => self.begun = None,
            Some(begun) => {
                begun.progress = progress;
                begun.share.holds(held);
            }
            None => {
                let (outbox, within) = (Arc::clone(&self.outbox), self.link.shared().message_time);
                let end = Box::new(move |reason| {
                    outbox.end(&unfinished(reason));
                });
                let share = self.link.shared().unfinished.begin(held, within, end);
                self.begun = Some(Box::new(Begun { progress, share }));
            }
        }
    }
}
