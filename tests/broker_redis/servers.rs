//! Starts real `redis-server` processes on free ports, and hurts them.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use crate::ports::free_port;

/// One Redis server, without persistence; it ends with the test.
pub struct Redis {
    pub port: u16,
    child: Child,
    dir: tempfile::TempDir,
    args: Vec<String>,
}

impl Redis {
    pub fn start(args: &[&str]) -> Self {
        Self::start_on(free_port(), args)
    }

    pub fn start_on(port: u16, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let child = spawn(port, &dir, &args);
        let redis = Self {
            port,
            child,
            dir,
            args,
        };
        redis.wait_until_it_answers();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn wait_until_it_answers(&self) {
        wait_until("redis-server answers", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// `kill -<signal>`
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.args);
        self.wait_until_it_answers();
    }

    /// Runs `redis-cli`.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("timeout")
            .args(["20", "redis-cli", "-p", &self.port.to_string()])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `redis-cli` with a command that answers OK.
    pub fn done(&self, args: &[&str]) {
        let answer = self.cli(args);
        assert_eq!(answer.trim(), "OK", "{args:?}");
    }
}

/// Waits, without a runtime.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The server to test with; `FOGHORN_TEST_REDIS` names another than the one on the path.
pub fn program() -> String {
    std::env::var("FOGHORN_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

fn spawn(port: u16, dir: &tempfile::TempDir, args: &[String]) -> Child {
    Command::new(program())
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(["--dir", &dir.path().to_string_lossy()])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
