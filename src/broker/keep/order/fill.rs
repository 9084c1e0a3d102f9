//! What is missing is taken from the past, or passed over.
//!
//! Invariant: pure. An epoch begins where the past says that nothing is missing before it, and all is flushed; or its channel is
//! said to be broken.

use super::gap::{HOLD_MS, follows};
use super::{FORGOTTEN_MS, Order, Out};
use crate::event::{Channel, Kept, Past, Place};

impl Order {
    /// The past of a channel was read, or could not be: what is missing is taken from it. An epoch begins only where all that
    /// came before it is known to be `flushed`.
    pub fn fill(
        &mut self,
        channel: &Channel,
        past: Option<&Past>,
        (held_back, flushed): (bool, bool),
        now_ms: u64,
        out: &mut Out,
    ) {
        let Some(gap) = self.gaps.get_mut(channel) else {
            return;
        };
        gap.is_read = false;
        gap.read_ms = now_ms + HOLD_MS;
        let Some(past) = past else { return };
        let waits = gap.waiting.last_key_value().map(|(place, _)| *place);
        // What was forgotten is not looked for again.
        let Some(newest) = past.newest.or(waits).or(gap.expected) else {
            return;
        };
        gap.expected = gap.expected.max(Some(newest));
        for event in &past.events {
            if let Kept::At(place) = event.kept
                && place > gap.last
                && !gap.waiting.contains_key(&place)
            {
                let is_new = self.missed_marks.take(event).is_none();
                gap.waiting.insert(place, is_new.then(|| event.clone()));
                self.size += 1;
                self.filled.add(channel, place, now_ms);
                self.filled_marks.add(event, place);
            }
        }
        if flushed {
            self.filled.settle_before(channel, newest.epoch);
        }
        self.release(channel, held_back, now_ms, out);
        // What was missing may be the end of the epoch before.
        while flushed
            && let Some(gap) = self.gaps.get_mut(channel)
            && let Some(follows) = gap.begin_epoch(past)
        {
            if !follows {
                out.broken.push(channel.clone());
            }
            self.release(channel, held_back, now_ms, out);
        }
        let Some(gap) = self.gaps.get_mut(channel).filter(|_| !held_back) else {
            return;
        };
        if flushed {
            gap.renew(past);
        }
        let upto = if flushed {
            Some(newest)
        } else {
            gap.last_of_its_epoch()
        };
        if gap.waiting.is_empty() {
            // What is not there any more is no matter before something follows it.
            gap.expected = None;
        } else if let Some(upto) = upto.filter(|upto| gap.last < *upto)
            && now_ms >= gap.since_ms + FORGOTTEN_MS
        {
            self.pass_over_upto(channel, upto, now_ms, out);
            self.release(channel, held_back, now_ms, out);
        }
        self.settle(channel, now_ms);
    }

    /// Lets out all that waits in a channel, whatever is missing.
    pub(super) fn pass_over(&mut self, channel: &Channel, now_ms: u64, out: &mut Out) {
        let Some(gap) = self.gaps.get(channel) else {
            return;
        };
        let last = gap.waiting.last_key_value().map(|(place, _)| *place);
        if let Some(upto) = last.max(gap.expected) {
            let told = out.holes.len();
            self.pass_over_upto(channel, upto, now_ms, out);
            if out.holes.len() > told {
                // What was taken and is lost may be new to whoever comes now.
                self.filled.forget_before(channel, upto.epoch);
            }
        }
        self.settle(channel, now_ms);
    }

    pub(super) fn pass_over_upto(
        &mut self,
        channel: &Channel,
        upto: Place,
        now_ms: u64,
        out: &mut Out,
    ) {
        let Some(gap) = self.gaps.get_mut(channel) else {
            return;
        };
        // What only waited for this node's own is no hole.
        let (mut last, mut is_missing, mut begins) = (gap.last, false, false);
        while let Some(first) = gap
            .waiting
            .first_entry()
            .filter(|first| *first.key() <= upto)
        {
            is_missing |= !follows(last, *first.key());
            begins |= first.key().epoch > last.epoch;
            last = *first.key();
            out.events.extend(first.remove());
            self.size -= 1;
        }
        if gap.is_known && (is_missing || last < upto) {
            out.holes.push(channel.clone());
        }
        if gap.is_known && begins {
            out.broken.push(channel.clone());
        }
        gap.last = gap.last.max(upto);
        gap.is_known = true;
        gap.read_ms = now_ms + HOLD_MS;
        gap.since_ms = now_ms;
    }
}
