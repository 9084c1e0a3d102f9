//! What the values of keys are: text, switches, numbers, times, ports. Variables and flags give each as text, and v1 takes that
//! in its file too.
//!
//! Invariant: pure. No value is shown, since some are secrets.

use std::time::Duration;

use serde_json::Value;

/// What is wrong with one key.
pub type Bad = String;

/// A text that is not empty.
pub fn text(key: &str, value: &Value) -> Result<String, Bad> {
    maybe_text(key, value)?.ok_or_else(|| format!("{key}: it should be a text that is not empty"))
}

/// A text, or a number that stands for one; `None`: it is empty.
pub(super) fn maybe_text(key: &str, value: &Value) -> Result<Option<String>, Bad> {
    match value {
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(format!("{key}: it should be a text")),
    }
}

/// True or false.
pub fn switch(key: &str, value: &Value) -> Result<bool, Bad> {
    match value.as_str() {
        Some("true" | "1") => Some(true),
        Some("false" | "0" | "") => Some(false),
        _ => value.as_bool(),
    }
    .ok_or_else(|| format!("{key}: it should be true or false"))
}

/// A whole number.
pub fn number(key: &str, value: &Value, least: u64) -> Result<u64, Bad> {
    // Sums of seconds and milliseconds of them must fit.
    let fits = |number: &u64| (least..=u64::from(u32::MAX)).contains(number);
    let number = value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .filter(fits);
    number.ok_or_else(|| format!("{key}: it should be a whole number, {least} or more"))
}

/// How hard is tried to compress, as Go's `compress/flate` counts it.
pub fn level(key: &str, value: &Value) -> Result<i8, Bad> {
    let level = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let level = level.and_then(|level| i8::try_from(level).ok());
    level
        .filter(|level| (-2..=9).contains(level))
        .ok_or_else(|| format!("{key}: it should be a whole number from -2 to 9"))
}

/// Whole seconds, one at least.
pub fn seconds(key: &str, value: &Value) -> Result<Duration, Bad> {
    number(key, value, 1).map(Duration::from_secs)
}

/// A port; `None`: it is empty.
pub fn port(key: &str, value: &Value) -> Result<Option<u16>, Bad> {
    let wrong = || format!("{key}: it should be a port, from 1 to 65535");
    let text = maybe_text(key, value).map_err(|_| wrong())?;
    let read = |text: String| text.parse().ok().filter(|port| *port > 0).ok_or_else(wrong);
    text.map(read).transpose()
}

/// What paths begin with: empty, or it begins with a slash and does not end with one.
pub fn prefix(text: &str) -> Result<String, Bad> {
    let inner = text.trim_matches('/');
    let good = inner
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    match inner {
        "" => Ok(String::new()),
        inner if good => Ok(format!("/{inner}")),
        _ => Err("http_prefix: it should be a path of letters, digits, - . _ ~ and /".into()),
    }
}
