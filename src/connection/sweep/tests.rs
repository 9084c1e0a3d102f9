//! What is due, and what is not.

use super::*;
use crate::outbox::Bounds;
use crate::outbox::testing::BARE;
use tokio::net::{TcpListener, TcpStream};

const LIVENESS: Liveness = Liveness {
    ping: Duration::from_secs(3_600),
    unauthenticated: None,
    pong: None,
};

async fn peer(id: u64) -> Arc<Tracked> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let (_, writer) = near.unwrap().0.into_split();
    let bounds = Bounds {
        messages: 10,
        bytes: 1_000,
    };
    Tracked::new(
        Outbox::new(id, &BARE, bounds, writer),
        far.unwrap().local_addr().unwrap().ip(),
    )
}

#[tokio::test]
async fn a_tick_comes_once_when_it_is_due_and_the_last_one_asked_for_counts() {
    let (register, soon) = (Registry::new(LIVENESS.ping), now_ms() + 60_000);
    let (mut all, liveness) = (Vec::new(), Arc::new(LIVENESS));
    // More than slots, so that some share one.
    for id in 0..50 {
        let peer = peer(id).await;
        all.push((register.join(Arc::clone(&peer), &liveness), peer));
    }
    let visit = || register.slots.iter().for_each(|slot| slot.visit());
    let ticked = || {
        all.iter()
            .map(|(_, peer)| peer.take_tick())
            .collect::<Vec<_>>()
    };
    for (n, (registered, _)) in all.iter().enumerate() {
        registered.tick_at(Some(if n < 25 { soon } else { 1 }));
    }
    visit();
    assert_eq!(ticked(), (0..50).map(|n| n >= 25).collect::<Vec<_>>());
    visit();
    assert_eq!(ticked(), [false; 50]);
    for (registered, _) in &all[..10] {
        registered.tick_at(Some(1));
    }
    for (registered, _) in &all[10..20] {
        registered.tick_at(None);
    }
    visit();
    assert_eq!(ticked(), (0..50).map(|n| n < 10).collect::<Vec<_>>());
    let next: Vec<_> = register
        .slots
        .iter()
        .map(|slot| slot.next_tick.load(Ordering::SeqCst))
        .collect();
    assert!(
        next.iter().all(|at| *at == soon || *at == u64::MAX) && next.contains(&soon),
        "{next:?}"
    );
}

fn entry(peer: &Arc<Tracked>, liveness: Liveness) -> Entry {
    let (peer, liveness, next_ping) = (Arc::clone(peer), Arc::new(liveness), peer.born + 9_000);
    Entry {
        peer,
        liveness,
        look_at: 0,
        next_ping,
        asked: None,
        unanswered: 0,
    }
}

#[tokio::test]
async fn a_connection_is_looked_at_by_when_something_may_be_due() {
    let (peer, limit) = (peer(1).await, Duration::from_secs(4));
    let mut entry = entry(&peer, LIVENESS);
    let at = |entry: &mut Entry, liveness: Liveness, now: u64| {
        entry.liveness = Arc::new(liveness);
        entry.look_again(now);
        entry.look_at - peer.born
    };
    let impatient = Liveness {
        unauthenticated: Some(limit),
        ..LIVENESS
    };
    assert_eq!(at(&mut entry, impatient, peer.born), 4_001);
    peer.mark_subscribed();
    assert_eq!(at(&mut entry, impatient, peer.born), 9_000);
    assert_eq!(at(&mut entry, LIVENESS, peer.born + 2_000), 9_000);
    entry.next_ping += 1_000_000;
    assert_eq!(at(&mut entry, LIVENESS, peer.born + 7_000), 17_001);
    peer.mark_pinger();
    let heard = peer.heard() - peer.born;
    assert_eq!(at(&mut entry, LIVENESS, peer.born + 7_000), heard + 10_001);
}

#[tokio::test]
async fn where_pongs_are_due_by_a_time_a_client_without_one_is_given_up_then() {
    let peer = peer(1).await;
    let (second, pong) = (Duration::from_secs(1), Some(Duration::from_millis(100)));
    let mut entry = entry(
        &peer,
        Liveness {
            ping: second,
            pong,
            ..LIVENESS
        },
    );
    let now = peer.heard() + 10_000;
    assert!(entry.look(now), "it is pinged");
    entry.look_again(now);
    assert_eq!(entry.look_at, now + 100);
    assert!(!entry.look(now + 99) && !peer.outbox.is_closing());
    entry.look(now + 100);
    assert!(peer.outbox.is_closing());
}

#[tokio::test]
async fn who_does_not_take_the_end_of_its_connection_is_cut_off() {
    let cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let hang_up = {
        let cut = Arc::clone(&cut);
        move || cut.store(true, Ordering::SeqCst)
    };
    let outbox = Outbox::taken(
        1,
        &BARE,
        Bounds {
            messages: 10,
            bytes: 1_000,
        },
        hang_up,
    );
    let peer = Tracked::new(outbox, [127, 0, 0, 1].into());
    let mut entry = entry(&peer, LIVENESS);
    peer.outbox.end(&Why::Slow);
    let now = peer.born + 20_000;
    entry.look(now);
    entry.look_again(now);
    assert!(!cut.load(Ordering::SeqCst), "it may be taking it just now");
    let due = entry.look_at;
    assert!(due - now <= 5_001);
    entry.look(due);
    assert!(cut.load(Ordering::SeqCst));
}
