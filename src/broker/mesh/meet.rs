//! An elder that this node meets when it has joined: it was away while this node started, so nobody could tell where its
//! numbers begin for this node. It is asked what it published since.
//!
//! Invariant: what it published after this node had joined is delivered here or declared; until it has answered, what it
//! says is held.

use super::join::{PART, SMALL_PART};
use super::{Incoming, Mesh};
use crate::broker::control::{Control, Sync};
use crate::broker::packet::{Content, Packet};

/// How often it is asked.
const ATTEMPTS: u32 = 5;
/// How long each part of the first answer may take, in milliseconds; each further one so much longer.
const ANSWER_MS: u64 = 1_000;
/// How much further back it is asked than this node joined, for what is on its way and for clocks, in milliseconds.
const MARGIN_MS: u64 = 1_000;

/// See the module.
#[derive(Default)]
pub struct Stranger {
    /// Up to which number it said that it published in each partition.
    numbers: Vec<(u32, u64)>,
    /// The question that is out, until when it is waited for, and the how manieth it is.
    id: u64,
    until_ms: u64,
    attempts: u32,
    /// What it published, as far as it has told.
    recent: Vec<Packet>,
}

impl Stranger {
    /// Whether this is the question that is out.
    pub(super) fn is_asked(&self, id: u64) -> bool {
        self.id == id
    }

    /// A part of what it published. What it says of others, or of the time before `since_ms`, does not count.
    fn hear(&mut self, origin: u64, sync: Sync, since_ms: u64) {
        // By the clock of the wall: its own may have stood still meanwhile.
        let counts = |packet: &Packet| match &packet.content {
            _ if packet.stamp.origin != origin => false,
            Content::Event(event) => event.accepted_ms >= since_ms,
            _ => true,
        };
        let read = sync
            .recent
            .into_iter()
            .filter_map(|(_, bytes)| match super::read(bytes) {
                Ok(Incoming::Packet(packet)) => Some(packet),
                _ => None,
            });
        self.recent.extend(read.filter(counts));
        // Its table is in the first part, and says more than its last announcement.
        let table = sync
            .next
            .iter()
            .filter(|known| known.origin == origin && known.next > 1);
        let numbers: Vec<(u32, u64)> = table
            .map(|known| (known.partition, known.next - 1))
            .collect();
        if !numbers.is_empty() {
            self.numbers = numbers;
        }
    }

    /// The last number of each partition before what it has told.
    fn lasts(&self) -> Vec<(u32, u64)> {
        let mut lasts = self.numbers.clone();
        for packet in &self.recent {
            let (partition, last) = (
                packet.stamp.partition,
                packet.stamp.number.saturating_sub(1),
            );
            match lasts.iter_mut().find(|(other, _)| *other == partition) {
                Some((_, known)) => *known = last.min(*known),
                None => lasts.push((partition, last)),
            }
        }
        lasts
    }
}

impl Mesh {
    /// An elder announced itself of whom nothing is known.
    pub(super) fn meet(&mut self, origin: u64, numbers: Vec<(u32, u64)>) {
        self.strangers.entry(origin).or_default().numbers = numbers;
        self.ask_strangers();
    }

    /// Asks those that were not asked or did not answer, and gives up those that never do.
    pub(super) fn ask_strangers(&mut self) {
        let known = &self.known;
        self.strangers
            .retain(|origin, _| !known.contains_key(origin));
        let late = |(_, stranger): &(&u64, &Stranger)| self.time.ms >= stranger.until_ms;
        let late: Vec<u64> = self
            .strangers
            .iter()
            .filter(late)
            .map(|(origin, _)| *origin)
            .collect();
        for origin in late {
            let id = self.next_id();
            let Some(stranger) = self.strangers.get_mut(&origin) else {
                continue;
            };
            if stranger.attempts == ATTEMPTS {
                self.part(origin);
                continue;
            }
            stranger.attempts += 1;
            stranger.id = id;
            stranger.recent.clear();
            self.ask_since(origin, 0);
        }
    }

    fn ask_since(&mut self, origin: u64, cursor: u64) {
        let replay_ms = self.time.unix_ms.saturating_sub(self.join.joined_ms()) + MARGIN_MS;
        let Some(stranger) = self.strangers.get_mut(&origin) else {
            return;
        };
        stranger.until_ms = self.time.ms + ANSWER_MS * u64::from(stranger.attempts);
        let most = if stranger.attempts > 1 {
            SMALL_PART
        } else {
            PART
        };
        let ask = Control::SyncAsk {
            id: stranger.id,
            cursor,
            replay_ms,
            most,
        };
        self.tell(origin, 0, &ask);
    }

    /// A part of what it published.
    pub(super) fn met(&mut self, origin: u64, sync: Sync) {
        let ahead_ms = self.members.get(origin).map_or(0, |member| member.ahead_ms);
        let joined_ms = self
            .join
            .joined_ms()
            .saturating_sub(MARGIN_MS)
            .saturating_add_signed(ahead_ms);
        let cursor = sync.cursor;
        let Some(stranger) = self.strangers.get_mut(&origin) else {
            return;
        };
        stranger.hear(origin, sync, joined_ms);
        if let Some(cursor) = cursor {
            return self.ask_since(origin, cursor);
        }
        let Some(stranger) = self.strangers.remove(&origin) else {
            return;
        };
        self.join.is_sure(origin);
        self.resolve(origin, &stranger.lasts(), 0);
        let partitions = self.settings.partitions;
        stranger
            .recent
            .into_iter()
            .filter(|packet| packet.stamp.partition < partitions)
            .for_each(|packet| self.take(packet));
        self.told(origin, stranger.numbers);
    }

    /// It speaks and does not answer: what it published before now is as good as lost.
    fn part(&mut self, origin: u64) {
        let Some(Stranger { numbers, .. }) = self.strangers.remove(&origin) else {
            return;
        };
        let partitions = self.settings.partitions;
        numbers
            .iter()
            .filter(|(number, _)| *number < partitions)
            .for_each(|(number, _)| self.declare(*number));
        self.resolve(origin, &numbers, 0);
    }
}
