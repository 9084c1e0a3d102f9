//! Whether all that came before a new epoch of a channel's past is through: what other nodes said of it came out here, and what
//! this node has to say of it is said.
//!
//! Invariant: only what this node can know counts. It does not know what others have yet to say.

use super::{ANNOUNCE_MS, Act, Mesh};
use crate::event::{Channel, Event, Kept};

/// One that was there and was not heard for so long, while this node hears, does not say any more what it published before, in
/// milliseconds; and where another one has told what it knows of all.
const GONE_MS: u64 = 3 * ANNOUNCE_MS;
const GONE_AND_TOLD_MS: u64 = ANNOUNCE_MS + ANNOUNCE_MS / 4;

impl Mesh {
    /// What this node has yet to say of what came before an epoch of a channel: its partition, and the last number of it there.
    pub fn unsaid(&self, channel: &Channel, epoch: u64) -> (u32, u64) {
        let number = super::partition::of(channel, self.settings.partitions);
        let outgoing = &self.partitions[number as usize].outgoing;
        let is_before =
            |event: &Event| event.channel == *channel && is_of_before(event.kept, epoch);
        (number, outgoing.last_unsaid(is_before))
    }

    /// Whether this node has said that, and all that others are known to have said of the channel before came out here.
    pub fn is_flushed(&self, (number, upto): (u32, u64), channel: &Channel, epoch: u64) -> bool {
        let shard = &self.shards[Self::place(number, self.shards.len())];
        let partition = &self.partitions[number as usize];
        let is_open = |act: &Act| match act {
            Act::Deliver(event) => event.channel == *channel && is_of_before(event.kept, epoch),
            Act::Remember(..) | Act::Lost(_) => false,
        };
        let is_done = |(of, kept): &(Channel, Kept)| of != channel || !is_of_before(*kept, epoch);
        let mut inbounds = partition.inbounds.values();
        shard.up_since.is_some()
            && partition.outgoing.confirmed() >= upto
            && self.hears_all()
            && inbounds.all(|inbound| inbound.held() == 0 && inbound.missing().is_none())
            && !partition.acts.iter().any(is_open)
            && partition.doing.iter().all(is_done)
    }

    /// Whether each that was there when this node last did not hear has said since what it had published, or is gone.
    fn hears_all(&self) -> bool {
        let waited_ms = self.time.ms.saturating_sub(self.join.unsure_ms);
        let gone_ms = if self.join.told {
            GONE_AND_TOLD_MS
        } else {
            GONE_MS
        };
        let mut unsure = self.join.unsure.iter();
        unsure.all(|origin| self.join.silent.contains(origin))
            || waited_ms > gone_ms && self.hears_now()
    }
}

/// Whether it was kept in an epoch before this one, or is not kept.
fn is_of_before(kept: Kept, epoch: u64) -> bool {
    match kept {
        Kept::At(place) => place.epoch < epoch,
        Kept::Missed => true,
        Kept::No | Kept::Later => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::super::Time;
    use super::*;
    use crate::broker::packet::Draft;
    use crate::event::Place;

    fn mesh() -> Mesh {
        let mut mesh = Mesh::of_one_partition();
        (mesh.shards[0].up_since, mesh.shards[0].echo_ms) = (Some(0), Some(0));
        mesh
    }

    fn publish(mesh: &mut Mesh, channel: &str, kept: Kept) {
        let event = Event::new(Channel::new("c", channel), "n", "");
        let (receipt, _) = oneshot::channel();
        mesh.publish(Draft::new(Event { kept, ..event }), receipt);
    }

    fn at(epoch: u64) -> Kept {
        Kept::At(Place { epoch, number: 9 })
    }

    #[test]
    fn what_a_node_has_to_say_of_what_came_before_is_said_first() {
        let (mut mesh, x) = (mesh(), Channel::new("c", "x"));
        let is_flushed = |mesh: &Mesh, epoch| mesh.is_flushed(mesh.unsaid(&x, epoch), &x, epoch);
        assert!(is_flushed(&mesh, 7));
        publish(&mut mesh, "y", at(5));
        publish(&mut mesh, "x", at(5));
        publish(&mut mesh, "x", at(6));
        publish(&mut mesh, "x", Kept::No);
        assert_eq!([5, 6, 7].map(|epoch| mesh.unsaid(&x, epoch).1), [0, 2, 3]);
        assert!(is_flushed(&mesh, 5) && !is_flushed(&mesh, 6));
        let before = mesh.unsaid(&x, 6);
        for number in 1..=2 {
            assert!(!mesh.is_flushed(before, &x, 6));
            mesh.partitions[0].outgoing.send(number);
            mesh.partitions[0].outgoing.confirm(number);
        }
        assert!(mesh.is_flushed(before, &x, 6) && !is_flushed(&mesh, 7));
        // What is not kept comes before whatever there is.
        publish(&mut mesh, "x", Kept::Missed);
        assert!(!is_flushed(&mesh, 5));
    }

    #[test]
    fn whoever_was_there_is_heard_first_or_gone() {
        let (mut mesh, x) = (mesh(), Channel::new("c", "x"));
        let is_flushed = |mesh: &Mesh| mesh.is_flushed((0, 0), &x, 7);
        mesh.join.unsure.push(2);
        assert!(!is_flushed(&mesh));
        mesh.join.silent.push(2);
        assert!(is_flushed(&mesh), "it had ended before");
        mesh.join.silent.clear();
        let ms = GONE_MS + 1;
        mesh.at(Time {
            ms,
            ..Time::default()
        });
        assert!(!is_flushed(&mesh), "it does not hear itself");
        mesh.shards[0].echo_ms = Some(ms);
        assert!(is_flushed(&mesh));
        let ms = GONE_MS;
        mesh.at(Time {
            ms,
            ..Time::default()
        });
        assert!(!is_flushed(&mesh));
        mesh.join.told = true;
        assert!(is_flushed(&mesh));
        mesh.exists(2, 0, 3);
        assert!(!is_flushed(&mesh), "it has said something");
        let mut away = self::mesh();
        away.shards[0].up_since = None;
        assert!(!is_flushed(&away));
    }
}
