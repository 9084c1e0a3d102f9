//! What is asked of Redis, the names of keys and channels, and how the answers read.
//!
//! Invariant: all that one script touches lies in one hash slot, `{<prefix>:<partition>}`.

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::types::Value;

use super::lua::{HEAD, LEASE, PUBLISH, READ, RENEW};
use super::members::LEASE_MS;
use crate::broker::log::{Cursor, Entry, EntryId, LOG_AGE_MS, LOG_ENTRIES, Page, Position};
use crate::broker::wire;

/// How long the state of a partition outlives the last node that looked at it, in milliseconds.
pub const STATE_AGE_MS: u64 = 86_400_000;

/// Seconds that the number of partitions outlives the last node.
const PARTITIONS_AGE_S: u64 = 300;

/// Entries read from a log at a time.
const PAGE: usize = 50;

/// The names that one installation uses on one shard.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
    channel_suffix: String,
    publish: &'static str,
}

impl Names {
    /// For an installation's prefix, a database number, and whether the shard is a Cluster.
    pub fn new(prefix: &str, database: u8, cluster: bool) -> Self {
        // Channels, unlike keys, are the same in all databases of a server.
        let channel_suffix = if database == 0 { String::new() } else { format!("/{database}") };
        Self { prefix: prefix.to_owned(), channel_suffix, publish: if cluster { "SPUBLISH" } else { "PUBLISH" } }
    }

    /// The channel of a partition.
    pub fn channel(&self, partition: u32) -> String {
        format!("{{{}:{partition}}}{}", self.prefix, self.channel_suffix)
    }

    /// The hash with a partition's epoch, last number and last id.
    pub fn state(&self, partition: u32) -> String {
        format!("{{{}:{partition}}}:state", self.prefix)
    }

    /// The key with the number of partitions.
    pub fn partitions(&self) -> String {
        format!("{}:partitions", self.prefix)
    }

    /// The hash with the nodes' leases.
    pub fn nodes(&self) -> String {
        format!("{{{}:nodes}}", self.prefix)
    }

    /// The channel on which nodes ask each other.
    pub fn control(&self) -> String {
        format!("{{{}:nodes}}{}", self.prefix, self.channel_suffix)
    }

    fn keys(&self, partition: u32) -> Vec<String> {
        vec![self.state(partition), format!("{{{}:{partition}}}:log", self.prefix)]
    }
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// All of it is in the log, up to here.
    Upto(Position),
    /// The log is not the one the publisher knew, or has lost what it published.
    Refused,
}

/// Appends and publishes `bodies`, in order. `known` is where this publisher's last left the log.
///
/// # Errors
/// Whatever the client met; then nobody knows whether Redis took them.
pub async fn publish(
    client: &Client,
    names: &Names,
    partition: u32,
    known: Option<Position>,
    bodies: Vec<Bytes>,
) -> Result<Published, Error> {
    let (epoch, seq) = known.map_or((String::new(), 0), |at| (format!("{:016x}", at.epoch), at.seq));
    let mut args: Vec<Value> = vec![
        format!("{:016x}", rand::random::<u64>()).into(),
        epoch.into(),
        seq.to_string().into(),
        LOG_ENTRIES.to_string().into(),
        LOG_AGE_MS.to_string().into(),
        STATE_AGE_MS.to_string().into(),
        names.publish.into(),
        names.channel(partition).into(),
        wire::FORMAT.to_string().into(),
    ];
    args.extend(bodies.into_iter().map(Value::Bytes));
    let answer = PUBLISH.call(client, names.keys(partition), args).await?.into_array();
    if answer.len() == 1 {
        return Ok(Published::Refused);
    }
    position(&answer).map(Published::Upto).ok_or_else(odd)
}

/// The last entry of a partition's log.
///
/// # Errors
/// Whatever the client met.
pub async fn head(client: &Client, names: &Names, partition: u32) -> Result<Option<Position>, Error> {
    Ok(position(&HEAD.call(client, vec![names.state(partition)], vec![]).await?.into_array()))
}

/// Sets the number of partitions if there is none, and keeps it alive. Returns the number there is.
///
/// # Errors
/// Whatever the client met.
pub async fn renew(client: &Client, names: &Names, partitions: u32) -> Result<String, Error> {
    let args = vec![partitions.to_string().into(), PARTITIONS_AGE_S.to_string().into()];
    let answer = RENEW.call(client, vec![names.partitions()], args).await?;
    text(&answer).ok_or_else(odd)
}

/// Reads a page of a partition's log.
///
/// # Errors
/// Whatever the client met.
pub async fn read(client: &Client, names: &Names, partition: u32, cursor: Cursor) -> Result<Page, Error> {
    let from = match cursor {
        Cursor::From(id) => id.to_string(),
        Cursor::After(id) => format!("({id}"),
    };
    let answer = READ.call(client, names.keys(partition), vec![from.into(), PAGE.to_string().into()]).await?;
    let mut answer = answer.into_array();
    let entries = answer.pop().ok_or_else(odd)?.into_array();
    let now_ms = answer.get(3).and_then(text).and_then(|ms| ms.parse().ok()).ok_or_else(odd)?;
    let more = entries.len() >= PAGE;
    // Whatever is not ours leaves a hole in the numbers, which is seen.
    let entries = entries.into_iter().filter_map(entry).collect();
    Ok(Page { head: position(&answer), now_ms, entries, more })
}

/// A node's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The node's id.
    pub id: String,
    /// What it says of itself.
    pub view: Bytes,
    /// When it was renewed, by Redis' clock, in Unix milliseconds.
    pub at_ms: u64,
}

/// Renews the lease of the node `id`. Returns Redis' clock in Unix milliseconds, and all leases that hold.
///
/// # Errors
/// Whatever the client met.
pub async fn lease(client: &Client, names: &Names, id: &str, view: Bytes) -> Result<(u64, Vec<Lease>), Error> {
    let args = vec![id.into(), LEASE_MS.to_string().into(), Value::Bytes(view)];
    let mut answer = LEASE.call(client, vec![names.nodes()], args).await?.into_array().into_iter();
    let now_ms = answer.next().as_ref().and_then(text).and_then(|ms| ms.parse().ok()).ok_or_else(odd)?;
    let mut leases = Vec::new();
    while let (Some(id), Some(value)) = (answer.next(), answer.next()) {
        let (Some(id), Some(value)) = (text(&id), bytes(&value)) else { continue };
        let Some(blank) = value.iter().position(|byte| *byte == b' ') else { continue };
        let at_ms = std::str::from_utf8(&value[..blank]).ok().and_then(|ms| ms.parse().ok()).unwrap_or_default();
        leases.push(Lease { id, view: value.slice(blank + 1..), at_ms });
    }
    Ok((now_ms, leases))
}

/// Reads `epoch, number, id` as the scripts answer them.
fn position(answer: &[Value]) -> Option<Position> {
    let [epoch, seq, id, ..] = answer else { return None };
    Some(Position { epoch: wire::hex(&text(epoch)?)?, seq: text(seq)?.parse().ok()?, id: text(id)?.parse().ok()? })
}

fn entry(value: Value) -> Option<Entry> {
    let mut parts = value.into_array();
    let fields = parts.pop()?.into_array();
    let id: EntryId = text(parts.first()?)?.parse().ok()?;
    let (mut seq, mut prev, mut body) = (None, None, None);
    for pair in fields.chunks_exact(2) {
        match text(&pair[0]).as_deref() {
            Some("s") => seq = text(&pair[1])?.parse().ok(),
            Some("p") => prev = text(&pair[1])?.parse().ok(),
            Some("b") => body = bytes(&pair[1]),
            _ => {}
        }
    }
    Some(Entry { seq: seq?, id, prev: prev?, body: body? })
}

/// The bytes of a string.
pub fn bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        Value::String(text) => Some(text.clone().into_inner()),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_string()
}

fn odd() -> Error {
    Error::new(ErrorKind::Parse, "an answer that no script of ours gives")
}
