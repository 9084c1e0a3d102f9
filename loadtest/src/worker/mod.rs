//! A worker process: one thread, one epoll, up to some 19,000 clients.
//!
//! It is the same program started again; the parent writes [`control::Instruction`]s to its stdin and reads [`control::WorkerMessage`]s
//! from its stdout.
//!
//! Invariant: nothing here waits but `epoll_wait`, and what a received event costs is one read, one search and a few
//! counters, so that the server is what is measured.

pub mod book;
mod churn;
mod conn;
pub mod control;
mod listen;
mod recover;
mod stream;

use crate::clock;
use crate::dialect::Place;
use crate::stamp::{self, Stamp};
use crate::stats::Times;
use crate::token::Signer;
use book::{Book, Receipt};
use conn::{Conn, State};
use control::{Instruction, Plan, Tally, WorkerMessage};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Write;

/// Epoll's name for stdin.
const CONTROL: u64 = u64::MAX;
/// The length of a turn of the wheel that visits each connection once a second.
const TICK_NS: u64 = 20_000_000;
const TICKS: u64 = 1_000_000_000 / TICK_NS;
/// Connections begun before events are looked at again.
const CONNECT_BURST: usize = 32;

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The kernel refuses something that always works.
    #[error("{0}: {1}")]
    Kernel(&'static str, rustix::io::Errno),
    /// The parent does not speak as agreed.
    #[error("the parent's order is not understood: {0}")]
    Instruction(String),
}

/// All the state of the process.
pub struct Worker {
    plan: Plan,
    signer: Signer,
    epoll: OwnedFd,
    conns: Vec<Conn>,
    book: Book,
    /// Of clients that recover: where each is in each of its libraries, once it has been there.
    places: Vec<Option<Place>>,
    /// When which client connects next.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    flying: u32,
    ready: u32,
    lost: u32,
    began_ns: u64,
    said_ready: bool,
    expect: u64,
    tally: Tally,
    latency: Times,
    pong: Times,
    subscribe: Times,
    ends: BTreeMap<String, u64>,
    begun: u64,
    churn: churn::Churn,
    finder: memchr::memmem::Finder<'static>,
    buf: Vec<u8>,
    scratch: Vec<u8>,
    orders: Vec<u8>,
    seed: u64,
}

/// How many times a client of this worker has a library.
fn cells(p: &Plan) -> usize {
    p.clients as usize * p.per_client as usize
}

/// Says something to the parent.
pub fn say(w: &WorkerMessage) {
    let mut line = serde_json::to_vec(w).expect("words are plain data");
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    // A parent that is gone ends us through stdin; there is nobody else to tell.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// The process's main function.
///
/// # Errors
/// When the first order is no plan, or epoll does not work.
pub fn run() -> Result<(), Failed> {
    let mut first = String::new();
    std::io::stdin()
        .read_line(&mut first)
        .map_err(|e| Failed::Instruction(e.to_string()))?;
    match serde_json::from_str(&first) {
        Ok(Instruction::Start(plan)) => Worker::new(*plan)?.work(),
        _ => Err(Failed::Instruction(first)),
    }
}

impl Worker {
    fn new(plan: Plan) -> Result<Self, Failed> {
        let epoll =
            epoll::create(CreateFlags::CLOEXEC).map_err(|e| Failed::Kernel("epoll_create", e))?;
        epoll::add(
            &epoll,
            std::io::stdin(),
            EventData::new_u64(CONTROL),
            EventFlags::IN,
        )
        .map_err(|e| Failed::Kernel("watching stdin", e))?;
        let key = if plan.wrong_key {
            "not the key of this site at all"
        } else {
            &plan.key
        };
        let now = clock::now_ns();
        // A rate is kept by giving each client its own moment.
        let step = 1_000_000_000u64
            .checked_div(u64::from(plan.connect_rate))
            .unwrap_or(0);
        Ok(Self {
            signer: Signer::new(key),
            book: Book::new(&plan),
            places: vec![None; if plan.recover { cells(&plan) } else { 0 }],
            conns: (0..plan.clients)
                .map(|i| Conn::new(plan.first + i))
                .collect(),
            due: (0..plan.clients)
                .map(|i| Reverse((now + u64::from(i) * step, i)))
                .collect(),
            epoll,
            flying: 0,
            ready: 0,
            lost: 0,
            began_ns: now,
            said_ready: false,
            expect: 0,
            tally: Tally::default(),
            latency: Times::default(),
            pong: Times::default(),
            subscribe: Times::default(),
            ends: BTreeMap::new(),
            begun: 0,
            churn: churn::Churn::default(),
            finder: stamp::finder(),
            buf: vec![0; 1 << 16],
            scratch: Vec::with_capacity(1024),
            orders: Vec::new(),
            seed: now | 1,
            plan,
        })
    }

    fn work(mut self) -> Result<(), Failed> {
        let mut events = Vec::with_capacity(1024);
        let mut tick = clock::now_ns() / TICK_NS;
        let mut spoken = tick;
        loop {
            events.clear();
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: if self.can_connect() { 0 } else { 5_000_000 },
            };
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Failed::Kernel("epoll_wait", e)),
            }
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                match data.u64() {
                    CONTROL if !self.on_orders()? => return Ok(()),
                    CONTROL => {}
                    i => self.on_event(i as u32, flags),
                }
            }
            self.connect_some();
            let now = clock::now_ns() / TICK_NS;
            // A worker that fell behind skips turns instead of sending two pings at once.
            for t in (tick + 1..=now).rev().take(TICKS as usize) {
                (((t % TICKS) as u32)..self.plan.clients)
                    .step_by(TICKS as usize)
                    .for_each(|i| self.visit(i));
            }
            if self.said_ready {
                self.hang_up_some(tick, now);
            }
            tick = now;
            if !self.said_ready && now > spoken + 5 {
                spoken = now;
                say(&WorkerMessage::Progress {
                    ready: self.ready,
                    lost: self.lost,
                });
            }
            self.maybe_ready();
        }
    }

    /// Some clients lose their connection for reasons of their own.
    fn hang_up_some(&mut self, from: u64, to: u64) {
        let rate = u64::from(self.plan.hang_up_rate);
        for _ in from * rate / TICKS..to * rate / TICKS {
            let i = self.random() % self.conns.len().max(1) as u64;
            self.hang_up(i as u32);
        }
    }

    fn can_connect(&self) -> bool {
        let room = self.plan.in_flight == 0 || self.flying < self.plan.in_flight;
        room && self
            .due
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= clock::now_ns())
    }

    fn connect_some(&mut self) {
        for _ in 0..CONNECT_BURST {
            if !self.can_connect() {
                return;
            }
            if let Some(Reverse((_, i))) = self.due.pop() {
                self.connect(i);
            }
        }
    }

    fn maybe_ready(&mut self) {
        if !self.said_ready && self.ready + self.lost == self.plan.clients {
            self.said_ready = true;
            say(&WorkerMessage::Ready {
                began_ns: self.began_ns,
                ended_ns: clock::now_ns(),
            });
        }
    }

    /// Reads orders; false when the parent has hung up.
    fn on_orders(&mut self) -> Result<bool, Failed> {
        let mut some = [0; 1 << 14];
        let n = rustix::io::read(std::io::stdin(), &mut some[..])
            .map_err(|e| Failed::Kernel("reading stdin", e))?;
        self.orders.extend_from_slice(&some[..n]);
        // Only what is new can end a line; a long order comes in many pieces.
        while some[..n].contains(&b'\n') {
            let Some(end) = memchr::memchr(b'\n', &self.orders) else {
                break;
            };
            let line: Vec<u8> = self.orders.drain(..=end).collect();
            let order =
                serde_json::from_slice(&line).map_err(|e| Failed::Instruction(e.to_string()))?;
            self.obey(order);
        }
        Ok(n > 0)
    }

    fn obey(&mut self, order: Instruction) {
        match order {
            Instruction::Start(_) => say(&WorkerMessage::Fault("started twice".into())),
            Instruction::Mark(expect) => {
                self.expect = expect;
                self.tally = Tally::default();
                self.latency.clear();
                self.pong.clear();
                say(&WorkerMessage::Marked);
            }
            Instruction::Report => say(&WorkerMessage::Report(Box::new(self.report()))),
            Instruction::Churn(pairs) => self.churn_begin(pairs),
            Instruction::Calm => self.plan.hang_up_rate = 0,
            Instruction::Leave => {
                self.leave();
                say(&WorkerMessage::Left);
            }
            Instruction::Return => self.come_back(),
            Instruction::Settle(s) => {
                say(&WorkerMessage::Ledger(self.book.settle(&s)));
            }
        }
    }

    fn report(&self) -> Tally {
        Tally {
            ready: self.ready,
            latency: self.latency.pack(),
            pong: self.pong.pack(),
            subscribe: self.subscribe.pack(),
            ends: self.ends.clone(),
            begun: self.begun,
            cpu_s: crate::procfs::usage(&[std::process::id()]).cpu_s,
            ..self.tally.clone()
        }
    }

    /// A client received a message.
    fn on_text(&mut self, i: u32, payload: &[u8]) {
        // What a stuck reader finds in its socket when the server has cut it off came to nobody.
        if i < self.plan.stuck && self.conns[i as usize].state == State::Ready {
            return;
        }
        if self.plan.recover {
            return self.on_recoverable(i, payload);
        }
        match stamp::find(&self.finder, payload) {
            Some(s) if s.run == self.plan.run => self.receive(i, s),
            _ => self.on_other(i, payload),
        }
    }

    /// It is no event of this run.
    fn on_other(&mut self, i: u32, payload: &[u8]) {
        if memchr::memmem::find(payload, b"\"jwt-expired\"").is_some() {
            self.tally.expired += 1;
        } else if self.plan.dialect.is_ping(payload) {
            self.tally.server_pings += 1;
            if !self.plan.dialect.streams() {
                self.reply(i, crate::wire::TEXT, payload);
            }
        } else if !self.plan.dialect.is_answer(payload) {
            self.tally.foreign += 1;
        }
    }

    fn receive(&mut self, i: u32, s: Stamp) {
        let now = clock::now_ns();
        self.hear(i);
        match self.book.receive(i, s) {
            Receipt::Good => {}
            Receipt::Again => return self.tally.replayed += 1,
            Receipt::Duplicate => return self.tally.duplicates += 1,
            Receipt::Late => self.tally.reordered += 1,
            Receipt::Foreign => return self.tally.foreign += 1,
        }
        self.tally.received += 1;
        self.tally.last_ns = now;
        self.latency.record(clock::us_between(s.at_ns, now));
        if self.tally.received == self.expect {
            say(&WorkerMessage::Done { at_ns: now });
        }
    }

    /// xorshift: masks and jitter need no more.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn mask_key(&mut self) -> [u8; 4] {
        (self.random() as u32).to_le_bytes()
    }
}
