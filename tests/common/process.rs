//! One started program: its log, its signals, its end.
//!
//! Invariant: the program does not outlive its [`Process`], nor the thread that started it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Where `program` is, or a panic that names the Debian package it comes with.
pub fn need(program: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path
        .split(':')
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]);
    folders.map(|folder| Path::new(folder).join(program)).find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{program} is not installed: this test needs Debian's package {package} (./test.sh installs it)")
    })
}

/// The command `program`, set up to be killed when the thread that starts it ends.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(need("setpriv", "util-linux"));
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

impl Process {
    /// Starts `command`; both its outputs go to `log`, behind what is there already.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log file can be written");
        let copy = file.try_clone().expect("a file handle can be copied");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal, as `TERM`, `STOP`, `USR1`.
    pub fn signal(&self, signal: &str) {
        let done = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", self.pid())])
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "{} cannot be sent {signal}",
            self.name
        );
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Panics with the log if it has ended.
    pub fn must_run(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended ({status}):\n{}", self.name, self.log());
        }
    }

    /// Waits for its own end.
    pub async fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{} does not end:\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until something listens on `port`.
    pub async fn listening(&mut self, port: u16) {
        self.listening_within(port, PATIENCE).await;
    }

    /// The same, for a program that may take longer to start.
    pub async fn listening_within(&mut self, port: u16, patience: Duration) {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            self.must_run();
            assert!(
                started.elapsed() < patience,
                "{} does not listen on {port}:\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `text` is in its log; gives the log.
    pub async fn logged(&mut self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{} does not log {text:?}:\n{log}",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(8_000).map_or(0, |(at, _)| at);
            eprintln!("---- log of {}\n{}\n----", self.name, &log[from..]);
        }
    }
}

/// Runs a program to its end; gives all it printed. Panics if it fails.
pub fn run(name: &str, mut command: Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name} failed ({}):\n{text}",
        output.status
    );
    text
}
