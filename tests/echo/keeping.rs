//! Channels that keep a past: whoever comes back, to whichever node and by whatever transport, is given what it missed, once
//! and in order, and whoever is present is seen on every node.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::client::{Nodes, Stream, line, own, say, socket};
use crate::common::redis::Redis;
use crate::common::socket::Socket;

/// Says numbers in the hall, one after another, as soon as the one before is published, and as many as it may.
async fn talk(mut talks: Socket, numbers: std::ops::Range<usize>, may: &Semaphore) -> Socket {
    for number in numbers {
        may.acquire().await.expect("never closed").forget();
        say(&mut talks, &format!("keep hall {number}")).await;
        assert!(line(&mut talks).await.ends_with(": published"));
    }
    talks
}

/// The number that was said, and its place, if it has one.
fn read(line: &str) -> Option<(usize, String)> {
    let (number, place) = line
        .strip_prefix("hall: ")
        .expect("a word")
        .split_once(" @")?;
    Some((number.parse().expect("a number"), place.to_owned()))
}

/// A client that can be read, whatever carries it.
enum Client {
    Socket(Socket),
    Stream(Stream),
}

impl Client {
    async fn line(&mut self) -> String {
        match self {
            Self::Socket(socket) => line(socket).await,
            Self::Stream(stream) => {
                let block = stream.block().await.expect("the stream goes on");
                block.strip_prefix("data: ").expect("data").to_owned()
            }
        }
    }
}

/// How many numbers a visitor reads before it goes to another node.
const READS: usize = 25;

/// How many more are said once a visitor is there: there is always enough for it to read, and some are said while it moves.
const MORE: usize = 40;

/// The numbers that are said.
const ALL: usize = 600;

/// The visit before which Redis is emptied, where it is.
const EMPTIED: usize = 4;

/// Somebody comes and goes while numbers are said, each time to another node: every number is read once and in order; what
/// is left out between two visits was said to be missing. Returns how often it was. `visit` is told of each visit.
async fn comes_and_goes(nodes: &Nodes, mut visit: impl AsyncFnMut(usize)) -> usize {
    let talks = socket(own(&nodes.all[0]).port(), "user=talks").await;
    let may = Arc::new(Semaphore::new(0));
    let allowed = Arc::clone(&may);
    let talks = tokio::spawn(async move { talk(talks, 0..ALL, &allowed).await });
    let mut last: Option<(usize, String)> = None;
    let (mut visits, mut missing) = (0, 0);
    while last.as_ref().is_none_or(|(number, _)| *number != ALL - 1) {
        visit(visits).await;
        let node = own(&nodes.all[visits % nodes.all.len()]);
        let after = last.as_ref().map_or("0.0", |(_, place)| place.as_str());
        let query = format!("user=ann&channel=hall&after={after}");
        let mut client = match visits % 3 {
            0 => Client::Stream(Stream::open(node, &query).await),
            1 => Client::Socket(socket(node.port(), &query).await),
            _ => {
                let mut client = socket(node.port(), "user=ann").await;
                say(&mut client, &format!("recover hall {after}")).await;
                Client::Socket(client)
            }
        };
        let first = client.line().await;
        let mut told = first != "recovers hall";
        if told {
            assert!(
                first == "something is missing in hall" || first.ends_with(": try again"),
                "{first}"
            );
            missing += 1;
        }
        may.add_permits(MORE);
        for _ in 0..READS {
            let said = client.line().await;
            // What could not be kept has no place to come back to.
            let Some((number, place)) = read(&said) else {
                continue;
            };
            if let Some((before, _)) = &last {
                assert!(
                    number == before + 1 || told && number > *before,
                    "{number} after {before}, visit {visits}"
                );
            }
            // From here on nothing is left out, but what has no place.
            (last, told) = (Some((number, place)), false);
            if number == ALL - 1 {
                break;
            }
        }
        visits += 1;
    }
    assert!(visits > 5, "{visits}");
    drop(talks.await.expect("all was said"));
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_is_given_what_was_missed_once_and_in_order() {
    let nodes = Nodes::start(2, &[]).await;
    // Before the first word nobody knows whether there was one.
    assert_eq!(comes_and_goes(&nodes, async |_| {}).await, 1);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn whoever_comes_back_over_redis_is_given_what_was_missed_once_and_in_order() {
    let redis = Redis::start().await;
    let nodes = Nodes::over(&redis.url(), 3).await;
    assert_eq!(comes_and_goes(&nodes, async |_| {}).await, 1);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn whoever_comes_back_to_a_redis_that_was_emptied_is_told() {
    let redis = Redis::start().await;
    let nodes = Nodes::over(&redis.url(), 3).await;
    let emptied = async |visit| {
        if visit == EMPTIED {
            redis.command(&["FLUSHALL"]).await;
        }
    };
    let missing = comes_and_goes(&nodes, emptied).await;
    assert!(missing >= 2, "the loss was passed over");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_missed_more_than_is_kept_is_told() {
    let nodes = Nodes::start(1, &[]).await;
    let mut talks = socket(own(&nodes.all[0]).port(), "user=talks&channel=hall").await;
    assert_eq!(line(&mut talks).await, "subscribed hall");
    say(&mut talks, "keep hall 0").await;
    let mut lines = [line(&mut talks).await, line(&mut talks).await];
    lines.sort();
    let (_, place) = read(&lines[1]).expect("a place");
    let may = Semaphore::new(Semaphore::MAX_PERMITS);
    let quiet = talk(
        socket(own(&nodes.all[0]).port(), "user=talks").await,
        1..1_003,
        &may,
    )
    .await;
    let mut late = socket(
        own(&nodes.all[0]).port(),
        &format!("user=ann&channel=hall&after={place}"),
    )
    .await;
    assert_eq!(line(&mut late).await, "something is missing in hall");
    drop(talk(quiet, 1_003..1_004, &may).await);
    assert_eq!(
        read(&line(&mut late).await).map(|(number, _)| number),
        Some(1_003)
    );
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_present_is_seen_on_every_node_for_as_long_as_the_connection_lives() {
    let nodes = Nodes::start(2, &[]).await;
    let mut ann = socket(own(&nodes.all[0]).port(), "user=ann").await;
    let mut bob = socket(own(&nodes.all[1]).port(), "user=bob&channel=lobby").await;
    assert_eq!(line(&mut bob).await, "subscribed lobby");
    say(&mut ann, "enter hall from here").await;
    say(&mut ann, "present hall").await;
    assert_eq!(line(&mut ann).await, "0: ann=from here");
    for (said, wanted) in [
        ("enter hall too", "0: ann=from here bob=too"),
        ("enter hall still", "1: ann=from here bob=still"),
        ("leave hall", "2: ann=from here"),
    ] {
        say(&mut bob, said).await;
        say(&mut bob, "present hall").await;
        assert_eq!(line(&mut bob).await, wanted);
    }
    drop(ann);
    assert_eq!(line(&mut bob).await, "lobby: ann left");
    // It is said on the way out, just before the end.
    let mut asked = 3;
    loop {
        say(&mut bob, "present hall").await;
        let answer = line(&mut bob).await;
        if answer == format!("{asked}: ") {
            break;
        }
        assert_eq!(answer, format!("{asked}: ann=from here"));
        asked += 1;
    }
    nodes.stop().await;
}
