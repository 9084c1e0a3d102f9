//! The `[notification]` section of Seafile's `seafile.conf` (Seafile 10 to 12), by the rules the upstream server reads it with.
//!
//! Invariant: only that section is looked at, so a fault elsewhere in the file changes nothing here.

use std::collections::BTreeMap;

/// The section's keys and values. A key given twice has its last value.
pub fn notification(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut inside = false;
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.split_once(']')).map(|(name, _)| name.trim()) {
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
    let comment = value.match_indices(['#', ';']).find(|(at, _)| value[..*at].ends_with([' ', '\t']));
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
        assert_eq!((get("enabled"), get("port"), get("host")), (Some("true"), Some("8083"), None));
        assert_eq!((get("jwt_private_key"), get("log_level")), (Some("a#b;c=d"), Some("debug")));
    }

    #[test]
    fn odd_files_are_no_trouble() {
        for text in ["", "[notification", "[notification]\n=\n= x\nkey\nk=\"open", "\u{0}\u{feff}[]"] {
            notification(text);
        }
    }
}
