//! Balances of small sites, by hand.

use super::*;
use crate::dialect::{Dialect, Manner};

fn plan(clients: u32, channels: u32, per_client: u32, ledger: bool) -> Plan {
    Plan {
        dialect: Dialect::Seafile,
        manner: Manner::Web,
        targets: vec![],
        key: String::new(),
        run: 1,
        clients,
        first: 3,
        channels,
        per_client,
        posters: 1,
        sources: 1,
        source_base: 0,
        in_flight: 0,
        connect_rate: 0,
        reconnect_ms: None,
        ledger,
        wrong_key: false,
        stuck: 0,
        hang_up_rate: 0,
        recover: false,
    }
}

fn event(channel: u32, seq: u32) -> Stamp {
    Stamp {
        run: 1,
        channel,
        seq,
        at_ns: 0,
    }
}

#[test]
fn each_client_knows_its_libraries() {
    let b = Book::new(&plan(4, 10, 3, false));
    for i in 0..4 {
        let mine: Vec<u32> = (0..3).map(|j| b.channel(i, j)).collect();
        for c in 0..12 {
            assert_eq!(
                b.cell(i, c).is_some(),
                mine.contains(&c),
                "client {i} channel {c}"
            );
        }
    }
}

#[test]
fn duplicates_and_order_with_and_without_a_ledger() {
    for ledger in [false, true] {
        let mut b = Book::new(&plan(1, 1, 1, ledger));
        b.arrived(0, 1);
        let got: Vec<Receipt> = [1, 3, 3, 2]
            .into_iter()
            .map(|n| b.receive(0, event(0, n)))
            .collect();
        assert_eq!(
            got,
            [
                Receipt::Good,
                Receipt::Good,
                Receipt::Duplicate,
                Receipt::Late
            ],
            "{ledger}"
        );
        assert_eq!(b.receive(0, event(9, 1)), Receipt::Foreign);
        b.left(0, 2, false);
        b.arrived(0, 3);
        let again = if ledger {
            Receipt::Again
        } else {
            Receipt::Good
        };
        assert_eq!(
            b.receive(0, event(0, 3)),
            again,
            "a new connection may be told again"
        );
    }
}

#[test]
fn the_balance() {
    const S: u64 = 1_000_000;
    let mut b = Book::new(&plan(1, 1, 1, true));
    b.arrived(0, 10 * S);
    b.left(0, 100 * S, false);
    b.arrived(0, 105 * S); // within the replay of 10 s: was there all the time
    b.left(0, 200 * S, false);
    b.arrived(0, 300 * S); // long away
    b.left(0, 350 * S, true);
    b.arrived(0, 351 * S);
    for n in [6, 3, 2] {
        b.receive(0, event(0, n));
    }
    let at = [5, 20, 0, 102, 250, 340, 345, 360].map(|s| s * S).to_vec();
    let l = b.settle(&Settle {
        accepted: vec![at],
        replay_us: 10 * S,
    });
    // 1: before it came. 2: made. 3: not accepted. 4: in the short gap. 5: away. 6: made. 7: resync. 8: missing.
    // 3 and 2 came late, but 3 was not accepted: one out of order.
    assert_eq!(
        (l.owed, l.made, l.missing, l.told, l.excused, l.unaccepted),
        (5, 2, 2, 1, 2, 1)
    );
    assert_eq!(l.reordered, 1);
    assert_eq!(
        l.examples,
        [
            "out of order: client 3, library 0, event 2",
            "missing: client 3, library 0, event 4",
            "missing: client 3, library 0, event 8"
        ]
    );
}

/// Of one client that recovers.
fn recovers() -> Book {
    Book::new(&Plan {
        dialect: Dialect::Centrifugo1,
        recover: true,
        ..plan(1, 1, 1, true)
    })
}

#[test]
fn who_recovers_is_owed_what_came_while_it_was_away() {
    const S: u64 = 1_000_000;
    let mut b = recovers();
    let receive = |b: &mut Book, n| b.receive(0, event(0, n));
    b.arrived(0, 10 * S);
    assert_eq!(receive(&mut b, 2), Receipt::Good);
    b.left(0, 100 * S, false);
    // Back after long, and all is there: once, and behind what it had.
    assert_eq!(receive(&mut b, 2), Receipt::Duplicate);
    assert_eq!(receive(&mut b, 4), Receipt::Good);
    assert_eq!(receive(&mut b, 3), Receipt::Late);
    b.arrived(0, 300 * S);
    b.left(0, 400 * S, false);
    // Back, and told that something is missing: what is kept comes again.
    b.hole(0, 500 * S);
    assert_eq!(receive(&mut b, 4), Receipt::Again);
    assert_eq!(receive(&mut b, 7), Receipt::Good);
    b.arrived(0, 500 * S);
    // It comes after all, late and twice.
    assert_eq!(receive(&mut b, 6), Receipt::Late);
    assert_eq!(receive(&mut b, 6), Receipt::Duplicate);
    let at = [20, 30, 150, 200, 350, 450, 460, 510]
        .map(|s| s * S)
        .to_vec();
    let l = b.settle(&Settle {
        accepted: vec![at],
        replay_us: 10 * S,
    });
    // 1: missing, since the client had 2 when it was told of the hole. 5: in the hole. 8: after it, so missing.
    assert_eq!(
        (l.owed, l.made, l.missing, l.told, l.excused),
        (8, 5, 2, 1, 0)
    );
    assert_eq!((l.reordered, l.late_told), (1, 1));
    assert_eq!((l.duplicates, l.doubled_told), (1, 1));
    assert_eq!(
        l.examples,
        [
            "duplicated: client 3, library 0, event 2",
            "out of order: client 3, library 0, event 3",
            "missing: client 3, library 0, event 1",
            "missing: client 3, library 0, event 8"
        ]
    );
}

#[test]
fn what_was_missed_is_missing_though_it_comes_with_a_later_hole() {
    const S: u64 = 1_000_000;
    let mut b = recovers();
    b.arrived(0, 10 * S);
    assert_eq!(b.receive(0, event(0, 2)), Receipt::Good);
    b.left(0, 100 * S, false);
    b.hole(0, 200 * S);
    for (n, receipt) in [(1, Receipt::Good), (2, Receipt::Again), (3, Receipt::Good)] {
        assert_eq!(b.receive(0, event(0, n)), receipt);
    }
    b.arrived(0, 200 * S);
    let l = b.settle(&Settle {
        accepted: vec![[20, 30, 150].map(|s| s * S).to_vec()],
        replay_us: 10 * S,
    });
    assert_eq!((l.owed, l.made, l.missing, l.told), (3, 2, 1, 0));
}

#[test]
fn each_of_a_librarys_posters_has_an_order_of_its_own() {
    for ledger in [false, true] {
        let mut b = Book::new(&Plan {
            posters: 3,
            ..plan(1, 1, 1, ledger)
        });
        b.arrived(0, 1);
        let got: Vec<Receipt> = [4, 2, 3, 6, 5, 1, 4]
            .into_iter()
            .map(|n| b.receive(0, event(0, n)))
            .collect();
        assert_eq!(got[..5], [Receipt::Good; 5], "{ledger}");
        assert_eq!(got[5..], [Receipt::Late, Receipt::Duplicate], "{ledger}");
    }
}

#[test]
fn a_hole_is_behind_what_the_client_had_of_each_poster() {
    const S: u64 = 1_000_000;
    let mut b = Book::new(&Plan {
        dialect: Dialect::Centrifugo1,
        recover: true,
        posters: 2,
        ..plan(1, 1, 1, true)
    });
    let receive = |b: &mut Book, numbers: &[u32]| {
        for n in numbers {
            b.receive(0, event(0, *n));
        }
    };
    b.arrived(0, 10 * S);
    // Of the one poster it had 1 and 5, of the other 2.
    receive(&mut b, &[1, 2, 5]);
    b.left(0, 90 * S, false);
    b.hole(0, 100 * S);
    b.arrived(0, 100 * S);
    b.left(0, 110 * S, false);
    // Told so again before anything came: what it had before still counts.
    b.hole(0, 120 * S);
    b.arrived(0, 120 * S);
    // 9 comes before 7, and 2 once more; 12 before 10, which was posted after all holes.
    receive(&mut b, &[2, 9, 7, 12, 10, 11]);
    let at = [20, 20, 30, 30, 40, 40, 50, 105, 105, 130, 130, 140]
        .map(|s| s * S)
        .to_vec();
    let l = b.settle(&Settle {
        accepted: vec![at],
        replay_us: 10 * S,
    });
    // Missing: 3, which the client had 5 behind. Told of: 4, 6 and 8.
    assert_eq!((l.owed, l.made, l.missing, l.told), (12, 8, 1, 3));
    assert_eq!((l.reordered, l.late_told), (1, 1));
    assert_eq!((l.duplicates, l.doubled_told), (0, 0));
    assert_eq!(
        l.examples,
        [
            "out of order: client 3, library 0, event 10",
            "missing: client 3, library 0, event 3"
        ]
    );
}
