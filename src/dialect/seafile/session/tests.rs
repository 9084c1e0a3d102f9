//! The session, promise by promise; arbitrary input is in `tests/seafile_session.rs`.

use super::*;
use crate::dialect::seafile::auth::Keys;

const NOW: u64 = 1_000_000_000;

fn rules(max: usize) -> Arc<Rules> {
    Rules::new(Keys::new("key", None), max)
}

fn session() -> SeafileSession {
    SeafileSession::new(rules(100), 7)
}

fn token(id: &str, user: &str, exp_ms: u64) -> String {
    let claims = Claims {
        exp: (exp_ms / 1000) as i64,
        repo_id: Some(id.into()),
        username: Some(user.into()),
    };
    Keys::new("key", None).sign(&claims)
}

fn subscribe(entries: &[(&str, &str)]) -> String {
    let repos: Vec<_> = entries
        .iter()
        .map(|(id, token)| serde_json::json!({"id": id, "jwt_token": token}))
        .collect();
    serde_json::json!({"type": "subscribe", "content": {"repos": repos}}).to_string()
}

fn unsubscribe(id: &str) -> String {
    serde_json::json!({"type": "unsubscribe", "content": {"repos": [{"id": id}]}}).to_string()
}

fn send(session: &mut SeafileSession, now_ms: u64, message: &str) -> Vec<Action> {
    let mut out = Vec::new();
    session.on_message(
        &mut Turn {
            now_ms,
            out: &mut out,
        },
        message.as_bytes(),
    );
    // Whose connection it is has a test of its own.
    out.retain(|action| !matches!(action, Action::Identify(_)));
    out
}

fn tick(session: &mut SeafileSession, now_ms: u64) -> Vec<Action> {
    let mut out = Vec::new();
    session.on_tick(&mut Turn {
        now_ms,
        out: &mut out,
    });
    out
}

fn subscribed(id: &str, user: &str) -> Action {
    Action::Subscribe {
        channel: Channel::new("repo", id),
        user: user.into(),
        since: Since::Recent,
    }
}

fn expired(id: &str) -> Action {
    Action::Send(jwt_expired(id))
}

#[test]
fn a_connection_is_known_by_the_user_of_its_first_subscription() {
    let mut session = session();
    let (a, b) = (
        token("a", "ann", NOW + 300_000),
        token("b", "bob", NOW + 300_000),
    );
    let mut named = Vec::new();
    for message in [
        subscribe(&[("a", "junk")]),
        subscribe(&[("a", &a), ("b", &b)]),
        subscribe(&[("b", &b), ("a", &a)]),
    ] {
        let mut out = Vec::new();
        session.on_message(
            &mut Turn {
                now_ms: NOW,
                out: &mut out,
            },
            message.as_bytes(),
        );
        named.extend(
            out.into_iter()
                .filter(|action| matches!(action, Action::Identify(_))),
        );
    }
    assert_eq!(named, [Action::Identify("ann".into())]);
}

#[test]
fn when_its_subscriptions_end_is_answered_by_mail() {
    let mut session = session();
    let message = subscribe(&[("a", &token("a", "ann", NOW + 300_000))]);
    send(&mut session, NOW, &message);
    let channels = ["a", "b"].map(|id| Channel::new("repo", id));
    let mut out = Vec::new();
    let answer = session.on_mail(
        &mut Turn {
            now_ms: NOW,
            out: &mut out,
        },
        &ends::question(&channels),
    );
    let answer = answer.expect("an answer");
    let found: Vec<_> = ends::read(&channels, &answer).collect();
    assert!(
        matches!(found[..], [(channel, end)] if *channel == channels[0] && end >= NOW + 300_000),
        "{found:?}"
    );
    assert_eq!(out, []);
}

#[test]
fn entries_are_handled_in_order_each_on_its_own() {
    let mut session = session();
    let (a, b) = (
        token("a", "ann", NOW + 300_000),
        token("b", "bob", NOW + 300_000),
    );
    let old = token("c", "ann", NOW - 5_000);
    let message = subscribe(&[
        ("a", &a),
        ("c", &old),
        ("b", &b),
        ("d", "junk"),
        ("e", &a),
        ("f", ""),
    ]);
    assert_eq!(
        send(&mut session, NOW, &message),
        [
            subscribed("a", "ann"),
            expired("c"),
            subscribed("b", "bob"),
            expired("d"),
            expired("e"),
            expired("f")
        ]
    );
    assert_eq!(session.subscriptions(), 2);
}

#[test]
fn each_subscription_keeps_its_own_user_and_one_user_is_kept_once() {
    let mut session = session();
    let exp = NOW + 300_000;
    let (a, b, c) = (
        token("a", "ann", exp),
        token("b", "bob", exp),
        token("c", "bob", exp),
    );
    let actions = send(
        &mut session,
        NOW,
        &subscribe(&[("a", &a), ("b", &b), ("c", &c)]),
    );
    let users: Vec<Arc<str>> = actions
        .into_iter()
        .map(|action| match action {
            Action::Subscribe { user, .. } => user,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        users.iter().map(|user| &**user).collect::<Vec<_>>(),
        ["ann", "bob", "bob"]
    );
    assert!(Arc::ptr_eq(&users[1], &users[2]));
}

#[test]
fn a_token_may_lack_a_user_but_not_its_library() {
    let mut session = session();
    let keys = Keys::new("key", None);
    let nobody = keys.sign(&Claims {
        exp: i64::MAX,
        repo_id: Some("a".into()),
        username: None,
    });
    let anywhere = keys.sign(&Claims {
        exp: i64::MAX,
        repo_id: None,
        username: Some("ann".into()),
    });
    let message = subscribe(&[("a", &nobody), ("b", &anywhere), ("", &anywhere)]);
    assert_eq!(
        send(&mut session, NOW, &message),
        [subscribed("a", ""), expired("b"), expired("")]
    );
    assert_eq!(
        session.next_tick(),
        None,
        "a token that never runs out needs no tick"
    );
}

#[test]
fn subscribing_again_changes_the_end_and_the_user_only() {
    let mut session = session();
    send(
        &mut session,
        NOW,
        &subscribe(&[("a", &token("a", "ann", NOW + 10_000))]),
    );
    let again = token("a", "bob", NOW + 500_000);
    assert_eq!(
        send(&mut session, NOW, &subscribe(&[("a", &again)])),
        [subscribed("a", "bob")]
    );
    assert_eq!(session.subscriptions(), 1);
    assert!(tick(&mut session, NOW + 400_000).is_empty());
}

#[test]
fn a_refused_entry_takes_nothing_away() {
    let mut session = session();
    send(
        &mut session,
        NOW,
        &subscribe(&[("a", &token("a", "ann", NOW + 300_000))]),
    );
    let old = token("a", "ann", NOW - 5_000);
    assert_eq!(
        send(&mut session, NOW, &subscribe(&[("a", &old)])),
        [expired("a")]
    );
    assert_eq!(session.subscriptions(), 1);
    assert_eq!(
        send(&mut session, NOW, &unsubscribe("a")),
        [Action::Unsubscribe(Channel::new("repo", "a"))]
    );
}

#[test]
fn unsubscribing_is_not_answered_and_may_name_anything() {
    let mut session = session();
    assert!(send(&mut session, NOW, &unsubscribe("never")).is_empty());
    send(
        &mut session,
        NOW,
        &subscribe(&[("a", &token("a", "ann", NOW + 5_000))]),
    );
    assert_eq!(send(&mut session, NOW, &unsubscribe("a")).len(), 1);
    assert!(send(&mut session, NOW, &unsubscribe("a")).is_empty());
    assert_eq!((session.subscriptions(), session.next_tick()), (0, None));
}

#[test]
fn a_subscription_ends_within_ten_seconds_of_its_token() {
    for seed in 0..50 {
        let mut session = SeafileSession::new(rules(100), seed);
        let exp = NOW + 20_000;
        let message = subscribe(&[
            ("a", &token("a", "ann", exp)),
            ("b", &token("b", "ann", NOW + 900_000)),
        ]);
        send(&mut session, NOW, &message);
        let due = session.next_tick().expect("an end to look for");
        assert!((exp..=exp + JITTER_MS).contains(&due), "{due}");
        assert!(tick(&mut session, due - 1).is_empty());
        let ended = [Action::Unsubscribe(Channel::new("repo", "a")), expired("a")];
        assert_eq!(tick(&mut session, due + 2_000), ended);
        assert_eq!(session.subscriptions(), 1);
        assert!(
            session
                .next_tick()
                .is_some_and(|next| next >= NOW + 900_000)
        );
        // The client comes back with a fresh token on the same connection.
        let fresh = token("a", "ann", due + 300_000);
        assert_eq!(
            send(&mut session, due + 2_100, &subscribe(&[("a", &fresh)])),
            [subscribed("a", "ann")]
        );
    }
}

#[test]
fn ends_are_spread_over_connections_and_the_same_for_the_same_seed() {
    let due = |seed| {
        let mut session = SeafileSession::new(rules(100), seed);
        send(
            &mut session,
            NOW,
            &subscribe(&[("a", &token("a", "ann", NOW + 20_000))]),
        );
        session.next_tick().expect("an end to look for")
    };
    let different: std::collections::BTreeSet<u64> = (0..100).map(due).collect();
    assert!(different.len() > 90);
    assert_eq!(due(5), due(5));
}

#[test]
fn the_same_bad_token_is_answered_with_growing_pauses() {
    let mut session = session();
    let bad = subscribe(&[("a", "junk")]);
    let mut now = NOW;
    let mut answered_after = Vec::new();
    let mut offered = now;
    // A client in a tight loop: it offers again as soon as it is answered, and now and then in between.
    let mut replies = send(&mut session, now, &bad).len();
    assert_eq!(replies, 1);
    while answered_after.len() < 8 {
        assert!(send(&mut session, now, &bad).is_empty());
        now += 500;
        if !tick(&mut session, now).is_empty() {
            replies += 1;
            answered_after.push((now - offered) / 1000);
            offered = now;
        }
    }
    assert_eq!(
        (replies, answered_after),
        (9, vec![1, 2, 4, 8, 16, 32, 60, 60])
    );
    // A good one sets it right.
    let good = subscribe(&[("a", &token("a", "ann", now + 300_000))]);
    assert_eq!(send(&mut session, now, &good), [subscribed("a", "ann")]);
    assert_eq!(send(&mut session, now, &bad), [expired("a")]);
}

#[test]
fn an_unsubscribed_library_gets_no_late_answer() {
    let mut session = session();
    send(&mut session, NOW, &subscribe(&[("a", "junk")]));
    send(&mut session, NOW, &subscribe(&[("a", "junk")]));
    assert_eq!(session.next_tick(), Some(NOW + 1_000));
    send(&mut session, NOW, &unsubscribe("a"));
    assert_eq!(session.next_tick(), None);
    assert!(tick(&mut session, NOW + 100_000).is_empty());
}

fn closes(actions: &[Action], code: u16, label: &str) -> bool {
    matches!(actions.last(), Some(Action::Close(close)) if close.code == code && close.label == label)
}

#[test]
fn limits_close_with_a_reason() {
    let mut session = SeafileSession::new(rules(2), 0);
    let good = |id: &str| token(id, "ann", NOW + 300_000);
    send(
        &mut session,
        NOW,
        &subscribe(&[("a", &good("a")), ("b", &good("b"))]),
    );
    assert_eq!(
        send(&mut session, NOW, &subscribe(&[("b", &good("b"))])),
        [subscribed("b", "ann")]
    );
    let over = send(&mut session, NOW, &subscribe(&[("c", &good("c"))]));
    assert!(
        closes(&over, 1008, "subscriptions") && over.len() == 1,
        "{over:?}"
    );
    assert_eq!(session.subscriptions(), 2);
    let three = subscribe(&[("a", ""), ("a", ""), ("a", "")]);
    assert!(closes(
        &send(&mut session, NOW, &three),
        1008,
        "subscriptions"
    ));
    send(&mut session, NOW, &subscribe(&[("x", ""), ("y", "")]));
    assert!(closes(
        &send(&mut session, NOW, &subscribe(&[("z", "")])),
        1008,
        "refusals"
    ));
}

#[test]
fn a_malformed_message_has_no_effect_but_the_close() {
    let mut session = session();
    let a = token("a", "ann", NOW + 300_000);
    let spoiled = subscribe(&[("a", &a)]).replace(r#"{"id":"a""#, r#"{"id":"a"},{"id":7"#);
    let actions = send(&mut session, NOW, &spoiled);
    assert!(
        closes(&actions, 1003, "message_shape") && actions.len() == 1,
        "{actions:?}"
    );
    let twice = format!("{0}{0}", subscribe(&[("a", &a)]));
    assert!(closes(
        &send(&mut session, NOW, &twice),
        1007,
        "message_json"
    ));
    assert!(closes(
        &send(&mut session, NOW, r#"{"type":"hello","content":{}}"#),
        1008,
        "message_type"
    ));
    assert_eq!(session.subscriptions(), 0);
}

#[test]
fn a_session_is_small() {
    assert!(
        size_of::<SeafileSession>() <= 72,
        "{}",
        size_of::<SeafileSession>()
    );
    assert!(size_of::<Subscription>() <= 24);
}
