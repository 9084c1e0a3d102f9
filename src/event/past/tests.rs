//! Who comes back is told all that followed, once, or that something may be missing.

use proptest::prelude::*;

use super::*;
use crate::event::Channel;

fn placed(newest: Place, places: impl Iterator<Item = Place>) -> Past {
    let event = |place: Place| {
        (
            place,
            Event::new(Channel::new("c", "x"), "n", place.number.to_string()),
        )
    };
    Past::new(newest, places.map(event).collect())
}

fn past(epoch: u64, newest: u64, numbers: &[u64]) -> Past {
    placed(
        Place {
            epoch,
            number: newest,
        },
        numbers.iter().map(|number| Place {
            epoch,
            number: *number,
        }),
    )
}

fn numbers(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| String::from_utf8_lossy(&event.data).into_owned())
        .collect()
}

#[test]
fn what_followed_a_place_is_told_whole_or_not_at_all() {
    let past = past(7, 5, &[3, 4, 5]);
    let after = |epoch, number| past.after(Place { epoch, number }).map(numbers);
    assert_eq!(after(7, 5), Some(vec![]));
    assert_eq!(after(7, 3), Some(vec!["4".into(), "5".into()]));
    assert_eq!(after(7, 2), Some(vec!["3".into(), "4".into(), "5".into()]));
    assert_eq!(after(7, 1), None, "number 2 has run out");
    assert_eq!(after(7, 6), None, "the past lost its end");
    assert_eq!(after(6, 5), None, "another epoch");
    assert_eq!(
        Past::default().after(Place {
            epoch: 7,
            number: 1
        }),
        None
    );
}

#[test]
fn what_follows_an_event_of_another_epoch_is_not_told() {
    let places = [(7, 3), (7, 4), (8, 5), (8, 6)].map(|(epoch, number)| Place { epoch, number });
    let past = placed(places[3], places.into_iter());
    let behind = |at| past.behind(at).map(numbers);
    assert_eq!(
        (behind(1), behind(2), behind(3)),
        (None, Some(vec!["6".into()]), Some(vec![]))
    );
    let renewed = placed(
        Place {
            epoch: 9,
            number: 6,
        },
        places.into_iter(),
    );
    assert_eq!(
        (renewed.events.len(), renewed.behind(3), renewed.behind(4)),
        (4, None, None)
    );
}

/// Node 1 had the channel up to `after` and then gave `ones` early, before they had their places; node 2 likewise `twos`.
fn with_early(past: Past, after: u64, ones: &[u64], twos: &[u64]) -> Past {
    let place = |number: u64| Place { epoch: 7, number };
    let early = |node: u64| {
        move |number: &u64| Early {
            place: place(*number),
            node,
            count: *number,
            after: Some(place(after)),
        }
    };
    let mut all: Vec<Early> = ones.iter().map(early(1)).collect();
    all.extend(twos.iter().map(early(2)));
    all.sort_unstable_by_key(|early| early.place);
    past.with_early(all)
}

#[test]
fn who_had_events_early_goes_on_behind_them() {
    let past = with_early(past(7, 6, &[2, 3, 4, 5, 6]), 3, &[4, 5, 6], &[]);
    let behind = |at| past.behind(at).map(numbers);
    assert_eq!(
        behind(0),
        Some(["3", "4", "5", "6"].map(String::from).into())
    );
    assert_eq!(behind(1), Some(["4", "5", "6"].map(String::from).into()));
    assert_eq!(behind(2), Some(["5", "6"].map(String::from).into()));
    assert_eq!(behind(4), Some(vec![]));
}

#[test]
fn with_two_nodes_events_nobody_knows_who_had_which() {
    let behind = |past: &Past, at| past.behind(at).map(<[Event]>::len);
    // Clients of node 1 had 4 and 6 first, and then 5: with 5 last they had 6, and with 6 last perhaps not 5.
    let two = with_early(past(7, 6, &[3, 4, 5, 6]), 3, &[4, 6], &[5]);
    let told = [0, 1, 2, 3].map(|at| behind(&two, at));
    assert_eq!(told, [Some(3), None, None, None]);
    // The other node took 5 when Redis was back.
    let one = with_early(past(7, 6, &[3, 4, 5, 6]), 3, &[4, 6], &[]);
    let told = [0, 1, 2, 3].map(|at| behind(&one, at));
    assert_eq!(told, [Some(3), Some(2), None, None]);
    assert_eq!(
        one.after(Place {
            epoch: 7,
            number: 5
        }),
        None
    );
    // What comes afterwards makes an end of it.
    let later = with_early(past(7, 8, &[4, 5, 6, 7, 8]), 3, &[4, 6], &[5]);
    assert_eq!(behind(&later, 3), Some(1));
    // A node that did not know the channel knows nothing.
    let mut unknown = with_early(past(7, 2, &[1, 2]), 0, &[2], &[]);
    unknown.early[0].after = None;
    assert_eq!([0, 1].map(|at| behind(&unknown, at)), [None, None]);
}

#[test]
fn who_had_events_in_another_order_than_that_of_their_places_is_told_so() {
    let mut past = with_early(past(7, 6, &[3, 4, 5, 6]), 3, &[4, 5, 6], &[]);
    // Number 5 was given first, then 4, then 6.
    (past.early[0].count, past.early[1].count) = (5, 4);
    let told = [0, 1, 2, 3].map(|at| past.behind(at).map(<[Event]>::len));
    assert_eq!(told, [Some(3), None, None, Some(0)]);
}

proptest! {
    /// Two nodes whose lanes come and go: whatever a client of one of them had, in whatever order, it is then told all that
    /// it did not have, and nothing else; or that something may be missing.
    #[test]
    fn what_followed_is_what_a_client_did_not_have(steps in prop::collection::vec((0usize..2, 0u8..4), 1..60)) {
        let mut placed: Vec<(usize, Option<Option<u64>>)> = Vec::new();
        let mut waiting: [Vec<(usize, u64)>; 2] = Default::default();
        let (mut away, mut heard) = ([false; 2], [0usize; 2]);
        // By node, what its clients were given: numbers of posts.
        let mut given: [Vec<usize>; 2] = Default::default();
        let (mut posts, mut of) = (0, Vec::new());
        let mut places: Vec<usize> = Vec::new();
        for (node, step) in steps {
            match step {
                0 => {
                    away[node] = !away[node];
                    if !away[node] {
                        for (post, after) in waiting[node].drain(..) {
                            placed.push((node, Some((after > 0).then_some(after))));
                            places.push(post);
                        }
                    }
                }
                1 => {
                    of.push(node);
                    if away[node] {
                        given[node].push(posts);
                        waiting[node].push((posts, heard[node] as u64));
                    } else {
                        placed.push((node, None));
                        places.push(posts);
                    }
                    posts += 1;
                }
                _ if heard[node] < placed.len() => {
                    let (from, early) = placed[heard[node]];
                    if from != node || early.is_none() {
                        given[node].push(places[heard[node]]);
                    }
                    heard[node] += 1;
                }
                _ => {}
            }
        }
        let place = |number: u64| Place { epoch: 7, number };
        let early = (1..).zip(&placed).filter_map(|(number, (node, early))| {
            early.map(|after| Early { place: place(number), node: *node as u64, count: number, after: after.map(place) })
        });
        let event = |(number, post): (u64, &usize)| {
            (place(number), Event::new(Channel::new("c", "x"), "n", post.to_string()))
        };
        let past = Past::new(place(places.len() as u64), (1..).zip(&places).map(event).collect())
            .with_early(early.collect());
        let are_early = !past.early.is_empty();
        for given in given {
            for upto in 1..=given.len() {
                let (had, last) = (&given[..upto], given[upto - 1]);
                let Some(at) = places.iter().position(|post| *post == last) else { continue };
                let wanted = places.iter().filter(|post| !had.contains(post));
                let wanted: Vec<String> = wanted.map(usize::to_string).collect();
                match past.behind(at).map(numbers) {
                    Some(told) => prop_assert_eq!(told, wanted),
                    None => prop_assert!(are_early),
                }
            }
        }
    }
}

#[test]
fn a_past_with_a_hole_begins_behind_it() {
    assert_eq!(numbers(&past(7, 5, &[1, 2, 4, 5]).events), ["4", "5"]);
    assert!(past(7, 5, &[1, 2]).events.is_empty());
}

#[test]
fn a_held_subscription_is_given_what_the_past_does_not_have() {
    let past = past(7, 5, &[4, 5]);
    let has = |kept| {
        past.has(&Event {
            kept,
            ..Event::new(Channel::new("c", "x"), "n", "")
        })
    };
    let at = |epoch, number| Kept::At(Place { epoch, number });
    assert!(has(at(7, 5)) && has(at(7, 1)));
    assert!(!has(at(7, 6)) && !has(at(8, 1)) && !has(Kept::No) && !has(Kept::Missed));
}

#[test]
fn what_the_past_has_of_an_older_epoch_is_not_given_again() {
    let places = [(7, 4), (7, 5), (8, 6)].map(|(epoch, number)| Place { epoch, number });
    let past = placed(places[2], places.into_iter());
    let had = past.had();
    assert_eq!((had.newest, had.events.len()), (past.newest, 2));
    for past in [past, had] {
        let has = |epoch, number| {
            let kept = Kept::At(Place { epoch, number });
            past.has(&Event {
                kept,
                ..Event::new(Channel::new("c", "x"), "n", "")
            })
        };
        assert!(has(7, 4) && has(7, 5) && has(8, 6) && has(8, 1));
        assert!(!has(7, 3) && !has(7, 6) && !has(8, 7) && !has(6, 5));
    }
}
