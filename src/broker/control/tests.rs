//! What nodes tell each other, to bytes and back.

use super::*;

#[test]
fn what_is_said_is_read_back_and_anything_else_is_skipped() {
    let about = About {
        name: "a".into(),
        partitions: 64,
        up: vec![true, false],
        ..About::default()
    };
    let said = [
        Control::Announce(Announcement {
            about,
            numbers: vec![(3, 9)],
            silent: vec![(8, vec![(1, 2)]), (9, vec![])],
            view: Bytes::from_static(b"{}"),
        }),
        Control::Leave(vec![(3, 9)]),
        Control::Ask(Ask {
            id: 7,
            origin: 8,
            partition: 9,
            from: 10,
            to: 11,
            most: 12,
        }),
        Control::Fill(Fill {
            id: 7,
            packets: vec![Bytes::from_static(b"x"), Bytes::new()],
        }),
        Control::Fill(Fill {
            id: 7,
            packets: vec![],
        }),
        Control::SyncAsk {
            id: 1,
            cursor: 2,
            replay_ms: 3,
            most: 4,
        },
        Control::Sync(Sync {
            id: 1,
            next: vec![Known {
                origin: 1,
                partition: 2,
                next: 3,
                head: 4,
            }],
            silent: vec![(1, 7)],
            unsure: vec![9],
            recent: vec![(5, Bytes::from_static(b"p"))],
            cursor: Some(4),
        }),
        Control::Sync(Sync {
            id: 1,
            ..Sync::default()
        }),
        Control::Question {
            id: 5,
            body: Bytes::from_static(b"q\n"),
        },
        Control::Answer {
            id: 5,
            body: Bytes::new(),
        },
        Control::Canary(9),
    ];
    for control in said {
        let bytes = control.write(77);
        let head = packet::head(&bytes).unwrap();
        assert!(head.kind >= CONTROL && head.stamp.origin == 77);
        assert_eq!(Control::read(head, &bytes), Some(control.clone()));
        let newer = Head { kind: 0xff, ..head };
        assert_eq!(Control::read(newer, &bytes), None);
        for cut in HEAD..bytes.len() {
            // It may read as something shorter, and must not panic or reserve what its counts claim.
            let _ = Control::read(head, &bytes.slice(..cut));
        }
    }
}
