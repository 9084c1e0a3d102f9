//! What is done in Redis, each in one step that nothing comes between, and how its answers are read.
//!
//! Invariants: all keys of one call have one hash tag, so a Redis Cluster runs it; every key that is written expires; a
//! place, a lease and the run of Redis that it was given by belong together, since another run may have lost something.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use fred::types::Value;

use crate::broker::keep::{KeepError, Past, Saying};
use crate::broker::packet::{self, Content};
use crate::event::{Early, Event, Place};

/// What [`APPEND`] and [`READ`] begin with. KEYS: mark, past. ARGV: epoch and number up to which this node has heard the
/// channel, and 1 where it knows of a hole. A new epoch is greater than all before, and begins behind the number that was reached; what
/// is missing before anything was kept, or what was lost with all that was kept, has numbers too, [`Place::MISSING`] of them, so
/// that nobody takes what follows it for all.
macro_rules! with_epoch {
    ($rest:literal) => {
        concat!(
            r"local mark, past = KEYS[1], KEYS[2]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', mark, 'epoch', 'number', 'run', 'began')
local epoch, number = tonumber(known[1] or 0), tonumber(known[2] or 0)
local heard, upto = tonumber(ARGV[1]), tonumber(ARGV[2])
local fits = epoch > heard or (epoch == heard and number >= upto)
local fine = known[1] and known[3] == run and fits and ARGV[3] == '0'
local function renew()
  local time = redis.call('TIME')
  epoch = math.max(time[1] * 1000000 + time[2], epoch + 1, heard + 1)
  if not known[1] and (heard > 0 or ARGV[3] == '1') then number = 1000000 end
  known[4] = string.format('%.0f', number)
  redis.call('HSET', mark, 'epoch', string.format('%.0f', epoch), 'number', known[4], 'run', run, 'began', known[4])
end
",
            $rest
        )
    };
}

/// Appends to a past. Further KEYS: what its node has kept again, and, where the event may be posted again, what tells. Further
/// ARGV: the node's number of it, the event, unlike all others, how many stay, how long they and the mark live (ms), for how
/// long it is known what may come again (ms), how clients had it early (`-`, `?`, or the place after which); `again` where it
/// may have been done already. Where clients of two nodes had it early, nobody knows what they had before. What was done again is
/// not done by a command that comes late, over a connection that its node has given up. Answers epoch and number.
pub(super) const APPEND: &str = with_epoch!(
    r"local done = tonumber(redis.call('GET', KEYS[3]) or 0)
local function rewrite(all)
  local lasts = redis.call('PTTL', past)
  redis.call('DEL', past)
  for _, had in ipairs(all) do redis.call('RPUSH', past, had) end
  redis.call('PEXPIRE', past, lasts)
end
if ARGV[11] then
  if done < tonumber(ARGV[4]) then redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[9]) end
  local all, place = redis.call('LRANGE', past, 0, -1), nil
  for at, had in ipairs(all) do
    local e, n, told, event = string.match(had, '^(%d+) (%d+) (%S+) ()')
    if event and string.sub(had, event) == ARGV[5] then
      place = {e, n}
      if told ~= '?' then told = ARGV[10] end
      all[at] = e .. ' ' .. n .. ' ' .. told .. ' ' .. ARGV[5]
    end
  end
  if place and ARGV[10] ~= '-' then rewrite(all) end
  if place then return place end
elseif done >= tonumber(ARGV[4]) then
  return redis.error_reply('LATE it was done again')
end
if KEYS[4] then
  local had = redis.call('GET', KEYS[4])
  if had and fine then
    local at, n = string.match(had, '(%d+) (%d+)')
    if at == known[1] then
      if ARGV[10] ~= '-' then
        local all, found = redis.call('LRANGE', past, 0, -1), false
        for index, other in ipairs(all) do
          local event = string.match(other, '^%d+ %d+ %S+ ()')
          if event and string.sub(other, 1, #had + 1) == had .. ' ' then
            all[index], found = had .. ' ? ' .. string.sub(other, event), true
          end
        end
        if found then rewrite(all) end
      end
      return {at, n}
    end
  end
end
if not fine then renew() end
if not known[1] then redis.call('DEL', past) end
number = redis.call('HINCRBY', mark, 'number', 1)
local place = {string.format('%.0f', epoch), tostring(number)}
redis.call('RPUSH', past, place[1] .. ' ' .. place[2] .. ' ' .. ARGV[10] .. ' ' .. ARGV[5])
redis.call('LTRIM', past, -ARGV[6], -1)
redis.call('PEXPIRE', past, ARGV[7])
redis.call('PEXPIRE', mark, ARGV[8])
if KEYS[4] then redis.call('SET', KEYS[4], place[1] .. ' ' .. place[2], 'PX', ARGV[9]) end
return place"
);

/// Reads a past. Further ARGV: how many events are wanted, how long the mark lives (ms). Answers epoch, number, the number
/// behind which the epoch began, and the events; nothing where nothing is known.
pub(super) const READ: &str = with_epoch!(
    r"if not known[1] and ARGV[3] == '0' then return {} end
if not fine then renew() end
if not known[1] then redis.call('PEXPIRE', mark, ARGV[5]) end
local events = {}
if ARGV[4] ~= '0' then events = redis.call('LRANGE', past, -ARGV[4], -1) end
return {string.format('%.0f', epoch), string.format('%.0f', number), known[4] or '', events}"
);

/// Enters and renews. KEYS: channels. ARGV, for each of them: how many; of each id, who, how long (ms).
pub(super) const ENTER: &str = r"local time = redis.call('TIME')
local now, at = time[1] * 1000 + math.floor(time[2] / 1000), 1
for _, key in ipairs(KEYS) do
  local count, longest = tonumber(ARGV[at]), redis.call('PTTL', key)
  at = at + 1
  for _ = 1, count do
    local lasts = tonumber(ARGV[at + 2])
    redis.call('HSET', key, ARGV[at], string.format('%.0f', now + lasts) .. ' ' .. ARGV[at + 1])
    longest = math.max(longest, lasts)
    at = at + 3
  end
  redis.call('PEXPIRE', key, longest)
end
return 1";

/// Leaves. KEYS: channel. ARGV: id.
pub const LEAVE: &str = "return redis.call('HDEL', KEYS[1], ARGV[1])";

/// Who is there. KEYS: channel. Answers id, who, id, who. What has run out is taken away.
pub const PRESENT: &str = r"local time = redis.call('TIME')
local now, here = time[1] * 1000 + math.floor(time[2] / 1000), {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local value = all[at + 1]
  local space = string.find(value, ' ', 1, true)
  if space and tonumber(string.sub(value, 1, space - 1)) > now then
    here[#here + 1] = all[at]
    here[#here + 1] = string.sub(value, space + 1)
  else
    redis.call('HDEL', KEYS[1], all[at])
  end
end
return here";

/// Claims to say something. KEYS: what. ARGV: who asks, for how long (ms). Answers 1; 0: it was said; 2: another is about to.
pub const CLAIM: &str = r"local had = redis.call('GET', KEYS[1])
if had == 'said' then return 0 end
if had and had ~= ARGV[1] then return 2 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Settles a claim. KEYS: what. ARGV: who asks, for how long it is not to be said again (ms), or 0: it was not said. Answers 1,
/// or 0: another has claimed or said it meanwhile.
pub const SETTLE: &str = r"local had = redis.call('GET', KEYS[1])
if had and had ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], 'said', 'PX', ARGV[2])
end
return 1";

/// Gets or renews a lease. KEYS: lease, ground. ARGV: who asks, for how long (ms), the fence that it has or 0. Answers the
/// fence, or 0: another has it, or may have it. Where this run of Redis has not been known for as long as a lease lasts, an
/// earlier run may have given one that this one knows nothing of: then only that holder itself goes on.
pub const LEASE: &str = r"local lease, ground = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now, lasts, fence = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2]), tonumber(ARGV[3])
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', ground, 'run', 'since', 'fence')
local since, last = tonumber(known[2] or 0), tonumber(known[3] or 0)
if known[1] ~= run then
  since = now
  redis.call('HSET', ground, 'run', run, 'since', string.format('%.0f', since))
end
redis.call('EXPIRE', ground, 604800)
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then return 0 end
if fence ~= 0 and last > fence then return 0 end
if fence == 0 and holder then fence = last end
if fence == 0 then
  if now - since < lasts then return 0 end
  fence = math.max(last + 1, now)
end
redis.call('HSET', ground, 'fence', string.format('%.0f', fence))
redis.call('SET', lease, ARGV[1], 'PX', lasts)
return fence";

/// Gives up what is held. KEYS: lease. ARGV: who.
pub(super) const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// Takes from a list. KEYS: list, taken, turn. ARGV: who asks, for how long it is its turn (ms), how many at most, a name for
/// what is taken now, and of how many bytes that may be a little more than. Under one name something is taken once, so that a
/// call that is repeated, or comes late, takes nothing that its answer does not tell of. Answers the name of what is taken, how many of that are done and forgotten, and the others; nothing
/// where it is another's turn. What another took goes by a new name.
pub(super) const TAKE: &str = r"local list, taken, turn = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', turn, 'who', 'until', 'name', 'done')
if known[1] and known[1] ~= ARGV[1] and tonumber(known[2]) > now then return {} end
local name, done = known[3], known[4]
local none, bytes = redis.call('LLEN', taken) == 0, 0
if none and name == ARGV[4] then return {name, done, {}} end
if none then
  for _ = 1, tonumber(ARGV[3]) do
    local element = redis.call('LMOVE', list, taken, 'LEFT', 'RIGHT')
    if not element then break end
    bytes = bytes + #element
    if bytes >= tonumber(ARGV[5]) then break end
  end
end
if none or known[1] ~= ARGV[1] then name, done = ARGV[4], '0' end
redis.call('HSET', turn, 'who', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]), 'name', name, 'done', done)
redis.call('EXPIRE', taken, 604800)
redis.call('EXPIRE', turn, 604800)
return {name, done, redis.call('LRANGE', taken, 0, -1)}";

/// Forgets what is done, and renews the turn. KEYS: taken, turn. ARGV: who, the name of what was taken, how many of that are
/// done, the turn (ms). Answers 1, or 0: it is not taken by that name any more.
pub(super) const DONE: &str = r"local known = redis.call('HMGET', KEYS[2], 'who', 'name', 'done')
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], 'until', string.format('%.0f', now + ARGV[4]))
local more = ARGV[3] - known[3]
if more > 0 then
  redis.call('LTRIM', KEYS[1], more, -1)
  redis.call('HSET', KEYS[2], 'done', ARGV[3])
end
return 1";

/// Ends a turn. KEYS: turn. ARGV: who.
pub(super) const YIELD: &str = r"if redis.call('HMGET', KEYS[1], 'who')[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', '0')
return 1";

fn list(value: Value) -> Result<Vec<Value>, KeepError> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Null => Ok(Vec::new()),
        _ => Err(KeepError::Unreadable),
    }
}

fn bytes(value: Value) -> Result<Bytes, KeepError> {
    value
        .into_owned_bytes()
        .map(Bytes::from)
        .ok_or(KeepError::Unreadable)
}

fn number(value: &Value) -> Result<u64, KeepError> {
    value.as_u64().ok_or(KeepError::Unreadable)
}

/// A place: epoch and number.
pub fn place(value: Value) -> Result<Place, KeepError> {
    match list(value)?.as_slice() {
        [epoch, count, ..] => Ok(Place {
            epoch: number(epoch)?,
            number: number(count)?,
        }),
        _ => Err(KeepError::Unreadable),
    }
}

/// What [`READ`] answers.
pub fn past(value: Value) -> Result<Past, KeepError> {
    let mut values = list(value)?;
    if values.is_empty() {
        return Ok(Past::default());
    }
    let events = values.pop().ok_or(KeepError::Unreadable)?;
    let began = values.pop().and_then(|value| value.as_u64());
    let newest = place(Value::Array(values))?;
    // What another version wrote leaves a hole, behind which the past begins.
    let entries = list(events)?
        .into_iter()
        .filter_map(|value| entry(value.into_owned_bytes()?.into()));
    let (mut placed, mut given_early) = (Vec::new(), Vec::new());
    for (place, event, early) in entries {
        placed.push((place, event));
        given_early.extend(early);
    }
    let past = Past::new(newest, placed).with_early(given_early);
    Ok(Past { began, ..past })
}

fn entry(mut entry: Bytes) -> Option<(Place, Event, Option<Early>)> {
    let place = Place {
        epoch: word(&mut entry)?.parse().ok()?,
        number: word(&mut entry)?.parse().ok()?,
    };
    let told = word(&mut entry)?;
    let packet = packet::read(packet::head(&entry).ok()?, entry);
    let early = (told != "-").then(|| Early {
        place,
        node: packet.stamp.origin,
        count: packet.stamp.number,
        after: after(&told),
    });
    match packet.content {
        Content::Event(event) => Some((place, event, early)),
        _ => None,
    }
}

fn after(told: &str) -> Option<Place> {
    let (epoch, number) = told.split_once('.')?;
    Some(Place {
        epoch: epoch.parse().ok()?,
        number: number.parse().ok()?,
    })
}

/// Takes a word, and the space behind it.
fn word(entry: &mut Bytes) -> Option<String> {
    let space = entry.iter().take(42).position(|byte| *byte == b' ')?;
    let word = entry.split_to(space);
    entry.advance(1);
    String::from_utf8(word.into()).ok()
}

/// What [`PRESENT`] answers, sorted.
pub fn present(value: Value) -> Result<Vec<(Arc<str>, Bytes)>, KeepError> {
    let values = list(value)?
        .into_iter()
        .map(bytes)
        .collect::<Result<Vec<_>, _>>()?;
    let entry =
        |pair: &[Bytes]| Some((std::str::from_utf8(&pair[0]).ok()?.into(), pair[1].clone()));
    let mut here = values
        .chunks_exact(2)
        .map(entry)
        .collect::<Option<Vec<_>>>()
        .ok_or(KeepError::Unreadable)?;
    here.sort_unstable();
    Ok(here)
}

/// A number that is not 0.
pub fn granted(value: Value) -> Result<Option<u64>, KeepError> {
    number(&value).map(|number| Some(number).filter(|number| *number != 0))
}

/// What [`CLAIM`] answers to `me`.
pub fn saying(value: Value, me: u128) -> Result<Saying, KeepError> {
    match number(&value)? {
        0 => Ok(Saying::Said),
        1 => Ok(Saying::Mine(me)),
        _ => Ok(Saying::Claimed),
    }
}

/// What was taken from a list.
pub struct Taken {
    /// By which name.
    pub(super) name: Bytes,
    /// How many of it are done and forgotten.
    pub(super) done: usize,
    /// The others, the oldest first.
    pub(super) left: Vec<Bytes>,
}

/// What [`TAKE`] answers; `None`: another's turn.
pub fn taken(value: Value) -> Result<Option<Taken>, KeepError> {
    let mut values = list(value)?;
    let (Some(left), Some(done), Some(name)) = (values.pop(), values.pop(), values.pop()) else {
        return Ok(None);
    };
    Ok(Some(Taken {
        name: bytes(name)?,
        done: number(&done)? as usize,
        left: list(left)?
            .into_iter()
            .map(bytes)
            .collect::<Result<_, _>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_pass_over_as_many_numbers_as_everybody_knows() {
        let passes_over = format!("number = {} end", Place::MISSING);
        assert!(
            [APPEND, READ]
                .iter()
                .all(|script| script.contains(&passes_over))
        );
    }
}
