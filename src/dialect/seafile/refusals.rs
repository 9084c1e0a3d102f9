//! Counts the tokens that were refused, whatever they were for, and says when to warn of them.
//!
//! Invariant: no token is ever logged, and the commonest mistake, a key that is not Seafile's, is said aloud once a minute
//! at most, however many clients show it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::auth::Refusal;

/// At most one warning in this time, in milliseconds.
const WARN_EVERY_MS: u64 = 60_000;

/// What a token was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A subscription.
    Subscribe,
    /// Posting an event.
    Events,
}

impl Use {
    /// For metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Events => "events",
        }
    }
}

/// Why a token is not good for what it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It is not good for anything.
    #[error("{0}")]
    Token(#[from] Refusal),
    /// It is for another library, or for none.
    #[error("it is for another library")]
    OtherLibrary,
    /// No library was named.
    #[error("no library was named")]
    NoLibrary,
    /// It is a user's, and those are not good for posting events.
    #[error("it names a user: it was made for subscribing, not for posting events")]
    UserToken,
}

impl Cause {
    /// For metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Token(refusal) => refusal.label(),
            Self::OtherLibrary => "other_library",
            Self::NoLibrary => "no_library",
            Self::UserToken => "user_token",
        }
    }
}

/// One a node.
#[derive(Debug, Default)]
pub struct Refusals {
    /// When the last warning was, Unix milliseconds.
    warned_ms: AtomicU64,
    /// How many went without one since.
    unsaid: AtomicU64,
}

impl Refusals {
    /// Counts a refusal. Returns what the operator is to be warned of, whoever knows whose token it was. `library` is
    /// empty where none is known.
    pub fn note(&self, purpose: Use, cause: Cause, library: &str, now_ms: u64) -> Option<String> {
        let used = purpose.label();
        ::metrics::counter!(crate::metrics::TOKENS_REFUSED, "use" => used, "cause" => cause.label()).increment(1);
        tracing::debug!(library = short(library), "token for {used} refused: {cause}");
        if cause != Cause::Token(Refusal::Signature) {
            return None;
        }
        let more = match self.may_warn(now_ms)? {
            0 => String::new(),
            unsaid => format!(", and {unsaid} more since this was last said"),
        };
        let about = if library.is_empty() { String::new() } else { format!(" (library {:?})", short(library)) };
        Some(format!(
            "token for {used} refused, its signature does not fit: the key differs from Seafile's JWT_PRIVATE_KEY{about}{more}"
        ))
    }

    /// Whether to warn now, and how many warnings were left out since the last.
    fn may_warn(&self, now_ms: u64) -> Option<u64> {
        let last = self.warned_ms.load(Ordering::Relaxed);
        let due = last == 0 || now_ms.abs_diff(last) >= WARN_EVERY_MS;
        if due && self.warned_ms.compare_exchange(last, now_ms.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// What lines show of a library's name, which is as long as its sender likes.
fn short(library: &str) -> &str {
    library.char_indices().nth(60).map_or(library, |(end, _)| &library[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_said_aloud_and_nothing_else_is() {
        let refusals = Refusals::default();
        let note = |refusal, library, now_ms| refusals.note(Use::Subscribe, Cause::Token(refusal), library, now_ms);
        assert_eq!(note(Refusal::Expired, "r", 1), None);
        let first = note(Refusal::Signature, "r\n2026 WARN made up", 1).expect("a warning");
        assert!(first.contains("JWT_PRIVATE_KEY (library \"r\\n2026"), "{first}");
        assert_eq!(note(Refusal::Signature, "r", 2), None);
        let next = note(Refusal::Signature, &"é".repeat(1_000), 60_001).expect("another");
        assert!(
            next.ends_with(&format!("(library {:?}), and 1 more since this was last said", "é".repeat(60))),
            "{next}"
        );
    }

    #[test]
    fn one_warning_a_minute() {
        let refusals = Refusals::default();
        assert_eq!(refusals.may_warn(5), Some(0));
        assert_eq!(refusals.may_warn(5), None);
        assert_eq!(refusals.may_warn(60_004), None);
        assert_eq!(refusals.may_warn(60_005), Some(2));
        // A clock that was set back does not silence it for long.
        assert_eq!(refusals.may_warn(1), Some(0));
    }
}
