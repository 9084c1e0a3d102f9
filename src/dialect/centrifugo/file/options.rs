//! Keys that hold for channels: at the top for those without a namespace, and in each namespace.
//!
//! Invariant: pure.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::super::rules::Options;
use super::kinds::{Bad, number, switch};
use super::unknown;
use crate::event::Keep;

/// What of a channel's history is kept, as v1 says it.
#[derive(Default)]
pub struct Kept {
    size: u64,
    lifetime_s: u64,
}

impl Kept {
    /// What that comes to; `None`: nothing.
    pub fn keep(&self) -> Option<Keep> {
        let events = u32::try_from(self.size).unwrap_or(u32::MAX);
        (events > 0 && self.lifetime_s > 0).then(|| Keep {
            events,
            lifetime: Duration::from_secs(self.lifetime_s),
        })
    }
}

/// Takes a key that holds for channels; `None`: it is no such key.
pub fn option(
    options: &mut Options,
    kept: &mut Kept,
    key: &str,
    value: &Value,
) -> Option<Result<(), Bad>> {
    let place = match key {
        "anonymous" => &mut options.anonymous,
        "publish" => &mut options.publish,
        "presence" => &mut options.presence,
        "join_leave" => &mut options.join_leave,
        "watch" => &mut options.watch,
        "recover" => &mut options.recover,
        "history_drop_inactive" => &mut options.drop_inactive,
        "history_size" => return Some(number(key, value, 0).map(|size| kept.size = size)),
        "history_lifetime" => {
            return Some(number(key, value, 0).map(|seconds| kept.lifetime_s = seconds));
        }
        _ => return None,
    };
    Some(switch(key, value).map(|on| *place = on))
}

/// The namespaces.
pub fn namespaces(value: &Value) -> Result<HashMap<String, Options>, Bad> {
    let listed = value.as_array().ok_or("namespaces: it should be a list")?;
    let mut found = HashMap::new();
    for namespace in listed {
        let keys = namespace
            .as_object()
            .ok_or("namespaces: each should be an object")?;
        let name = keys
            .get("name")
            .and_then(Value::as_str)
            .filter(|name| is_namespace(name));
        let name =
            name.ok_or("namespaces: each needs a name of two or more letters, digits, - and _")?;
        let (mut options, mut kept) = (Options::default(), Kept::default());
        for (key, value) in keys.iter().filter(|(key, _)| *key != "name") {
            let taken =
                option(&mut options, &mut kept, key, value).unwrap_or_else(|| Err(unknown(key)));
            taken.map_err(|bad| format!("namespace {name:?}: {bad}"))?;
        }
        options.keep = kept.keep();
        if found.insert(name.to_owned(), options).is_some() {
            return Err(format!("namespace {name:?}: there are two of that name"));
        }
    }
    Ok(found)
}

fn is_namespace(name: &str) -> bool {
    name.len() >= 2
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
