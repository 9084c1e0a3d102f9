//! Promise 12: a node that meets what a newer version wrote counts it, skips it, and goes on; so it does with junk, and with
//! what nodes of version 0.1.0 say, which form no cluster with it.

use foghorn::broker::packet::{self, Draft, Stamp};
use foghorn::broker::partition;
use foghorn::event::{Channel, Event};

use crate::common::ledger::Ledger;
use crate::site::{BRISK, cluster, seats};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn news_from_the_future_and_junk_are_skipped() {
    let (cluster, mut ledger) = (
        cluster(2, 1).await,
        Ledger::open("messages of a newer version, and junk"),
    );
    let library = seats(&mut ledger, &cluster.nodes).await;
    let ports = [cluster.nodes[0].port(), cluster.nodes[1].port()];
    ledger.post(ports[0], &library).await;
    ledger.caught_up(&ports).await;
    let channel = Channel::new("repo", &library);
    let partition = partition::of(&channel, 64);
    let (redis, topic) = (&cluster.redis[0], format!("foghorn:{partition}"));
    let load = ledger.load(&[(ports[0], &library), (ports[1], &library)], BRISK);
    // A node of a newer version, which numbers as this one does: nothing of it is missing, though it cannot be read.
    for (number, (at, to)) in [(2, 3), (2, 200), (3, 9), (packet::HEAD + 17, 0xff)]
        .into_iter()
        .enumerate()
    {
        ledger.accepts(20).await;
        let stamp = Stamp {
            origin: 0xaa,
            partition,
            number: number as u64 + 1,
        };
        let mut bytes = Draft::new(Event::new(channel.clone(), "news", "{}"))
            .stamp(stamp)
            .bytes
            .to_vec();
        bytes[at] = to;
        redis.publish(&topic, &bytes).await;
    }
    for junk in [
        &b""[..],
        b"junk",
        b"FG",
        b"1 0123456789abcdef 5 1-1 1-0\n{}",
        b"1 canary",
        &[0xff; 40],
        &[0; 400],
    ] {
        ledger.accepts(5).await;
        redis.publish(&topic, junk).await;
        redis.publish("foghorn:all", junk).await;
    }
    ledger.accepts(50).await;
    load.stop().await;
    for node in &cluster.nodes {
        for (reason, least) in [("newer", 3.0), ("malformed", 11.0), ("older", 4.0)] {
            let label = format!("reason=\"{reason}\"");
            node.counted("foghorn_broker_messages_skipped_total", &label, least)
                .await;
        }
        assert_eq!(
            node.metric("foghorn_gaps_lost_total", "").await,
            0.0,
            "nothing is missing"
        );
    }
    ledger.close().await.undisturbed();
}
