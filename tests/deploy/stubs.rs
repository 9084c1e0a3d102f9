//! Servers that stand in for others: nodes and Seafile's servers, which say what they saw, and a DNS server.
//!
//! Invariant: a stub's threads end with its value.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::common::PATIENCE;
use crate::support::{free_port, read_head};

/// A server that answers everything with its name in `x-node` and the request it saw as the body. Upgrades get 101.
pub struct Stub {
    pub addr: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    silent: Arc<Silent>,
    listening: Option<JoinHandle<()>>,
}

/// Requests that were taken and not answered, as they were seen.
#[derive(Default)]
struct Silent {
    is: AtomicBool,
    taken: Mutex<Vec<String>>,
}

impl Stub {
    /// Listens on `addr` and calls itself `name`.
    pub fn start(addr: SocketAddr, name: &str) -> Stub {
        let listener =
            TcpListener::bind(addr).unwrap_or_else(|error| panic!("stub {addr}: {error}"));
        let ready = Arc::new(AtomicBool::new(true));
        let mut stub = Stub {
            addr,
            ready,
            stop: Arc::default(),
            requests: Arc::default(),
            silent: Arc::default(),
            listening: None,
        };
        let (ready, stop, name) = (stub.ready.clone(), stub.stop.clone(), name.to_owned());
        let (requests, silent) = (stub.requests.clone(), stub.silent.clone());
        stub.listening = Some(std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let (ready, requests, silent, name) = (
                    ready.clone(),
                    requests.clone(),
                    silent.clone(),
                    name.clone(),
                );
                std::thread::spawn(move || {
                    let _ = serve_stub(stream, &name, &ready, &requests, &silent);
                });
            }
        }));
        stub
    }

    /// How many requests it has got.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// From now on it takes requests and does not answer them.
    pub fn fall_silent(&self) {
        self.silent.is.store(true, Ordering::Release);
    }

    /// What it has taken since.
    pub fn taken(&self) -> Vec<String> {
        self.silent.taken.lock().expect("no panic holds it").clone()
    }

    /// What `/readyz` says from now on.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// Nobody listens any more when it is gone: a connection that was still taken, and then cut, would be no refused one.
impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if TcpStream::connect(self.addr).is_ok() {
            let _ = self.listening.take().map(JoinHandle::join);
        }
    }
}

fn serve_stub(
    stream: TcpStream,
    name: &str,
    ready: &AtomicBool,
    requests: &AtomicUsize,
    silent: &Silent,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, headers) = read_head(&mut reader)?;
        let mut body = vec![
            0;
            headers
                .get("content-length")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        ];
        reader.read_exact(&mut body)?;
        requests.fetch_add(1, Ordering::Relaxed);
        let peer = reader.get_ref().peer_addr()?;
        let mut seen = format!("{line}\npeer: {peer}\n");
        let mut sorted: Vec<_> = headers.iter().collect();
        sorted.sort();
        for (name, value) in sorted {
            seen.push_str(&format!("{name}: {value}\n"));
        }
        if silent.is.load(Ordering::Acquire) {
            silent.taken.lock().expect("no panic holds it").push(seen);
            // Until the other side gives up.
            return reader.read_exact(&mut [0]);
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
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a timeout");
        let addr = socket.local_addr().expect("its address");
        let dns = Dns {
            addr,
            records: Arc::new(Mutex::new(records.to_vec())),
            stop: Arc::default(),
        };
        let (records, stop) = (dns.records.clone(), dns.stop.clone());
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            while !stop.load(Ordering::Acquire) {
                if let Ok((length, peer)) = socket.recv_from(&mut query) {
                    let answer = dns_answer(
                        &query[..length],
                        &records.lock().expect("no panic holds it"),
                    );
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
    answer.extend([
        0x81,
        0x80,
        0,
        1,
        0,
        u8::try_from(records.len()).expect("few"),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(&query[12..end]);
    for address in records {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}
