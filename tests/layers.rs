//! The house keeps its shape: who may import whom, and what may be used where.
//!
//! The source is read as text. `crate::…` and `super::…` paths outside of unit tests count, wherever they stand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who may import whom: a module (the longest row that fits counts) and what it may name besides itself.
/// `connection` as a target is all of it, `connection::outbox` only that. `*` is everything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("json", &[]),
    ("metrics", &[]),
    ("drain", &[]),
    ("logging", &["config", "drain"]),
    ("auth", &["event", "json"]),
    ("broker", &["event", "metrics", "drain"]),
    ("hub", &["event", "metrics", "otlp", "connection::outbox"]),
    ("node", &["event", "broker", "hub", "connection::outbox"]),
    ("sink", &["event", "broker", "hub", "connection", "drain", "metrics"]),
    ("connection", &["event", "node", "drain", "metrics"]),
    ("listen", &["connection", "drain", "metrics"]),
    ("dialect::seafile::message", SESSION),
    ("dialect::seafile::session", SESSION),
    ("dialect::seafile", &["event", "auth", "json", "connection", "node", "drain", "metrics"]),
    ("ops", &["event", "auth", "broker", "connection", "hub", "node", "drain", "metrics", "fetch"]),
    ("fetch", &[]),
    ("otlp", &["event", "drain", "metrics", "fetch", "broker::partition"]),
    // Each setting ends in the configuration struct of the module it is for.
    ("config", &["*"]),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    // Only declare modules.
    ("lib", &[]),
    ("dialect", &[]),
];
const SESSION: &[&str] =
    &["event", "auth", "json", "connection::Action", "connection::Close", "connection::Session", "metrics"];

/// A crate or call, and the only files that may name it. A folder ends in `/`.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("fred::", &["src/broker/redis"]),
    ("tokio::spawn", &["src/drain.rs"]),
    ("task::spawn", &["src/drain.rs"]),
    ("thread::spawn", &["src/drain.rs"]),
    ("spawn_blocking", &["src/drain.rs"]),
    ("JoinSet", &["src/drain.rs"]),
    ("unsafe ", &[]),
];

/// A crate, and the files that may not name it.
const NEVER_IN: &[(&str, &[&str])] = &[
    (
        "axum",
        &[
            "src/event.rs",
            "src/broker/",
            "src/hub",
            "src/node",
            "src/dialect/seafile/session",
            "src/dialect/seafile/message",
        ],
    ),
    ("hyper", &["src/event.rs", "src/broker/", "src/hub", "src/node", "src/dialect/seafile/session"]),
    ("tokio", &["src/event.rs", "src/auth", "src/dialect/seafile/session", "src/dialect/seafile/message"]),
    ("std::net", &["src/dialect/seafile/session", "src/dialect/seafile/message"]),
];

/// A source file without its comments and unit tests.
struct Source {
    /// From the root of the package, as `src/broker/mod.rs`.
    path: String,
    /// As `["broker", "memory"]`.
    module: Vec<String>,
    code: String,
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
    path.strip_prefix(root()).expect("it lies in the package").display().to_string()
}

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).expect("a source file is text");
    // Unit tests stand at the end of their file.
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let name = relative(path);
    let inner = name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    Source { module: inner.split('/').map(str::to_owned).collect(), path: name, code }
}

fn sources() -> Vec<Source> {
    let all = files("src").iter().map(|path| read(path)).collect::<Vec<_>>();
    all.into_iter().filter(|source| source.module.last().is_none_or(|name| name != "tests")).collect()
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
        let parent = source.module.get(..source.module.len().saturating_sub(depth)).unwrap_or_default().join("::");
        let parent = if parent.is_empty() { parent } else { parent + "::" };
        spread(&parent, &rest[depth * 7..], &mut found);
    }
    found
}

/// Adds `prefix` + the path that `text` starts with; `a::{b, c::{d}}` becomes three of them.
fn spread(prefix: &str, text: &str, found: &mut BTreeSet<String>) -> usize {
    let word = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..word]);
    if !text[word..].starts_with('{') {
        found.insert(path.trim_end_matches(':').trim_end_matches("::self").to_owned());
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
    path.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What counts as "itself" for a module: its first name, and for dialects the second too.
fn home(module: &[String]) -> String {
    let names = if module[0] == "dialect" { 2 } else { 1 };
    module.iter().take(names).cloned().collect::<Vec<_>>().join("::")
}

#[test]
fn modules_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module.join("::");
        let row = MAY_IMPORT.iter().filter(|(row, _)| within(&module, row)).max_by_key(|(row, _)| row.len());
        let Some((_, allowed)) = row else {
            wrong.push(format!("{}: no row in the table", source.path));
            continue;
        };
        for import in imports(&source) {
            if within(&import, &home(&source.module)) || allowed.iter().any(|a| *a == "*" || within(&import, a)) {
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
            if source.code.contains(name) && !places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("{}: {name} belongs into {places:?}", source.path));
            }
        }
        for (name, places) in NEVER_IN {
            if source.code.contains(&format!("{name}::")) && places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("{}: nothing of {name} here", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let all = ["src", "tests", "loadtest", "fuzz"].iter().flat_map(|folder| files(folder));
    let silent = all.filter(|path| !std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("//! ")));
    let silent = silent.map(|path| relative(&path)).collect::<Vec<_>>();
    assert!(silent.is_empty(), "these do not open with `//! `: {silent:?}");
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let code = "use crate::a::{self, b::C, d::{e, f}};\nlet x = super::g::h(crate::i());\nuse super::super::j;";
    let source = Source { path: String::new(), module: vec!["m".into(), "n".into(), "o".into()], code: code.into() };
    let wanted = ["a", "a::b::C", "a::d::e", "a::d::f", "i", "m::j", "m::n::g::h"];
    // Within a file `o.rs` in `m/n`, `super` is `m::n`.
    let wanted = wanted.iter().map(|path| path.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(imports(&source), wanted);
}
