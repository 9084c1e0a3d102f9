//! What of v1's configuration stands in for settings: variables that begin as v1's do, and its file.
//!
//! Invariants: a configuration with a fault stands in for nothing, and is told of where the dialect reads it. Where the
//! program was started by v1's name its defaults hold, where nothing else is said.

use std::path::PathBuf;

use super::super::settings::CONFIG;
use super::super::wire::DIALECT;
use super::node::{ALL, DEFAULT_PORT, KEYS, NodeKeys};
use super::{V1, Variables};
use crate::config::names::made_by_kubernetes;
use crate::config::predecessor::{Predecessor, Readout, StandIns};
use crate::config::reader::{Reader, Source};
use crate::config::settings::{self as s, Row};
use crate::config::sources::InPlace;

/// What the variables begin with.
pub const PREFIX: &str = "CENTRIFUGO_";

/// Centrifugo v1.
pub(in crate::dialect::centrifugo) static V1S: Predecessor = Predecessor {
    name: "Centrifugo",
    file: "Centrifugo's configuration",
    place: "Centrifugo's own configuration where the dialect `centrifugo` reads it ([CENTRIFUGO.md](CENTRIFUGO.md))",
    keys: KEYS,
    variables: &[],
    family: "",
    unread: &["FOGHORN_CENTRIFUGO_FILE"],
    read,
};

/// What it says, where the dialect is switched on.
fn read(r: &Reader) -> Readout {
    let mut found = Readout {
        stand_ins: in_place(r),
        ..Readout::default()
    };
    let dialects = text(r, &found, &s::DIALECTS.row).unwrap_or_default();
    if !dialects.split(',').any(|name| name.trim() == DIALECT) {
        return Readout::default();
    }
    found.variables = variables(r);
    let path = text(r, &found, &CONFIG.row).map(PathBuf::from);
    if let Ok(v1) = V1::load(path.as_deref(), &found.variables) {
        take(r, &mut found, &v1.node);
    }
    found
}

fn take(r: &Reader, found: &mut Readout, node: &NodeKeys) {
    for (key, value) in node.stand_ins() {
        if let Some(setting) = V1S.setting(key) {
            let source = V1S.source(key);
            found.stand_ins.insert(setting, (value, source));
        }
    }
    found.stand_ins.extend(defaults(r, node));
    let port = &s::PORT.row;
    let port = text(r, found, port).unwrap_or_else(|| port.default.into());
    let clients = port.parse::<u16>().ok().filter(|port| *port > 0);
    // What says where clients come in is the port among the keys, whatever that was. With TLS it is what the file says.
    if let Some(port) = clients.filter(|_| !node.is_encrypted()) {
        found.variables.insert("port".into(), port.to_string());
    }
}

/// What a setting is, by its own name or by what stands in for it.
fn text(r: &Reader, found: &Readout, row: &'static Row) -> Option<String> {
    if let Some((value, _)) = r.given(row) {
        return value.into_string().ok();
    }
    found
        .stand_ins
        .get(row.name)
        .map(|(value, _)| value.clone())
}

/// Says which keys are not used, when all settings were read.
pub fn judge(r: &mut Reader) {
    let mut notes = Vec::new();
    for (setting, (_, stand_in)) in &r.stand_ins {
        let Source::Predecessor(file, key) = stand_in else {
            continue;
        };
        let entry = r.entries.iter().find(|entry| entry.row.name == *setting);
        if let Some(entry) = entry.filter(|entry| *file == V1S.file && entry.source != *stand_in) {
            let source = &entry.source;
            notes.push(format!(
                "`{key}` of {file} is not used, since {setting} is set ({source})"
            ));
        }
    }
    r.notices.extend(notes);
    if r.source(&s::REDIS_URLS.row) == V1S.source("engine") && r.is_set(&s::REDIS_HOST.row) {
        r.fault(
            s::REDIS_HOST.row.name,
            "is set, and `engine` of Centrifugo's configuration names a Redis too: leave one of them out, or set FOGHORN_REDIS_URLS",
        );
    }
}

/// Keys that variables set. Each has its nearest value.
fn variables(r: &Reader) -> Variables {
    let mut found = Variables::new();
    for (name, value) in r.variables() {
        if let Some(key) = name.strip_prefix(PREFIX)
            && !value.is_empty()
            && !made_by_kubernetes(name, value)
        {
            found
                .entry(key.to_ascii_lowercase())
                .or_insert_with(|| value.to_owned());
        }
    }
    found
}

/// Whether the program was started by v1's name.
fn place<'a>(r: &Reader<'a>) -> Option<&'a InPlace> {
    let place = r.sources().in_place.as_ref();
    place.filter(|place| place.dialect == DIALECT)
}

/// What holds in Centrifugo's place before its configuration is read.
fn in_place(r: &Reader) -> StandIns {
    let Some(place) = place(r) else {
        return StandIns::new();
    };
    let dialect = Some(DIALECT.to_owned());
    let (dialects, config) = (&s::DIALECTS.row, &CONFIG.row);
    unless_given(
        r,
        [
            (dialects, dialect, "command line"),
            (config, place.file.clone(), "command line"),
        ],
    )
}

/// What holds in Centrifugo's place of what its configuration does not say.
fn defaults(r: &Reader, node: &NodeKeys) -> StandIns {
    let (host, port) = (&s::HOST.row, &s::PORT.row);
    let of = |text: &str| Some(text.to_owned());
    let key = if node.autocert.on {
        "ssl_autocert"
    } else {
        "ssl"
    };
    match node.is_encrypted() {
        _ if place(r).is_none() => StandIns::new(),
        // Clients come in at a port with TLS, and nobody at the one without.
        true => unless_given(r, [(host, of("127.0.0.1"), key), (port, of("0"), key)]),
        false => {
            let all = node.address.is_none().then(|| ALL.to_owned());
            let default = node.port.is_none().then(|| DEFAULT_PORT.to_string());
            unless_given(r, [(host, all, "address"), (port, default, "port")])
        }
    }
}

fn unless_given<const N: usize>(
    r: &Reader,
    defaults: [(&'static Row, Option<String>, &'static str); N],
) -> StandIns {
    let unsaid = defaults.into_iter().filter(|(row, ..)| !r.is_given(row));
    unsaid
        .filter_map(|(row, value, key)| Some((row.name, (value?, V1S.source(key)))))
        .collect()
}

#[cfg(test)]
mod tests;
