//! What a program owes a shell: completions, manual pages, exit codes that are written down, colours only where somebody
//! can see them.

mod common;

use std::process::Output;

use common::node::foghorn;
use common::process::{command, need};
use tempfile::TempDir;

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = foghorn(arguments).output().expect("foghorn starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        status.code().expect("an exit code"),
        text(stdout),
        text(stderr),
    )
}

/// The subcommands that the help page lists.
fn subcommands() -> Vec<String> {
    let (_, help, _) = run(&["--help"]);
    let (_, behind) = help.split_once("Commands:\n").expect("a list of commands");
    let listed = behind.lines().take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn every_shell_completes_every_subcommand() {
    let names = subcommands();
    assert!(names.len() > 10, "{names:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, stderr) = run(&["completions", shell]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        for name in &names {
            assert!(
                script.contains(name),
                "{name} in the completions of {shell}"
            );
        }
    }
    let folder = TempDir::new().expect("a folder");
    let inner = folder.path().join("made");
    assert_eq!(
        run(&["completions", "--dir", &inner.to_string_lossy()]).0,
        0
    );
    for (file, shell) in [
        ("foghorn.bash", "bash"),
        ("_foghorn", "zsh"),
        ("foghorn.fish", "fish"),
    ] {
        assert_eq!(
            std::fs::read_to_string(inner.join(file)).expect("written"),
            run(&["completions", shell]).1
        );
    }
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let folder = TempDir::new().expect("a folder");
    let (code, stdout, stderr) = run(&["man", "--dir", &folder.path().to_string_lossy()]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
    let page = |name: &str| {
        std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|_| panic!("no {name}"))
    };
    assert_eq!(page("foghorn.1"), run(&["man"]).1);
    for name in subcommands() {
        assert!(
            page(&format!("foghorn-{name}.1")).contains(".SH SYNOPSIS"),
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_written_is_said() {
    for subcommand in ["man", "completions"] {
        let (code, stdout, stderr) = run(&[subcommand, "--dir", "/proc/nowhere"]);
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert!(stderr.contains("/proc/nowhere: "), "{stderr}");
    }
}

#[test]
fn exit_codes_are_what_the_help_page_says() {
    let (code, help, _) = run(&["--help"]);
    assert!(
        code == 0 && help.contains("Exit code: 0 done, 1 it failed"),
        "{help}"
    );
    assert_eq!(run(&["check-config"]).0, 1);
    assert_eq!(run(&["no-such-command"]).0, 2);
    let said_by = [
        "check-config",
        "doctor",
        "status",
        "nodes",
        "publish",
        "explain-token",
        "disconnect",
        "listen",
        "notify",
    ];
    for name in said_by {
        assert!(
            run(&[name, "--help"]).1.contains("Exit code: 0 where"),
            "{name}"
        );
    }
}

/// What comes out of `foghorn` on a terminal, and what through a pipe: a line of the log and a message of the command line.
#[test]
#[ignore = "needs script"]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let script = need("script", "bsdutils");
    let program = env!("CARGO_BIN_EXE_foghorn");
    let on_terminal = |line: &str, no_color: Option<&str>| {
        let mut script = command(&script);
        script.env_remove("NO_COLOR").env("TERM", "xterm").args([
            "-qec",
            &line.replace("foghorn", program),
            "/dev/null",
        ]);
        if let Some(value) = no_color {
            script.env("NO_COLOR", value);
        }
        let done = script
            .stdin(std::process::Stdio::null())
            .output()
            .expect("script starts");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    // An address that is taken: the node logs what it starts with and ends at once.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = taken.local_addr().expect("an address").port();
    let serve = format!(
        "env JWT_PRIVATE_KEY=a-key-of-thirty-two-characters-00 NOTIFICATION_SERVER_HOST=127.0.0.1 \
         SEAFILE_LOG_TO_STDOUT=true FOGHORN_REDIS_URLS=redis://127.0.0.1:1 FOGHORN_OPS_ADDR=127.0.0.1:0 \
         NOTIFICATION_SERVER_PORT={port} foghorn"
    );
    for line in [serve.as_str(), "foghorn --help", "foghorn no-such-command"] {
        let plain = on_terminal(line, Some("1"));
        assert!(
            !plain.is_empty() && !plain.contains('\u{1b}'),
            "{line}: {plain:?}"
        );
    }
    for line in ["foghorn --help", "foghorn no-such-command"] {
        let coloured = on_terminal(line, None);
        assert!(coloured.contains('\u{1b}'), "{line}: {coloured:?}");
    }
    let (_, help, _) = run(&["--help"]);
    let (_, _, message) = run(&["no-such-command"]);
    assert!(
        !help.contains('\u{1b}') && !message.contains('\u{1b}'),
        "{help}{message}"
    );
}
