//! The order, with a directory that answers when told to.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::*;
use crate::event::Channel;

/// Answers each group once its answer is there.
struct Slow(watch::Sender<HashMap<i64, Result<MemberList, GroupError>>>);

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::default()))
    }

    fn answer(&self, group: i64, answer: Result<&[&str], GroupError>) {
        let answer = answer.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
        self.0
            .send_modify(|answers| drop(answers.insert(group, answer)));
    }
}

impl Directory for Slow {
    fn cached(&self, _: i64) -> Option<MemberList> {
        None
    }

    fn members(
        &self,
        group: i64,
    ) -> Pin<Box<dyn Future<Output = Result<MemberList, GroupError>> + Send + '_>> {
        let mut answers = self.0.subscribe();
        Box::pin(async move {
            let answers = answers
                .wait_for(|answers| answers.contains_key(&group))
                .await
                .expect("the test lives");
            answers[&group].clone()
        })
    }
}

/// Library and text, and whom it is for.
type Line = Vec<(String, String)>;

#[derive(Clone, Default)]
struct Published(Arc<(Mutex<Line>, Notify)>);

impl Published {
    fn order(
        &self,
        directory: Option<Arc<dyn Directory>>,
        limits: Limits,
        tasks: &Tasks,
    ) -> Sequencer {
        let seen = self.clone();
        let publish = move |event: Event| {
            let to = match &event.recipients {
                Recipients::All => "all".to_owned(),
                Recipients::Users(users) => users.join(","),
            };
            let payload = if event.is_loss() {
                "lost"
            } else {
                std::str::from_utf8(&event.data).expect("text")
            };
            seen.0
                .0
                .lock()
                .push((format!("{}:{payload}", event.channel.name()), to));
            seen.0.1.notify_one();
            Receipt::pending().1
        };
        Sequencer::new(publish, directory, limits, tasks.clone())
    }

    fn now(&self) -> Line {
        self.0.0.lock().clone()
    }

    /// What was published, once it is `count` events.
    async fn wait(&self, count: usize) -> Line {
        let enough = async {
            while self.0.0.lock().len() < count {
                self.0.1.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough)
            .await
            .expect("events to be published");
        self.now()
    }
}

fn event(library: &str, text: &str) -> Event {
    Event::new(Channel::new("repo", library), "news", text.to_owned())
}

fn pairs(pairs: &[(&str, &str)]) -> Line {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

fn patience(millis: u64) -> Limits {
    Limits {
        patience: Duration::from_millis(millis),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_group_event_keeps_its_place_and_other_libraries_pass() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let order = seen.order(Some(slow.clone()), Limits::default(), &tasks);
    assert!(matches!(
        order.accept(event("a", "1")),
        Accepted::Published(_)
    ));
    assert!(matches!(
        order.accept_for_group(event("a", "2"), 7),
        Accepted::Waiting
    ));
    assert!(matches!(order.accept(event("a", "3")), Accepted::Waiting));
    assert!(matches!(
        order.accept_for_group(event("a", "4"), 8),
        Accepted::Waiting
    ));
    assert!(matches!(order.accept(event("a", "5")), Accepted::Waiting));
    assert!(matches!(
        order.accept(event("b", "1")),
        Accepted::Published(_)
    ));
    assert_eq!(
        (seen.now(), order.waiting()),
        (pairs(&[("a:1", "all"), ("b:1", "all")]), 4)
    );
    slow.answer(8, Ok(&["x", "y"]));
    slow.answer(7, Ok(&["a@x"]));
    let all = seen.wait(6).await;
    assert_eq!(
        all[2..],
        pairs(&[
            ("a:2", "a@x"),
            ("a:3", "all"),
            ("a:4", "x,y"),
            ("a:5", "all")
        ])
    );
    assert_eq!(order.waiting(), 0);
    assert!(matches!(
        order.accept(event("a", "6")),
        Accepted::Published(_)
    ));
}

#[tokio::test]
async fn any_order_of_answers_gives_each_library_its_own_order() {
    for first in 0..6_i64 {
        let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
        let order = seen.order(Some(slow.clone()), Limits::default(), &tasks);
        for n in 0..60_i64 {
            let event = event(&(n % 4).to_string(), &format!("{n:02}"));
            if n % 3 == 0 {
                order.accept_for_group(event, n % 6)
            } else {
                order.accept(event)
            };
        }
        for group in 0..6_i64 {
            slow.answer((group * 5 + first) % 6, Ok(&["u"]));
            tokio::task::yield_now().await;
        }
        let mut all = seen.wait(60).await;
        all.sort_by_key(|(text, _)| text.split(':').next().map(str::to_owned));
        assert!(all.is_sorted_by_key(|(text, _)| text.clone()), "{all:?}");
        assert_eq!(order.waiting(), 0);
    }
}

#[tokio::test]
async fn a_database_that_stays_down_costs_the_group_events_only() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let order = seen.order(Some(slow.clone()), patience(300), &tasks);
    slow.answer(7, Err(GroupError::Timeout));
    order.accept_for_group(event("a", "1"), 7);
    order.accept(event("a", "2"));
    // This one is never answered at all.
    order.accept_for_group(event("b", "1"), 8);
    order.accept(event("b", "2"));
    let mut all = seen.wait(4).await;
    all.sort();
    let lost = pairs(&[
        ("a:2", "all"),
        ("a:lost", "all"),
        ("b:2", "all"),
        ("b:lost", "all"),
    ]);
    assert_eq!((all, order.waiting()), (lost, 0));
    assert!(order.0.state.lock().groups.is_empty());
}

#[tokio::test]
async fn a_database_that_comes_back_in_time_costs_nothing() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let order = seen.order(Some(slow.clone()), Limits::default(), &tasks);
    slow.answer(7, Err(GroupError::Timeout));
    order.accept_for_group(event("a", "1"), 7);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(seen.now().is_empty());
    slow.answer(7, Ok(&["u"]));
    assert_eq!(seen.wait(1).await, pairs(&[("a:1", "u")]));
}

#[tokio::test]
async fn what_stands_behind_a_slow_look_up_does_not_wait_for_its_end() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let limits = Limits {
        hold: Duration::from_millis(50),
        ..Limits::default()
    };
    let order = seen.order(Some(slow.clone()), limits, &tasks);
    order.accept_for_group(event("a", "1"), 7);
    order.accept(event("a", "2"));
    assert_eq!(seen.wait(1).await, pairs(&[("a:2", "all")]));
    // Behind one that has stepped aside nobody waits; another of its group does, and they keep their order.
    assert!(matches!(
        order.accept(event("a", "3")),
        Accepted::Published(_)
    ));
    assert!(matches!(
        order.accept_for_group(event("a", "4"), 7),
        Accepted::Waiting
    ));
    slow.answer(7, Ok(&["u"]));
    let all = seen.wait(4).await;
    assert_eq!(all[2..], pairs(&[("a:1", "u"), ("a:4", "u")]));
    assert_eq!(order.waiting(), 0);
}

#[tokio::test]
async fn what_is_given_up_at_the_end_is_declared() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let order = seen.order(Some(slow), Limits::default(), &tasks);
    order.accept_for_group(event("a", "1"), 7);
    order.accept(event("a", "2"));
    order.give_up();
    assert_eq!(
        (seen.now(), order.waiting()),
        (pairs(&[("a:lost", "all"), ("a:2", "all")]), 0)
    );
}

#[tokio::test]
async fn a_group_without_members_gets_nothing() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let order = seen.order(Some(slow.clone()), Limits::default(), &tasks);
    slow.answer(0, Ok(&[]));
    order.accept_for_group(event("a", "1"), 0);
    order.accept(event("a", "2"));
    assert_eq!(seen.wait(1).await, pairs(&[("a:2", "all")]));
}

#[tokio::test]
async fn without_a_database_group_events_go_to_nobody() {
    let (seen, tasks) = (Published::default(), Tasks::new());
    let order = seen.order(None, Limits::default(), &tasks);
    assert!(matches!(
        order.accept_for_group(event("a", "1"), 7),
        Accepted::Nobody
    ));
    assert!(matches!(
        order.accept(event("a", "2")),
        Accepted::Published(_)
    ));
    assert_eq!(seen.now(), pairs(&[("a:2", "all")]));
}

#[tokio::test]
async fn when_too_much_waits_the_oldest_group_events_are_given_up() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let limits = Limits {
        bounds: Bounds {
            events: 4,
            bytes: usize::MAX,
        },
        ..Limits::default()
    };
    let order = seen.order(Some(slow.clone()), limits, &tasks);
    order.accept_for_group(event("a", "1"), 7);
    order.accept(event("a", "2"));
    order.accept_for_group(event("b", "1"), 7);
    order.accept_for_group(event("a", "3"), 8);
    assert!(seen.now().is_empty());
    order.accept(event("a", "4"));
    assert_eq!(
        (seen.now(), order.waiting()),
        (pairs(&[("a:lost", "all"), ("a:2", "all")]), 3)
    );
    // No more groups are looked up at once than events may wait.
    (20..30).for_each(|group| drop(order.accept_for_group(event("c", "1"), group)));
    assert!(order.waiting() <= 4 && order.0.state.lock().groups.len() <= 4);
    (0..30).for_each(|group| slow.answer(group, Ok(&["u"])));
    let mut all = seen.wait(2).await;
    while !all.contains(&("a:4".to_owned(), "all".to_owned())) {
        all = seen.wait(all.len() + 1).await;
    }
    assert!(all.contains(&("a:4".to_owned(), "all".to_owned())));
}

#[tokio::test]
async fn when_the_node_ends_nothing_is_left_behind_a_group_event() {
    let (seen, slow, tasks) = (Published::default(), Slow::new(), Tasks::new());
    let order = seen.order(Some(slow), Limits::default(), &tasks);
    order.accept_for_group(event("a", "1"), 7);
    order.accept(event("a", "2"));
    tasks.stop();
    assert!(tasks.finish(Duration::from_secs(60)).await);
    assert_eq!(
        (seen.now(), order.waiting()),
        (pairs(&[("a:lost", "all"), ("a:2", "all")]), 0)
    );
}
