//! Many meshes over a carrier that loses, delays, repeats, reorders between topics, and cuts; nodes that start, die, stand
//! still and go deaf. Whatever happens: every event once at every node that was there, in order, or declared there.

mod air;
mod check;
mod world;

use proptest::prelude::*;

use self::world::{CHANNELS, Step, World};
use crate::broker::{Bounds, Lost};

fn step() -> impl Strategy<Value = Step> {
    let node = 0usize..8;
    let shard = 0usize..2;
    prop_oneof![
        8 => (node.clone(), 0usize..CHANNELS, 1usize..20).prop_map(|(node, channel, events)| Step::Publish { node, channel, events }),
        6 => (10u64..800).prop_map(|ms| Step::Pass { ms }),
        1 => (2_000u64..15_000).prop_map(|ms| Step::Pass { ms }),
        2 => (shard.clone(), prop_oneof![Just(0u64), 1u64..40]).prop_map(|(shard, percent)| Step::Loss { shard, percent }),
        1 => shard.clone().prop_map(|shard| Step::Cut { shard }),
        2 => shard.clone().prop_map(|shard| Step::Mend { shard }),
        1 => (node.clone(), shard.clone()).prop_map(|(node, shard)| Step::Deafen { node, shard }),
        1 => (node.clone(), shard).prop_map(|(node, shard)| Step::Drop { node, shard }),
        1 => Just(Step::Start),
        1 => node.clone().prop_map(|node| Step::Kill { node }),
        1 => node.clone().prop_map(|node| Step::Stop { node }),
        2 => node.prop_map(|node| Step::Continue { node }),
    ]
}

/// Few, for each is minutes of many nodes' lives; more by `PROPTEST_CASES`.
fn cases() -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default().cases
    } else {
        24
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_once_and_in_order_or_is_declared(
        seed in any::<u64>(), nodes in 2usize..5, shards in 1usize..3, steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(seed, nodes, shards);
        steps.iter().for_each(|step| world.step(step));
        world.settle();
        world.check();
    }
}

fn publish(world: &mut World, node: usize, events: usize) {
    (0..events).for_each(|n| world.publish(node, n % CHANNELS));
}

#[test]
fn without_faults_everything_comes_and_nobody_asks() {
    let mut world = World::new(1, 3, 1);
    for _ in 0..50 {
        (0..3).for_each(|node| publish(&mut world, node, 10));
        world.pass(100);
    }
    world.settle();
    world.check();
    for node in 0..3 {
        assert_eq!(world.counts(node), (1_500, 0));
    }
    assert_eq!(world.asks, 0);
}

/// Also for clients of the node that published: it has the carrier's word before it hears itself.
#[test]
fn while_the_carrier_is_well_all_nodes_have_its_order() {
    let mut world = World::new(10, 3, 1);
    for _ in 0..60 {
        (0..3).for_each(|node| publish(&mut world, node, CHANNELS));
        world.pass(10);
    }
    world.settle();
    world.check();
    let channels: Vec<_> = world.published[..CHANNELS]
        .iter()
        .map(|published| published.event.channel.clone())
        .collect();
    for channel in channels {
        let order = world.order(0, &channel);
        assert!(
            order.len() == 180 && (1..3).all(|node| world.order(node, &channel) == order),
            "{channel:?}"
        );
    }
}

/// An outage of any length within the bounds disturbs nobody, and what waited keeps its order.
#[test]
fn a_carrier_that_was_away_and_lost_everything_has_lost_nothing() {
    let mut world = World::new(2, 3, 1);
    world.step(&Step::Cut { shard: 0 });
    for _ in 0..50 {
        (0..3).for_each(|node| publish(&mut world, node, 12));
        world.pass(1_000);
    }
    assert_eq!(
        world.counts(0),
        (600, 0),
        "its own clients have its own events"
    );
    world.step(&Step::Mend { shard: 0 });
    world.settle();
    world.check();
    for node in 0..3 {
        assert_eq!(world.counts(node), (1_800, 0));
    }
}

/// What a bound drops is declared to the others in its place, and this node's own clients had it.
#[test]
fn what_a_bound_drops_is_declared_to_the_others() {
    let mut world = World::new(3, 2, 1);
    world.waiting = Bounds {
        count: 20,
        ..Default::default()
    };
    world.start();
    world.pass(5_000);
    world.step(&Step::Cut { shard: 0 });
    world.pass(1_000);
    publish(&mut world, 2, 100);
    world.pass(1_000);
    world.step(&Step::Mend { shard: 0 });
    world.settle();
    world.check();
    assert_eq!(world.counts(2), (100, 0));
    let (delivered, lost) = world.counts(0);
    assert!(delivered == 20 && lost > 0, "{delivered} {lost}");
}

/// The channels are named also to a node that was away when that was said, and that nobody but the publisher can tell.
#[test]
fn what_a_bound_dropped_is_declared_by_name_to_those_that_come_later() {
    let mut world = World::new(3, 1, 1);
    world.waiting = Bounds {
        count: 20,
        ..Default::default()
    };
    world.start();
    world.pass(5_000);
    world.step(&Step::Cut { shard: 0 });
    world.pass(1_000);
    publish(&mut world, 1, 100);
    world.step(&Step::Stop { node: 0 });
    world.step(&Step::Mend { shard: 0 });
    world.pass(5_000);
    world.step(&Step::Continue { node: 0 });
    world.settle();
    world.check();
    let told = &world.nodes[0].1.as_ref().unwrap().lost;
    let by_name = |(_, lost): &(u64, Lost)| matches!(lost, Lost::Channels(_));
    assert!(!told.is_empty() && told.iter().all(by_name), "{told:?}");
    assert_eq!(world.counts(0).0, 20);
}

/// The node that published is dead, and one that heard it helps one that did not.
#[test]
fn others_fill_what_a_dead_node_can_not() {
    let mut world = World::new(4, 3, 1);
    world.step(&Step::Deafen { node: 2, shard: 0 });
    publish(&mut world, 0, 40);
    world.pass(500);
    world.step(&Step::Kill { node: 0 });
    world.settle();
    world.check();
    assert_eq!((world.counts(1), world.counts(2)), ((40, 0), (40, 0)));
}

/// A server that ends connections for whose output it has no room carries a long answer never: shorter ones are asked for.
#[test]
fn what_does_not_come_in_long_answers_comes_in_short_ones() {
    let mut world = World::new(9, 2, 1);
    world.longest = 10_000;
    world.step(&Step::Deafen { node: 1, shard: 0 });
    publish(&mut world, 0, 4_800);
    world.pass(500);
    world.settle();
    world.check();
    assert_eq!((world.counts(0), world.counts(1)), ((4_800, 0), (4_800, 0)));
    // A node that starts learns what happened lately in shorter parts too.
    publish(&mut world, 0, 1_200);
    world.pass(1_000);
    world.start();
    world.pass(6_000);
    world.check();
    assert_eq!(world.nodes[2].1.as_ref().unwrap().remembered.len(), 1_200);
}

/// Those that heard nothing for a while cannot know what a node published meanwhile that is dead now.
#[test]
fn what_nobody_has_is_declared() {
    let mut world = World::new(5, 3, 1);
    for node in [1, 2] {
        world.step(&Step::Deafen { node, shard: 0 });
    }
    publish(&mut world, 0, 4);
    world.pass(500);
    assert_eq!(world.confirmed.len(), 4);
    world.step(&Step::Kill { node: 0 });
    world.settle();
    world.check();
    for node in [1, 2] {
        assert!(
            matches!(world.counts(node), (0, 1..)),
            "{:?}",
            world.counts(node)
        );
    }
}

/// With two shards of which one is away, events take the other.
#[test]
fn a_shard_that_is_away_is_passed_by() {
    let mut world = World::new(6, 3, 2);
    world.step(&Step::Cut { shard: 1 });
    world.pass(4_000);
    publish(&mut world, 0, 48);
    world.pass(2_000);
    for node in 0..3 {
        assert_eq!(world.counts(node), (48, 0));
    }
    world.step(&Step::Mend { shard: 1 });
    publish(&mut world, 1, 48);
    world.settle();
    world.check();
}

/// A node that starts is told what was delivered lately, and delivers only what comes from then on.
#[test]
fn a_node_that_starts_knows_the_recent_past() {
    let mut world = World::new(7, 2, 1);
    publish(&mut world, 0, 300);
    world.pass(3_000);
    world.start();
    world.pass(3_000);
    publish(&mut world, 1, 24);
    world.settle();
    world.check();
    let sim = world.nodes[2].1.as_ref().unwrap();
    assert_eq!(
        (sim.remembered.len(), sim.delivered.len(), sim.lost.len()),
        (300, 24, 0)
    );
}

/// One that stood still for a minute and a half hears what it missed, from whoever has it.
#[test]
fn a_node_that_stood_still_is_told_what_it_missed() {
    let mut world = World::new(8, 3, 1);
    world.step(&Step::Stop { node: 2 });
    for _ in 0..90 {
        publish(&mut world, 0, 12);
        world.pass(1_000);
    }
    world.step(&Step::Continue { node: 2 });
    world.settle();
    world.check();
    assert_eq!(world.counts(2), (1_080, 0));
}

/// One that was away while another started is unknown to it: what it publishes then and the carrier loses is asked for.
#[test]
fn what_an_elder_publishes_when_it_is_back_comes_to_one_that_started_meanwhile() {
    let mut world = World::new(9, 2, 1);
    publish(&mut world, 1, 12);
    world.pass(1_000);
    world.step(&Step::Stop { node: 1 });
    world.step(&Step::Start);
    world.step(&Step::Start);
    world.step(&Step::Kill { node: 0 });
    world.pass(20_000);
    world.step(&Step::Continue { node: 1 });
    world.pass(40);
    world.step(&Step::Loss {
        shard: 0,
        percent: 100,
    });
    publish(&mut world, 1, 12);
    world.pass(300);
    world.settle();
    world.check();
    for node in [2, 3] {
        assert_eq!(
            world.counts(node),
            (12, 0),
            "those from before it started are none of its business"
        );
    }
}

/// Who starts five minutes after a node died knows nothing of it, and misses nothing of it: not even if one that started a
/// little earlier, and was told of it, tells; then, or when it is asked what was missed.
#[test]
fn a_node_that_died_long_ago_is_no_matter_for_one_that_starts() {
    let mut world = World::new(11, 3, 1);
    publish(&mut world, 1, 12);
    world.pass(1_000);
    world.step(&Step::Kill { node: 1 });
    world.pass(290_000);
    world.step(&Step::Start);
    world.pass(15_000);
    world.step(&Step::Start);
    world.pass(40_000);
    // The one that was told is now the eldest.
    world.step(&Step::Kill { node: 0 });
    world.step(&Step::Kill { node: 2 });
    world.step(&Step::Start);
    world.pass(20_000);
    (0..5).for_each(|node| world.step(&Step::Drop { node, shard: 0 }));
    world.settle();
    world.check();
    for node in [3, 4, 5] {
        assert_eq!(world.counts(node).1, 0, "node {node}");
    }
}
