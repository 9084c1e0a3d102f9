//! JSON that a command is given: whole, on standard input, or by fields.
//!
//! Invariant: what is given whole is passed on byte by byte.

use std::io::Read;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What `text` is, or standard input where it is `-`; what was `made` by fields where it is not given. `what` names it in errors.
pub fn json(
    what: &str,
    text: Option<&str>,
    stdin: &mut dyn Read,
    made: impl FnOnce() -> Result<Map<String, Value>, String>,
) -> Result<Box<RawValue>, String> {
    let text = match text {
        Some("-") => {
            let mut text = String::new();
            stdin
                .read_to_string(&mut text)
                .map_err(|error| format!("cannot read standard input: {error}"))?;
            text
        }
        Some(text) => text.to_owned(),
        None => Value::Object(made()?).to_string(),
    };
    serde_json::from_str(text.trim()).map_err(|error| format!("the {what} is not JSON: {error}"))
}

/// An object of fields as they are given on a command line: `NAME=TEXT`, or `NAME:=JSON`.
pub fn fields(given: &[String]) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for field in given {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| format!("{field:?} should be NAME=TEXT or NAME:=JSON"))?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => (
                name,
                serde_json::from_str(value)
                    .map_err(|error| format!("{field:?} is not JSON: {error}"))?,
            ),
            None => (name, Value::from(value)),
        };
        object.insert(name.to_owned(), value);
    }
    Ok(object)
}
