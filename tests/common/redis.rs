//! A Redis server of the test's own, empty at first and kept in memory only.

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ports::free_port;
use super::process::{self, Process, need};

/// A running server.
pub struct Redis {
    process: Process,
    folder: TempDir,
    port: u16,
    args: Vec<String>,
}

impl Redis {
    /// An ordinary one.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// One with further options, as `["--requirepass", "secret"]`.
    pub async fn with(args: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("foghorn-redis")
            .tempdir()
            .expect("a temporary folder");
        let port = free_port();
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let process = Self::spawn(&folder, port, &args);
        let mut redis = Self {
            process,
            folder,
            port,
            args,
        };
        redis.process.listening(port).await;
        redis
    }

    fn spawn(folder: &TempDir, port: u16, args: &[String]) -> Process {
        let mut command = process::command(&need("redis-server", "redis-server"));
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(folder.path()).args(args);
        Process::start("redis-server", command, &folder.path().join("output"))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it at once; its data is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Starts it again, empty, on the same port.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = Self::spawn(&self.folder, self.port, &self.args);
        self.process.listening(self.port).await;
    }

    /// Publishes raw bytes on a channel, as a node would.
    pub async fn publish(&self, channel: &str, message: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("Redis listens");
        let head = format!(
            "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${}\r\n",
            channel.len(),
            message.len()
        );
        let bytes = [head.as_bytes(), message, b"\r\n*1\r\n$4\r\nQUIT\r\n"].concat();
        stream.write_all(&bytes).await.expect("Redis reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("Redis answers");
        assert!(answer.starts_with(':'), "{answer}");
    }

    /// Sends a command on a connection of its own; gives the raw answer (RESP).
    pub async fn command(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("Redis listens");
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        text += "*1\r\n$4\r\nQUIT\r\n";
        stream
            .write_all(text.as_bytes())
            .await
            .expect("Redis reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("Redis answers");
        answer
            .strip_suffix("+OK\r\n")
            .expect("QUIT is answered last")
            .to_owned()
    }
}
