//! One blocking connection over which requests are sent and answered one after another. It is kept alive, and made again when it
//! breaks: to the same server, or to the next where that does not answer or takes no connection.
//!
//! Invariant: an answer is given when all of it is there, and belongs to the request that was sent last.

use crate::dialect;
use crate::sse;
use crate::target::Target;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a server says.
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// The connection.
pub struct Line {
    stream: Option<TcpStream>,
    target: usize,
    inbox: Vec<u8>,
    used: Instant,
}

/// After so long a time without use a connection is looked at before it is trusted.
const IDLE: Duration = Duration::from_millis(500);

impl Line {
    /// One to the `target`th server, counted round, when it is used first.
    pub fn new(target: usize) -> Self {
        Self {
            stream: None,
            target,
            inbox: Vec::new(),
            used: Instant::now(),
        }
    }

    /// Connects where there is no connection, so that the next request takes no longer than itself.
    ///
    /// # Errors
    /// When no server takes one, with the reason.
    pub fn connect(&mut self, targets: &[Target], timeout: Duration) -> Result<(), String> {
        // A kept-alive connection may have been closed while idle; that shows before anything was sent.
        if self.used.elapsed() > IDLE && self.stream.as_ref().is_some_and(is_closed) {
            self.stream = None;
        }
        if self.stream.is_none() {
            self.open(targets, timeout)?;
        }
        Ok(())
    }

    /// Sends the request that `write` writes for a target, and waits for its answer.
    ///
    /// # Errors
    /// When there is none within `timeout`, with the reason; the request may have been done all the same.
    pub fn ask(
        &mut self,
        targets: &[Target],
        timeout: Duration,
        write: impl FnOnce(&Target, &mut Vec<u8>),
    ) -> Result<Answer, String> {
        self.connect(targets, timeout)?;
        let mut out = Vec::with_capacity(1024);
        write(&targets[self.target % targets.len()], &mut out);
        let answer = self.exchange(&out);
        self.used = Instant::now();
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    fn open(&mut self, targets: &[Target], timeout: Duration) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..targets.len() {
            let addr = targets[self.target % targets.len()].addr;
            match TcpStream::connect_timeout(&addr, timeout) {
                Ok(s) => {
                    let set = s
                        .set_nodelay(true)
                        .and_then(|()| s.set_read_timeout(Some(timeout)))
                        .and_then(|()| s.set_write_timeout(Some(timeout)));
                    set.map_err(|e| e.to_string())?;
                    self.inbox.clear();
                    self.stream = Some(s);
                    return Ok(());
                }
                Err(e) => last = format!("connect: {}", e.kind()),
            }
            self.target += 1;
        }
        Err(last)
    }

    fn exchange(&mut self, out: &[u8]) -> Result<Answer, String> {
        let stream = self.stream.as_mut().expect("opened before");
        stream
            .write_all(out)
            .map_err(|e| format!("sending: {}", e.kind()))?;
        let mut some = [0; 1 << 14];
        loop {
            if let Some((answer, size, close)) = whole(&self.inbox)? {
                self.inbox.drain(..size);
                if close {
                    self.stream = None;
                }
                return Ok(answer);
            }
            match stream.read(&mut some) {
                Ok(0) => return Err("no answer: closed".into()),
                Ok(n) => self.inbox.extend_from_slice(&some[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // What a socket's time limit looks like.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.target += 1;
                    return Err("no answer in time".into());
                }
                Err(e) => return Err(format!("no answer: {}", e.kind())),
            }
        }
    }
}

/// The answer at the start of `b`, its bytes, and whether the connection ends with it; `None` while some of it is missing.
fn whole(b: &[u8]) -> Result<Option<(Answer, usize, bool)>, String> {
    let Some(head) = dialect::answer(b) else {
        return Ok(None);
    };
    let rest = &b[head.head..];
    let body = if head.chunked {
        sse::in_chunks(rest).map_err(|e| e.to_string())?
    } else {
        rest.get(..head.body).map(|body| (body.to_vec(), head.body))
    };
    let answer = |(body, size)| {
        let status = head.status;
        (Answer { status, body }, head.head + size, head.close)
    };
    Ok(body.map(answer))
}

fn is_closed(s: &TcpStream) -> bool {
    let mut byte = [0];
    let peeked = s.set_nonblocking(true).and_then(|()| s.peek(&mut byte));
    let back = s.set_nonblocking(false);
    !matches!(peeked, Err(ref e) if e.kind() == ErrorKind::WouldBlock) || back.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_by_their_length_or_their_last_chunk() {
        for (wire, body, closes) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                "abc",
                false,
            ),
            (
                "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "abc",
                false,
            ),
            ("HTTP/1.1 503 No\r\nConnection: close\r\n\r\n", "", true),
        ] {
            let wire = wire.as_bytes();
            for cut in 0..wire.len() {
                assert!(whole(&wire[..cut]).unwrap().is_none());
            }
            let (answer, size, close) = whole(&[wire, b"HTTP"].concat()).unwrap().unwrap();
            assert_eq!(
                (answer.body, size, close),
                (body.into(), wire.len(), closes)
            );
        }
    }
}
