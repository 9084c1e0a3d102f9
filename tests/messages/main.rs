//! All that this program tells people, found in the source, so that no message can be forgotten: none is made of Rust's
//! `Debug` text, each warning in the log says what to change or why there is nothing to, and each kind of failure has the
//! test that runs into it and reads what is said, to whom it is told with advice.
//!
//! What a situation makes commands and the log say is in `tests/advice`; this is the table of all tables.

mod tables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tables::{FAILURES, NOTHING_TO_CHANGE, QUOTED_TEXTS, QUOTES};

/// One macro call or attribute in the source.
struct Message {
    file: String,
    /// All that stands between its parentheses, in one line.
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file that is no test, by its path below `src`, without its unit tests.
fn sources() -> Vec<(String, String)> {
    let (src, mut paths) = (root().join("src"), Vec::new());
    files(&src, &mut paths);
    let mut sources = Vec::new();
    for path in paths {
        let name = path
            .strip_prefix(&src)
            .expect("below src")
            .display()
            .to_string();
        let is_test =
            name.contains("/tests") || name.contains("/sim") || name.ends_with("testing.rs");
        let text = std::fs::read_to_string(&path).expect("readable");
        let code = text
            .split("\n#[cfg(test)]\nmod ")
            .next()
            .unwrap_or_default()
            .to_owned();
        if !is_test {
            sources.push((name, code));
        }
    }
    sources.sort();
    sources
}

/// The text up to the parenthesis that closes what was opened before it.
fn up_to_the_close(code: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, c) in code.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
    }
    code
}

/// All that begins with `opening`, such as `tracing::warn!(`.
fn messages(opening: &str) -> Vec<Message> {
    let mut found = Vec::new();
    for (file, code) in sources() {
        for (at, _) in code.match_indices(opening) {
            let inner = up_to_the_close(&code[at + opening.len()..]);
            let text = inner.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push(Message {
                file: file.clone(),
                text,
            });
        }
    }
    found
}

/// Whether it names a setting, a command, or asks what to look at.
fn says_what_to_change(text: &str) -> bool {
    let setting = |word: &str| {
        word.len() > 5
            && word.contains('_')
            && word
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(setting)
        || text.contains('`')
        || text.contains('?')
        || text.contains("LimitNOFILE")
        || text.contains("needs a restart")
}

#[test]
fn each_warning_in_the_log_says_what_to_change_or_there_is_nothing_to() {
    let lines: Vec<Message> = ["tracing::warn!(", "tracing::error!("]
        .into_iter()
        .flat_map(messages)
        .collect();
    assert!(lines.len() > 30, "only {} were found", lines.len());
    let mut used = BTreeSet::new();
    for Message { file, text } in &lines {
        let excused = NOTHING_TO_CHANGE
            .iter()
            .find(|(part, _)| text.contains(part));
        used.extend(excused.map(|(part, _)| *part));
        let quotes = QUOTES.iter().any(|part| text.contains(part)) || text.contains("%error");
        assert!(
            excused.is_some() || quotes || says_what_to_change(text),
            "{file}: no change is named in {text}"
        );
        if let Some((part, _)) = excused {
            assert!(
                !says_what_to_change(text),
                "{file}: {part:?} is excused and names a change: {text}"
            );
        }
    }
    let stale: Vec<_> = NOTHING_TO_CHANGE
        .iter()
        .filter(|(part, _)| !used.contains(part))
        .collect();
    assert!(
        stale.is_empty(),
        "no line goes like this any more: {stale:?}"
    );
}

/// The enums and structs that are errors with words: file and name.
fn failures() -> Vec<String> {
    let mut found = Vec::new();
    for (file, code) in sources() {
        for (at, _) in code.match_indices("thiserror::Error") {
            let after = &code[at..];
            let name = [
                "pub enum ",
                "pub struct ",
                "pub(super) enum ",
                "pub(super) struct ",
                "enum ",
                "struct ",
            ]
            .iter()
            .filter_map(|word| Some((after.find(word)? + word.len(), ())))
            .min_by_key(|(at, ())| *at)
            .map(|(at, ())| {
                after[at..]
                    .split(|c: char| !c.is_alphanumeric())
                    .next()
                    .unwrap_or_default()
            });
            found.push(format!("{file} {}", name.unwrap_or_default()));
        }
    }
    found
}

fn exists(shown_by: &str) -> bool {
    let Some((file, test)) = shown_by.split_once("::") else {
        return false;
    };
    let folder = if file.starts_with("src/") {
        root().to_owned()
    } else {
        root().join("tests")
    };
    let text = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap_or_default();
    // All tests of a file, where it is about nothing else.
    if test.is_empty() {
        ["test]\n", "test("].iter().any(|mark| text.contains(mark))
    } else {
        text.contains(&format!("fn {test}("))
    }
}

#[test]
fn each_kind_of_failure_has_a_test_that_reads_what_is_said() {
    let found = failures();
    let listed: Vec<&str> = FAILURES.iter().map(|(kind, _)| *kind).collect();
    let unlisted: Vec<_> = found
        .iter()
        .filter(|kind| !listed.contains(&kind.as_str()))
        .collect();
    assert!(
        unlisted.is_empty(),
        "no test is named for these: {unlisted:#?}"
    );
    let stale: Vec<_> = listed
        .iter()
        .filter(|kind| !found.iter().any(|is| is == *kind))
        .collect();
    assert!(stale.is_empty(), "these are gone: {stale:?}");
    for (kind, tests) in FAILURES {
        for test in *tests {
            assert!(exists(test), "{test}, for {kind}, does not exist");
        }
    }
}

/// Between `{` and `:?}` stands a text that is shown in quotation marks, nothing else.
#[test]
fn no_message_is_made_of_debug_text() {
    let mut found = Vec::new();
    for (file, code) in sources() {
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for (at, _) in code.match_indices(":?}") {
            let name = code[..at].rsplit('{').next().unwrap_or_default();
            if !name.is_empty() && !QUOTED_TEXTS.contains(&name) {
                found.push(format!("{file}: {{{name}:?}}"));
            }
        }
    }
    // The sigil of the log's macros for the same.
    for opening in [
        "tracing::warn!(",
        "tracing::error!(",
        "tracing::info!(",
        "tracing::debug!(",
    ] {
        for Message { file, text } in messages(opening) {
            let fields = text.split('"').next().unwrap_or_default();
            if fields.split([',', ' ']).any(|word| word.starts_with('?')) {
                found.push(format!("{file}: {text}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What doctor finds wrong goes with the lines that mend it: it cannot be made without.
#[test]
fn what_doctor_finds_wrong_is_never_said_without_what_mends_it() {
    let findings: Vec<Message> = ["Check::fail(", "Check::warn("]
        .into_iter()
        .flat_map(messages)
        .collect();
    assert!(findings.len() > 15, "only {} were found", findings.len());
    for Message { file, text } in findings {
        let bare = ["Vec::new()", "vec![]", "Vec::default()"]
            .iter()
            .any(|empty| text.contains(empty));
        assert!(!bare, "{file}: nothing mends {text}");
    }
}
