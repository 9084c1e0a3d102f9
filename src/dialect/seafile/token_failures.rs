//! Counts the tokens that were refused, whatever they were for, and says when to warn of them.
//!
//! Invariant: no token is ever logged. The commonest mistake, a key that is not Seafile's, is said aloud once a minute at
//! most for what clients and for what backends show, so that neither hides the other.

use super::auth::Refusal;
use crate::throttle::{Throttle, and_more};

/// What a token was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Use {
    /// A subscription.
    Subscribe,
    /// Posting an event.
    Events,
}

impl Use {
    /// For metrics.
    pub fn label(self) -> &'static str {
        self.into()
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
#[derive(Debug)]
pub struct Refusals {
    warnings: Throttle,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            warnings: Throttle::minutely(),
        }
    }
}

impl Refusals {
    /// Counts a refusal. Returns what the operator is to be warned of, whoever knows whose token it was. `library` is
    /// empty where none is known.
    pub fn note(&self, purpose: Use, cause: Cause, library: &str, now_ms: u64) -> Option<String> {
        let used = purpose.label();
        ::metrics::counter!(super::figures::TOKENS_REFUSED, "use" => used, "cause" => cause.label()).increment(1);
        tracing::debug!(
            library = short(library),
            "token for {used} refused: {cause}"
        );
        if cause != Cause::Token(Refusal::Signature) {
            return None;
        }
        let more = and_more(self.warnings.say(used, now_ms)?);
        let about = if library.is_empty() {
            String::new()
        } else {
            format!(" (library {:?})", short(library))
        };
        Some(format!(
            "token for {used} refused, its signature does not fit: the key differs from Seafile's JWT_PRIVATE_KEY{about}{more}"
        ))
    }
}

/// What lines show of a library's name, which is as long as its sender likes.
fn short(library: &str) -> &str {
    library
        .char_indices()
        .nth(60)
        .map_or(library, |(end, _)| &library[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_said_aloud_and_nothing_else_is() {
        let refusals = Refusals::default();
        let note = |refusal, library, now_ms| {
            refusals.note(Use::Subscribe, Cause::Token(refusal), library, now_ms)
        };
        assert_eq!(note(Refusal::Expired, "r", 1), None);
        let first = note(Refusal::Signature, "r\n2026 WARN made up", 1).expect("a warning");
        assert!(
            first.contains("JWT_PRIVATE_KEY (library \"r\\n2026"),
            "{first}"
        );
        assert_eq!(note(Refusal::Signature, "r", 2), None);
        let next = note(Refusal::Signature, &"é".repeat(1_000), 60_001).expect("another");
        assert!(
            next.ends_with(&format!(
                "(library {:?}), and 1 more since this was last said",
                "é".repeat(60)
            )),
            "{next}"
        );
    }

    #[test]
    fn what_clients_show_does_not_hide_what_backends_show() {
        let refusals = Refusals::default();
        let note =
            |purpose, now_ms| refusals.note(purpose, Cause::Token(Refusal::Signature), "", now_ms);
        let clients = note(Use::Subscribe, 1).expect("a warning");
        let backends = note(Use::Events, 2).expect("a warning of its own");
        assert!(
            clients.contains("token for subscribe") && backends.contains("token for events"),
            "{backends}"
        );
        assert_eq!(note(Use::Subscribe, 3), None);
        assert_eq!(note(Use::Events, 4), None);
    }
}
