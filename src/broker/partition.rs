//! Which partition a channel lives in, and which shard a partition.
//!
//! Invariant: these functions are part of the contract between nodes of different versions. They never change; the
//! golden vectors below pin them.

use crate::event::Channel;

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2).
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The partition of `channel`, from 0 to `partitions - 1`.
pub fn of(channel: &Channel, partitions: u32) -> u32 {
    jump_consistent_hash::hash(fnv1a64(channel.as_str().as_bytes()), partitions as usize)
}

/// The shard of `partition`, from 0 to `shards - 1`.
pub fn shard(partition: u32, shards: usize) -> usize {
    jump_consistent_hash::hash(u64::from(partition), shards) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_matches_its_published_vectors() {
        assert_eq!(fnv1a64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn growing_moves_channels_to_the_new_partition_only() {
        for n in 1..64 {
            for i in 0..200 {
                let channel = Channel::new("repo", &format!("lib-{i}"));
                let (before, after) = (of(&channel, n), of(&channel, n + 1));
                assert!(after == before || after == n);
            }
        }
    }
}
