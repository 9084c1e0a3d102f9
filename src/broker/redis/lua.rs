//! The Lua scripts, and how they are called.
//!
//! Invariant: every answer carries the tag of its question. fred 10.1 can give a question another question's answer (it
//! takes the next answer on a connection for that of its own `ASKING`), and another partition's log must never be taken
//! for one's own.

use std::sync::LazyLock;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::LuaInterface;
use fred::types::Value;
use sha1::{Digest, Sha1};

/// Appends and publishes any number of events. Refuses if the log is not at least where the publisher left it.
///
/// Arguments: epoch for a new log; epoch and number the publisher knows of, or empty; entries kept; milliseconds kept;
/// milliseconds the state is kept; command to publish with; channel; message format; bodies.
pub static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local tag = table.remove(ARGV, 1)
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
local epoch, seq, id = head[1], tonumber(head[2] or '0'), head[3]
if ARGV[2] ~= '' and (epoch ~= ARGV[2] or seq < tonumber(ARGV[3])) then
  return {tag, {'refused'}}
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
return {tag, {epoch, string.format('%.0f', seq), id}}
",
    )
});

/// Reads a part of the log together with its end. Arguments: where from, how many.
pub static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local tag = table.remove(ARGV, 1)
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
local now = redis.call('TIME')
local entries = redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', ARGV[2])
local ms = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
return {tag, {head[1] or '', head[2] or '', head[3] or '', ms, entries}}
",
    )
});

/// The log's end.
pub static HEAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local tag = table.remove(ARGV, 1)
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
return {tag, {head[1] or '', head[2] or '', head[3] or ''}}
",
    )
});

/// Sets a value if there is none, and keeps it alive. Arguments: value, seconds.
pub static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local tag = table.remove(ARGV, 1)
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local value = redis.call('GET', KEYS[1])
if value == ARGV[1] then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return {tag, value}
",
    )
});

/// Renews a node's lease and reads all that hold. Arguments: the node's id, how long leases last, what it says.
pub static LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local tag = table.remove(ARGV, 1)
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
return {tag, leases}
",
    )
});

/// A script, known to Redis by the hash of its text.
pub struct Script {
    text: &'static str,
    sha: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let sha = Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, sha }
    }

    /// Runs it.
    ///
    /// # Errors
    /// Whatever the client met; see [`is_mixed_up`].
    pub async fn call(&self, client: &Client, keys: Vec<String>, mut args: Vec<Value>) -> Result<Value, Error> {
        let tag = format!("{:016x}", rand::random::<u64>());
        args.insert(0, tag.as_str().into());
        let result: Result<Value, Error> = client.evalsha(self.sha.as_str(), keys.clone(), args.clone()).await;
        let answer = match result {
            // A server that does not know the script yet learns it by running it.
            Err(error) if error.details().starts_with("NOSCRIPT") => client.eval(self.text, keys, args).await?,
            result => result?,
        };
        let mut parts = answer.into_array();
        match (parts.pop(), parts.pop()) {
            (Some(value), Some(found)) if found.as_str().as_deref() == Some(tag.as_str()) => Ok(value),
            _ => Err(Error::new(ErrorKind::Protocol, MIXED_UP)),
        }
    }
}

const MIXED_UP: &str = "the answer to another question";

/// Whether a client gave a question the answer to another: nothing it says can be trusted any more.
pub fn is_mixed_up(error: &Error) -> bool {
    *error.kind() == ErrorKind::Protocol
}
