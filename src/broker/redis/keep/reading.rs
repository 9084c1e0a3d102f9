//! Reading a past: what Redis has, and what this node knows of it.
//!
//! Invariant: where a past is not unsure, this node's clients have all that came before it.

use bytes::Bytes;
use tokio::time::Instant;

use super::lane::Call;
use super::{Inner, RedisKeeper, number, scripts};
use crate::broker::keep::heard::Mark;
use crate::broker::keep::{KeepError, MEMORY_OF_PLACES, Past};
use crate::event::Channel;

/// All events of a past.
pub(super) const ALL: u32 = u32::MAX >> 1;

impl RedisKeeper {
    pub(in crate::broker) async fn past(
        &self,
        channel: &Channel,
        since: Instant,
    ) -> Result<Past, KeepError> {
        let heard = self.0.listener.heard().get(channel);
        let past = self.0.read(channel, heard, ALL, since).await?;
        let mut past = match past.newest {
            Some(newest) => {
                let flushed = self.0.broker.flush(channel, newest.epoch);
                self.0.listener.reach(channel, past, flushed).await
            }
            None => past,
        };
        // Redis was asked before there was a hole, or another epoch; or it has lost all.
        past.is_unsure |= match self.0.listener.heard().get(channel) {
            None => false,
            Some(Mark::At(heard)) => past.newest.is_none_or(|newest| heard.epoch > newest.epoch),
            Some(Mark::Hole(_)) => true,
        };
        Ok(past)
    }
}

impl Inner {
    /// Reads `count` events of a past, for somebody who is given what comes `since` then. What was `heard` is in it, or its epoch
    /// is a new one.
    pub(super) async fn read(
        &self,
        channel: &Channel,
        heard: Option<Mark>,
        count: u32,
        since: Instant,
    ) -> Result<Past, KeepError> {
        let mut args = told(heard);
        args.push(number(u64::from(count)));
        args.push(number(MEMORY_OF_PLACES.as_millis() as u64));
        let keys = vec![self.key("mark", channel), self.key("past", channel)];
        let call = Call {
            name: "past",
            script: scripts::READ,
            keys,
            args,
            tells_again: false,
            since: Some(since),
        };
        let past = scripts::past(self.lane(channel).ask(call).await?)?;
        if let Some(newest) = past.newest {
            self.listener.heard().mended(channel, heard, newest);
        }
        Ok(past)
    }
}

/// What Redis is told of how far a channel was heard.
pub(super) fn told(heard: Option<Mark>) -> Vec<Bytes> {
    let (epoch, upto) = match heard {
        Some(Mark::At(place)) => (place.epoch, place.number),
        Some(Mark::Hole(_)) | None => (0, 0),
    };
    let hole = heard.is_some_and(Mark::is_hole);
    [epoch, upto, u64::from(hole)].map(number).to_vec()
}
