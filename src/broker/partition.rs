//! Which partition a channel lives in, and which shard a partition.
//!
//! Invariant: these functions are part of the contract between nodes of different versions. They never change; the
//! golden vectors below pin them.

use crate::event::Channel;

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2).
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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

    /// Computed by another implementation of both functions. A change here splits clusters of mixed versions.
    #[test]
    fn golden_vectors_of_partitions() {
        for (name, hash, of_64, of_7, of_1024) in [
            ("", 0x9ffd_5119_c480_c371, 11, 3, 836),
            ("a", 0x5c33_dec8_e6cb_7430, 63, 3, 834),
            (
                "7f3a1c52-0000-4000-8000-000000000001",
                0xe516_c30e_81f1_cc10,
                62,
                5,
                85,
            ),
            (
                "7f3a1c52-0000-4000-8000-000000000002",
                0xe516_c60e_81f1_d129,
                36,
                0,
                513,
            ),
            ("中文", 0xbbfa_cd5a_2f09_09c9, 53, 1, 440),
        ] {
            let channel = Channel::new("topic", name);
            assert_eq!(fnv1a64(channel.as_str().as_bytes()), hash, "{name}");
            assert_eq!(
                (of(&channel, 64), of(&channel, 7), of(&channel, 1024)),
                (of_64, of_7, of_1024),
                "{name}"
            );
        }
    }

    #[test]
    fn golden_vectors_of_shards() {
        let of_sixteen = |shards| {
            (0..16)
                .map(|partition| shard(partition, shards))
                .collect::<Vec<_>>()
        };
        assert_eq!(of_sixteen(1), [0; 16]);
        assert_eq!(
            of_sixteen(2),
            [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0]
        );
        assert_eq!(
            of_sixteen(3),
            [0, 0, 0, 2, 1, 1, 2, 0, 0, 2, 2, 2, 1, 0, 0, 0]
        );
        assert_eq!(
            of_sixteen(5),
            [0, 0, 3, 3, 1, 4, 2, 0, 4, 2, 2, 2, 1, 0, 0, 4]
        );
    }

    #[test]
    fn growing_moves_channels_to_the_new_partition_only() {
        for n in 1..64 {
            for i in 0..200 {
                let channel = Channel::new("topic", &format!("name-{i}"));
                let (before, after) = (of(&channel, n), of(&channel, n + 1));
                assert!(after == before || after == n);
            }
        }
    }
}
