//! What a connection hears: the answer to its handshake, then frames. The body of an event stream is read in `stream`.
//!
//! Invariant: a frame that is there whole is acted upon from the shared buffer; only the rest of one is ever copied.

use super::Worker;
use super::conn::State;
use crate::dialect::{self, Manner};
use crate::{clock, sse, stamp, wire};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

impl Worker {
    /// The kernel says that something can be done with client `i`'s socket.
    pub fn on_event(&mut self, i: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(i);
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
        {
            self.read(i);
        }
    }

    fn read(&mut self, i: u32) {
        let mut buf = std::mem::take(&mut self.buf);
        let c = &mut self.conns[i as usize];
        // An earlier event of the same batch may have ended this connection.
        let got =
            c.fd.as_ref()
                .map_or(Err(Errno::AGAIN), |fd| rustix::io::read(fd, &mut buf[..]));
        match got {
            Ok(0) if self.plan.dialect.streams() => self.ended(i, "the stream was cut", 500),
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
        if self.plan.dialect.streams() {
            return self.take_in_body(i, b);
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
        let streams = self.plan.dialect.streams();
        if !(if streams { a.streams } else { a.upgraded }) {
            let again_ms = a.retry_s.map_or(1000, |s| u64::from(s) * 1000);
            self.ended(i, &format!("handshake answered {}", a.status), again_ms);
            return None;
        }
        self.set_state(i, State::Subscribing);
        if streams {
            self.conns[i as usize].body = sse::Body::new(a.chunked);
            if self.plan.dialect.subscribed_by_head() {
                self.subscribed(i, clock::now_ns());
            }
        } else {
            self.subscribe(i);
        }
        self.conns[i as usize].fd.is_some().then_some(a.head)
    }

    /// Sends the subscriptions, and a ping behind them.
    fn subscribe(&mut self, i: u32) {
        let per_client = self.plan.per_client;
        let (mut out, key) = (Vec::new(), self.mask_key());
        let repos = (0..per_client).map(|j| stamp::repo(self.plan.run, self.book.channel(i, j)));
        if self.plan.recover {
            let wanted: Vec<_> = repos.zip(self.places_of(i).iter().cloned()).collect();
            self.plan.dialect.subscribe_from(&wanted, key, &mut out);
        } else {
            let repos: Vec<String> = repos.collect();
            let user = format!("u{}@load", self.plan.first + i);
            let each = self.plan.manner == Manner::Desktop;
            self.plan
                .dialect
                .subscribe(&self.signer, &user, &repos, each, key, &mut out);
        }
        wire::push_client(&mut out, wire::PING, &clock::now_ns().to_be_bytes(), key);
        self.send(i, &out);
    }

    fn on_frame(&mut self, i: u32, opcode: u8, payload: &[u8]) {
        match opcode {
            wire::TEXT | wire::BINARY => self
                .plan
                .dialect
                .messages(payload)
                .for_each(|text| self.on_text(i, text)),
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

    /// Sends one frame.
    pub(super) fn reply(&mut self, i: u32, opcode: u8, payload: &[u8]) {
        let key = self.mask_key();
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        wire::push_client(&mut out, opcode, payload, key);
        self.send(i, &out);
        self.scratch = out;
    }

    fn on_pong(&mut self, i: u32, payload: &[u8]) {
        let Ok(sent) = payload.try_into().map(u64::from_be_bytes) else {
            return;
        };
        let now = clock::now_ns();
        if self.conns[i as usize].state == State::Ready {
            self.pong.record(clock::us_between(sent, now));
            return self.churn_on(i);
        }
        // Who recovers waits for the answers, which may come after it.
        if !self.plan.recover {
            self.subscribed(i, now);
        }
    }

    /// All that client `i` wants is done.
    pub(super) fn subscribed(&mut self, i: u32, now: u64) {
        self.subscribe
            .record(clock::us_between(self.conns[i as usize].began_ns, now));
        self.conns[i as usize].tries = 1;
        self.set_state(i, State::Ready);
        self.book.arrived(i, now / 1000);
        if i < self.plan.stuck {
            let fd = self.conns[i as usize].fd.as_ref();
            // From here epoll tells of nothing but the connection's end.
            let _ = fd.map(|fd| {
                epoll::modify(
                    &self.epoll,
                    fd,
                    EventData::new_u64(u64::from(i)),
                    EventFlags::RDHUP,
                )
            });
        }
    }
}
