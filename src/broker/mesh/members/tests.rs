//! Who is there and who fits in, case by case.

use super::*;

fn about(uptime_ms: u64) -> About {
    let (name, keys) = ("elder".to_owned(), vec!["k".to_owned()]);
    About {
        name,
        keys,
        uptime_ms,
        joined: true,
        partitions: 64,
        up: vec![true],
        ..About::default()
    }
}

fn heard(members: &mut Members, about: About, on: usize, now_ms: u64) -> bool {
    let said = Announcement {
        about,
        ..Announcement::default()
    };
    members.heard(7, said, on, 2, (now_ms, 0))
}

fn misfit(change: impl Fn(&mut About), on: usize) -> Option<&'static str> {
    let (mut members, mut other) = (Members::default(), about(10_000));
    change(&mut other);
    heard(&mut members, other, on, 1);
    members
        .misfit((1, &about(5_000)), &[Some(0), Some(0)], 2)
        .map(|misfit| misfit.label())
}

#[test]
fn what_differs_from_one_that_was_there_first_is_named() {
    assert_eq!(misfit(|_| {}, 0), None);
    assert_eq!(misfit(|other| other.partitions = 32, 0), Some("partitions"));
    assert_eq!(
        misfit(|other| other.keys = vec!["x".into()], 0),
        Some("keys")
    );
    assert_eq!(
        misfit(|other| other.keys = vec!["x".into(), "k".into()], 0),
        None,
        "keys are being changed"
    );
    assert_eq!(
        misfit(|_| {}, 1),
        Some("shards"),
        "it is its first, and our second"
    );
    assert_eq!(
        misfit(|other| (other.uptime_ms, other.partitions) = (1, 32), 0),
        None,
        "it came later"
    );
    assert_eq!(
        misfit(|other| (other.joined, other.partitions) = (false, 32), 0),
        None,
        "it stays out itself"
    );
    assert_eq!(
        misfit(|other| other.up = vec![true, true], 0),
        None,
        "a longer list"
    );
}

#[test]
fn a_node_that_died_is_not_taken_for_one_with_another_server() {
    let mut members = Members::default();
    for now_ms in (0..=10_000).step_by(1_000) {
        for shard in [0, 1] {
            heard(
                &mut members,
                About {
                    up: vec![true, true],
                    shard,
                    ..about(100_000)
                },
                shard,
                now_ms,
            );
        }
    }
    for now_ms in (10_000..40_000).step_by(500) {
        members.prune(now_ms);
        assert_eq!(
            members.misfit((1, &about(5)), &[Some(0), Some(0)], now_ms),
            None,
            "{now_ms}"
        );
    }
}

#[test]
fn another_server_in_the_same_place_is_found_out() {
    let mut members = Members::default();
    for now_ms in (0..=20_000).step_by(1_000) {
        let two = About {
            up: vec![true, true],
            ..about(100_000)
        };
        heard(&mut members, two.clone(), 0, now_ms);
        let found = members.misfit((1, &about(5)), &[Some(0), Some(0)], now_ms);
        assert_eq!(found.is_some(), now_ms > APART_MS, "{now_ms}: {found:?}");
        assert!(found.is_none_or(|found| found
            == Misfit::Servers {
                with: "elder".into(),
                number: 2
            }));
        assert_eq!(
            members.misfit((1, &about(5)), &[Some(0), None], now_ms),
            None,
            "it is away here"
        );
    }
}

/// What a node says of its age grows old with it: whoever came first stays the first.
#[test]
fn the_order_of_two_nodes_does_not_change_with_time() {
    let mut members = Members::default();
    heard(
        &mut members,
        About {
            partitions: 32,
            ..about(2_000)
        },
        0,
        0,
    );
    for later in [0, 400, 900, 3_000] {
        assert!(
            members
                .misfit((1, &about(1_500 + later)), &[Some(0)], later)
                .is_some(),
            "it was there first"
        );
        assert!(
            members
                .misfit((1, &about(2_500 + later)), &[Some(0)], later)
                .is_none(),
            "it came later"
        );
    }
    let (low, high) = ((1, &about(2_010)), (9, &about(2_010)));
    assert!(
        members.misfit(low, &[Some(0)], 0).is_some()
            && members.misfit(high, &[Some(0)], 0).is_none()
    );
}

#[test]
fn a_silent_node_is_gone_and_a_new_one_is_news() {
    let mut members = Members::default();
    assert!(heard(&mut members, about(1), 0, 0) && !heard(&mut members, about(1), 0, 1_000));
    members.prune(1_000 + SILENT_MS);
    assert!(members.get(7).is_some());
    members.prune(1_001 + SILENT_MS);
    assert!(members.get(7).is_none() && heard(&mut members, about(1), 0, 20_000));
}
