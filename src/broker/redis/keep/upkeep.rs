//! What is done every second: entries of presence are renewed, and Redis is told of holes in pasts.
//!
//! Invariant: renewing and leaving are put in line under one lock, so that nobody who left comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::entries::Entry;
use super::lane::Call;
use super::{Inner, number, scripts};
use crate::event::{Channel, now_ms};
use crate::metrics;

/// Entries in one call: so many keep Redis busy for a millisecond at most.
const ENTRIES: usize = 256;
/// Holes that are told in one round.
const TOLD: usize = 256;

impl Inner {
    /// Makes `id` present; gives the guard of its entry.
    pub(super) fn enter(
        &self,
        channel: &Channel,
        id: &Arc<str>,
        who: Bytes,
        outlives: Duration,
    ) -> u64 {
        let entry = Entry {
            channel: channel.clone(),
            id: Arc::clone(id),
            who,
            outlives,
        };
        let mut entries = self.entries.lock();
        let guard = entries.enter(entry.clone(), now_ms());
        self.renew("enter", &[entry]);
        ::metrics::gauge!(metrics::PRESENT).set(entries.len() as f64);
        guard
    }

    /// Ends what `guard` stands for.
    pub(super) fn leave(&self, channel: &Channel, id: &Arc<str>, guard: u64) {
        let mut entries = self.entries.lock();
        if entries.leave(guard).is_some() {
            let (keys, args) = (
                vec![self.key("here", channel)],
                vec![Bytes::copy_from_slice(id.as_bytes())],
            );
            let call = Call {
                name: "leave",
                script: scripts::LEAVE,
                keys,
                args,
                tells_again: false,
                since: None,
            };
            // Where Redis does not hear of it, the entry runs out.
            self.lane(channel).send(call, drop);
            ::metrics::gauge!(metrics::PRESENT).set(entries.len() as f64);
        }
    }

    /// Renews entries of one partition.
    fn renew(&self, name: &'static str, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let mut channels: BTreeMap<&Channel, Vec<&Entry>> = BTreeMap::new();
        entries
            .iter()
            .for_each(|entry| channels.entry(&entry.channel).or_default().push(entry));
        let mut args = Vec::new();
        for of_channel in channels.values() {
            args.push(number(of_channel.len() as u64));
            for entry in of_channel {
                args.push(Bytes::copy_from_slice(entry.id.as_bytes()));
                args.push(entry.who.clone());
                args.push(number(entry.outlives.as_millis().max(1) as u64));
            }
        }
        let keys = channels
            .keys()
            .map(|channel| self.key("here", channel))
            .collect();
        let call = Call {
            name,
            script: scripts::ENTER,
            keys,
            args,
            tells_again: false,
            since: None,
        };
        // What fails is renewed when it is due again, or when Redis is back.
        self.lane(&first.channel).send(call, drop);
    }

    fn renew_due(&self) {
        let mut entries = self.entries.lock();
        let mut partitions: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
        for entry in entries.due(now_ms()) {
            partitions
                .entry(self.partition(&entry.channel))
                .or_default()
                .push(entry);
        }
        partitions
            .values()
            .flat_map(|entries| entries.chunks(ENTRIES))
            .for_each(|some| self.renew("renew", some));
    }

    /// Gives the pasts of some channels with a hole a new epoch. Where Redis does not answer it is done again.
    async fn tell_holes(&self) {
        let (holes, now) = (self.listener.heard().untold(TOLD), Instant::now());
        let told = holes
            .iter()
            .map(|(channel, hole)| self.read(channel, Some(*hole), 0, now));
        futures_util::future::join_all(told).await;
    }
}

/// Runs until the node ends.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut connections: Vec<u64> = inner.lanes.iter().map(|lane| lane.connections()).collect();
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1).saturating_sub(last.elapsed())) => {}
            () = inner.tasks.stopped() => return,
        }
        last = Instant::now();
        for (shard, known) in connections.iter_mut().enumerate() {
            let now = inner.lanes[shard].connections();
            // What was to be entered while it was away was refused, and a Redis that came back may be empty.
            if now != *known {
                inner
                    .entries
                    .lock()
                    .lost(|channel| inner.shard(channel) == shard);
            }
            *known = now;
        }
        inner.renew_due();
        inner.tell_holes().await;
    }
}
