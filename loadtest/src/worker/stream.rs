//! What a client of an event stream hears: the blocks of the body.
//!
//! Invariant: a client is subscribed when the first block has come, unless that one tells it to come again later; or when
//! the answer's head has, where the dialect says so.

use super::Worker;
use super::conn::State;
use crate::{clock, sse};

impl Worker {
    /// Acts on all that is whole in `b` and keeps the rest.
    pub(super) fn take_in_body(&mut self, i: u32, b: &[u8]) {
        let mut body = std::mem::take(&mut self.conns[i as usize].body);
        let done = body.take(b, |block| {
            self.on_block(i, block);
            self.conns[i as usize].fd.is_some()
        });
        let c = &mut self.conns[i as usize];
        match done {
            Ok(done) if c.fd.is_some() => {
                c.rest_in = b[done..].to_vec();
                c.body = body;
            }
            Ok(_) => {}
            Err(end) => self.ended(i, &end.to_string(), 500),
        }
    }

    fn on_block(&mut self, i: u32, block: &[u8]) {
        if self.conns[i as usize].state == State::Ready {
            return self.on_text(i, block);
        }
        match sse::retry(block) {
            Some(ms) => self.ended(i, "told to come again later", ms),
            None => self.subscribed(i, clock::now_ns()),
        }
    }
}
