//! One client's connection: its socket from connecting to its end. What comes in is read in `listen`.
//!
//! Invariant: a connection has at most one socket, and every end of one goes through [`Worker::ended`], which counts it.

use super::Worker;
use super::control::{LEFT, STUCK};
use crate::dialect::Manner;
use crate::{clock, sse, stamp, wire};
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
    /// The handshake, or an event stream's request, is sent, or will be when the kernel has connected.
    Upgrading,
    /// The subscriptions are sent, and a ping after them. An event stream's answer began.
    Subscribing,
    /// That ping was answered: all that came before it has been done. An event stream's first block came,
    /// or its head where that is enough.
    Ready,
    /// Given up.
    Lost,
}

/// A client.
pub struct Conn {
    pub(super) fd: Option<OwnedFd>,
    pub state: State,
    /// Something came since the last visit.
    heard: bool,
    pub(super) silent: u8,
    pub(super) tries: u16,
    /// Which of the targets comes next.
    turn: u32,
    pub(super) began_ns: u64,
    pub(super) rest_in: Vec<u8>,
    rest_out: Vec<u8>,
    /// Of an event stream.
    pub(super) body: sse::Body,
    /// Subscriptions that have been answered, of a client that recovers.
    pub(super) answered: u32,
}

impl Conn {
    /// One that has not connected yet.
    pub fn new(turn: u32) -> Self {
        Self {
            fd: None,
            state: State::Off,
            heard: false,
            silent: 0,
            tries: 0,
            turn,
            began_ns: 0,
            rest_in: Vec::new(),
            rest_out: Vec::new(),
            body: sse::Body::default(),
            answered: 0,
        }
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
                let added = epoll::add(
                    &self.epoll,
                    &fd,
                    EventData::new_u64(u64::from(i)),
                    EventFlags::IN,
                );
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
        let family = if to.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&fd, true)?;
        if to.ip().is_loopback() && to.is_ipv4() && self.plan.sources > 0 {
            // The port is chosen at connect, so that one source address serves as many connections as there are ports.
            setsockopt(&fd, IpBindAddressNoPort, &true)
                .map_err(|e| Errno::from_raw_os_error(e as i32))?;
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
        self.plan
            .dialect
            .handshake(&self.plan.targets[turn], self.plan.manner, &repo, &mut out);
        // On loopback the connection usually stands already and takes this at once; else it waits until it does.
        self.send(i, &out);
        self.scratch = out;
    }

    pub(super) fn set_state(&mut self, i: u32, to: State) {
        let c = &mut self.conns[i as usize];
        let from = std::mem::replace(&mut c.state, to);
        self.flying = self.flying + u32::from(in_flight(to)) - u32::from(in_flight(from));
        self.ready = self.ready + u32::from(to == State::Ready) - u32::from(from == State::Ready);
        self.lost = self.lost + u32::from(to == State::Lost) - u32::from(from == State::Lost);
    }

    /// The connection of client `i` is over, for this reason; it may come back after so many milliseconds.
    pub fn ended(&mut self, i: u32, why: &str, again_ms: u64) {
        let c = &mut self.conns[i as usize];
        let was_ready = c.state == State::Ready;
        let stuck = if was_ready && i < self.plan.stuck {
            STUCK
        } else {
            ""
        };
        *self.ends.entry(format!("{stuck}{why}")).or_default() += 1;
        c.fd = None; // closing takes it out of epoll
        (c.rest_in, c.rest_out, c.silent) = (Vec::new(), Vec::new(), 0);
        (c.body, c.answered) = (sse::Body::default(), 0);
        c.turn = c.turn.wrapping_add(1);
        c.tries = if was_ready { 1 } else { c.tries + 1 };
        let wait_ms = match self.plan.reconnect_ms {
            Some(ms) if was_ready => Some(ms),
            None if was_ready => None,
            _ => (c.tries < TRIES).then_some(again_ms),
        };
        if was_ready {
            c.began_ns = clock::now_ns();
            self.book
                .left(i, clock::now_ns() / 1000, why == "closed with 1012");
        }
        match wait_ms {
            Some(ms) => {
                let ms = ms + self.random() % (ms / 5 + 1);
                self.set_state(i, State::Off);
                self.due
                    .push(std::cmp::Reverse((clock::now_ns() + ms * 1_000_000, i)));
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

    pub(super) fn flush(&mut self, i: u32) {
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
            if let Err(e) = epoll::modify(
                &self.epoll,
                fd,
                EventData::new_u64(u64::from(i)),
                EventFlags::IN,
            ) {
                self.ended(i, &format!("epoll: {e}"), 200);
            }
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

    /// Cuts a subscribed client's connection.
    pub fn hang_up(&mut self, i: u32) {
        if self.conns[i as usize].state == State::Ready {
            self.ended(i, "hung up at random", 500);
        }
    }

    /// Cuts all connections; nobody comes back before [`Worker::come_back`].
    pub fn leave(&mut self) {
        self.plan.reconnect_ms = None;
        (0..self.plan.clients).for_each(|i| {
            if self.conns[i as usize].state == State::Ready {
                self.ended(i, LEFT, 0);
            }
        });
    }

    /// Lets everybody connect who has given up or was told to leave.
    pub fn come_back(&mut self) {
        self.subscribe.clear();
        let now = clock::now_ns();
        for i in 0..self.plan.clients {
            if self.conns[i as usize].state == State::Lost {
                self.conns[i as usize].tries = 0;
                self.set_state(i, State::Off);
                self.due.push(std::cmp::Reverse((now, i)));
            }
        }
    }

    /// Notes that an event came, so no ping is needed in this second.
    pub fn hear(&mut self, i: u32) {
        self.conns[i as usize].heard = true;
    }
}
