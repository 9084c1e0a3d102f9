//! A file of `NAME=value` lines, as systemd's `EnvironmentFile` and Docker's `--env-file` have them: settings that can be
//! changed while the node runs, which a process' own environment cannot.
//!
//! Invariant: a value is what stands behind the first `=`, without quotes around it; nothing in it is expanded.

use std::collections::BTreeMap;

/// The names and values. A name given twice has its last value.
pub fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let filled = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let pairs = filled.filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned())).collect()
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_stand() {
        let text = "\u{feff}# c\n\nA=1\nexport B = \"two # words\"\r\nC='x=y'\nD=a#b\nnothing\nA=2\nE=\"\nF=\n";
        let read = variables(text);
        let expected = [("A", "2"), ("B", "two # words"), ("C", "x=y"), ("D", "a#b"), ("E", "\""), ("F", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
