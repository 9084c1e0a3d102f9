//! One event stream's client: whose it is, until when, and when it hears of the node if nothing else comes.
//!
//! Invariant: pure. A client of an event stream says nothing, so there are only the beginning, ticks and mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::wire::{BEAT, RESYNC};
use crate::event::Channel;
use crate::session::{Action, Close, Session, Since, Turn};

/// Kind of the channels of users.
pub const CHANNEL_KIND: &str = "user";

/// Told when its token has run out.
const EXPIRED: Close = Close::new(Close::ABNORMAL, "the token has run out", "expired");

/// The channel of a user.
pub fn channel(user: &str) -> Channel {
    Channel::new(CHANNEL_KIND, user)
}

/// When a stream's client was last sent a block, Unix milliseconds. The stream's body notes it.
#[derive(Debug, Default)]
pub struct Progress(AtomicU64);

impl Progress {
    /// A block goes out now.
    pub fn note(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    fn last(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
pub(super) struct InboxSession {
    channel: Channel,
    user: Arc<str>,
    progress: Arc<Progress>,
    /// Milliseconds of silence after which a sign of life is sent.
    quiet_ms: u64,
    /// When the last one was asked for.
    beaten_ms: u64,
    /// When the proof of who it is runs out, Unix milliseconds; at the end of time: never.
    until_ms: u64,
    /// When it is told that something may be missing, Unix milliseconds; at the end of time: never.
    tell_at: u64,
}

impl InboxSession {
    /// The session of who listens to `channel` as `user`, until `until_ms` where that is given.
    pub fn new(
        channel: Channel,
        user: Arc<str>,
        progress: Arc<Progress>,
        quiet_ms: u64,
        until_ms: Option<u64>,
    ) -> Self {
        let until_ms = until_ms.unwrap_or(u64::MAX);
        Self {
            channel,
            user,
            progress,
            quiet_ms,
            beaten_ms: 0,
            until_ms,
            tell_at: u64::MAX,
        }
    }

    fn beats_at(&self) -> u64 {
        self.progress.last().max(self.beaten_ms) + self.quiet_ms
    }
}

impl Session for InboxSession {
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        self.beaten_ms = turn.now_ms;
        let (channel, user) = (self.channel.clone(), Arc::clone(&self.user));
        turn.out.push(Action::Identify(Arc::clone(&user)));
        // What came before is the keeper's to tell.
        turn.out.push(Action::Subscribe {
            channel,
            user,
            since: Since::Now,
        });
    }

    fn on_message(&mut self, _: &mut Turn<'_>, _: &[u8]) {}

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        if self.until_ms <= turn.now_ms {
            return turn.out.push(Action::Close(EXPIRED));
        }
        if self.tell_at <= turn.now_ms {
            self.tell_at = u64::MAX;
            turn.out.push(Action::Send(Bytes::from_static(RESYNC)));
        }
        if self.beats_at() <= turn.now_ms {
            self.beaten_ms = turn.now_ms;
            turn.out.push(Action::Send(Bytes::from_static(BEAT)));
        }
    }

    /// Something may be missing; the mail says after how many milliseconds to tell.
    fn on_mail(&mut self, turn: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        let after: u64 = std::str::from_utf8(mail).ok()?.parse().ok()?;
        self.tell_at = self.tell_at.min(turn.now_ms.saturating_add(after));
        None
    }

    fn next_tick(&self) -> Option<u64> {
        Some(self.beats_at().min(self.tell_at).min(self.until_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticked(session: &mut InboxSession, now_ms: u64) -> Vec<Action> {
        let mut out = Vec::new();
        session.on_tick(&mut Turn {
            now_ms,
            out: &mut out,
        });
        out
    }

    #[test]
    fn a_sign_of_life_comes_after_silence_and_a_block_puts_it_off() {
        let progress = Arc::new(Progress::default());
        let mut session =
            InboxSession::new(channel("u"), "u".into(), Arc::clone(&progress), 1_000, None);
        session.on_start(&mut Turn {
            now_ms: 10_000,
            out: &mut Vec::new(),
        });
        assert_eq!(session.next_tick(), Some(11_000));
        progress.note(10_500);
        assert_eq!(
            (ticked(&mut session, 11_000), session.next_tick()),
            (vec![], Some(11_500))
        );
        assert_eq!(
            ticked(&mut session, 11_600),
            [Action::Send(Bytes::from_static(BEAT))]
        );
        assert_eq!(session.next_tick(), Some(12_600));
    }

    #[test]
    fn it_is_told_once_that_something_may_be_missing() {
        let mut session = InboxSession::new(channel("u"), "u".into(), Arc::default(), 60_000, None);
        let mut turn = Turn {
            now_ms: 10_000,
            out: &mut Vec::new(),
        };
        session.on_start(&mut turn);
        assert_eq!(session.on_mail(&mut turn, b"500"), None);
        assert_eq!(session.next_tick(), Some(10_500));
        assert_eq!(
            ticked(&mut session, 10_500),
            [Action::Send(Bytes::from_static(RESYNC))]
        );
        assert_eq!(session.next_tick(), Some(70_000));
    }

    #[test]
    fn it_ends_with_its_token() {
        let mut session = InboxSession::new(
            channel("u"),
            "u".into(),
            Arc::default(),
            60_000,
            Some(12_000),
        );
        session.on_start(&mut Turn {
            now_ms: 10_000,
            out: &mut Vec::new(),
        });
        assert_eq!(session.next_tick(), Some(12_000));
        assert_eq!(ticked(&mut session, 11_999), []);
        assert_eq!(ticked(&mut session, 12_000), [Action::Close(EXPIRED)]);
    }

    #[test]
    fn it_is_no_larger_than_a_session_may_be() {
        assert!(size_of::<InboxSession>() <= 72);
    }
}
