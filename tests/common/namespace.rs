//! A test inside a network of its own: fixed ports cannot collide, and the network can be broken without harm.

use std::process::Command;

use super::process::{self, need};

const MARK: &str = "FOGHORN_TEST_NAMESPACE";

/// Runs the calling test again, alone, inside a new network namespace where only the loopback device is up. Returns
/// `true` outside of it, when that run has passed: the caller has nothing left to do. Returns `false` inside.
pub fn ran_apart(test: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        process::run("ip link set lo up", {
            let mut up = Command::new(need("ip", "iproute2"));
            up.args(["link", "set", "lo", "up"]);
            up
        });
        return false;
    }
    let mut command = process::command(&need("unshare", "util-linux"));
    command.arg("--net");
    if !root() {
        command.arg("--map-root-user");
    }
    command.arg(std::env::current_exe().expect("a test knows its program"));
    command
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(MARK, "1");
    let output = process::run(&format!("{test} in a network namespace"), command);
    assert!(
        output.contains("1 passed"),
        "{test} did not run in its namespace:\n{output}"
    );
    output
        .lines()
        .filter(|line| line.starts_with("ledger "))
        .for_each(|line| println!("{line}"));
    true
}

fn root() -> bool {
    process::run("id", {
        let mut id = Command::new("id");
        id.arg("-u");
        id
    })
    .trim()
        == "0"
}
