//! What a post says: whom it is for, the data, and what its sender is told was read.
//!
//! Invariants: pure; JSON keeps its spelling, but for blanks between its tokens; what a form's field says arrives as a JSON
//! string; raw JSON is never cut into fields.

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::form;
use crate::json;

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `application/json`.
    Json,
    /// A form.
    Form {
        /// Whether JSON that is not encoded is looked for first.
        literal: bool,
    },
}

/// A post that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Whom it is for, as it was written.
    pub id: String,
    /// One line of JSON; `None`: there is nothing to say.
    pub data: Option<Vec<u8>>,
    /// What was read, as JSON.
    pub(super) received: Vec<u8>,
}

/// Why a post cannot be used; the text tells its sender what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum BadPost {
    /// There is nothing in it.
    #[error("The body is empty: send the fields id and data, or a JSON object with them.")]
    Empty,
    /// It begins as JSON and is none.
    #[error("The body is no JSON object, in none of the forms that are understood.")]
    Json,
    /// Nobody is named.
    #[error("There is no id: it names whom the notification is for, as TYPE_USER.")]
    NoId,
    /// The field is there twice.
    #[error("There is more than one id: name several users in one, with ; between them.")]
    TwoIds,
    /// There is only the id.
    #[error("There is no data beside the id.")]
    IdAlone,
}

impl BadPost {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

impl Posted {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BadPost`]
    pub fn read(shape: Shape, body: &[u8]) -> Result<Self, BadPost> {
        let literal = match shape {
            Shape::Json => return Self::of_json_body(&String::from_utf8_lossy(body)),
            Shape::Form { literal } => literal,
        };
        if begins_as_json(body) {
            of_json_form(body, literal)
        } else {
            Self::of_fields(&form::fields(body))
        }
    }

    fn of_json_body(text: &str) -> Result<Self, BadPost> {
        let wrapped = only_key(text).filter(|key| is_object(key));
        Self::of_object(wrapped.as_deref().unwrap_or(text))
    }

    fn of_object(text: &str) -> Result<Self, BadPost> {
        let [id, data] = json::fields(text, ["id", "data"]).ok_or(BadPost::Json)?;
        let id = id.and_then(json::text).ok_or(BadPost::NoId)?.into_owned();
        let compact = |json: &str| {
            let mut out = Vec::with_capacity(json.len());
            json::compact(json, |piece| out.extend_from_slice(piece));
            out
        };
        let data = data.map(compact).filter(|data| !says_nothing(data));
        Ok(Self {
            id,
            data,
            received: compact(text),
        })
    }

    fn of_fields(fields: &[(String, String)]) -> Result<Self, BadPost> {
        let named = |name: &'static str| {
            fields
                .iter()
                .filter(move |(key, _)| key == name)
                .map(|(_, value)| &**value)
        };
        let mut ids = named("id");
        let id = match (ids.next(), ids.next()) {
            _ if fields.is_empty() => return Err(BadPost::Empty),
            (None, _) => return Err(BadPost::NoId),
            (Some(_), Some(_)) => return Err(BadPost::TwoIds),
            (Some(_), None) if fields.len() == 1 => return Err(BadPost::IdAlone),
            (Some(id), None) => id.to_owned(),
        };
        let data: Vec<&str> = named("data").collect();
        let data = Some(data)
            .filter(|data| !data.is_empty() && *data != [""])
            .map(|data| value(&data));
        let mut received = Vec::from(b"{");
        let mut seen: Vec<&str> = Vec::new();
        for (key, _) in fields {
            if seen.contains(&&**key) {
                continue;
            }
            received.extend_from_slice(if seen.is_empty() { b"" } else { b"," });
            seen.push(key);
            let all: Vec<&str> = fields
                .iter()
                .filter(|(other, _)| other == key)
                .map(|(_, value)| &**value)
                .collect();
            string(key, &mut received);
            received.push(b':');
            received.extend_from_slice(&value(&all));
        }
        received.push(b'}');
        Ok(Self { id, data, received })
    }
}

fn begins_as_json(body: &[u8]) -> bool {
    let start = body
        .iter()
        .position(|byte| !byte.is_ascii_whitespace())
        .unwrap_or(body.len());
    let body = &body[start..];
    body.starts_with(b"{")
        || body
            .get(..3)
            .is_some_and(|first| first.eq_ignore_ascii_case(b"%7b"))
}

/// The first that is an object of: the only key, the whole body decoded, the whole body as it is.
fn of_json_form(body: &[u8], literal: bool) -> Result<Posted, BadPost> {
    let mut pieces = form::pieces(body);
    let key = match (pieces.next(), pieces.next()) {
        (Some(only), None) => Some(form::decode(form::split(only).0)),
        _ => None,
    };
    let whole = body.strip_suffix(b"=").unwrap_or(body);
    let plain = String::from_utf8_lossy(whole).into_owned();
    let mut shapes = vec![key, Some(form::decode(whole)), Some(plain)];
    if literal {
        shapes.rotate_right(1);
    }
    let object = shapes
        .into_iter()
        .flatten()
        .find(|text| is_object(text))
        .ok_or(BadPost::Json)?;
    Posted::of_object(&object)
}

fn is_object(text: &str) -> bool {
    json::fields(text, []).is_some()
}

/// The key of an object that has just one.
fn only_key(text: &str) -> Option<String> {
    if !is_object(text) {
        return None;
    }
    serde_json::Deserializer::from_str(text)
        .deserialize_map(OnlyKey)
        .ok()
        .flatten()
}

struct OnlyKey;

impl<'a> Visitor<'a> for OnlyKey {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut first, mut others) = (None, false);
        while let Some(key) = map.next_key::<&RawValue>()? {
            map.next_value::<IgnoredAny>()?;
            let key = json::text(key.get()).map(std::borrow::Cow::into_owned);
            others |= first.is_some() && first != key;
            first = first.or(key);
        }
        Ok(first.filter(|_| !others))
    }
}

/// Whether a backend that sends this means nothing by it, as JavaScript sees it.
fn says_nothing(data: &[u8]) -> bool {
    let is_zero = || {
        let mantissa = data
            .split(|byte| matches!(byte, b'e' | b'E'))
            .next()
            .unwrap_or_default();
        !mantissa.is_empty()
            && mantissa
                .iter()
                .all(|byte| matches!(byte, b'-' | b'0' | b'.'))
    };
    matches!(data, b"null" | b"false" | b"\"\"") || is_zero()
}

/// One string, or an array of several.
fn value(texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    if let [one] = texts {
        string(one, &mut out);
        return out;
    }
    out.push(b'[');
    for (at, text) in texts.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b"," });
        string(text, &mut out);
    }
    out.push(b']');
    out
}

/// Appends a JSON string as JavaScript spells it.
pub fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
