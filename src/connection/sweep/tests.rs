//! What is due, and what is not.

use super::*;
use crate::connection::Client;
use crate::connection::outbox::Bounds;
use tokio::net::{TcpListener, TcpStream};

const LIVENESS: Liveness = Liveness { ping: Duration::from_secs(3_600), unauthenticated: None };

async fn peer(id: u64) -> Arc<Peer> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (_, writer) = near.unwrap().0.into_split();
    let bounds = Bounds { messages: 10, bytes: 1_000 };
    Peer::new(Outbox::new(id, Client::Other, bounds, writer), far.unwrap().local_addr().unwrap().ip())
}

#[tokio::test]
async fn a_tick_comes_once_when_it_is_due_and_the_last_one_asked_for_counts() {
    let (register, soon) = (Register::new(LIVENESS), now_ms() + 60_000);
    let mut all = Vec::new();
    // More than slots, so that some share one.
    for id in 0..50 {
        let peer = peer(id).await;
        all.push((register.join(Arc::clone(&peer)), peer));
    }
    let visit = || register.slots.iter().for_each(|slot| slot.visit(LIVENESS));
    let ticked = || all.iter().map(|(_, peer)| peer.take_tick()).collect::<Vec<_>>();
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
    let next: Vec<_> = register.slots.iter().map(|slot| slot.next_tick.load(Ordering::SeqCst)).collect();
    assert!(next.iter().all(|at| *at == soon || *at == u64::MAX) && next.contains(&soon), "{next:?}");
}

#[tokio::test]
async fn a_connection_is_looked_at_by_when_something_may_be_due() {
    let (peer, limit) = (peer(1).await, Duration::from_secs(4));
    let mut entry =
        Entry { peer: Arc::clone(&peer), look_at: 0, next_ping: peer.born + 9_000, asked: None, unanswered: 0 };
    let mut at = |liveness: Liveness, now: u64| {
        entry.look_again(liveness, now);
        entry.look_at - peer.born
    };
    let impatient = Liveness { unauthenticated: Some(limit), ..LIVENESS };
    assert_eq!(at(impatient, peer.born), 4_001);
    peer.mark_subscribed();
    assert_eq!(at(impatient, peer.born), 9_000);
    assert_eq!(at(LIVENESS, peer.born + 2_000), 9_000);
    entry.next_ping += 1_000_000;
    let mut at = |now: u64| {
        entry.look_again(LIVENESS, now);
        entry.look_at - peer.born
    };
    assert_eq!(at(peer.born + 7_000), 17_001);
    peer.mark_pinger();
    let heard = peer.heard() - peer.born;
    assert_eq!(at(peer.born + 7_000), heard + 10_001);
}
