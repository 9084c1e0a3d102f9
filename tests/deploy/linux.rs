//! A plain Linux machine: the units, the kernel's settings, and the Debian package, installed, run, upgraded and removed
//! on a throw-away copy of this machine that systemd boots.

use std::collections::BTreeSet;
use std::process::Command;

use tempfile::TempDir;

use crate::common::namespace::ran_apart;
use crate::support::{fetched, need, program, read, root, run};

const UNITS: [&str; 2] = [
    "deploy/systemd/foghorn.service",
    "deploy/systemd/foghorn@.service",
];

#[test]
fn both_units_are_hardened_alike() {
    let lines = |path| -> BTreeSet<String> {
        let text = read(path);
        let differs = |line: &&str| {
            !["Description=", "EnvironmentFile=", "#"]
                .iter()
                .any(|word| line.starts_with(word))
        };
        text.lines().filter(differs).map(str::to_owned).collect()
    };
    assert_eq!(lines(UNITS[0]), lines(UNITS[1]));
}

#[test]
fn the_units_take_every_secret_as_a_credential() {
    use foghorn::config::Sources;
    use foghorn::config::settings::Mask;
    for unit in UNITS.map(read) {
        for row in Sources::default()
            .rows()
            .filter(|row| matches!(row.mask, Mask::Secret | Mask::Urls))
        {
            let name = row.name;
            assert!(
                unit.contains(&format!("\nLoadCredential={name}:foghorn.{name}\n")),
                "{name}"
            );
        }
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_units_leave_little_open() {
    let mut analyze = program("systemd-analyze", "systemd");
    let (good, text) = run(analyze
        .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
        .args(UNITS)
        .current_dir(root()));
    assert!(good, "{text}");
}

#[test]
#[ignore = "needs unshare, ip and sysctl"]
fn the_kernel_takes_the_shipped_settings() {
    if ran_apart("linux::the_kernel_takes_the_shipped_settings") {
        return;
    }
    let (good, text) = run(program("sysctl", "procps")
        .arg("-p")
        .arg(root().join("deploy/sysctl/60-foghorn.conf")));
    assert!(good, "{text}");
    for line in read("deploy/sysctl/60-foghorn.conf")
        .lines()
        .filter(|line| !line.starts_with(['#', '-']) && !line.is_empty())
    {
        assert!(text.contains(line), "{line} was not taken: {text}");
    }
}

#[test]
#[ignore = "needs root, systemd-nspawn and cargo-deb"]
fn the_package_installs_runs_upgrades_and_goes() {
    need("systemd-nspawn", "systemd-container");
    need("logrotate", "logrotate");
    let dir = TempDir::new().unwrap();
    let package = dir.path().join("foghorn.deb");
    // The program that was just tested goes into it, so nothing is compiled: `cargo deb` takes it as a release.
    let target = dir.path().join("target");
    std::fs::create_dir_all(target.join("release")).unwrap();
    std::fs::copy(
        env!("CARGO_BIN_EXE_foghorn"),
        target.join("release/foghorn"),
    )
    .unwrap();
    let mut generated = Command::new(root().join("deploy/generated.sh"));
    let (good, text) = run(generated.env("CARGO_TARGET_DIR", &target));
    assert!(good, "{text}");
    let cargo_deb = fetched("get-cargo.sh", &["cargo-deb"]);
    let (good, text) = run(Command::new(cargo_deb)
        .args(["--no-build", "--fast", "--output"])
        .arg(&package)
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(root()));
    assert!(good, "{text}");
    let mut machine = Command::new(root().join("tests/deploy/in-a-machine.sh"));
    let (good, text) = run(machine
        .arg(root().join("tests/deploy/package.sh"))
        .arg(&package));
    assert!(good && text.ends_with("and its units ran\n"), "{text}");
}
