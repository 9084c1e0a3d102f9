//! What nodes say to each other: golden bytes, and bytes that mean nothing.

use proptest::prelude::*;

use super::*;

const STAMP: Stamp = Stamp {
    origin: 0xff,
    partition: 3,
    number: 7,
};

fn event() -> Event {
    Event {
        meta: Bytes::from_static(b"m"),
        recipients: Recipients::users(["b@x", "a@x"]),
        accepted_ms: 1_700_000_000_123,
        idempotency_key: Some(0xab),
        ..Event::new(Channel::new("c", "x"), "n-u", "{}")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reread(bytes: &Bytes) -> Packet {
    read(head(bytes).unwrap(), bytes.clone())
}

#[test]
fn packets_are_these_bytes() {
    let head_of = |kind: &str, span: &str| {
        format!("464702{kind}{span}00000000000000ff000000000000000700000003 00000000")
            .replace(' ', "")
    };
    let packet = Draft::new(event()).stamp(STAMP);
    let body = "03 0000018bcfe5687b 00000000000000ab 00000003 632f78 00000003 6e2d75 00000002 00000003 614078 00000003 624078 00000001 6d 7b7d";
    assert_eq!(
        hex(&packet.bytes),
        head_of("01", "00000001") + &body.replace(' ', "")
    );
    assert_eq!(packet.content, Content::Event(event()));
    assert_eq!(reread(&packet.bytes), packet);
    let plain = Draft::new(Event {
        recipients: Recipients::All,
        idempotency_key: None,
        ..event()
    })
    .stamp(STAMP);
    let body = "00 0000018bcfe5687b 00000003 632f78 00000003 6e2d75 00000001 6d 7b7d";
    assert_eq!(
        hex(&plain.bytes),
        head_of("01", "00000001") + &body.replace(' ', "")
    );
    for (kept, words) in [
        (
            Kept::At(Place {
                epoch: 0x1_0000,
                number: 9,
            }),
            "0000000000010000 0000000000000009",
        ),
        (Kept::Missed, "0000000000000000 0000000000000000"),
    ] {
        let event = Event {
            kept,
            recipients: Recipients::All,
            idempotency_key: None,
            ..event()
        };
        let packet = Draft::new(event).stamp(STAMP);
        let body =
            format!("04 0000018bcfe5687b {words} 00000003 632f78 00000003 6e2d75 00000001 6d 7b7d");
        assert_eq!(
            hex(&packet.bytes),
            head_of("01", "00000001") + &body.replace(' ', "")
        );
    }
    let lost = lost(STAMP, 5, vec![Channel::new("c", "x")]);
    assert_eq!(
        hex(&lost.bytes),
        head_of("02", "00000005") + "0000000100000003632f78"
    );
    assert_eq!((reread(&lost.bytes), lost.end()), (lost.clone(), 12));
}

#[test]
fn what_is_newer_or_damaged_keeps_its_numbers() {
    let packet = Draft::new(event()).stamp(STAMP);
    let changed = |at: usize, to: u8| {
        let mut bytes = packet.bytes.to_vec();
        bytes[at] = to;
        reread(&bytes.into())
    };
    assert_eq!(
        changed(2, 3).content,
        Content::Skipped(Unreadable::Newer),
        "a newer format"
    );
    assert_eq!(
        changed(3, 9).content,
        Content::Skipped(Unreadable::Newer),
        "a newer kind"
    );
    assert_eq!(
        changed(HEAD + 17, 0xff).content,
        Content::Skipped(Unreadable::Malformed),
        "a length beyond the end"
    );
    let cut = reread(&packet.bytes.slice(..HEAD + 20));
    assert_eq!(
        (cut.content, cut.stamp),
        (Content::Skipped(Unreadable::Malformed), STAMP)
    );
    assert_eq!(head(b"1 0123 5 1-1 1-0\n{}"), Err(Unreadable::Older));
    assert_eq!(head(&packet.bytes[..HEAD - 1]), Err(Unreadable::Malformed));
    assert_eq!(head(b"junk"), Err(Unreadable::Malformed));
}

#[test]
fn event_and_packet_share_their_bytes() {
    let packet = Draft::new(event()).stamp(STAMP);
    let Content::Event(event) = &packet.content else {
        panic!("not an event")
    };
    assert_eq!(
        event.data.as_ptr(),
        packet.bytes[packet.bytes.len() - 2..].as_ptr()
    );
}

proptest! {
    #[test]
    fn any_event_reads_back(
        name in ".{0,20}", data in prop::collection::vec(any::<u8>(), 0..300), users in prop::option::of(prop::collection::vec(".{0,9}", 0..4)),
        key in prop::option::of(any::<u64>()), accepted_ms in any::<u64>(), number in any::<u64>(),
        kept in prop_oneof![Just(Kept::No), Just(Kept::Missed), (1u64.., 1u64..).prop_map(|(epoch, number)| Kept::At(Place { epoch, number }))],
    ) {
        let recipients = users.map_or(Recipients::All, Recipients::users);
        let event = Event { recipients, accepted_ms, idempotency_key: key, kept, ..Event::new(Channel::new("c", &name), &name, data) };
        let packet = Draft::new(event.clone()).stamp(Stamp { number, ..STAMP });
        prop_assert_eq!(&packet.content, &Content::Event(event));
        prop_assert_eq!(reread(&packet.bytes), packet);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..4) {
        let mut packet = Draft::new(event()).stamp(STAMP).bytes.to_vec();
        packet[3] = kind;
        packet.truncate(HEAD);
        packet.extend(&bytes);
        reread(&packet.into());
        let _ = head(&bytes);
    }
}
