//! Numbers without holes, drops that leave their names, confirmations in any order.

use super::*;
use crate::event::Event;

fn draft(channel: &str) -> Draft {
    Draft::new(Event::new(Channel::new("c", channel), "news", "{}"))
}

fn push(outgoing: &mut Outgoing, channel: &str, now_ms: u64) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    outgoing.push(draft(channel), sender, now_ms);
    receiver
}

fn pending(outgoing: &Outgoing) -> Vec<(u64, u32, bool)> {
    let row = |packet: &Packet| {
        (
            packet.stamp.number,
            packet.span,
            matches!(packet.content, Content::Event(_)),
        )
    };
    outgoing.from(1).map(row).collect()
}

#[test]
fn what_is_confirmed_leaves_and_fulfils_its_receipt() {
    let mut outgoing = Outgoing::new(1, 0);
    let mut receipts: Vec<_> = (0..4).map(|_| push(&mut outgoing, "x", 0)).collect();
    assert!(outgoing.confirm(2).is_some_and(|cost| cost > 0));
    assert_eq!(
        (
            outgoing.confirmed(),
            outgoing.confirm(2),
            outgoing.confirm(9)
        ),
        (0, None, None)
    );
    assert!(outgoing.confirm(1).is_some());
    assert_eq!(
        (outgoing.confirmed(), pending(&outgoing)),
        (2, vec![(3, 1, true), (4, 1, true)])
    );
    assert!(
        receipts[0].try_recv().is_ok()
            && receipts[1].try_recv().is_ok()
            && receipts[2].try_recv().is_err()
    );
}

#[test]
fn what_is_dropped_keeps_its_numbers_and_its_channels() {
    let mut outgoing = Outgoing::new(1, 0);
    let mut first = push(&mut outgoing, "a", 0);
    push(&mut outgoing, "b", 0);
    push(&mut outgoing, "c", 100);
    outgoing.drop_new(draft("d"), 100);
    outgoing.drop_new(draft("e"), 100);
    assert_eq!(outgoing.expire(50).len(), 2);
    assert!(first.try_recv().is_err(), "its receipt is not fulfilled");
    assert_eq!(
        pending(&outgoing),
        [(1, 2, false), (3, 1, true), (4, 2, false)]
    );
    let Some(Packet {
        content: Content::Lost(channels),
        ..
    }) = outgoing.get(2)
    else {
        panic!("not lost")
    };
    assert_eq!(
        channels.iter().map(Channel::name).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        (
            outgoing.send(2),
            outgoing.send(1).is_some(),
            outgoing.last()
        ),
        (None, true, 5)
    );
}

#[test]
fn what_the_carrier_was_given_stands_for_no_more_than_it_did() {
    let mut outgoing = Outgoing::new(1, 0);
    outgoing.drop_new(draft("a"), 0);
    outgoing.send(1).unwrap();
    outgoing.drop_new(draft("b"), 0);
    assert_eq!(pending(&outgoing), [(1, 1, false), (2, 1, false)]);
}

#[test]
fn very_many_channels_become_all() {
    let mut outgoing = Outgoing::new(1, 0);
    (0..=CHANNELS).for_each(|n| drop(outgoing.drop_new(draft(&n.to_string()), 0)));
    let Some(Packet {
        content: Content::Lost(channels),
        span,
        ..
    }) = outgoing.get(1)
    else {
        panic!("not lost")
    };
    assert_eq!((channels.len(), *span), (0, CHANNELS as u32 + 1));
    outgoing.drop_new(draft("one more"), 0);
    assert!(
        matches!(outgoing.get(1), Some(Packet { content: Content::Lost(channels), .. }) if channels.is_empty())
    );
}

#[test]
fn what_was_said_of_dropped_events_can_be_said_again() {
    let mut outgoing = Outgoing::new(1, 0);
    push(&mut outgoing, "a", 0);
    outgoing.drop_new(draft("b"), 0);
    outgoing.drop_new(draft("c"), 0);
    let said = |outgoing: &Outgoing, from, to| -> Vec<(u64, u32)> {
        let row = |packet: &Packet| (packet.stamp.number, packet.span);
        outgoing.said(from, to).map(row).collect()
    };
    assert!(outgoing.send(2).is_some());
    outgoing.confirm(1);
    assert_eq!(said(&outgoing, 1, 9), [], "nobody has heard of it");
    outgoing.confirm(2);
    assert_eq!(pending(&outgoing), []);
    assert_eq!(said(&outgoing, 1, 9), [(2, 2)]);
    assert_eq!(said(&outgoing, 3, 9), [(2, 2)], "a part of it");
    assert_eq!(
        (said(&outgoing, 4, 9), said(&outgoing, 1, 2)),
        (vec![], vec![])
    );
    for number in 4..54 {
        outgoing.drop_new(draft("d"), 0);
        assert!(outgoing.send(number).is_some());
        outgoing.confirm(number);
    }
    assert_eq!(said(&outgoing, 1, 1_000).len(), SAID);
}
