//! The Lua scripts, the names of keys and channels, and how Redis' answers read.
//!
//! Invariant: all that one script touches lies in one hash slot, `{<prefix>:<partition>}`.

use std::sync::LazyLock;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::LuaInterface;
use fred::types::Value;
use sha1::{Digest, Sha1};

use super::members::LEASE_MS;
use crate::broker::log::{Cursor, Entry, EntryId, LOG_AGE_MS, LOG_ENTRIES, Page, Position};
use crate::broker::wire;

/// How long the state of a partition outlives the last node that looked at it, in milliseconds.
pub const STATE_AGE_MS: u64 = 86_400_000;

/// Entries read from a log at a time.
const PAGE: usize = 50;

/// Appends and publishes any number of events. Refuses if the log is not at least where the publisher left it.
///
/// Arguments: epoch for a new log; epoch and number the publisher knows of, or empty; entries kept; milliseconds kept;
/// milliseconds the state is kept; command to publish with; channel; message format; bodies.
static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
local epoch, seq, id = head[1], tonumber(head[2] or '0'), head[3]
if ARGV[2] ~= '' and (epoch ~= ARGV[2] or seq < tonumber(ARGV[3])) then
  return {'refused'}
end
if not epoch then
  epoch, seq, id = ARGV[1], 0, '0-0'
  redis.call('DEL', KEYS[2])
end
local now = redis.call('TIME')
local oldest = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[5]))
local heads = {}
for i = 10, #ARGV do
  local before = id
  seq = seq + 1
  local number = string.format('%.0f', seq)
  id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 's', number, 'p', before, 'b', ARGV[i])
  heads[i] = ARGV[9] .. ' ' .. epoch .. ' ' .. number .. ' ' .. id .. ' ' .. before .. '\n'
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', string.format('%.0f', seq), 'id', id)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('XTRIM', KEYS[2], 'MINID', '~', oldest)
redis.call('PEXPIRE', KEYS[2], ARGV[5])
for i = 10, #ARGV do
  redis.call(ARGV[7], ARGV[8], heads[i] .. ARGV[i])
end
return {epoch, string.format('%.0f', seq), id}
",
    )
});

/// Reads a part of the log together with its end. Arguments: where from, how many.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
local now = redis.call('TIME')
local entries = redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', ARGV[2])
return {head[1] or '', head[2] or '', head[3] or '', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), entries}
",
    )
});

/// Renews a node's lease and reads all that hold. Arguments: the node's id, how long leases last, what it says.
static LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ms) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local leases = {string.format('%.0f', ms)}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^(%d+) '))
  if at and ms - at <= tonumber(ARGV[2]) then
    leases[#leases + 1] = all[i]
    leases[#leases + 1] = all[i + 1]
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return leases
",
    )
});

struct Script {
    text: &'static str,
    sha: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let sha = Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, sha }
    }

    async fn call(&self, client: &Client, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        let result = client.evalsha(self.sha.as_str(), keys.clone(), args.clone()).await;
        match result {
            // A server that does not know the script yet learns it by running it.
            Err(error) if error.details().starts_with("NOSCRIPT") => client.eval(self.text, keys, args).await,
            result => result,
        }
    }
}

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

/// Reads `epoch, number, id` as a script or `HMGET` answers them.
pub fn position(answer: &[Value]) -> Option<Position> {
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
