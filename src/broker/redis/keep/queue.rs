//! A list in Redis that other programs push to, taken from by one node at a time.
//!
//! Invariants: what was taken stays in Redis, beside the list, until it is done; when the node that took it dies, the next
//! one is given it ahead of everything else. So each is done at least once, and in order. What was taken has a name, by which
//! a node knows what of it it has done, even if it could not tell Redis; and what Redis is told late about something taken
//! before never touches what was taken after it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::types::Value;
use tokio::time::Instant;

use super::lane::Call;
use super::{Inner, number, scripts};
use crate::backoff::around;
use crate::broker::keep::{KeepError, Lease};

/// How long it is a node's turn without a word from it.
const TURN: Duration = Duration::from_secs(10);
/// How often a turn is renewed that takes long.
const RENEW: Duration = Duration::from_secs(3);
/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How many are taken at once.
const AT_ONCE: u64 = 128;
/// When they have so many bytes together, no more are taken: all of them have to come in one answer, in time.
const BYTES_AT_ONCE: u64 = 1 << 20;
/// How often an empty list is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often a node asks whether it is its turn, or Redis is back.
const ASK: Duration = Duration::from_secs(1);

/// One list on one shard. Dropping it ends this node's turn.
pub struct Queue {
    inner: Arc<Inner>,
    shard: usize,
    /// List, taken, turn.
    keys: Vec<String>,
    me: Bytes,
    /// The name of what was taken last.
    name: Bytes,
    /// How many of that this node has done.
    done: usize,
    /// Until when it is its turn, whatever Redis says.
    until: Instant,
}

impl Queue {
    pub(super) fn new(inner: Arc<Inner>, shard: usize, name: &str) -> Self {
        let tag = hash_tag(name);
        let key = |what: &str| format!("{}:{{{tag}}}:{what}:{name}", inner.prefix);
        Self {
            keys: vec![name.to_owned(), key("taken"), key("turn")],
            inner,
            shard,
            me: random(),
            name: Bytes::new(),
            done: 0,
            until: Instant::now(),
        }
    }

    /// All these may be done twice: none of them does anything the second time.
    async fn ask(
        &self,
        name: &'static str,
        script: &'static str,
        keys: &[String],
        args: Vec<Bytes>,
    ) -> Result<Value, KeepError> {
        let call = Call {
            name,
            script,
            keys: keys.to_vec(),
            args,
            tells_again: false,
            since: None,
        };
        self.inner.lanes[self.shard].ask(call).await
    }

    async fn take(&mut self) -> Result<Option<scripts::Taken>, KeepError> {
        let asked = Instant::now();
        let (turn, most) = (number(TURN.as_millis() as u64), number(AT_ONCE));
        let args = vec![self.me.clone(), turn, most, random(), number(BYTES_AT_ONCE)];
        let answer = self.ask("take", scripts::TAKE, &self.keys, args).await?;
        self.until = until(asked);
        scripts::taken(answer)
    }

    /// Waits until it is this node's turn and there is something, and takes it: the oldest first, as they were pushed, and none
    /// that it has [`done`](Self::done). Others that were taken before come again.
    pub async fn next(&mut self) -> Vec<Bytes> {
        loop {
            match self.take().await {
                Ok(Some(mut taken)) => {
                    if taken.name != self.name {
                        (self.name, self.done) = (taken.name, taken.done);
                    }
                    let known = self.done.saturating_sub(taken.done).min(taken.left.len());
                    if known < taken.left.len() {
                        taken.left.drain(..known);
                        return taken.left;
                    }
                    if known > 0 {
                        // Redis knows it now, or is told the next time.
                        let _ = self.done(0).await;
                    }
                    tokio::time::sleep(LOOK).await;
                }
                Ok(None) | Err(_) => tokio::time::sleep(around(ASK)).await,
            }
        }
    }

    /// The first `count` of what [`next`](Self::next) gave are done, and the turn is renewed. Returns whether it is this node's
    /// still; where it is not, whoever has it does again what Redis was not told of before.
    ///
    /// # Errors
    /// [`KeepError`]: that is not known.
    pub async fn done(&mut self, count: usize) -> Result<bool, KeepError> {
        self.done += count;
        let (asked, done) = (Instant::now(), number(self.done as u64));
        let turn = number(TURN.as_millis() as u64);
        let args = vec![self.me.clone(), self.name.clone(), done, turn];
        let answer = self
            .ask("done", scripts::DONE, &self.keys[1..], args)
            .await?;
        let is_mine = scripts::granted(answer)?.is_some();
        if is_mine {
            self.until = until(asked);
        }
        Ok(is_mine)
    }

    /// Renews this node's turn for as long as that can be done, and returns when it may soon be another's, or is.
    pub async fn hold(&mut self) {
        let mut pause = RENEW;
        loop {
            tokio::time::sleep_until(self.until.min(Instant::now() + pause)).await;
            let until = self.until;
            match tokio::time::timeout_at(until, self.done(0)).await {
                Ok(Ok(true)) => pause = RENEW,
                Ok(Ok(false)) => return,
                Ok(Err(_)) | Err(_) => pause = AGAIN,
            }
            if Instant::now() >= self.until {
                return;
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let call = Call {
            name: "yield",
            script: scripts::YIELD,
            keys: vec![self.keys[2].clone()],
            args: vec![self.me.clone()],
            tells_again: false,
            since: None,
        };
        self.inner.lanes[self.shard].send(call, drop);
    }
}

/// Until when a turn that was asked for at `asked` is this node's.
fn until(asked: Instant) -> Instant {
    asked + (TURN - Lease::MARGIN)
}

/// Nobody else's name.
fn random() -> Bytes {
    format!("{:032x}", rand::random::<u128>()).into()
}

/// What of a key decides its slot in a Redis Cluster. A name that has a `}` and no tag cannot stand in braces: a dialect refuses
/// such names where they are configured.
fn hash_tag(key: &str) -> &str {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag);
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_beside_a_list_lie_in_its_slot() {
        for (key, tag) in [
            ("centrifugo.api", "centrifugo.api"),
            ("{a}.api.0", "a"),
            ("x{}y", "x{}y"),
            ("x{y", "x{y"),
            ("x{{a}}", "{a"),
        ] {
            assert_eq!(hash_tag(key), tag);
        }
    }
}
