//! One client's connection: connecting, upgrading, subscribing, listening.
//!
//! Invariant: a connection has at most one socket, and every end of one goes through [`Worker::ended`], which counts it.

use super::Worker;
use crate::dialect::{self, Manner};
use crate::{clock, stamp, wire};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No socket.
    Off,
    /// The handshake is sent, or will be when the kernel has connected.
    Upgrading,
    /// The subscriptions are sent, and a ping after them.
    Subscribing,
    /// That ping was answered: all that came before it has been done.
    Ready,
    /// Given up.
    Lost,
}

/// A client.
pub struct Conn {
    fd: Option<OwnedFd>,
    pub state: State,
    /// Something came since the last visit.
    heard: bool,
    silent: u8,
    tries: u16,
    /// Which of the targets comes next.
    turn: u32,
    began_ns: u64,
    rest_in: Vec<u8>,
    rest_out: Vec<u8>,
}

impl Conn {
    /// One that has not connected yet.
    pub fn new(turn: u32) -> Self {
        let (rest_in, rest_out) = (Vec::new(), Vec::new());
        Self { fd: None, state: State::Off, heard: false, silent: 0, tries: 0, turn, began_ns: 0, rest_in, rest_out }
    }
}

/// A client gives up after so many failed tries to connect.
const TRIES: u16 = 60;
/// Seconds without a sign of life after which a desktop client hangs up.
const SILENCE_S: u8 = 5;

fn in_flight(s: State) -> bool {
    matches!(s, State::Upgrading | State::Subscribing)
}

impl Worker {
    /// Begins to connect client `i`.
    pub fn connect(&mut self, i: u32) {
        let c = &mut self.conns[i as usize];
        if c.tries == 0 {
            c.began_ns = clock::now_ns();
        }
        let turn = c.turn as usize % self.plan.targets.len();
        self.begun += 1;
        match self.open(i, self.plan.targets[turn].addr) {
            Ok(fd) => {
                let added = epoll::add(&self.epoll, &fd, EventData::new_u64(u64::from(i)), EventFlags::IN);
                self.conns[i as usize].fd = Some(fd);
                self.set_state(i, State::Upgrading);
                match added {
                    Ok(()) => self.handshake(i, turn),
                    Err(e) => self.ended(i, &format!("epoll: {e}"), 200),
                }
            }
            Err(e) => self.ended(i, &format!("connect: {e}"), 200),
        }
    }

    fn open(&self, i: u32, to: SocketAddr) -> rustix::io::Result<OwnedFd> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&fd, true)?;
        if to.ip().is_loopback() && to.is_ipv4() && self.plan.sources > 0 {
            // The port is chosen at connect, so that one source address serves as many connections as there are ports.
            setsockopt(&fd, IpBindAddressNoPort, &true).map_err(|e| Errno::from_raw_os_error(e as i32))?;
            let n = (self.plan.source_base + i % self.plan.sources) % 0xfd_0000;
            let from = Ipv4Addr::from_bits(0x7f01_0001 + n);
            rustix::net::bind(&fd, &SocketAddr::new(IpAddr::V4(from), 0))?;
        }
        match rustix::net::connect(&fd, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
            Err(e) => Err(e),
        }
    }

    fn handshake(&mut self, i: u32, turn: usize) {
        let repo = stamp::repo(self.plan.run, self.book.channel(i, 0));
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        self.plan.dialect.handshake(&self.plan.targets[turn], self.plan.manner, &repo, &mut out);
        // On loopback the connection usually stands already and takes this at once; else it waits until it does.
        self.send(i, &out);
        self.scratch = out;
    }

    fn set_state(&mut self, i: u32, to: State) {
        let c = &mut self.conns[i as usize];
        let from = std::mem::replace(&mut c.state, to);
        self.flying = self.flying + u32::from(in_flight(to)) - u32::from(in_flight(from));
        self.ready = self.ready + u32::from(to == State::Ready) - u32::from(from == State::Ready);
        self.lost = self.lost + u32::from(to == State::Lost) - u32::from(from == State::Lost);
    }

    /// The connection of client `i` is over, for this reason; it may come back after so many milliseconds.
    pub fn ended(&mut self, i: u32, why: &str, again_ms: u64) {
        *self.ends.entry(why.to_owned()).or_default() += 1;
        let c = &mut self.conns[i as usize];
        let was_ready = c.state == State::Ready;
        c.fd = None; // closing takes it out of epoll
        (c.rest_in, c.rest_out, c.silent) = (Vec::new(), Vec::new(), 0);
        c.turn = c.turn.wrapping_add(1);
        c.tries = if was_ready { 1 } else { c.tries + 1 };
        let wait_ms = match self.plan.reconnect_ms {
            Some(ms) if was_ready => Some(ms),
            None if was_ready => None,
            _ => (c.tries < TRIES).then_some(again_ms),
        };
        if was_ready {
            c.began_ns = clock::now_ns();
            self.book.left(i, clock::now_ns() / 1000, why == "closed with 1012");
        }
        match wait_ms {
            Some(ms) => {
                let ms = ms + self.random() % (ms / 5 + 1);
                self.set_state(i, State::Off);
                self.due.push(std::cmp::Reverse((clock::now_ns() + ms * 1_000_000, i)));
            }
            None => self.set_state(i, State::Lost),
        }
    }

    /// Sends, or keeps what the socket does not take now.
    pub fn send(&mut self, i: u32, bytes: &[u8]) {
        let c = &mut self.conns[i as usize];
        let Some(fd) = &c.fd else { return };
        if !c.rest_out.is_empty() {
            return c.rest_out.extend_from_slice(bytes);
        }
        let sent = match rustix::net::send(fd, bytes, SendFlags::NOSIGNAL) {
            Ok(n) => n,
            Err(Errno::AGAIN) => 0,
            Err(e) => return self.ended(i, &format!("send: {e}"), 200),
        };
        if sent < bytes.len() {
            c.rest_out.extend_from_slice(&bytes[sent..]);
            let both = EventFlags::IN | EventFlags::OUT;
            if let Err(e) = epoll::modify(&self.epoll, fd, EventData::new_u64(u64::from(i)), both) {
                self.ended(i, &format!("epoll: {e}"), 200);
            }
        }
    }

    fn flush(&mut self, i: u32) {
        let c = &mut self.conns[i as usize];
        let Some(fd) = &c.fd else { return };
        let sent = match rustix::net::send(fd, &c.rest_out, SendFlags::NOSIGNAL) {
            Ok(n) => n,
            Err(Errno::AGAIN) => 0,
            Err(e) => return self.ended(i, &format!("send: {e}"), 200),
        };
        c.rest_out.drain(..sent);
        if c.rest_out.is_empty() {
            c.rest_out = Vec::new();
            if let Err(e) = epoll::modify(&self.epoll, fd, EventData::new_u64(u64::from(i)), EventFlags::IN) {
                self.ended(i, &format!("epoll: {e}"), 200);
            }
        }
    }

    /// The kernel says that something can be done with client `i`'s socket.
    pub fn on_event(&mut self, i: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(i);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(i);
        }
    }

    fn read(&mut self, i: u32) {
        let mut buf = std::mem::take(&mut self.buf);
        let c = &mut self.conns[i as usize];
        // An earlier event of the same batch may have ended this connection.
        let got = c.fd.as_ref().map_or(Err(Errno::AGAIN), |fd| rustix::io::read(fd, &mut buf[..]));
        match got {
            Ok(0) => self.ended(i, "closed without a close frame", 500),
            Ok(n) => {
                c.silent = 0;
                if c.rest_in.is_empty() {
                    self.take_in(i, &buf[..n]);
                } else {
                    let mut all = std::mem::take(&mut c.rest_in);
                    all.extend_from_slice(&buf[..n]);
                    self.take_in(i, &all);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(e) => self.ended(i, &format!("read: {e}"), 200),
        }
        self.buf = buf;
    }

    /// Acts on all that is whole in `b` and keeps the rest.
    fn take_in(&mut self, i: u32, mut b: &[u8]) {
        if self.conns[i as usize].state == State::Upgrading {
            match self.upgraded(i, b) {
                Some(head) => b = &b[head..],
                None => return,
            }
        }
        while let Some(f) = wire::frame(b) {
            self.on_frame(i, f.opcode, &b[f.head..f.size()]);
            b = &b[f.size()..];
            if self.conns[i as usize].fd.is_none() {
                return;
            }
        }
        if !b.is_empty() {
            self.conns[i as usize].rest_in = b.to_vec();
        }
    }

    /// Reads the answer to the handshake; its length, once it is there and good.
    fn upgraded(&mut self, i: u32, b: &[u8]) -> Option<usize> {
        let Some(a) = dialect::answer(b) else {
            self.conns[i as usize].rest_in = b.to_vec();
            return None;
        };
        if !a.upgraded {
            let again_ms = a.retry_s.map_or(1000, |s| u64::from(s) * 1000);
            self.ended(i, &format!("handshake answered {}", a.status), again_ms);
            return None;
        }
        self.set_state(i, State::Subscribing);
        let per_client = self.plan.per_client;
        let repos: Vec<String> = (0..per_client).map(|j| stamp::repo(self.plan.run, self.book.channel(i, j))).collect();
        let user = format!("u{}@load", self.plan.first + i);
        let each = self.plan.manner == Manner::Desktop;
        let (mut out, key) = (Vec::new(), self.mask_key());
        self.plan.dialect.subscribe(&self.signer, &user, &repos, each, key, &mut out);
        wire::push_client(&mut out, wire::PING, &clock::now_ns().to_be_bytes(), key);
        self.send(i, &out);
        self.conns[i as usize].fd.is_some().then_some(a.head)
    }

    fn on_frame(&mut self, i: u32, opcode: u8, payload: &[u8]) {
        match opcode {
            wire::TEXT | wire::BINARY => self.on_text(i, payload),
            wire::PING => {
                self.tally.server_pings += 1;
                self.reply(i, wire::PONG, payload);
            }
            wire::PONG => self.on_pong(i, payload),
            wire::CLOSE => {
                self.reply(i, wire::CLOSE, &payload[..payload.len().min(2)]);
                let why = match payload {
                    [a, b, ..] => format!("closed with {}", u16::from_be_bytes([*a, *b])),
                    _ => "closed without a code".into(),
                };
                self.ended(i, &why, 500);
            }
            // The stamp is in the first fragment of a message; the rest need not be looked at.
            _ => {}
        }
    }

    fn reply(&mut self, i: u32, opcode: u8, payload: &[u8]) {
        let key = self.mask_key();
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        wire::push_client(&mut out, opcode, payload, key);
        self.send(i, &out);
        self.scratch = out;
    }

    fn on_pong(&mut self, i: u32, payload: &[u8]) {
        let Ok(sent) = payload.try_into().map(u64::from_be_bytes) else { return };
        let now = clock::now_ns();
        if self.conns[i as usize].state == State::Ready {
            self.pong.record(clock::us_between(sent, now));
            return self.churn_on(i);
        }
        self.subscribe.record(clock::us_between(self.conns[i as usize].began_ns, now));
        self.conns[i as usize].tries = 1;
        self.set_state(i, State::Ready);
        self.book.arrived(i, now / 1000);
        if i < self.plan.stuck {
            let fd = self.conns[i as usize].fd.as_ref();
            // Leaving epoll is all it takes to stop reading.
            let _ = fd.map(|fd| epoll::delete(&self.epoll, fd));
        }
    }

    /// Once a second: a sign of life, or the end of one that gives none.
    pub fn visit(&mut self, i: u32) {
        let c = &mut self.conns[i as usize];
        if c.state != State::Ready || self.plan.manner == Manner::Web || i < self.plan.stuck {
            return;
        }
        c.silent += 1;
        if c.silent > SILENCE_S {
            return self.ended(i, "hung up after 5 s of silence", 500);
        }
        if !std::mem::take(&mut c.heard) {
            self.reply(i, wire::PING, &clock::now_ns().to_be_bytes());
        }
    }

    /// Notes that an event came, so no ping is needed in this second.
    pub fn hear(&mut self, i: u32) {
        self.conns[i as usize].heard = true;
    }
}
