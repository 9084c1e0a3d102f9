//! The little of JSON that messages and tokens need: where a field stands, what it is, and how it reads without blanks.
//!
//! Invariant: nothing recurses, so nesting as deep as a message is long is safe. After [`valid`] has passed a text, or
//! [`fields`] found it an object, the other functions answer for any part of it. Of repeated keys the last one counts;
//! keys compare exactly.

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Whether `text` is one JSON value with nothing but blanks around it.
///
/// # Errors
/// Where it stops being so.
pub fn valid(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<&RawValue>(text).map(|_| ())
}

/// The values of the fields `names` of an object, as they are spelled; `None` if `json` is not one valid object.
pub fn fields<'a, const N: usize>(json: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    if !is_object(json) {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(json);
    let found = json
        .deserialize_map(Fields {
            names,
            found: [None; N],
        })
        .ok()?;
    json.end().is_ok().then_some(found)
}

/// The items of an array, as they are spelled; `None` if `json` is no array.
pub fn items(json: &str) -> Option<Vec<&str>> {
    if first(json) != b'[' {
        return None;
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_seq(Items)
        .ok()
}

/// A string's value; a lone surrogate becomes U+FFFD. `None` if `json` is no string.
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    if !is_string(json) {
        return None;
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_bytes(Text)
        .ok()
}

/// A whole number spelled without fraction and exponent, within 64 bits.
pub fn integer(json: &str) -> Option<i64> {
    json.trim_matches(BLANKS).parse().ok()
}

/// Whether it is `null`.
pub fn is_null(json: &str) -> bool {
    first(json) == b'n'
}

/// Whether it is a string.
pub fn is_string(json: &str) -> bool {
    first(json) == b'"'
}

/// Whether it is an object.
pub fn is_object(json: &str) -> bool {
    first(json) == b'{'
}

const BLANKS: &[char] = &[' ', '\t', '\n', '\r'];

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn first(json: &str) -> u8 {
    json.bytes().find(|byte| !is_blank(*byte)).unwrap_or(0)
}

/// Puts `json` without the blanks between its tokens, all other bytes as they are.
pub fn compact(json: &str, mut put: impl FnMut(&[u8])) {
    let bytes = json.as_bytes();
    let (mut kept, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            byte if is_blank(byte) => {
                put(&bytes[kept..at]);
                while at < bytes.len() && is_blank(bytes[at]) {
                    at += 1;
                }
                kept = at;
            }
            _ => at += 1,
        }
    }
    put(&bytes[kept..]);
}

/// The index behind the string that starts at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

struct Fields<'n, 'a, const N: usize> {
    names: [&'n str; N],
    found: [Option<&'a str>; N],
}

impl<'a, const N: usize> Visitor<'a> for Fields<'_, 'a, N> {
    type Value = [Option<&'a str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<Self::Value, M::Error> {
        while let Some(at) = map.next_key_seed(Name(&self.names))? {
            match at {
                Some(at) => self.found[at] = Some(map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(self.found)
    }
}

/// Which of the names a key is.
struct Name<'s, 'n>(&'s [&'n str]);

impl<'a> DeserializeSeed<'a> for Name<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = <&RawValue>::deserialize(deserializer)?.get();
        let plain = key.trim_matches('"');
        let is = |name: &&str| {
            if key.contains('\\') {
                text(key).is_some_and(|key| key == **name)
            } else {
                plain == *name
            }
        };
        Ok(self.0.iter().position(is))
    }
}

struct Items;

impl<'a> Visitor<'a> for Items {
    type Value = Vec<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<&RawValue>()? {
            items.push(item.get());
        }
        Ok(items)
    }
}

struct Text;

impl<'a> Visitor<'a> for Text {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'a [u8]) -> Result<Self::Value, E> {
        Ok(String::from_utf8_lossy(bytes))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_one_whole_object() {
        assert_eq!(
            fields(r#" {"a": 1, "b": [{}], "a": "x"} "#, ["a", "b", "c"]),
            Some([Some("\"x\""), Some("[{}]"), None])
        );
        let spelled = r#"{"\u0061": 1, "\"b\"": 2, "b\ud800": 3, " b": 4}"#;
        assert_eq!(
            fields(spelled, ["a", "\"b\"", "b", ""]),
            Some([Some("1"), Some("2"), None, None])
        );
        for no in [
            "",
            "[]",
            "null",
            "{",
            "{} {}",
            "{}x",
            r#"{"a":}"#,
            r#"{"b":1,}"#,
            "{\"c\u{1}\":1}",
            r#"{"\x":1}"#,
        ] {
            assert_eq!(fields(no, ["a"]), None, "{no}");
        }
        let deep = format!(
            "{{\"x\":{}{},\"a\":1}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(fields(&deep, ["a"]), Some([Some("1")]));
    }
}
