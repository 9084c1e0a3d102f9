//! One connection of the floor, and the little of HTTP it reads.
//!
//! Invariant: bytes a socket did not take are kept and go out before any that come later.

use super::send_some;
use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use sha1::{Digest, Sha1};

/// What comes in on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// HTTP.
    Requests,
    /// WebSocket.
    Frames,
    /// Nothing more: it listens to an event stream.
    Stream,
}

/// A connection.
pub struct Peer {
    pub fd: OwnedFd,
    pub speech: Speech,
    pub rest_in: Vec<u8>,
    rest_out: Vec<u8>,
    pub repos: Vec<Box<[u8]>>,
}

impl Peer {
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            speech: Speech::Requests,
            rest_in: Vec::new(),
            rest_out: Vec::new(),
            repos: Vec::new(),
        }
    }

    /// Sends, or keeps what cannot be sent now.
    pub fn write(&mut self, epoll: &OwnedFd, i: u32, bytes: &[u8]) {
        if !self.rest_out.is_empty() {
            return self.rest_out.extend_from_slice(bytes);
        }
        let Ok(n) = send_some(&self.fd, bytes) else {
            return;
        };
        if n < bytes.len() {
            self.rest_out.extend_from_slice(&bytes[n..]);
            let both = EventFlags::IN | EventFlags::OUT;
            let _ = epoll::modify(epoll, &self.fd, EventData::new_u64(u64::from(i)), both);
        }
    }

    /// Sends what was kept; false when the connection is broken.
    pub fn flush(&mut self, epoll: &OwnedFd, i: u32) -> bool {
        let Ok(n) = send_some(&self.fd, &self.rest_out) else {
            return false;
        };
        self.rest_out.drain(..n);
        if self.rest_out.is_empty() {
            self.rest_out = Vec::new();
            return epoll::modify(
                epoll,
                &self.fd,
                EventData::new_u64(u64::from(i)),
                EventFlags::IN,
            )
            .is_ok();
        }
        true
    }
}

/// A request, as far as the floor cares.
pub struct Request {
    pub head: usize,
    pub body: usize,
    pub wants: Wants,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A WebSocket, with this `Sec-WebSocket-Key`.
    Socket(String),
    /// The event stream of this user.
    Stream(String),
    /// An event is posted to `/events`.
    Event,
    /// A notification is posted to `/webNotification`.
    Notification,
    /// A sign of life.
    Sign,
}

impl Wants {
    fn at(path: &str) -> Self {
        if path.ends_with("/events") {
            Self::Event
        } else if path.ends_with("/webNotification") {
            Self::Notification
        } else if let Some((_, user)) = path.rsplit_once("/sse/") {
            Self::Stream(user.to_owned())
        } else {
            Self::Sign
        }
    }
}

/// Reads a whole request; `None` while some of it is missing.
pub fn request(b: &[u8]) -> Option<Request> {
    let head = memmem::find(b, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&b[..head]);
    let mut lines = text.split("\r\n");
    let path = lines.next()?.split(' ').nth(1).unwrap_or("");
    let mut r = Request {
        head,
        body: 0,
        wants: Wants::at(path),
    };
    for (name, value) in lines.filter_map(|l| l.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            r.body = value.trim().parse().unwrap_or(0);
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            r.wants = Wants::Socket(value.trim().to_owned());
        }
    }
    (b.len() >= r.head + r.body).then_some(r)
}

/// The answer that switches protocols (RFC 6455, 4.2.2).
pub fn switching(key: &str) -> String {
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        STANDARD.encode(hash)
    )
}

/// The text up to the next quote.
pub fn quoted(b: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'"', b).map(|end| &b[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{ACCEPT, KEY};

    #[test]
    fn the_answer_of_the_rfc() {
        assert!(switching(KEY).contains(ACCEPT));
    }

    #[test]
    fn requests_wait_for_their_body() {
        let whole = b"POST /notification/events HTTP/1.1\r\nContent-length: 3\r\n\r\nabc";
        assert!(request(&whole[..whole.len() - 1]).is_none());
        let r = request(whole).unwrap();
        assert_eq!((r.wants, r.head + r.body), (Wants::Event, whole.len()));
        let stream = request(b"GET /x/sse/ann HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(stream.wants, Wants::Stream("ann".into()));
        assert_eq!(quoted(b"ab\"c"), Some(&b"ab"[..]));
    }
}
