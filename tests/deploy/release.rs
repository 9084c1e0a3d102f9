//! A release: it is refused where it is not ready, everything is in it, twice gives the same bytes, and the files that call
//! it are what the CI systems read.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{program, pypi, read, root, run};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn release(arguments: &[&str]) -> (bool, String) {
    run(Command::new(root().join("deploy/release.sh")).args(arguments))
}

#[test]
#[ignore = "needs git and umoci"]
fn a_release_is_refused_with_every_reason_at_once() {
    let (good, text) = release(&["--check", "99.9.9", "--program", "/bin/true"]);
    assert!(!good, "{text}");
    for file in [
        "Cargo.toml",
        "charts/foghorn/Chart.yaml, version",
        "charts/foghorn/Chart.yaml, appVersion",
        "charts/foghorn/Chart.yaml, artifacthub.io/images",
        "deploy/debian/changelog",
    ] {
        assert!(
            text.contains(&format!("not ready: {file} says {VERSION}, not 99.9.9")),
            "{file} in {text}"
        );
    }
    assert!(
        text.contains("CHANGELOG.md has no section \"## [99.9.9] - DAY\""),
        "{text}"
    );
    let (good, text) = release(&["--check", VERSION, "--program", "/bin/true"]);
    assert!(
        good && text.contains(&format!("ready: {VERSION} from ")),
        "{text}"
    );
    assert!(!release(&["--check"]).0 && !release(&["--what", VERSION]).0);
}

/// The program that was just tested is packed, so nothing is compiled.
#[test]
#[ignore = "needs git, umoci, rpm, and tools from crates.io and Go's module proxy"]
fn everything_is_in_it_and_twice_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let (good, text) = release(&[
        "--program",
        env!("CARGO_BIN_EXE_foghorn"),
        "--out",
        &out.to_string_lossy(),
        VERSION,
    ]);
    assert!(
        good && text.contains("built twice, the same bytes"),
        "{text}"
    );
    let (good, text) = run(Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&out));
    assert!(good, "{text}");
    let names: BTreeSet<String> = std::fs::read_dir(&out)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into())
        .collect();
    let expected = [
        "CHANGES.md".to_owned(),
        "SHA256SUMS".to_owned(),
        "THIRD-PARTY.html".to_owned(),
        format!("foghorn-{VERSION}-1.x86_64.rpm"),
        format!("foghorn-{VERSION}-linux-amd64.oci.tar"),
        format!("foghorn-{VERSION}-linux-amd64.tar.gz"),
        format!("foghorn-{VERSION}-site.tar.gz"),
        format!("foghorn-{VERSION}-source.tar.gz"),
        format!("foghorn-{VERSION}.cdx.json"),
        format!("foghorn-chart-{VERSION}.tgz"),
        format!("foghorn_{VERSION}-1_amd64.deb"),
    ];
    assert_eq!(names, expected.into());
    packages(&out);
    image(&out, folder.path());
    let parts: Value = serde_json::from_str(
        &std::fs::read_to_string(out.join(format!("foghorn-{VERSION}.cdx.json"))).unwrap(),
    )
    .unwrap();
    let components: Vec<_> = parts["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|part| part["name"].as_str())
        .collect();
    assert!(
        parts["bomFormat"] == "CycloneDX"
            && components.contains(&"tokio")
            && components.contains(&"fred"),
        "{parts}"
    );
    let licences = std::fs::read_to_string(out.join("THIRD-PARTY.html")).unwrap();
    assert!(licences.contains("<li>tokio ") && licences.contains("Apache License"));
}

/// Both carry the program, its unit, its pages and completions, and the settings file that only root may read.
fn packages(out: &Path) {
    let list = |command: &mut Command| {
        let (good, text) = run(command);
        assert!(good, "{text}");
        text
    };
    let deb = list(
        program("dpkg-deb", "dpkg")
            .arg("--contents")
            .arg(out.join(format!("foghorn_{VERSION}-1_amd64.deb"))),
    );
    let rpm = list(
        program("rpm", "rpm")
            .args(["-qp", "--list"])
            .arg(out.join(format!("foghorn-{VERSION}-1.x86_64.rpm"))),
    );
    for file in [
        "/usr/bin/foghorn",
        "/etc/foghorn/foghorn.env",
        "/usr/lib/systemd/system/foghorn.service",
        "/usr/lib/systemd/system/foghorn@.service",
        "/usr/share/man/man1/foghorn.1.gz",
        "/usr/share/man/man1/foghorn-doctor.1.gz",
        "/usr/share/bash-completion/completions/foghorn",
        "/usr/share/fish/vendor_completions.d/foghorn.fish",
        "_foghorn",
        "/usr/share/doc/foghorn/PROTOCOL.md",
    ] {
        assert!(deb.contains(file), "{file} in\n{deb}");
        assert!(rpm.contains(file), "{file} in\n{rpm}");
    }
    let settings = deb
        .lines()
        .find(|line| line.ends_with("/etc/foghorn/foghorn.env"))
        .unwrap();
    assert!(settings.starts_with("-rw------- 0/0 "), "{settings}");
    let modes = list(
        program("rpm", "rpm")
            .args([
                "-qp",
                "--queryformat",
                "[%{FILEMODES:perms} %{FILENAMES}\\n]",
            ])
            .arg(out.join(format!("foghorn-{VERSION}-1.x86_64.rpm"))),
    );
    assert!(
        modes.contains("-rw------- /etc/foghorn/foghorn.env"),
        "{modes}"
    );
}

/// The image says what the Dockerfile says, and its program runs on nothing but what the image holds.
fn image(out: &Path, folder: &Path) {
    let layout = folder.join("layout");
    std::fs::create_dir(&layout).unwrap();
    let archive = out.join(format!("foghorn-{VERSION}-linux-amd64.oci.tar"));
    let (good, text) = run(Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(&layout));
    assert!(good, "{text}");
    let bundle = folder.join("bundle");
    let (good, text) = run(program("umoci", "umoci")
        .arg("unpack")
        .arg("--rootless")
        .arg("--image")
        .arg(format!("{}:{VERSION}", layout.display()))
        .arg(&bundle));
    assert!(good, "{text}");
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(bundle.join("config.json")).unwrap())
            .unwrap();
    let process = &config["process"];
    assert_eq!(process["args"], serde_json::json!(["/usr/bin/foghorn"]));
    assert_eq!(process["user"]["uid"], 65532);
    let env: Vec<_> = process["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        env.contains(&"FOGHORN_OPS_ADDR=0.0.0.0:8084")
            && env.contains(&"SEAFILE_LOG_TO_STDOUT=true"),
        "{env:?}"
    );
    let inside = bundle.join("rootfs");
    assert!(
        !inside.join("bin/sh").exists()
            && inside.join("etc/ssl/certs/ca-certificates.crt").exists()
    );
    let (good, text) = run(Command::new("chroot")
        .arg(&inside)
        .args(["/usr/bin/foghorn", "--version"]));
    assert!(
        good && text.starts_with(&format!("foghorn {VERSION} ")),
        "{text}"
    );
}

#[test]
#[ignore = "needs check-jsonschema, from PyPI"]
fn ci_systems_can_read_their_files() {
    let check = pypi("check-jsonschema", "check-jsonschema");
    for (schema, files) in [
        (
            "vendor.github-workflows",
            &[
                ".github/workflows/test.yml",
                ".github/workflows/release.yml",
            ][..],
        ),
        ("vendor.gitlab-ci", &[".gitlab-ci.yml"]),
    ] {
        let (good, text) = run(Command::new(&check)
            .args(["--builtin-schema", schema])
            .args(files)
            .current_dir(root()));
        assert!(good, "{text}");
    }
}

#[test]
fn ci_systems_run_what_everybody_runs() {
    for (test, release) in [
        (
            ".github/workflows/test.yml",
            ".github/workflows/release.yml",
        ),
        (".gitlab-ci.yml", ".gitlab-ci.yml"),
    ] {
        assert!(
            read(test).contains("- ./test.sh\n") || read(test).contains("run: ./test.sh\n"),
            "{test}"
        );
        assert!(read(release).contains("deploy/ci.sh \"${"), "{release}");
    }
    assert!(read("deploy/ci.sh").contains("\ndeploy/release.sh \"$1\"\n"));
}

#[test]
#[ignore = "needs shellcheck"]
fn shell_scripts_have_no_known_faults() {
    let mut check = program("shellcheck", "shellcheck");
    check.args([
        "deploy/release.sh",
        "deploy/ci.sh",
        "deploy/generated.sh",
        "deploy/site/build.sh",
        "tests/deploy/get-cargo.sh",
        "test.sh",
    ]);
    let (good, text) = run(check.current_dir(root()));
    assert!(good, "{text}");
}
