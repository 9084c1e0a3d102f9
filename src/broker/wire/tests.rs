//! What nodes say to each other: golden bytes, and bytes that mean nothing.

use proptest::prelude::*;

use super::*;
use crate::broker::log::EntryId;

const EVENT: &[u8] =
    b"{\"v\":1,\"o\":\"00000000000000ff\",\"n\":7,\"c\":\"repo/x\",\"t\":1700000000123,\"u\":[\"a@x\",\"b@x\"]}\n{\"type\":\"t\"}\n";
const KEYED: &[u8] =
    b"{\"v\":1,\"o\":\"00000000000000ff\",\"n\":7,\"c\":\"repo/x\",\"t\":1700000000123,\"i\":\"00000000000000ab\",\"u\":[\"a@x\",\"b@x\"]}\n{\"type\":\"t\"}\n";
const LOST: &[u8] = b"{\"v\":1,\"o\":\"00000000000000ff\",\"n\":8,\"k\":\"lost\",\"l\":[\"repo/x\"]}\n";
const STAMP: Stamp = Stamp { origin: 255, counter: 7 };

fn event() -> Event {
    Event {
        channel: Channel::new("repo", "x"),
        payload: Bytes::from_static(b"{\"type\":\"t\"}\n"),
        recipients: Recipients::users(["b@x", "a@x"]),
        accepted_ms: 1_700_000_000_123,
        idempotency_key: None,
    }
}

#[test]
fn bodies_are_these_bytes() {
    let (body, same) = encode_event(STAMP, event());
    assert_eq!((&body[..], &same), (EVENT, &event()));
    assert_eq!(decode_body(EVENT), Ok(Body::Event(STAMP, event())));
    let keyed = Event { idempotency_key: Some(0xab), ..event() };
    assert_eq!(&encode_event(STAMP, keyed.clone()).0[..], KEYED);
    assert_eq!(decode_body(KEYED), Ok(Body::Event(STAMP, keyed)));
    let lost = Stamp { origin: 255, counter: 8 };
    assert_eq!(&encode_lost(lost, Some(&[Channel::new("repo", "x")]))[..], LOST);
    assert_eq!(decode_body(LOST), Ok(Body::Lost(lost, Some(vec![Channel::new("repo", "x")]))));
    assert_eq!(decode_body(&encode_lost(lost, None)), Ok(Body::Lost(lost, None)));
}

#[test]
fn messages_are_these_bytes() {
    let message = Bytes::from_static(b"1 00000000000000aa 12 1700000000000-1 1699999999999-0\nbody\nmore");
    let entry = Entry {
        seq: 12,
        id: EntryId { ms: 1_700_000_000_000, n: 1 },
        prev: EntryId { ms: 1_699_999_999_999, n: 0 },
        body: Bytes::from_static(b"body\nmore"),
    };
    assert_eq!(decode_message(&message), Ok(Message::Entry(Heard { epoch: 170, entry })));
    assert_eq!(decode_message(&Bytes::from(encode_canary())), Ok(Message::Canary));
}

#[test]
fn a_newer_message_keeps_its_place_and_a_newer_body_is_skipped() {
    let newer = Bytes::from_static(b"9 00000000000000aa 12 5-1 5-0 else\n{\"v\":9}\n\0");
    let Ok(Message::Entry(heard)) = decode_message(&newer) else { panic!("unread") };
    assert_eq!(heard.entry.seq, 12);
    assert_eq!(decode_body(&heard.entry.body), Err(Unreadable::Newer));
    assert_eq!(decode_message(&Bytes::from_static(b"9 x")), Err(Unreadable::Newer));
    assert_eq!(decode_body(b"{\"v\":1,\"o\":\"00000000000000ff\",\"n\":1,\"k\":\"new\"}\n"), Err(Unreadable::Newer));
    assert_eq!(decode_message(&Bytes::from_static(b"hello")), Err(Unreadable::Malformed));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_body(&bytes);
        let _ = decode_message(&Bytes::from(bytes));
    }

    #[test]
    fn damaged_bodies_never_panic(at in 0usize..EVENT.len(), with in any::<u8>()) {
        let mut bytes = EVENT.to_vec();
        bytes[at] = with;
        let _ = decode_body(&bytes);
    }

    #[test]
    fn events_survive(channel in ".{0,40}", payload in prop::collection::vec(any::<u8>(), 0..100),
                      users in prop::option::of(prop::collection::vec(".{0,10}", 0..4)),
                      origin in any::<u64>(), counter in any::<u64>(), accepted_ms in any::<u64>(),
                      idempotency_key in any::<Option<u64>>()) {
        let recipients = users.map_or(Recipients::All, Recipients::users);
        let channel = Channel::from_text(&channel);
        let event = Event { channel, payload: payload.into(), recipients, accepted_ms, idempotency_key };
        let stamp = Stamp { origin, counter };
        prop_assert_eq!(decode_body(&encode_event(stamp, event.clone()).0), Ok(Body::Event(stamp, event)));
    }
}
