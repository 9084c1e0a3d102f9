//! The Seafile dialect's wire types: what clients send, and what the server tells them of itself; what backends post is in
//! [`backend_event`](super::backend_event).
//!
//! Invariant: pure; any bytes are safe at any size and nesting: nothing recurses.

use std::borrow::Cow;

use bytes::Bytes;

pub use super::backend_event::{Audience, BackendEvent, BadBody, EventType, Parsed, Reason};
pub use crate::json::compact;
use crate::json::{fields, is_null, items, text, valid};
use crate::session::Close;

/// The kind of all Seafile channels: a library is `repo/<id>`.
pub const CHANNEL_KIND: &str = "repo";

/// The longest reason a close frame has room for, in bytes (RFC 6455, section 5.5.1).
const MAX_REASON: usize = 123;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// To hear of these libraries.
    Subscribe(Vec<Entry<'a>>),
    /// To hear no more of these.
    Unsubscribe(Vec<Cow<'a, str>>),
}

/// One library to subscribe to. What is missing is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The library's id.
    pub(super) id: Cow<'a, str>,
    /// What allows it; not judged yet.
    pub(super) token: Cow<'a, str>,
}

/// Why a client's message ends its connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Not UTF-8.
    #[error("message is not UTF-8")]
    Utf8,
    /// Not one JSON text.
    #[error("message is not one JSON text: error in line {line} column {column}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Something has the wrong JSON type or is missing.
    #[error("{0}")]
    Shape(&'static str),
    /// A type that clients do not send.
    #[error("unknown message type {0:?}; subscribe and unsubscribe are known")]
    UnknownType(String),
}

impl BadMessage {
    /// For metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Utf8 => "message_utf8",
            Self::Json { .. } => "message_json",
            Self::Shape(_) => "message_shape",
            Self::UnknownType(_) => "message_type",
        }
    }

    /// How the connection ends.
    pub fn close(&self) -> Close {
        let code = match self {
            Self::Utf8 | Self::Json { .. } => 1007,
            Self::Shape(_) => 1003,
            Self::UnknownType(_) => 1008,
        };
        let mut reason = self.to_string();
        while reason.len() > MAX_REASON {
            reason.pop();
        }
        Close {
            code,
            reason: Cow::Owned(reason),
            label: self.label(),
        }
    }
}

impl<'a> ClientMessage<'a> {
    /// Reads one whole message.
    ///
    /// # Errors
    /// Anything the protocol does not know; nothing of such a message may take effect.
    pub fn parse(message: &'a [u8]) -> Result<Self, BadMessage> {
        let message = std::str::from_utf8(message).map_err(|_| BadMessage::Utf8)?;
        let Some([kind, content]) = fields(message, ["type", "content"]) else {
            valid(message).map_err(|error| BadMessage::Json {
                line: error.line(),
                column: error.column(),
            })?;
            return Err(BadMessage::Shape("message is not a JSON object"));
        };
        let kind = string(kind, "type is not a string")?;
        match &*kind {
            "subscribe" => repos(content)?
                .into_iter()
                .map(entry)
                .collect::<Result<_, _>>()
                .map(Self::Subscribe),
            "unsubscribe" => repos(content)?
                .into_iter()
                .map(id)
                .collect::<Result<_, _>>()
                .map(Self::Unsubscribe),
            other => Err(BadMessage::UnknownType(other.chars().take(20).collect())),
        }
    }
}

/// The entries of `content.repos`: none where either is null.
fn repos(content: Option<&str>) -> Result<Vec<&str>, BadMessage> {
    let content = content.ok_or(BadMessage::Shape("content is missing"))?;
    let [repos] = object(content, ["repos"], "content is not an object")?;
    match repos {
        Some(repos) if !is_null(repos) => {
            items(repos).ok_or(BadMessage::Shape("content.repos is not an array"))
        }
        _ => Ok(Vec::new()),
    }
}

fn entry(entry: &str) -> Result<Entry<'_>, BadMessage> {
    let [id, token] = object(
        entry,
        ["id", "jwt_token"],
        "an entry of content.repos is not an object",
    )?;
    Ok(Entry {
        id: string(id, "a library's id is not a string")?,
        token: string(token, "a jwt_token is not a string")?,
    })
}

/// An entry of `unsubscribe`: its token is not even looked at.
fn id(entry: &str) -> Result<Cow<'_, str>, BadMessage> {
    let [id] = object(entry, ["id"], "an entry of content.repos is not an object")?;
    string(id, "a library's id is not a string")
}

/// Fields of an object; `null` counts as one without fields.
fn object<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
    otherwise: &'static str,
) -> Result<[Option<&'a str>; N], BadMessage> {
    if is_null(json) {
        Ok([None; N])
    } else {
        fields(json, names).ok_or(BadMessage::Shape(otherwise))
    }
}

/// A string field; missing and `null` count as empty.
fn string<'a>(field: Option<&'a str>, otherwise: &'static str) -> Result<Cow<'a, str>, BadMessage> {
    match field {
        Some(json) if !is_null(json) => text(json).ok_or(BadMessage::Shape(otherwise)),
        _ => Ok(Cow::Borrowed("")),
    }
}

/// Tells a client that its token for a library is no good, or no more.
pub fn jwt_expired(repo_id: &str) -> Bytes {
    let id = serde_json::Value::from(repo_id);
    format!("{{\"type\":\"jwt-expired\",\"content\":{{\"repo_id\":{id}}}}}\n").into()
}

#[cfg(test)]
mod tests;
