//! Which Foghorn this is: a build finds the commit and its day in the sources, whatever way they came, and never asks the
//! clock.

mod common;
#[path = "../build/origin.rs"]
mod origin;

use std::path::Path;
use std::process::Command;

use common::node::{Plan, foghorn};
use common::{http, process};
use foghorn::{metrics, version};
use origin::Origin;
use tempfile::TempDir;

const COMMIT: &str = "ff166541577d2b2cc4a9fc8ad5af788737b7b84e";

fn written(name: &str, text: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
    folder
}

fn found(root: &Path) -> (String, String) {
    let origin = Origin::find(root, |_| None, true);
    (
        origin.commit_or_unknown().to_owned(),
        origin.date_or_unknown(),
    )
}

fn is(commit: &str, date: &str) -> (String, String) {
    (commit.to_owned(), date.to_owned())
}

#[test]
fn an_archive_and_a_crate_know_their_commit() {
    let archive = written(
        "build/archived.txt",
        &format!("The next line is filled in.\n{COMMIT} 1763762823\n"),
    );
    assert_eq!(found(archive.path()), is("ff166541577d", "2025-11-21"));
    let of_crate = written(
        ".cargo_vcs_info.json",
        &format!("{{\n \"git\": {{\n \"sha1\": \"{COMMIT}\"\n }}\n}}"),
    );
    assert_eq!(found(of_crate.path()), is("ff166541577d", "unknown"));
    let nothing = written("build/archived.txt", "Not filled in.\n$Format:%H %ct$\n");
    assert_eq!(found(nothing.path()), is("unknown", "unknown"));
}

#[test]
fn what_the_environment_says_goes_first() {
    let archive = written("build/archived.txt", &format!("{COMMIT} 1763762823\n"));
    let say = |name: &str, value: &str| {
        let said = |asked: &str| (asked == name).then(|| value.to_owned());
        let origin = Origin::find(archive.path(), said, true);
        (
            origin.commit_or_unknown().to_owned(),
            origin.date_or_unknown(),
        )
    };
    assert_eq!(
        say("FOGHORN_COMMIT", "0123456789abcdef"),
        is("0123456789ab", "2025-11-21")
    );
    assert_eq!(say("FOGHORN_COMMIT", ""), is("ff166541577d", "2025-11-21"));
    for (seconds, day) in [
        ("0", "1970-01-01"),
        ("951782399", "2000-02-28"),
        ("951782400", "2000-02-29"),
        ("1709164800", "2024-02-29"),
        ("1735689599", "2024-12-31"),
        ("1735689600", "2025-01-01"),
        ("4107542400", "2100-03-01"),
    ] {
        assert_eq!(say("SOURCE_DATE_EPOCH", seconds), is("ff166541577d", day));
    }
}

#[test]
#[ignore = "needs git"]
fn a_repository_and_what_is_archived_from_it_say_the_same() {
    let folder = written("build/archived.txt", "Filled in.\n$Format:%H %ct$\n");
    let root = folder.path();
    std::fs::write(
        root.join(".gitattributes"),
        include_str!("../.gitattributes"),
    )
    .expect("a file");
    let git = |arguments: &[&str]| {
        let mut git = process::command(&process::need("git", "git"));
        git.arg("-C")
            .arg(root)
            .args(["-c", "user.name=a", "-c", "user.email=a@x"])
            .args(arguments);
        git.env("GIT_COMMITTER_DATE", "2026-02-03T23:59:59Z")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", root);
        let done = git.output().expect("git starts");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout)
            .expect("text")
            .trim()
            .to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "one"]);
    let commit = git(&["rev-parse", "HEAD"])[..12].to_owned();
    assert_eq!(found(root), is(&commit, "2026-02-03"));
    assert!(
        origin::watched(root)
            .iter()
            .any(|path| path.ends_with("HEAD"))
    );

    let archive = root.join("archive.tar");
    git(&["archive", "--output", "archive.tar", "HEAD"]);
    let unpacked = TempDir::new().expect("a folder");
    let tar = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(unpacked.path())
        .status();
    assert!(tar.expect("tar starts").success());
    assert_eq!(found(unpacked.path()), is(&commit, "2026-02-03"));

    std::fs::write(root.join("build/archived.txt"), "changed").expect("a file");
    assert_eq!(found(root), is(&format!("{commit}-modified"), "2026-02-03"));
    // A copy of the sources inside another project's repository is not of that project's commit.
    std::fs::create_dir(root.join("vendored")).expect("a folder");
    assert_eq!(found(&root.join("vendored")), is("unknown", "unknown"));
}

#[tokio::test]
async fn the_program_and_its_metric_say_it() {
    let done = foghorn(&["--version"]).output().expect("foghorn starts");
    let said = String::from_utf8(done.stdout).expect("text");
    let (number, commit, date) = (version::VERSION, version::COMMIT, version::DATE);
    assert_eq!(number, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        said,
        format!("foghorn {number} (commit {commit} of {date})\n")
    );
    let node = Plan::new().start().await;
    let page = http::get(node.ops(), "/metrics").await.expect(200).body;
    let line = page
        .lines()
        .find(|line| line.starts_with(metrics::BUILD_INFO))
        .unwrap_or_default();
    assert_eq!(
        line,
        format!("foghorn_build_info{{version=\"{number}\",commit=\"{commit}\",date=\"{date}\"}} 1")
    );
}
