//! Which events leave when, case by case.

use proptest::prelude::*;

use super::*;

fn event(library: u8, n: usize) -> Event {
    Event::new(
        Channel::new("repo", &library.to_string()),
        "news",
        n.to_string(),
    )
}

#[derive(Clone, Debug)]
enum Step {
    Plain(u8),
    Group(u8),
    /// Settles one of the unresolved, for somebody or for nobody.
    Settle(prop::sample::Index, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8).prop_map(Step::Plain),
        (0..4_u8).prop_map(Step::Group),
        (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, some)| Step::Settle(at, some)),
    ]
}

proptest! {
    #[test]
    fn each_library_keeps_its_order_and_loses_nothing(
        steps in prop::collection::vec(step(), 0..300),
        max in prop_oneof![Just(usize::MAX), 1..20_usize],
    ) {
        let mut line = WaitingRoom::new(Bounds { events: max, bytes: usize::MAX });
        let (mut open, mut nobody, mut out) = (Vec::new(), std::collections::HashSet::new(), Vec::new());
        let mut accepted: HashMap<Channel, Vec<usize>> = HashMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Plain(library) => {
                    let event = event(library, n);
                    accepted.entry(event.channel.clone()).or_default().push(n);
                    if line.holds(&event.channel) { line.push(event) } else { out.push(event) }
                }
                Step::Group(library) => {
                    let event = event(library, n);
                    accepted.entry(event.channel.clone()).or_default().push(n);
                    open.push((line.push_unresolved(event, 7), n));
                }
                Step::Settle(at, some) if !open.is_empty() => {
                    let (ticket, n) = open.swap_remove(at.index(open.len()));
                    if !some && line.unresolved.contains_key(&ticket) {
                        nobody.insert(n);
                    }
                    let outcome = if some { Outcome::For(Recipients::users(["u"])) } else { Outcome::Nobody };
                    line.settle(ticket, outcome, |event| out.push(event));
                }
                Step::Settle(..) => {}
            }
            while let Some((ticket, _)) = line.over() {
                nobody.extend(open.iter().filter(|(open, _)| *open == ticket).map(|(_, n)| *n));
                line.settle(ticket, Outcome::Nobody, |event| out.push(event));
            }
            prop_assert!(line.waiting() <= max);
        }
        for (ticket, _) in open {
            line.settle(ticket, Outcome::For(Recipients::All), |event| out.push(event));
        }
        prop_assert_eq!((line.events, line.bytes, line.libraries.len(), line.unresolved.len()), (0, 0, 0, 0));
        let mut left: HashMap<Channel, Vec<usize>> = HashMap::new();
        for event in out {
            let n = std::str::from_utf8(&event.data).expect("a number").parse().expect("a number");
            left.entry(event.channel).or_default().push(n);
        }
        for order in accepted.values_mut() {
            order.retain(|n| !nobody.contains(n));
        }
        accepted.retain(|_, order| !order.is_empty());
        prop_assert_eq!(left, accepted);
    }
}

#[test]
fn bytes_are_bounded_too() {
    let mut line = WaitingRoom::new(Bounds {
        events: 100,
        bytes: 1_000,
    });
    let first = line.push_unresolved(event(0, 1), 7);
    while line.over().is_none() {
        line.push(event(0, 2));
    }
    assert!(line.bytes > 1_000 && line.waiting() < 20);
    assert_eq!(line.over(), Some((first, 7)));
    let mut left = 0;
    line.settle(first, Outcome::Nobody, |_| left += 1);
    assert!(left > 5 && line.waiting() == 0);
}

fn texts(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .map(|event| std::str::from_utf8(&event.data).expect("text"))
        .collect()
}

#[test]
fn who_steps_aside_lets_the_others_pass_and_comes_when_it_can() {
    let mut line = WaitingRoom::new(Bounds {
        events: 100,
        bytes: usize::MAX,
    });
    let first = line.push_unresolved(event(0, 1), 7);
    line.push(event(0, 2));
    let third = line.push_unresolved(event(0, 3), 8);
    line.push(event(0, 4));
    let mut out = Vec::new();
    line.step_aside(first, |event| out.push(event));
    assert_eq!((texts(&out), line.waiting()), (vec!["2"], 3));
    line.step_aside(third, |event| out.push(event));
    assert_eq!((texts(&out), line.waiting()), (vec!["2", "4"], 2));
    assert!(!line.holds(&out[0].channel));
    line.settle(third, Outcome::For(Recipients::All), |event| {
        out.push(event)
    });
    assert_eq!(texts(&out), ["2", "4", "3"]);
    line.settle(first, Outcome::Lost, |event| out.push(event));
    assert!(out.last().is_some_and(Event::is_loss));
    assert_eq!(
        (
            line.events,
            line.bytes,
            line.aside.len(),
            line.unresolved.len()
        ),
        (0, 0, 0, 0)
    );
}

#[test]
fn what_is_given_up_leaves_a_loss_in_its_place() {
    let mut line = WaitingRoom::new(Bounds {
        events: 100,
        bytes: usize::MAX,
    });
    let first = line.push_unresolved(event(0, 1), 7);
    line.push(event(0, 2));
    let mut out = Vec::new();
    line.settle(first, Outcome::Lost, |event| out.push(event));
    assert!(out[0].is_loss() && out[0].channel == out[1].channel);
    assert_eq!((texts(&out[1..]), line.bytes), (vec!["2"], 0));
}
