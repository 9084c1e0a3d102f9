//! The house keeps its shape: who may import whom, and what may be used where.
//!
//! The source is read as text. `crate::…` and `super::…` paths outside of unit tests count, wherever they stand.

mod rules;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rules::{A_DIALECTS, IMPURE, MAY_IMPORT, NAMES_DIALECTS, NEVER_IN, ONLY_IN};

/// A source file without its unit tests.
struct Source {
    /// From the root of the package, as `src/broker/mod.rs`.
    path: String,
    /// As `["broker", "memory"]`.
    module: Vec<String>,
    /// Without comments.
    code: String,
    /// The same with its comments.
    said: String,
    /// Whether it says of itself that it is pure.
    pure: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                rust_files(&path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let (mut files, folder) = (Vec::new(), root().join(folder));
    if folder.is_dir() {
        rust_files(&folder, &mut files);
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .expect("it lies in the package")
        .display()
        .to_string()
}

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).expect("a source file is text");
    // Unit tests stand at the end of their file.
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let head: String = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .collect();
    let pure = ["Invariant: pure", "Invariants: pure"]
        .iter()
        .any(|claim| head.contains(claim));
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let name = relative(path);
    let inner = name
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    Source {
        module: inner.split('/').map(str::to_owned).collect(),
        path: name,
        said: text.to_owned(),
        code,
        pure,
    }
}

fn sources() -> Vec<Source> {
    let all = files("src")
        .iter()
        .map(|path| read(path))
        .collect::<Vec<_>>();
    all.into_iter()
        .filter(|source| source.module.iter().all(|name| name != "tests"))
        .collect()
}

/// Every path in `code` that starts with `crate::` or `super::`, groups taken apart, from the crate's root.
fn imports(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in source.code.match_indices("crate::") {
        spread("", &source.code[at + 7..], &mut found);
    }
    for (at, _) in source.code.match_indices("super::") {
        let before = &source.code[..at];
        if before.ends_with("super::") || before.ends_with("r#") {
            continue;
        }
        let rest = &source.code[at..];
        let depth = rest.split("::").take_while(|part| *part == "super").count();
        let parent = source
            .module
            .get(..source.module.len().saturating_sub(depth))
            .unwrap_or_default()
            .join("::");
        let parent = if parent.is_empty() {
            parent
        } else {
            parent + "::"
        };
        spread(&parent, &rest[depth * 7..], &mut found);
    }
    found
}

/// Adds `prefix` + the path that `text` starts with; `a::{b, c::{d}}` becomes three of them.
fn spread(prefix: &str, text: &str, found: &mut BTreeSet<String>) -> usize {
    let word = text
        .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..word]);
    if !text[word..].starts_with('{') {
        found.insert(
            path.trim_end_matches(':')
                .trim_end_matches("::self")
                .to_owned(),
        );
        return word;
    }
    let mut at = word + 1;
    while at < text.len() && !text[at..].starts_with('}') {
        if text[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            at += spread(&path, &text[at..], found);
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at + 1
}

/// Whether `path` is `target` or lies in it.
fn within(path: &str, target: &str) -> bool {
    path.strip_prefix(target)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What counts as "itself" for a module: its first name, and for dialects the second too.
fn home(module: &[String]) -> String {
    let names = if module[0] == "dialect" { 2 } else { 1 };
    module
        .iter()
        .take(names)
        .cloned()
        .collect::<Vec<_>>()
        .join("::")
}

/// Whether `import` is of what all dialects share, and `module` part of one: another dialect is named in small letters.
fn is_shared_by_dialects(module: &[String], import: &str) -> bool {
    let item = import
        .strip_prefix("dialect::")
        .and_then(|rest| rest.split("::").next());
    module.len() > 1
        && module[0] == "dialect"
        && item.is_some_and(|item| item.starts_with(char::is_uppercase))
}

#[test]
fn modules_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module.join("::");
        let row = MAY_IMPORT
            .iter()
            .filter(|(row, _)| within(&module, row))
            .max_by_key(|(row, _)| row.len());
        let Some((_, allowed)) = row else {
            wrong.push(format!("{}: no row in the table", source.path));
            continue;
        };
        for import in imports(&source) {
            if is_shared_by_dialects(&source.module, &import)
                || within(&import, &home(&source.module))
                || allowed.iter().any(|a| *a == "*" || within(&import, a))
            {
                continue;
            }
            wrong.push(format!("{} may not import {import}", source.path));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn some_things_have_their_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in ONLY_IN {
            if source.code.contains(name)
                && !places.iter().any(|place| source.path.starts_with(place))
            {
                wrong.push(format!("{}: {name} belongs into {places:?}", source.path));
            }
        }
        for (name, places) in NEVER_IN {
            if source.code.contains(&format!("{name}::"))
                && places.iter().any(|place| source.path.starts_with(place))
            {
                wrong.push(format!("{}: nothing of {name} here", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_calls_itself_pure_is_pure() {
    let pure: Vec<Source> = sources().into_iter().filter(|source| source.pure).collect();
    let mut wrong = Vec::new();
    for source in &pure {
        // A moment that somebody else has told is no clock.
        let code = source.code.replace("tokio::time::Instant;", "");
        let own = format!("crate::{}", source.module[0]);
        for name in IMPURE
            .iter()
            .filter(|name| **name != own && code.contains(**name))
        {
            wrong.push(format!(
                "{}: {name} is nothing for a pure file",
                source.path
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // Each dialect's sessions are among them, by whatever name it has.
    for path in files("src/dialect")
        .iter()
        .map(|path| relative(path))
        .filter(|path| path.ends_with("/session.rs"))
    {
        assert!(
            pure.iter().any(|source| source.path == path),
            "{path} does not say that it is pure"
        );
    }
}

/// The dialects, by their folders.
fn dialects() -> BTreeSet<String> {
    let inside = sources()
        .into_iter()
        .filter(|source| source.module.len() > 1 && source.module[0] == "dialect");
    inside.map(|source| source.module[1].clone()).collect()
}

#[test]
fn a_dialect_is_named_in_its_folder_and_in_the_list_of_all_and_nowhere_else_in_the_core() {
    let names = dialects();
    assert!(!names.is_empty());
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| {
        !NAMES_DIALECTS
            .iter()
            .any(|place| source.path.starts_with(place))
    }) {
        let said = source.said.to_lowercase();
        let own = source
            .module
            .get(1)
            .filter(|_| source.module[0] == "dialect");
        let things = A_DIALECTS.iter().copied().filter(|_| own.is_none());
        let named = names.iter().filter(|name| own != Some(name));
        for word in named.map(String::as_str).chain(things) {
            if said.contains(word) {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for row in MAY_IMPORT
        .iter()
        .flat_map(|(row, allowed)| allowed.iter().chain([row]))
    {
        assert!(
            !names.iter().any(|name| row.contains(name.as_str())),
            "a row names a dialect: {row}"
        );
    }
}

#[test]
fn every_file_says_what_it_is() {
    let all = ["src", "tests", "loadtest", "fuzz"]
        .iter()
        .flat_map(|folder| files(folder));
    let silent = all
        .filter(|path| !std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("//! ")));
    let silent = silent.map(|path| relative(&path)).collect::<Vec<_>>();
    assert!(
        silent.is_empty(),
        "these do not open with `//! `: {silent:?}"
    );
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let code = "use crate::a::{self, b::C, d::{e, f}};\nlet x = super::g::h(crate::i());\nuse super::super::j;";
    let source = Source {
        path: String::new(),
        module: vec!["m".into(), "n".into(), "o".into()],
        said: String::new(),
        code: code.into(),
        pure: false,
    };
    let wanted = [
        "a",
        "a::b::C",
        "a::d::e",
        "a::d::f",
        "i",
        "m::j",
        "m::n::g::h",
    ];
    // Within a file `o.rs` in `m/n`, `super` is `m::n`.
    let wanted = wanted
        .iter()
        .map(|path| path.to_string())
        .collect::<BTreeSet<_>>();
    assert_eq!(imports(&source), wanted);
}
