//! What the hub promises its subscribers, tried over real sockets.

use super::*;
use crate::broker::Broker;
use crate::broker::keep::Keeper;
use crate::broker::memory::MemoryBroker;
use crate::drain::Tasks;
use crate::event::{Kept, Past, Place, Recipients};
use crate::node::Node;
use crate::outbox::Bounds;
use crate::outbox::testing::BARE;
use crate::session::Since;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const BOUNDS: Bounds = Bounds {
    messages: 100,
    bytes: 1 << 20,
};

async fn client(id: u64) -> (Arc<Outbox>, TcpStream) {
    bounded(id, BOUNDS).await
}

async fn bounded(id: u64, bounds: Bounds) -> (Arc<Outbox>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let (reader, writer) = near.unwrap().0.into_split();
    reader.as_ref().writable().await.unwrap();
    // Kept, or the socket would be shut down in one direction.
    std::mem::forget(reader);
    (Outbox::new(id, &BARE, bounds, writer), far.unwrap())
}

fn event(n: u32, recipients: Recipients) -> Event {
    Event {
        recipients,
        ..Event::new(Channel::new("c", "a"), "news", format!("{n:04}"))
    }
}

fn subscriber(outbox: &Arc<Outbox>, user: &str) -> Subscriber {
    Subscriber::new(user.into(), Arc::clone(outbox))
}

/// What has come so far, up to and including the message `last`.
async fn until(far: &mut TcpStream, last: u32) -> Vec<u32> {
    let mut got = Vec::new();
    while got.last() != Some(&last) {
        let mut frame = [0; 6];
        far.read_exact(&mut frame).await.unwrap();
        got.push(std::str::from_utf8(&frame[2..]).unwrap().parse().unwrap());
    }
    got
}

#[tokio::test]
async fn an_event_reaches_more_receivers_than_the_reference_can_count() {
    const RECEIVERS: usize = 65_536 + 64;
    let (hub, channel) = (Hub::new(Duration::ZERO, 0), Channel::new("c", "a"));
    let bounds = Bounds {
        messages: RECEIVERS,
        bytes: 1 << 20,
    };
    let (outbox, mut far) = bounded(1, bounds).await;
    // No process may open so many sockets everywhere: one outbox stands for all of them.
    let list = Arc::new(vec![subscriber(&outbox, "ann"); RECEIVERS]);
    hub.shard(&channel)
        .lock()
        .channels
        .entry(channel)
        .or_default()
        .list = list;
    hub.deliver(event(1, Recipients::All)).await;
    let mut frames = vec![0; 6 * RECEIVERS];
    let flush = std::future::poll_fn(|cx| outbox.poll_flush(cx));
    let (read, flushed) = tokio::join!(far.read_exact(&mut frames), flush);
    assert!(read.is_ok() && flushed.is_ok());
    assert!(frames.chunks(6).all(|frame| frame == b"\x81\x040001"));
}

#[tokio::test]
async fn a_new_subscriber_gets_recent_events_once_and_before_newer_ones() {
    let hub = Hub::new(Duration::from_secs(60), 1 << 20);
    let (outbox, mut far) = client(1).await;
    let channel = Channel::new("c", "a");
    hub.deliver(event(1, Recipients::All)).await;
    hub.deliver(event(2, Recipients::users(["bob"]))).await;
    hub.deliver(event(3, Recipients::users(["ann"]))).await;
    hub.subscribe(&channel, subscriber(&outbox, "ann"), None);
    hub.change_user(&channel, 1, "bob".into());
    hub.change_user(&channel, 1, "ann".into());
    hub.deliver(event(4, Recipients::All)).await;
    assert_eq!(until(&mut far, 4).await, [1, 3, 4]);
    let left = hub.unsubscribe(&channel, 1).unwrap();
    hub.deliver(event(5, Recipients::All)).await;
    hub.subscribe(&channel, subscriber(&outbox, "ann"), Some(left));
    hub.deliver(event(6, Recipients::All)).await;
    assert_eq!(until(&mut far, 6).await, [5, 6]);
}

#[tokio::test]
async fn a_place_is_told_only_where_something_could_come_again() {
    let hub = Hub::new(Duration::from_secs(60), 1 << 20);
    let (outbox, _far) = client(1).await;
    let channel = Channel::new("c", "a");
    hub.subscribe(&channel, subscriber(&outbox, ""), None);
    assert!(hub.unsubscribe(&channel, 1).is_none(), "nothing was heard");
    hub.subscribe(&channel, subscriber(&outbox, ""), None);
    hub.deliver(event(1, Recipients::All)).await;
    assert!(hub.unsubscribe(&channel, 1).is_some());
}

#[tokio::test]
async fn nothing_stays_of_channels_that_nobody_uses() {
    let hub = Hub::new(Duration::from_millis(1), 1 << 20);
    let (outbox, _far) = client(1).await;
    for n in 0..1_000 {
        let channel = Channel::new("c", &n.to_string());
        hub.subscribe(&channel, subscriber(&outbox, ""), None);
        hub.deliver(Event {
            channel: channel.clone(),
            ..event(n, Recipients::users(["x"]))
        })
        .await;
        hub.unsubscribe(&channel, 1);
        assert!(
            hub.unsubscribe(&channel, 1).is_none(),
            "there is no subscription any more"
        );
    }
    while hub.recent_bytes.load(Ordering::Relaxed) > 0 {
        hub.prune();
        tokio::task::yield_now().await;
    }
    assert!(
        hub.shards
            .iter()
            .all(|shard| shard.lock().channels.is_empty() && shard.lock().expiry.is_empty())
    );
}

#[tokio::test]
async fn what_is_kept_for_later_subscribers_is_bounded() {
    let hub = Hub::new(Duration::from_secs(60), 1_000);
    for n in 0..1_000 {
        hub.deliver(event(n, Recipients::All)).await;
    }
    assert!(hub.recent_bytes.load(Ordering::Relaxed) < 2_000);
}

#[tokio::test]
async fn old_events_are_not_remembered() {
    let hub = Hub::new(Duration::from_secs(10), 1 << 20);
    let (outbox, mut far) = client(1).await;
    hub.remember(&event(1, Recipients::All), Duration::from_secs(11));
    hub.remember(&event(2, Recipients::All), Duration::from_secs(1));
    hub.subscribe(&Channel::new("c", "a"), subscriber(&outbox, ""), None);
    assert_eq!(until(&mut far, 2).await, [2]);
}

#[tokio::test]
async fn who_subscribes_from_now_on_is_given_nothing_of_before() {
    let (hub, channel) = (
        Hub::new(Duration::from_secs(60), 1 << 20),
        Channel::new("c", "a"),
    );
    let memory = MemoryBroker::start(1, &Tasks::new());
    let (keeper, broker) = (Keeper::Memory(memory.keeper()), Broker::Memory(memory));
    let node = Node::new(Arc::clone(&hub), broker, keeper, Duration::from_secs(60));
    let ((from_now, mut far), (from_then, mut far_too)) = (client(1).await, client(2).await);
    hub.deliver(event(1, Recipients::All)).await;
    let (mut now, mut then) = (node.subscriptions(from_now), node.subscriptions(from_then));
    now.subscribe(channel.clone(), "".into(), Since::Now);
    then.subscribe(channel, "".into(), Since::Recent);
    hub.deliver(event(2, Recipients::All)).await;
    assert_eq!(
        (until(&mut far, 2).await, until(&mut far_too, 2).await),
        (vec![2], vec![1, 2])
    );
}

#[tokio::test]
async fn a_held_subscription_is_given_what_came_meanwhile_and_the_past_does_not_have() {
    let (hub, channel) = (
        Hub::new(Duration::from_secs(60), 1 << 20),
        Channel::new("c", "a"),
    );
    let place = |number| Place { epoch: 7, number };
    let kept = |number: u64| Event {
        kept: Kept::At(place(number)),
        ..event(number as u32, Recipients::All)
    };
    let (held, mut far) = client(1).await;
    hub.deliver(kept(1)).await;
    hub.hold(&channel, subscriber(&held, ""));
    assert_eq!(
        hub.outboxes(|touched| *touched == channel).len(),
        1,
        "it is told of losses too"
    );
    assert_eq!(hub.outboxes_of(std::slice::from_ref(&channel)).len(), 1);
    let other = Channel::new("c", "another");
    assert!(hub.outboxes_of(&[other]).is_empty());
    for number in 2..5 {
        hub.deliver(kept(number)).await;
    }
    hub.deliver(Event {
        kept: Kept::Missed,
        ..event(5, Recipients::All)
    })
    .await;
    hub.release(
        &channel,
        1,
        Past {
            newest: Some(place(7)),
            ..Past::default()
        },
    );
    // This node is behind what the past had.
    hub.deliver(kept(6)).await;
    hub.deliver(kept(7)).await;
    hub.deliver(kept(8)).await;
    assert_eq!(until(&mut far, 8).await, [5, 8]);
    hub.unsubscribe(&channel, 1);
    // Given up before it goes on, nothing stays of it.
    hub.hold(&channel, subscriber(&held, ""));
    assert_eq!(hub.unsubscribe(&channel, 1), None);
    hub.release(&channel, 1, Past::default());
    assert!(hub.outboxes(|_| true).is_empty());
}
