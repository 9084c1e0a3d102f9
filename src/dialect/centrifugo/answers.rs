//! What clients and backends are told: answers, errors, and why a connection ends.
//!
//! Invariant: pure. With an error there is a body all the same.

use super::command::Command;
use super::message::quoted;
use crate::session::Close;

/// Why a command is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// There is no such namespace.
    #[error("namespace not found")]
    NamespaceNotFound,
    /// A name is too long, or there are too many channels.
    #[error("limit exceeded")]
    LimitExceeded,
    /// The client is in that channel.
    #[error("already subscribed")]
    AlreadySubscribed,
    /// The client may not.
    #[error("permission denied")]
    PermissionDenied,
    /// Something is missing in it.
    #[error("invalid message")]
    InvalidMessage,
    /// That is not kept in this channel.
    #[error("not available")]
    NotAvailable,
    /// What is kept cannot be told now.
    #[error("internal server error")]
    Internal,
}

impl Refusal {
    /// What clients are advised to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NotAvailable | Self::Internal => "retry",
            _ => "fix",
        }
    }

    /// The counter's label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// A client's answer.
pub fn answer(command: &Command, refusal: Option<Refusal>, body: Option<&str>) -> String {
    let mut text = head(command.uid.as_deref(), &command.method);
    if let Some(refusal) = refusal {
        text += &format!(r#","error":"{refusal}","advice":"{}""#, refusal.advice());
    }
    if let Some(body) = body {
        text += r#","body":"#;
        text += body;
    }
    text + "}"
}

/// A backend's answer; there is `advice` where it is given.
pub(super) fn api_answer(
    uid: Option<&str>,
    method: &str,
    refusal: Option<Refusal>,
    advice: bool,
    body: &str,
) -> String {
    let text = head(uid, method);
    match refusal {
        None => format!(r#"{text},"error":null,"body":{body}}}"#),
        Some(refusal) if advice => {
            format!(
                r#"{text},"error":"{refusal}","advice":"{}","body":{body}}}"#,
                refusal.advice()
            )
        }
        Some(refusal) => format!(r#"{text},"error":"{refusal}","body":{body}}}"#),
    }
}

fn head(uid: Option<&str>, method: &str) -> String {
    match uid {
        Some(uid) => format!(r#"{{"uid":{uid},"method":{}"#, quoted(method)),
        None => format!(r#"{{"method":{}"#, quoted(method)),
    }
}

/// The body that says whether something was done in a channel.
pub fn status(channel: &str, done: bool) -> String {
    format!(r#"{{"channel":{},"status":{done}}}"#, quoted(channel))
}

/// The body with what a channel has; `null` where that cannot be told.
pub fn data(channel: &str, data: &str) -> String {
    format!(r#"{{"channel":{},"data":{data}}}"#, quoted(channel))
}

/// What an unsubscribed client is told without having asked.
pub fn unsubscribed(channel: &str) -> String {
    format!(
        r#"{{"method":"unsubscribe","body":{}}}"#,
        status(channel, true)
    )
}

/// A message cannot be read, or says what may not be said then.
pub(super) const INVALID_MESSAGE: Close = end(
    r#"{"reason":"invalid message","reconnect":false}"#,
    "invalid_message",
);
/// A wrong token.
pub(super) const INVALID_TOKEN: Close = end(
    r#"{"reason":"invalid token","reconnect":false}"#,
    "invalid_token",
);
/// A command before a good `connect`.
pub const UNAUTHORIZED: Close = end(
    r#"{"reason":"unauthorized","reconnect":false}"#,
    "unauthorized",
);
/// A command that there is not.
pub(super) const METHOD_NOT_FOUND: Close = end(
    r#"{"reason":"method not found","reconnect":false}"#,
    "method_not_found",
);
/// The user has as many connections as it may.
pub(super) const LIMIT_EXCEEDED: Close = end(
    r#"{"reason":"limit exceeded","reconnect":false}"#,
    "limit_exceeded",
);
/// No good `connect` came in time.
pub(super) const STALE: Close = end(r#"{"reason":"stale","reconnect":false}"#, "stale");
/// The connection was not refreshed in time.
pub const EXPIRED: Close = end(r#"{"reason":"expired","reconnect":true}"#, "expired");
/// A backend, or an administrator, wants it.
pub(super) const DISCONNECT: Close = end(r#"{"reason":"disconnect","reconnect":false}"#, "admin");
/// The client does not read what it is sent.
pub const SLOW: Close = end(r#"{"reason":"slow","reconnect":false}"#, "overflow");
/// The node ends.
pub(super) const SHUTTING_DOWN: Close =
    end(r#"{"reason":"shutting down","reconnect":true}"#, "drain");
/// Messages may be missing: whoever comes back recovers them, or is told that it cannot.
pub const MISSED: Close = end(
    r#"{"reason":"internal server error","reconnect":true}"#,
    "resync",
);
/// Clients have begun to send more than there is room for, or one does not end what it began.
pub const UNFINISHED: Close = end(
    r#"{"reason":"limit exceeded","reconnect":true}"#,
    "unfinished",
);

const fn end(reason: &'static str, label: &'static str) -> Close {
    Close::new(3000, reason, label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_spelled_as_v1_does_and_goes_with_its_advice() {
        let command = super::super::command::read(br#"{"uid":"1","method":"publish"}"#)
            .expect("a command")
            .remove(0);
        let command = command.expect("one");
        let told = |refusal| answer(&command, Some(refusal), Some(&status("x", false)));
        assert_eq!(
            told(Refusal::PermissionDenied),
            r#"{"uid":"1","method":"publish","error":"permission denied","advice":"fix","body":{"channel":"x","status":false}}"#
        );
        assert!(
            told(Refusal::NotAvailable).contains(r#""error":"not available","advice":"retry""#)
        );
        assert!(
            told(Refusal::Internal).contains(r#""error":"internal server error","advice":"retry""#)
        );
        assert_eq!(
            answer(&command, None, None),
            r#"{"uid":"1","method":"publish"}"#
        );
        assert_eq!(
            api_answer(None, "node", None, true, "null"),
            r#"{"method":"node","error":null,"body":null}"#
        );
    }

    #[test]
    fn reasons_fit_into_a_close_frame() {
        for close in [&INVALID_MESSAGE, &METHOD_NOT_FOUND, &MISSED, &SHUTTING_DOWN] {
            assert!(close.code == 3000 && close.reason.len() <= 123);
        }
    }
}
