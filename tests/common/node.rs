//! One Foghorn node as its own process.

use std::collections::BTreeMap;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use super::http::{self, Answer};
use super::ports::free_port;
use super::process::{self, Process};
use super::socket::Socket;
use super::{eventually, token};

/// How a node is to be started: environment and command line. Nothing of the test's own environment reaches it.
pub struct Plan {
    env: BTreeMap<String, String>,
    args: Vec<String>,
    /// What the node is started through.
    wrapper: Vec<String>,
    port: u16,
    ops: u16,
    folder: TempDir,
}

/// A running node.
pub struct Node {
    // Before the plan and its folder: the log is shown when the process is dropped.
    process: Process,
    plan: Plan,
}

/// Just the environment every process needs.
fn bare(program: &std::path::Path) -> Command {
    let mut command = process::command(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUST_BACKTRACE", "1");
    command
}

/// `foghorn` with these arguments and nothing in its environment, for subcommands.
pub fn foghorn(args: &[&str]) -> Command {
    let mut command = bare(env!("CARGO_BIN_EXE_foghorn").as_ref());
    command.args(args);
    command
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// A node on the memory broker, on free ports of 127.0.0.1, with the test key.
    pub fn new() -> Self {
        Self::on(free_port(), free_port())
    }

    /// The same on given ports.
    pub fn on(port: u16, ops: u16) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("foghorn-node")
            .tempdir()
            .expect("a temporary folder");
        Self {
            env: BTreeMap::new(),
            args: Vec::new(),
            wrapper: Vec::new(),
            port,
            ops,
            folder,
        }
        .env("NOTIFICATION_SERVER_HOST", "127.0.0.1")
        .env("NOTIFICATION_SERVER_PORT", &port.to_string())
        .env("FOGHORN_OPS_ADDR", &format!("127.0.0.1:{ops}"))
        .env("JWT_PRIVATE_KEY", token::KEY)
        .env("NOTIFICATION_SERVER_LOG_LEVEL", "debug")
        .env("SEAFILE_LOG_TO_STDOUT", "true")
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Unsets a variable.
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Adds command line arguments.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Starts the node through another program, which gets the node's command line behind these words.
    pub fn through(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Limits how many files the node may have open: softly, and at most.
    pub fn open_files(self, soft: u64, hard: u64) -> Self {
        self.through(&["prlimit", &format!("--nofile={soft}:{hard}")])
    }

    /// No history for new subscribers: what the conversations expect.
    pub fn no_replay(self) -> Self {
        self.env("FOGHORN_REPLAY_SECONDS", "0")
    }

    /// A member of the cluster on these Redis servers, one shard each.
    pub fn redis<'a>(self, urls: impl IntoIterator<Item = &'a str>) -> Self {
        let urls: Vec<_> = urls.into_iter().collect();
        self.env("FOGHORN_REDIS_URLS", &urls.join(","))
    }

    /// The folder that the node may use, gone with it.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn spawn(&self) -> Process {
        let node = env!("CARGO_BIN_EXE_foghorn");
        let mut command = match self.wrapper.split_first() {
            None => bare(node.as_ref()),
            Some((program, words)) => {
                let mut command = bare(&process::need(program, "util-linux or dash"));
                command.args(words).arg(node);
                command
            }
        };
        command
            .args(&self.args)
            .envs(&self.env)
            .current_dir(self.folder.path());
        Process::start(
            &format!("foghorn on port {}", self.port),
            command,
            &self.folder.path().join("output"),
        )
    }

    /// Starts the node without waiting for anything.
    pub fn launch(self) -> Node {
        let process = self.spawn();
        Node {
            process,
            plan: self,
        }
    }

    /// Starts the node and waits until it is ready.
    pub async fn start(self) -> Node {
        let mut node = self.launch();
        node.ready().await;
        node
    }

    /// Starts the node, which must refuse; gives its exit status and what it printed.
    pub async fn refused(self) -> (ExitStatus, String) {
        let mut node = self.launch();
        let status = node.process.end().await;
        assert!(
            !status.success(),
            "it ended without an error:\n{}",
            node.log()
        );
        (status, node.log())
    }
}

impl Node {
    /// A node on the memory broker.
    pub async fn start() -> Self {
        Plan::new().start().await
    }

    /// Where clients and backends come.
    pub fn port(&self) -> u16 {
        self.plan.port
    }

    /// Where operators come.
    pub fn ops(&self) -> u16 {
        self.plan.ops
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The folder that is the node's own.
    pub fn folder(&self) -> &std::path::Path {
        self.plan.folder()
    }

    /// All it has printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// All that it had to say up to now. The log is written beside the work, so a line that comes later is waited for: the one
    /// on an event of a type that nobody knows. Needs the level debug and the tests' key, as [`Plan::new`] has them.
    pub async fn log_so_far(&self) -> String {
        let mark = format!("mark-{:016x}", rand::random::<u64>());
        self.post(&mark, &serde_json::json!({})).await.expect(200);
        eventually("the line on an unknown type", || async {
            Some(self.log()).filter(|log| log.contains(&mark))
        })
        .await
    }

    /// Waits until it serves and says that it is ready.
    pub async fn ready(&mut self) {
        self.process.listening(self.plan.port).await;
        self.process.listening(self.plan.ops).await;
        let ops = self.plan.ops;
        let process = &mut self.process;
        eventually("a ready node", || {
            process.must_run();
            async move {
                http::try_request(ops, "GET", "/readyz", &[], None)
                    .await
                    .filter(|a| a.status == 200)
                    .map(drop)
            }
        })
        .await;
    }

    /// Starts it again with the same plan; it must have ended.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = self.plan.spawn();
        self.ready().await;
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.end().await
    }

    /// Opens a client connection.
    pub async fn connect(&self) -> Socket {
        Socket::open(self.plan.port).await
    }

    /// Opens a client connection that is subscribed to `library` as `user`.
    pub async fn subscriber(&self, library: &str, user: &str) -> Socket {
        let mut socket = self.connect().await;
        socket.subscribe(library, user).await;
        socket
    }

    /// Posts an event as seaf-server does.
    pub async fn post(&self, kind: &str, content: &serde_json::Value) -> Answer {
        http::post_event(self.plan.port, kind, content).await
    }

    /// Posts a `repo-update`, which must be accepted.
    pub async fn post_update(&self, library: &str, commit: &str) {
        http::post_update(self.plan.port, library, commit).await;
    }

    /// One metric: the sum over all its label sets that contain `label`, as `reason="slow"`; "" is any.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let page = http::get(self.plan.ops, "/metrics").await.expect(200).body;
        page.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && line.contains(label)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until a gauge that is there is 0.
    pub async fn emptied(&self, name: &str, label: &str) {
        let page = http::get(self.plan.ops, "/metrics").await.expect(200).body;
        let there = page.lines().any(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
        });
        assert!(there, "{name}{{{label}}} is not there");
        eventually(&format!("{name}{{{label}}} is 0"), || async {
            (self.metric(name, label).await == 0.0).then_some(())
        })
        .await;
    }

    /// Waits until a metric is at least `value`, which is more than 0.
    pub async fn counted(&self, name: &str, label: &str, value: f64) {
        assert!(value > 0.0, "that is so from the start");
        eventually(&format!("{name}{{{label}}} >= {value}"), || async {
            (self.metric(name, label).await >= value).then_some(())
        })
        .await;
    }
}
