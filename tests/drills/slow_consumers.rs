//! Promise 8: a client that does not read is closed (1013) once its outbox is full, and counted; memory stays bounded, and
//! nobody else misses anything.

use crate::common::eventually;
use crate::common::ledger::{Kind, Ledger};
use crate::common::library;
use crate::common::socket::Handshake;
use crate::site::{BRISK, plan};

const STUCK: usize = 20;
const OUTBOX: f64 = 256.0 * 1024.0;

#[tokio::test]
#[ignore = "one of the drills"]
async fn stuck_readers_among_good_ones() {
    let plan = plan()
        .env("FOGHORN_REPLAY_SECONDS", "0")
        .env("FOGHORN_MAX_EVENT_BYTES", "128KiB");
    let node = plan.env("FOGHORN_OUTBOX_BYTES", "256KiB").start().await;
    let (mut ledger, library) = (Ledger::open("20 of 60 clients do not read"), library());
    ledger.pad(60_000);
    for _ in 0..40 {
        ledger.seat(node.port(), &library, Kind::Desktop).await;
    }
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let mut socket = Handshake::new(node.port()).desktop().open().await;
        socket.subscribe(&library, "bob@example.com").await;
        stuck.push(socket);
    }
    let before = node.metric("process_resident_memory_bytes", "").await;
    let load = ledger.load(&[(node.port(), &library)], BRISK);
    let mut most = before;
    let full = || async {
        node.metric("foghorn_outbox_overflows_total", "bound=\"bytes\"")
            .await
    };
    while full().await < STUCK as f64 {
        most = most.max(node.metric("process_resident_memory_bytes", "").await);
        ledger.accepts(1).await;
        assert!(
            ledger.accepted() < 5_000,
            "a client that does not read is never closed"
        );
    }
    ledger.accepts(50).await;
    load.stop().await;
    eventually("the stuck ones forgotten", || async {
        (node.metric("foghorn_subscriptions", "").await == 40.0).then_some(())
    })
    .await;
    assert_eq!(full().await, STUCK as f64, "only those who did not read");
    // Twice what may wait for the stuck ones, and room for what the allocator keeps and the others are being sent.
    let bound = 2.0 * OUTBOX * STUCK as f64 + 64e6;
    println!(
        "ledger | stuck readers | resident memory grew by {:.1} MB at most",
        (most - before) / 1e6
    );
    assert!(
        most - before < bound,
        "{} bytes more than before, {bound} allowed",
        most - before
    );
    assert!(ledger.ends().is_empty(), "{:?}", ledger.ends());
    ledger.close().await.perfect();
}
