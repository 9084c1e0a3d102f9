//! Which dialects run, what they are told, and which ports they have to themselves.
//!
//! Invariant: a dialect's settings are read where it is switched on; elsewhere they are noted and not looked at.

use super::Config;
use super::reader::{Reader, Sources};
use super::settings::{self as s, Row};
use super::values::Values;
use crate::dialect::Descriptor;

/// Which dialects run.
pub(super) fn dialects(r: &mut Reader, sources: &Sources) -> Vec<&'static Descriptor> {
    let mut wanted: Vec<&'static Descriptor> = Vec::new();
    for name in r.value(&s::DIALECTS) {
        match sources.dialects.iter().find(|dialect| dialect.name == name) {
            Some(dialect) => wanted.push(dialect),
            None => {
                let known: Vec<&str> = sources
                    .dialects
                    .iter()
                    .map(|dialect| dialect.name)
                    .collect();
                r.fault(
                    s::DIALECTS.row.name,
                    format!(
                        "names {name:?}, which is no dialect; there are: {}",
                        known.join(", ")
                    ),
                );
            }
        }
    }
    wanted
}

/// What the dialects themselves are told, and where they listen.
pub(super) fn of_dialects(r: &mut Reader, sources: &Sources, config: &mut Config) {
    for dialect in sources
        .dialects
        .iter()
        .filter(|dialect| !config.dialects.contains(dialect))
    {
        let given = dialect
            .settings
            .iter()
            .filter(|row| r.is_given(row))
            .map(|row| row.name);
        let (names, without) = (s::DIALECTS.row.name, dialect.name);
        let notes: Vec<_> = given
            .map(|row| format!("{row} is of no use while {names} does not name {without}"))
            .collect();
        r.notices.extend(notes);
    }
    for dialect in config.dialects.clone() {
        let variables = r.variables_of.remove(dialect.name).unwrap_or_default();
        let values = Values::read(r, dialect.settings).beside(variables);
        pairs(r, dialect.settings);
        (dialect.check)(&values, r);
        config.ports.extend(
            (dialect.ports)(&values)
                .into_iter()
                .map(|port| (dialect.name, port)),
        );
        config.values = std::mem::take(&mut config.values).and(values);
    }
}

/// A certificate is of no use without its key, and the other way round.
fn pairs(r: &mut Reader, rows: &[&'static Row]) {
    for (one, other) in [("_TLS_CERT", "_TLS_KEY"), ("_TLS_KEY", "_TLS_CERT")] {
        for row in rows
            .iter()
            .filter(|row| row.name.ends_with(one) && r.is_set(row))
            .collect::<Vec<_>>()
        {
            let missing = format!("{}{other}", row.name.trim_end_matches(one));
            if rows
                .iter()
                .any(|known| known.name == missing && !r.is_set(known))
            {
                r.fault(
                    &missing,
                    format!("is missing: {} is of no use without it", row.name),
                );
            }
        }
    }
}
