//! Promise 12: a node that meets what a newer version wrote counts it, skips it, and goes on; so it does with junk.

use foghorn::broker::partition;
use foghorn::event::Channel;

use crate::common::ledger::{Kind, Ledger};
use crate::site::{BRISK, cluster, seats};

/// Appends an entry to a partition's log and publishes it, as a node of another version would. Arguments: message format,
/// channel, body.
const APPEND: &str = "
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
local seq = string.format('%.0f', tonumber(head[2]) + 1)
local id = redis.call('XADD', KEYS[2], '*', 's', seq, 'p', head[3], 'b', ARGV[3], 'x', 'news')
redis.call('HSET', KEYS[1], 'seq', seq, 'id', id)
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' ' .. head[1] .. ' ' .. seq .. ' ' .. id .. ' ' .. head[3] .. ' more\\n' .. ARGV[3])
return 'done'";

#[tokio::test]
#[ignore = "needs redis-server"]
async fn news_from_the_future_and_junk_are_skipped() {
    let (cluster, mut ledger) = (cluster(2, 1).await, Ledger::open("messages of a newer version, and junk"));
    let library = seats(&mut ledger, &cluster.nodes).await;
    let ports = [cluster.nodes[0].port(), cluster.nodes[1].port()];
    ledger.post(ports[0], &library).await;
    ledger.caught_up(&ports).await;
    let partition = partition::of(&Channel::new("repo", &library), 64);
    let (redis, channel) = (&cluster.redis[0], format!("{{foghorn:{partition}}}"));
    let (state, log) = (format!("{channel}:state"), format!("{channel}:log"));
    let load = ledger.load(&[(ports[0], &library), (ports[1], &library)], BRISK);
    let newer = "{\"v\":2,\"o\":\"00000000000000aa\",\"n\":1,\"c\":\"repo/x\",\"t\":1,\"z\":[]}\n\u{1}\u{2}";
    let odd = "{\"v\":1,\"o\":\"00000000000000aa\",\"n\":1,\"k\":\"something new\"}\n";
    for (format, body) in [("1", newer), ("2", newer), ("1", odd), ("2", "no header"), ("1", "")] {
        ledger.accepts(20).await;
        let done = redis.command(&["EVAL", APPEND, "2", &state, &log, format, &channel, body]).await;
        assert!(done.contains("done"), "{done}");
    }
    for junk in ["", "junk", "2 canary?", "9", "9 new fields only\nx", "1 zz 1 1-1 1-0\n{}", "\u{0}\n\n"] {
        ledger.accepts(5).await;
        redis.command(&["PUBLISH", &channel, junk]).await;
    }
    ledger.accepts(50).await;
    load.stop().await;
    for node in &cluster.nodes {
        for (reason, least) in [("newer", 3.0), ("malformed", 4.0)] {
            let label = format!("reason=\"{reason}\"");
            node.counted("foghorn_broker_messages_skipped_total", &label, least).await;
        }
        assert_eq!(node.metric("foghorn_gaps_lost_total", "").await, 0.0, "nothing is missing");
    }
    assert_eq!(ledger.ended(&ports, Kind::Desktop, 1012), 0);
    ledger.close().await.perfect();
}
