//! The floor: what this machine cannot do faster.
//!
//! One thread, one epoll; an event is one ready-made frame, or a chunk of an event stream, written to each subscriber with send(2).
//! It verifies nothing, logs nothing and sends no heartbeat, but it is a whole server: it upgrades, subscribes, unsubscribes, opens
//! streams, answers pings and `/ping`, and no byte is lost when a socket is full.
//!
//! Invariant: between an event's last byte read and the last subscriber's send there are no other system calls.

mod fanout;
mod peer;

use crate::wire;
use memchr::memmem;
use peer::{Peer, Request, Speech, Wants};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

/// The kernel refused what it grants everybody.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub struct Failed(&'static str, Errno);

/// The server.
pub struct Floor {
    epoll: OwnedFd,
    listener: OwnedFd,
    peers: Vec<Option<Peer>>,
    free: Vec<u32>,
    /// By library, or by user for event streams.
    subscribers: HashMap<Box<[u8]>, Vec<u32>>,
    frame: Vec<u8>,
}

/// Listens on a loopback port (0: any free one), prints its address, and serves until killed or, as a child, until stdin ends.
///
/// # Errors
/// When the port is taken.
pub fn run(port: u16, child: bool) -> Result<(), Failed> {
    let mut floor = Floor::bind(port)?;
    let at = rustix::net::getsockname(&floor.listener).map_err(|e| Failed("getsockname", e))?;
    let at = SocketAddr::try_from(at).map_err(|e| Failed("getsockname", e))?;
    println!(
        "{}",
        serde_json::json!({ "listening": format!("http://{at}") })
    );
    if child {
        epoll::add(
            &floor.epoll,
            std::io::stdin(),
            EventData::new_u64(STDIN),
            EventFlags::IN,
        )
        .map_err(|e| Failed("watching stdin", e))?;
    }
    floor.serve()
}

impl Floor {
    fn bind(port: u16) -> Result<Self, Failed> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
                .map_err(|e| Failed("socket", e))?;
        rustix::net::sockopt::set_socket_reuseaddr(&listener, true)
            .map_err(|e| Failed("SO_REUSEADDR", e))?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        rustix::net::bind(&listener, &at).map_err(|e| Failed("bind", e))?;
        rustix::net::listen(&listener, 65_535).map_err(|e| Failed("listen", e))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|e| Failed("epoll_create", e))?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )
        .map_err(|e| Failed("epoll_ctl", e))?;
        let (peers, free, frame) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            epoll,
            listener,
            peers,
            free,
            subscribers: HashMap::new(),
            frame,
        })
    }

    fn serve(&mut self) -> Result<(), Failed> {
        let mut events = Vec::with_capacity(1024);
        let mut buf = vec![0; 1 << 16];
        loop {
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(Failed("epoll_wait", e)),
            }
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                match data.u64() {
                    LISTENER => self.accept(),
                    STDIN => {
                        if !matches!(rustix::io::read(std::io::stdin(), &mut buf[..]), Ok(n) if n > 0)
                        {
                            return Ok(());
                        }
                    }
                    i => self.on_event(i as u32, flags, &mut buf),
                }
            }
        }
    }

    /// Takes what waits, but not for so long that others starve.
    fn accept(&mut self) {
        for _ in 0..64 {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok(fd) = rustix::net::accept_with(&self.listener, flags) else {
                return;
            };
            let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
            let i = self.free.pop().unwrap_or(self.peers.len() as u32);
            if epoll::add(
                &self.epoll,
                &fd,
                EventData::new_u64(u64::from(i)),
                EventFlags::IN,
            )
            .is_err()
            {
                self.free.push(i);
                continue;
            }
            if i as usize == self.peers.len() {
                self.peers.push(None);
            }
            self.peers[i as usize] = Some(Peer::new(fd));
        }
    }

    fn on_event(&mut self, i: u32, flags: EventFlags, buf: &mut [u8]) {
        let Some(peer) = self.peers.get_mut(i as usize).and_then(Option::as_mut) else {
            return;
        };
        if flags.contains(EventFlags::OUT) && !peer.flush(&self.epoll, i) {
            return self.drop_peer(i);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        let alive = match rustix::io::read(&peer.fd, &mut *buf) {
            Ok(0) => false,
            Ok(n) if peer.rest_in.is_empty() => self.take_in(i, &mut buf[..n]),
            Ok(n) => {
                let mut all = std::mem::take(&mut peer.rest_in);
                all.extend_from_slice(&buf[..n]);
                self.take_in(i, &mut all)
            }
            Err(e) => matches!(e, Errno::AGAIN | Errno::INTR),
        };
        if !alive {
            self.drop_peer(i);
        }
    }

    /// Acts on all that is whole; false when the connection is to end.
    fn take_in(&mut self, i: u32, mut b: &mut [u8]) -> bool {
        loop {
            let Some(peer) = self.peers[i as usize].as_mut() else {
                return false;
            };
            let size = match peer.speech {
                Speech::Frames => {
                    let Some(f) = wire::frame(b) else { break };
                    if let Some(key) = f.mask {
                        wire::mask(&mut b[f.head..f.size()], key);
                    }
                    if !self.on_frame(i, f.opcode, &b[f.head..f.size()]) {
                        return false;
                    }
                    f.size()
                }
                Speech::Requests => {
                    let Some(r) = peer::request(b) else { break };
                    self.on_request(i, &r, &b[r.head..r.head + r.body]);
                    r.head + r.body
                }
                // Whoever listens to a stream has nothing more to say.
                Speech::Stream => return true,
            };
            b = std::mem::take(&mut b).split_at_mut(size).1;
        }
        if let Some(peer) = self.peers[i as usize].as_mut().filter(|_| !b.is_empty()) {
            peer.rest_in = b.to_vec();
        }
        b.len() < 16 << 20
    }

    fn on_request(&mut self, i: u32, r: &Request, body: &[u8]) {
        match &r.wants {
            Wants::Socket(key) => {
                self.send(i, peer::switching(key).as_bytes());
                self.speak(i, Speech::Frames);
            }
            Wants::Stream(user) => {
                self.send(i, fanout::OPENING.as_bytes());
                self.speak(i, Speech::Stream);
                self.join(i, user.as_bytes());
            }
            Wants::Event => {
                self.send(i, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                self.fan_out(body);
            }
            Wants::Notification => {
                self.send(i, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                self.notify(body);
            }
            Wants::Sign => self.send(i, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 16\r\n\r\n{\"ret\": \"pong\"}\n"),
        }
    }

    fn speak(&mut self, i: u32, speech: Speech) {
        if let Some(p) = self.peers[i as usize].as_mut() {
            p.speech = speech;
        }
    }

    fn on_frame(&mut self, i: u32, opcode: u8, payload: &[u8]) -> bool {
        match opcode {
            wire::PING => {
                let mut out = Vec::with_capacity(payload.len() + 4);
                wire::push_server(&mut out, wire::PONG, payload);
                self.send(i, &out);
            }
            wire::TEXT => {
                let leave = memmem::find(payload, b"\"unsubscribe\"").is_some();
                for at in memmem::find_iter(payload, b"\"id\":\"") {
                    let Some(repo) = peer::quoted(&payload[at + 6..]) else {
                        continue;
                    };
                    if leave {
                        self.leave(i, repo)
                    } else {
                        self.join(i, repo)
                    }
                }
            }
            _ => {}
        }
        opcode != wire::CLOSE
    }

    fn send(&mut self, i: u32, bytes: &[u8]) {
        if let Some(p) = self.peers[i as usize].as_mut() {
            p.write(&self.epoll, i, bytes);
        }
    }

    fn drop_peer(&mut self, i: u32) {
        let Some(p) = self.peers[i as usize].take() else {
            return;
        };
        for repo in &p.repos {
            self.leave(i, repo);
        }
        self.free.push(i);
    }
}

/// One write; what the socket does not take is counted from here.
fn send_some(fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    match rustix::net::send(fd, bytes, SendFlags::NOSIGNAL) {
        Ok(n) => Ok(n),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(e) => Err(e),
    }
}
