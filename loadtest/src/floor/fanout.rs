//! Who gets what: subscribers, and the one ready-made frame or chunk that goes to all of them.
//!
//! Invariant: the bytes are made once an event, before the first send.

use super::{Floor, peer};
use crate::wire;
use memchr::memmem;
use std::io::Write;

/// The answer to whoever wants a stream: its head and its first block.
pub const OPENING: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
                           19\r\nevent: connect\ndata: {}\n\n\r\n";

impl Floor {
    /// An event of `/events`, to those who subscribed by WebSocket.
    pub(super) fn fan_out(&mut self, body: &[u8]) {
        let Some(repo) = text_after(body, b"\"repo_id\":\"") else {
            return;
        };
        self.frame.clear();
        wire::push_server(&mut self.frame, wire::TEXT, &[body, b"\n"].concat());
        self.send_frame(repo);
    }

    /// A notification of `/webNotification`, to the streams of its user.
    pub(super) fn notify(&mut self, body: &[u8]) {
        const DATA: &[u8] = b"\"data\":";
        let user = text_after(body, b"\"id\":\"notify_");
        let data =
            memmem::find(body, DATA).and_then(|at| body[at + DATA.len()..].strip_suffix(b"}"));
        if let (Some(user), Some(data)) = (user, data) {
            push_chunk(&mut self.frame, data);
            self.send_frame(user);
        }
    }

    fn send_frame(&mut self, to: &[u8]) {
        for &i in self.subscribers.get(to).into_iter().flatten() {
            let Some(p) = self.peers[i as usize].as_mut() else {
                continue;
            };
            // A broken one shows when it is read.
            p.write(&self.epoll, i, &self.frame);
        }
    }

    pub(super) fn join(&mut self, i: u32, repo: &[u8]) {
        let Some(p) = self.peers[i as usize].as_mut() else {
            return;
        };
        if !p.repos.iter().any(|r| **r == *repo) {
            p.repos.push(repo.into());
            self.subscribers.entry(repo.into()).or_default().push(i);
        }
    }

    pub(super) fn leave(&mut self, i: u32, repo: &[u8]) {
        if let Some(p) = self.peers[i as usize].as_mut() {
            p.repos.retain(|r| **r != *repo);
        }
        if let Some(s) = self.subscribers.get_mut(repo) {
            s.retain(|p| *p != i);
            if s.is_empty() {
                self.subscribers.remove(repo);
            }
        }
    }
}

/// Makes `out` the chunk of one event.
fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    const BEFORE: &[u8] = b"event: notify\ndata: ";
    const AFTER: &[u8] = b"\n\n";
    out.clear();
    let len = BEFORE.len() + data.len() + AFTER.len();
    write!(out, "{len:x}\r\n").expect("a vector takes all");
    for part in [BEFORE, data, AFTER, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The text between `before` and the next quote.
fn text_after<'a>(body: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    memmem::find(body, before).and_then(|at| peer::quoted(&body[at + before.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialect, sse};

    /// The only block in `b`.
    fn only_block(b: &[u8]) -> Vec<u8> {
        let mut got = Vec::new();
        let take = |block: &[u8]| {
            got.push(block.to_vec());
            true
        };
        assert_eq!(sse::Body::new(true).take(b, take), Ok(b.len()));
        assert_eq!(got.len(), 1);
        got.concat()
    }

    #[test]
    fn a_stream_begins_with_a_block_and_goes_on_with_the_events() {
        let a = dialect::answer(OPENING.as_bytes()).unwrap();
        assert!(a.streams && a.chunked);
        assert!(only_block(&OPENING.as_bytes()[a.head..]).starts_with(b"event: connect\n"));
        let mut frame = b"old".to_vec();
        push_chunk(&mut frame, b"{\"a\":1}");
        assert_eq!(only_block(&frame), b"event: notify\ndata: {\"a\":1}\n\n");
    }
}
