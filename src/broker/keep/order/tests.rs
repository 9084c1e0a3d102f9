//! Events in any order, held up and filled.

mod nodes;
mod page;

use super::*;

fn empty() -> Order {
    Order::new(300_000)
}

fn place(epoch: u64, number: u64) -> Place {
    Place { epoch, number }
}

fn channel() -> Channel {
    Channel::new("c", "x")
}

fn event(epoch: u64, number: u64) -> Event {
    Event {
        kept: Kept::At(place(epoch, number)),
        accepted_ms: 1_790_000_000_000,
        ..Event::new(channel(), "n", format!("{epoch}.{number}"))
    }
}

fn early() -> Event {
    Event {
        kept: Kept::Later,
        ..event(1, 0)
    }
}

/// A past of one epoch.
fn past(epoch: u64, numbers: std::ops::RangeInclusive<u64>) -> Past {
    let newest = place(epoch, *numbers.end());
    let placed = numbers.map(|number| (place(epoch, number), event(epoch, number)));
    Past::new(newest, placed.collect())
}

fn places(events: &[Event]) -> Vec<(u64, u64)> {
    let place = |event: &Event| match event.kept {
        Kept::At(place) => (place.epoch, place.number),
        _ => (0, 0),
    };
    events.iter().map(place).collect()
}

/// What comes out, and whether it is said that there is a hole.
fn out(act: impl FnOnce(&mut Out)) -> (Vec<(u64, u64)>, bool) {
    let mut out = Out::default();
    act(&mut out);
    assert!(out.holes.iter().all(|of| *of == channel()));
    (places(&out.events), !out.holes.is_empty())
}

fn take(order: &mut Order, now_ms: u64, event: Event) -> Vec<(u64, u64)> {
    let (events, hole) = out(|out| order.take(event, false, now_ms, out));
    assert!(!hole);
    events
}

fn is_read_at(order: &mut Order, now_ms: u64) -> bool {
    let mut wanted = Vec::new();
    assert_eq!(
        out(|out| wanted = order.tick(|_| false, now_ms, out)),
        (Vec::new(), false)
    );
    !wanted.is_empty()
}

fn fill(order: &mut Order, now_ms: u64, past: &Past) -> (Vec<(u64, u64)>, bool) {
    out(|out| order.fill(&channel(), Some(past), (false, true), now_ms, out))
}

#[test]
fn the_first_of_a_channel_that_has_just_begun_is_waited_for() {
    let (mut order, now_ms) = (empty(), 1_790_000_000_000);
    let of = |epoch_ms: u64, number| Event {
        accepted_ms: now_ms,
        ..event(epoch_ms * 1_000, number)
    };
    assert_eq!(take(&mut order, 0, of(now_ms - 5, 2)), []);
    let epoch = (now_ms - 5) * 1_000;
    assert_eq!(
        take(&mut order, 1, of(now_ms - 5, 1)),
        [(epoch, 1), (epoch, 2)]
    );
    let epoch = (now_ms - 100_000) * 1_000;
    assert_eq!(
        take(&mut empty(), 0, of(now_ms - 100_000, 2)),
        [(epoch, 2)],
        "it began long ago"
    );
    let mut order = empty();
    assert_eq!(take(&mut order, 0, of(now_ms - 5, 3)), []);
    let waited = out(|out| drop(order.tick(|_| false, HOLD_MS, out)));
    assert_eq!(waited.0.len(), 1);
    assert!(!waited.1, "nobody knows whether anything is missing");
}

#[test]
fn what_is_missing_is_waited_for_and_then_taken_from_the_past() {
    let mut order = empty();
    assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
    assert_eq!(take(&mut order, 0, event(1, 7)), []);
    assert_eq!(take(&mut order, 9, event(1, 6)), [(1, 6), (1, 7)]);
    assert!(!is_read_at(&mut order, 9 * HOLD_MS), "nothing is missing");
    assert_eq!(take(&mut order, 5_000, event(1, 9)), []);
    assert!(!is_read_at(&mut order, 4_999 + HOLD_MS));
    assert!(is_read_at(&mut order, 5_000 + HOLD_MS));
    assert!(
        !is_read_at(&mut order, 5_000 + 2 * HOLD_MS),
        "it is being read"
    );
    assert_eq!(take(&mut order, 5_600, event(1, 11)), []);
    assert_eq!(
        fill(&mut order, 5_700, &past(1, 2..=10)),
        (vec![(1, 8), (1, 9), (1, 10), (1, 11)], false)
    );
    let known = past(1, 7..=11);
    let unheard = |order: &Order| order.unheard(&channel(), &known, 6_000);
    assert_eq!(unheard(&order), [place(1, 8), place(1, 10)]);
    assert_eq!(take(&mut order, 6_000, event(1, 8)), [], "it was given");
    assert_eq!(unheard(&order), [place(1, 10)]);
    assert_eq!(take(&mut order, 6_000, event(1, 10)), []);
    assert_eq!(unheard(&order), []);
    assert_eq!(take(&mut order, 6_000, event(1, 12)), [(1, 12)]);
    assert_eq!(order.size, 0);
}

#[test]
fn what_the_past_does_not_have_either_is_passed_over_and_that_is_said() {
    let mut order = empty();
    assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
    assert_eq!(take(&mut order, 0, event(1, 8)), []);
    assert_eq!(take(&mut order, 0, event(1, 13)), []);
    assert!(is_read_at(&mut order, HOLD_MS));
    assert_eq!(
        fill(&mut order, 600, &past(1, 7..=9)),
        (vec![], false),
        "its publication may still come"
    );
    assert!(is_read_at(&mut order, FORGOTTEN_MS));
    assert_eq!(
        fill(&mut order, FORGOTTEN_MS, &past(1, 8..=10)),
        (vec![(1, 7), (1, 8), (1, 9), (1, 10)], true)
    );
    assert_eq!(
        take(&mut order, 3_100, event(1, 6)),
        [(1, 6)],
        "late, and not left out"
    );
    assert!(is_read_at(&mut order, 3_100 + HOLD_MS), "it was kept since");
    let failed = out(|out| order.fill(&channel(), None, (false, false), 3_700, out));
    assert_eq!(failed, (vec![], false));
    assert!(is_read_at(&mut order, 3_700 + HOLD_MS));
    let failed = out(|out| order.fill(&channel(), None, (false, false), 4_300, out));
    assert_eq!(failed, (vec![], false));
    let over = out(|out| drop(order.tick(|_| false, FORGOTTEN_MS + PASS_OVER_MS, out)));
    assert_eq!(over, (vec![(1, 13)], true));
    assert_eq!(order.size, 0);
}

#[test]
fn another_epoch_counts_on_or_begins_anew() {
    let mut order = empty();
    assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
    assert_eq!(take(&mut order, 0, event(2, 6)), []);
    assert!(is_read_at(&mut order, 0), "at once");
    let placed = [(place(1, 5), event(1, 5)), (place(2, 6), event(2, 6))];
    let joined = Past::new(place(2, 6), placed.to_vec());
    assert_eq!(fill(&mut order, 9, &joined), (vec![(2, 6)], false));
    assert_eq!(take(&mut order, 9, event(1, 6)), [(1, 6)], "late");
    assert_eq!(take(&mut order, 9, event(3, 8)), []);
    assert_eq!(take(&mut order, 9, event(2, 7)), [(2, 7)]);
    assert!(is_read_at(&mut order, 9 + HOLD_MS));
    let placed = [(place(3, 8), event(3, 8)), (place(3, 9), event(3, 9))];
    // Where its epoch began elsewhere its numbers are the same by chance.
    let began = |number| Past {
        began: Some(number),
        ..Past::new(place(3, 9), placed.to_vec())
    };
    assert_eq!(fill(&mut order, 519, &began(6)), (vec![], false));
    let counts_on = began(7);
    assert_eq!(
        fill(&mut order, 520, &counts_on),
        (vec![(3, 8), (3, 9)], false)
    );
    // What was before is lost, or somewhere on its way.
    assert_eq!(take(&mut order, 530, event(4, 2)), []);
    assert_eq!(take(&mut order, 530, event(3, 10)), [(3, 10)]);
    assert!(is_read_at(&mut order, 530 + HOLD_MS));
    assert_eq!(
        fill(&mut order, 1_100, &past(4, 1..=2)),
        (vec![(4, 1), (4, 2)], false)
    );
    // What was missing is the end of the epoch before.
    assert_eq!(take(&mut order, 1_100, event(5, 5)), []);
    assert!(is_read_at(&mut order, 1_100 + HOLD_MS));
    let placed = [(4, 2), (4, 3), (4, 4), (5, 5), (6, 6)];
    let placed = placed.map(|(epoch, number)| (place(epoch, number), event(epoch, number)));
    assert_eq!(
        fill(&mut order, 1_700, &Past::new(place(6, 6), placed.to_vec())),
        (vec![(4, 3), (4, 4), (5, 5), (6, 6)], false)
    );
    // So much came that the past has not got the first one any more.
    assert_eq!(take(&mut order, 1_700, event(7, 1)), []);
    assert_eq!(take(&mut order, 1_700, event(7, 2)), []);
    assert!(is_read_at(&mut order, 1_700 + HOLD_MS));
    assert_eq!(
        fill(&mut order, 2_300, &past(7, 3..=4)),
        (vec![(7, 1), (7, 2), (7, 3), (7, 4)], false)
    );
    // Each of several nodes may have begun one.
    assert_eq!(take(&mut order, 2_300, event(8, 5)), []);
    let placed = [(7, 4), (8, 5), (9, 6), (10, 7), (10, 8)];
    let placed = placed.map(|(epoch, number)| (place(epoch, number), event(epoch, number)));
    assert!(is_read_at(&mut order, 2_300));
    let several = Past::new(place(11, 8), placed.to_vec());
    assert_eq!(
        fill(&mut order, 2_300, &several),
        (vec![(8, 5), (9, 6), (10, 7), (10, 8)], false)
    );
    assert_eq!(order.given_upto(&channel(), 2_300), Some(place(11, 8)));
    // After more than an hour a past may have been forgotten.
    let (now_ms, epoch) = (1_790_000_000_000, 1_790_000_000_000_000);
    let anew = Event {
        accepted_ms: now_ms,
        ..event(epoch, 1)
    };
    assert_eq!(take(&mut order, 2_300 + SILENT_MS, anew), [(epoch, 1)]);
}

#[test]
fn what_has_no_place_does_not_wait() {
    let mut order = empty();
    assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
    assert_eq!(take(&mut order, 0, early()), [(0, 0)]);
    // What other nodes have kept waits on.
    assert_eq!(take(&mut order, 0, event(1, 7)), []);
    assert_eq!(take(&mut order, 1, early()), [(0, 0)]);
    assert_eq!(order.given_upto(&channel(), 1), Some(place(1, 5)));
    assert_eq!(take(&mut order, 1, event(1, 8)), []);
    assert_eq!(take(&mut order, 2, event(1, 6)), [(1, 6), (1, 7), (1, 8)]);
    // While it waits to be kept nothing else comes, and what it was given behind is known.
    let held = |order: &mut Order, event| out(|out| order.take(event, true, 2, out));
    assert_eq!(held(&mut order, event(1, 9)), (vec![], false));
    assert_eq!(held(&mut order, early()), (vec![(0, 0)], false));
    assert_eq!(order.given_upto(&channel(), 2), Some(place(1, 8)));
    assert_eq!(held(&mut order, event(1, 10)), (vec![], false));
    let mut wanted = Vec::new();
    let waits = out(|out| wanted = order.tick(|_| true, 2 + HOLD_MS, out));
    assert_eq!((waits, wanted), ((vec![], false), vec![]));
    assert_eq!(
        take(&mut order, 600, event(1, 11)),
        [(1, 9), (1, 10), (1, 11)]
    );
    assert_eq!(order.size, 0);
    // For so long at most, and then nothing is missing.
    let mut own = empty();
    assert_eq!(take(&mut own, 0, event(1, 5)), [(1, 5)]);
    assert_eq!(held(&mut own, event(1, 6)), (vec![], false));
    let over = out(|out| drop(own.tick(|_| true, 2 + PASS_OVER_MS, out)));
    assert_eq!(over, (vec![(1, 6)], false));
    assert_eq!(own.size, 0);
}

#[test]
fn what_its_node_had_published_before_comes_before_what_has_no_place() {
    let mut order = empty();
    assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
    for number in [7, 9] {
        order.kept(&channel(), place(1, 7));
        assert_eq!(take(&mut order, 0, event(1, number)), []);
    }
    assert_eq!(take(&mut order, 0, early()), [(1, 7), (0, 0)]);
    assert_eq!(take(&mut order, 0, early()), [(0, 0)]);
    assert_eq!(order.given_upto(&channel(), 0), None);
    // Nobody knows of which node.
    let missed = Event {
        kept: Kept::Missed,
        ..event(1, 0)
    };
    assert_eq!(take(&mut order, 0, missed.clone()), [(1, 9), (0, 0)]);
    assert_eq!(take(&mut order, 0, missed), [(0, 0)]);
    assert_eq!(take(&mut order, 0, event(1, 8)), []);
    assert_eq!(take(&mut order, 0, event(1, 10)), []);
    assert_eq!(take(&mut order, 0, event(1, 6)), [(1, 6), (1, 8), (1, 10)]);
    assert_eq!(order.given_upto(&channel(), 0), Some(place(1, 10)));
    assert_eq!(order.size, 0);
}

/// A node that had no answer of Redis gives up an event, which Redis has kept.
#[test]
fn what_is_in_the_past_and_comes_without_a_place_too_comes_out_once() {
    let mut order = empty();
    let missed = |number| Event {
        kept: Kept::Missed,
        ..event(1, number)
    };
    assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
    assert_eq!(take(&mut order, 0, event(1, 7)), []);
    assert!(is_read_at(&mut order, HOLD_MS));
    assert_eq!(
        fill(&mut order, 600, &past(1, 6..=7)),
        (vec![(1, 6), (1, 7)], false)
    );
    assert_eq!(take(&mut order, 700, missed(6)), []);
    // Or the other way round.
    assert_eq!(take(&mut order, 700, missed(8)), [(0, 0)]);
    assert_eq!(take(&mut order, 700, event(1, 9)), []);
    assert!(is_read_at(&mut order, 700 + HOLD_MS));
    assert_eq!(
        fill(&mut order, 1_300, &past(1, 8..=9)),
        (vec![(1, 9)], false)
    );
    assert_eq!(order.size, 0);
}

#[test]
fn what_somebody_has_read_is_waited_for() {
    let mut order = empty();
    assert!(
        order.expect(&channel(), &past(1, 3..=5), true, 0),
        "it is known from here on"
    );
    assert!(order.expect(&channel(), &past(1, 3..=5), true, 0));
    assert_eq!(
        take(&mut order, 0, event(1, 5)),
        [(1, 5)],
        "it is on its way here"
    );
    assert!(!order.expect(&channel(), &past(1, 3..=7), true, 0));
    assert_eq!(
        order.unheard(&channel(), &past(1, 3..=7), 0),
        [place(1, 6), place(1, 7)]
    );
    assert_eq!(take(&mut order, 0, event(1, 6)), [(1, 6)]);
    assert!(!order.expect(&channel(), &past(1, 3..=7), true, 0));
    assert_eq!(take(&mut order, 0, event(1, 7)), [(1, 7)]);
    assert!(order.expect(&channel(), &past(1, 3..=7), true, 0));
    assert!(!order.expect(&channel(), &past(1, 3..=8), true, 0));
    assert!(is_read_at(&mut order, HOLD_MS));
    assert_eq!(
        fill(&mut order, 600, &past(1, 3..=8)),
        (vec![(1, 8)], false)
    );
    assert!(order.expect(&channel(), &past(1, 3..=8), true, 0));
    // A new epoch in which nothing was kept yet.
    let renewed = Past {
        newest: Some(place(2, 8)),
        ..past(1, 3..=8)
    };
    assert!(order.expect(&channel(), &renewed, true, 600));
    assert_eq!(order.given_upto(&channel(), 600), Some(place(2, 8)));
    assert_eq!(take(&mut order, 600, event(2, 9)), [(2, 9)]);
    assert_eq!(order.size, 0);
    // One that has lost what waits.
    assert_eq!(take(&mut order, 600, event(2, 11)), []);
    assert!(is_read_at(&mut order, 600 + HOLD_MS));
    let lost = Past {
        newest: Some(place(3, 9)),
        ..past(2, 3..=9)
    };
    let now_ms = 600 + FORGOTTEN_MS;
    assert_eq!(fill(&mut order, now_ms, &lost), (vec![(2, 11)], true));
    assert_eq!(order.given_upto(&channel(), now_ms), Some(place(3, 9)));
    assert_eq!(order.size, 0);
    // What was read and is forgotten is no matter as long as nothing follows.
    assert!(!order.expect(&channel(), &past(3, 10..=10), true, now_ms));
    let gone = Past::new(place(3, 10), Vec::new());
    assert_eq!(fill(&mut order, now_ms, &gone), (vec![], false));
    assert_eq!(order.given_upto(&channel(), now_ms), Some(place(3, 9)));
    assert_eq!(order.size, 0);
    // Where nothing was kept, the first one is known.
    let (mut order, nothing) = (empty(), Past::default());
    assert!(order.expect(&channel(), &nothing, true, 0));
    assert_eq!(order.given_upto(&channel(), 0), None);
    assert_eq!(take(&mut order, 0, event(7, 2)), []);
    assert_eq!(take(&mut order, 0, event(7, 1)), [(7, 1), (7, 2)]);
    assert_eq!(order.size, 0);
}

#[test]
fn what_it_holds_is_bounded() {
    let (mut order, mut out) = (empty(), Out::default());
    order.take(event(1, 1), false, 0, &mut out);
    for number in 2..2 * HELD as u64 {
        order.take(event(1, 2 * number), false, 0, &mut out);
        assert!(order.size <= HELD);
    }
    assert!(!out.holes.is_empty());
}
