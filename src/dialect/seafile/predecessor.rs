//! What of Seafile's configuration stands in for settings: a variable, and the `[notification]` section of `seafile.conf`
//! (Seafile 10 to 12), by the rules the upstream server reads it with.
//!
//! Invariant: only that section of the file is looked at, so a fault elsewhere in the file changes nothing here.

use std::collections::BTreeMap;

use super::settings::KEY;
use crate::config::files::text;
use crate::config::predecessor::{Predecessor, Readout};
use crate::config::reader::Reader;
use crate::config::settings::{HOST, LOG_LEVEL, LOG_TO_STDOUT, PORT};

/// Seafile.
pub static SEAFILE: Predecessor = Predecessor {
    name: "Seafile",
    file: FILE,
    place: "a variable of Seafile's where one is named below, else\nfrom the `[notification]` section of the `seafile.conf` in that folder (Seafile 10 to 12)",
    keys: &[
        (HOST.row.name, "host"),
        (PORT.row.name, "port"),
        (LOG_LEVEL.row.name, "log_level"),
        (KEY.row.name, "jwt_private_key"),
    ],
    variables: &[(LOG_TO_STDOUT.row.name, "SEAFILE_LOG_TO_STDOUT")],
    family: "SEAFILE_MYSQL_DB_",
    unread: &[
        "SEAFILE_MYSQL_DB_SEAFILE_DB_NAME",
        "SEAFILE_MYSQL_DB_SEAHUB_DB_NAME",
    ],
    read,
};

const FILE: &str = "seafile.conf";

/// What stands in the file in the `-c` folder, whichever dialects run: where clients come in is the node's.
fn read(r: &Reader) -> Readout {
    let mut found = Readout::default();
    let Some(dir) = &r.sources().config_dir else {
        return found;
    };
    let Some(text) = text(&dir.join(FILE), "-c", &mut found.faults) else {
        return found;
    };
    let keys = notification(&text);
    let is_off = |value: &String| value.eq_ignore_ascii_case("false");
    if keys.get("enabled").is_some_and(is_off) {
        let note = "seafile.conf says [notification] enabled = false: Seafile will send no events";
        found.notices.push(note.into());
    }
    let filled = SEAFILE.keys.iter().filter_map(|(setting, key)| {
        let value = keys.get(*key).filter(|value| !value.is_empty())?;
        Some((*setting, (value.clone(), SEAFILE.source(key))))
    });
    found.stand_ins.extend(filled);
    found
}

/// The section's keys and values. A key given twice has its last value.
fn notification(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut inside = false;
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|l| l.split_once(']'))
            .map(|(name, _)| name.trim())
        {
            inside = section == "notification";
        } else if inside && let Some((key, value)) = line.split_once(['=', ':']) {
            keys.insert(key.trim().to_owned(), unquoted(value.trim()).to_owned());
        }
    }
    keys
}

/// The value without the quotes around it or the comment behind it. A comment needs a blank before it, since `#` and
/// `;` occur in keys.
fn unquoted(value: &str) -> &str {
    if let Some(quote) = value.chars().next().filter(|c| "\"'`".contains(*c))
        && let Some(end) = value[1..].find(quote)
    {
        return &value[1..=end];
    }
    let comment = value
        .match_indices(['#', ';'])
        .find(|(at, _)| value[..*at].ends_with([' ', '\t']));
    comment.map_or(value, |(at, _)| value[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_is_read() {
        let text = "\u{feff}[fileserver]\nport=8082\n# [notification]\n[notification]\nenabled = true\nport = 8083 # mine\r\n\
                    ; host = x\njwt_private_key = a#b;c=d\nlog_level = \"debug\"\n[database]\nport = 3306\n";
        let keys = notification(text);
        let get = |key: &str| keys.get(key).map(String::as_str);
        assert_eq!(
            (get("enabled"), get("port"), get("host")),
            (Some("true"), Some("8083"), None)
        );
        assert_eq!(
            (get("jwt_private_key"), get("log_level")),
            (Some("a#b;c=d"), Some("debug"))
        );
    }

    #[test]
    fn odd_files_are_no_trouble() {
        for text in [
            "",
            "[notification",
            "[notification]\n=\n= x\nkey\nk=\"open",
            "\u{0}\u{feff}[]",
        ] {
            notification(text);
        }
    }
}
