//! The publisher's queue without a connection.

use super::super::config::Bounds;
use super::*;
use crate::broker::wire::Body;
use crate::event::Recipients;

fn event(name: u64) -> Event {
    Event {
        channel: Channel::new("repo", &name.to_string()),
        payload: name.to_string().into(),
        recipients: Recipients::All,
        accepted_ms: 0,
        idempotency_key: None,
    }
}

fn push(out: &mut Outgoing, name: u64, waiting: &Waiting) -> (Vec<u64>, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel();
    let handed = out.push((event(name), sender), false, waiting);
    (handed.iter().map(|(stamp, _)| stamp.counter).collect(), receiver)
}

fn bodies(out: &mut Outgoing) -> Vec<String> {
    out.batch()
        .iter()
        .map(|body| match wire::decode_body(body).unwrap() {
            Body::Event(_, event) => event.channel.name().to_owned(),
            Body::Lost(_, channels) => format!("lost {}", channels.map_or(99, |list| list.len())),
        })
        .collect()
}

#[test]
fn what_was_confirmed_goes_out_again_before_newer_events() {
    let (waiting, mut out) = (Waiting::new(Bounds::default()), Outgoing::new(1, 2));
    let receipts: Vec<_> = (1..=3).map(|name| push(&mut out, name, &waiting).1).collect();
    assert_eq!(bodies(&mut out), ["1", "2", "3"]);
    out.confirm(2, &waiting, Instant::now());
    assert_eq!(waiting.count(), 1);
    let done: Vec<bool> = receipts.into_iter().map(|mut receipt| receipt.try_recv().is_ok()).collect();
    assert_eq!(done, [true, true, false]);
    assert_eq!(out.republish(Instant::now()), 2);
    assert_eq!(bodies(&mut out), ["1", "2", "3"]);
    out.confirm(3, &waiting, Instant::now());
    assert_eq!((waiting.count(), waiting.bytes()), (0, 0));
}

#[test]
fn events_are_handed_over_in_order_and_once() {
    let (waiting, mut out) = (Waiting::new(Bounds::default()), Outgoing::new(1, 2));
    assert!(push(&mut out, 1, &waiting).0.is_empty());
    out.confirm(1, &waiting, Instant::now());
    push(&mut out, 2, &waiting).0.clear();
    let counters = |list: Vec<(Stamp, Event)>| list.iter().map(|(s, _)| s.counter).collect::<Vec<_>>();
    assert_eq!(counters(out.hand_over()), [1, 2], "the first was confirmed but may not have come back yet");
    assert_eq!(push(&mut out, 3, &waiting).0, [3]);
    assert_eq!(out.oldest_unhanded(), None);
    out.confirm(2, &waiting, Instant::now());
    assert!(push(&mut out, 4, &waiting).0.is_empty(), "Redis is back");
    assert!(out.oldest_unhanded().is_some());
}

#[test]
fn what_is_dropped_leaves_its_name() {
    let bounds = Bounds { count: 2, bytes: 10_000, age: Duration::from_secs(60) };
    let (waiting, mut out) = (Waiting::new(bounds), Outgoing::new(1, 2));
    push(&mut out, 1, &waiting).0.clear();
    push(&mut out, 2, &waiting).0.clear();
    assert_eq!(push(&mut out, 3, &waiting).0, [1, 2, 3], "too many: all that can be done is to hand it over");
    assert_eq!(bodies(&mut out), ["lost 1", "1", "2"]);
    out.expire(&waiting, Instant::now() + Duration::from_secs(61));
    assert_eq!((waiting.count(), waiting.bytes()), (0, 0));
    assert_eq!(bodies(&mut out), ["lost 1"], "in flight as it is");
    out.confirm(1, &waiting, Instant::now());
    assert_eq!(bodies(&mut out), ["lost 2"]);
    out.confirm(1, &waiting, Instant::now());
    assert!(out.is_empty());
}
