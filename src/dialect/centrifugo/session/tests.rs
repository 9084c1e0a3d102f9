//! What a session wants done, without a network: above all what the recorded conversations do not ask for.

use super::super::file::V1;
use super::super::message::{self, From};
use super::super::signing_key::tests::sign;
use super::*;
use crate::event::{Past, Place};
use crate::session::{Entrance, Query, Since};

const NOW_MS: u64 = 1_700_000_000_000;
const CONFIG: &str = r#"{"secret": "secret", "namespaces": [
    {"name": "public", "publish": true, "presence": true, "join_leave": true, "history_size": 3, "history_lifetime": 60, "recover": true},
    {"name": "info", "presence": true}, {"name": "drop", "history_size": 3, "history_lifetime": 60, "history_drop_inactive": true}]}"#;

struct Client {
    session: ClientSession,
    now_ms: u64,
}

impl Client {
    fn new(config: &str) -> Self {
        let V1 { rules, fixed, .. } = V1::read(config)
            .map_err(|fault| fault.to_string())
            .expect("a configuration");
        let mut client = Self {
            session: ClientSession::new(Arc::new(Site::new(rules, fixed.queue_bytes))),
            now_ms: NOW_MS,
        };
        client.act(|session, turn| session.on_start(turn));
        client
    }

    /// One that is connected as user 42, and its id.
    fn connected(config: &str) -> (Self, String) {
        let mut client = Self::new(config);
        let welcome = client.say(&connect("connect", "42", NOW_MS / 1_000, ""));
        let said: serde_json::Value = serde_json::from_str(&sent(&welcome)[0]).expect("an answer");
        let id = said["body"]["client"].as_str().expect("an id").to_owned();
        (client, id)
    }

    fn act(&mut self, act: impl FnOnce(&mut ClientSession, &mut Turn<'_>)) -> Vec<Action> {
        let mut out = Vec::new();
        act(
            &mut self.session,
            &mut Turn {
                now_ms: self.now_ms,
                out: &mut out,
            },
        );
        out
    }

    fn say(&mut self, text: &str) -> Vec<Action> {
        self.act(|session, turn| session.on_message(turn, text.as_bytes()))
    }

    /// Says something, and is answered what is asked for: nothing is there.
    fn say_through(&mut self, text: &str) -> Vec<Action> {
        let mut actions = self.say(text);
        for ticket in asked(&actions) {
            actions.extend(self.answer(ticket, past(&[])));
        }
        actions
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> Vec<Action> {
        self.act(|session, turn| session.on_answer(turn, ticket, answer))
    }
}

#[test]
fn answers_that_are_more_than_may_wait_for_a_client_end_it() {
    let (mut client, _) =
        Client::connected(r#"{"secret": "secret", "client_queue_max_size": 400}"#);
    let batch = |count: usize| format!("[{}]", [r#"{"method":"ping"}"#].repeat(count).join(","));
    assert!(matches!(client.say(&batch(3))[..], [Action::Send(_)]));
    assert!(matches!(&client.say(&batch(30))[..], [Action::Close(close)] if *close == SLOW));
}

fn connect(method: &str, user: &str, at_s: u64, info: &str) -> String {
    let token = sign("secret", &[user, &at_s.to_string(), info]);
    let params = serde_json::json!({"user": user, "timestamp": at_s.to_string(), "info": info, "token": token});
    serde_json::json!({"method": method, "params": params}).to_string()
}

fn subscribe(channel: &str) -> String {
    format!(
        r#"{{"method":"subscribe","params":{{"channel":"{channel}","recover":true,"last":"m1"}}}}"#
    )
}

fn private(channel: &str, client: &str, signed: &str, info: &str) -> String {
    let sign = sign("secret", &[client, signed]);
    let params =
        serde_json::json!({"channel": channel, "client": client, "sign": sign, "info": info});
    serde_json::json!({"method": "subscribe", "params": params}).to_string()
}

fn sent(actions: &[Action]) -> Vec<String> {
    let text = |action: &Action| match action {
        Action::Send(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    };
    actions.iter().filter_map(text).collect()
}

fn closed(actions: &[Action]) -> Option<&Close> {
    actions.iter().find_map(|action| {
        if let Action::Close(close) = action {
            Some(close)
        } else {
            None
        }
    })
}

fn entrances(actions: &[Action]) -> Vec<&Entrance> {
    actions
        .iter()
        .filter_map(|action| {
            if let Action::Enter(entrance) = action {
                Some(&**entrance)
            } else {
                None
            }
        })
        .collect()
}

/// The tickets of what is to be told, in order.
fn asked(actions: &[Action]) -> Vec<Ticket> {
    let ticket = |action: &Action| match action {
        Action::Ask(ticket, _) if *ticket != NO_MATTER => Some(*ticket),
        Action::Subscribe {
            since: Since::Past(ticket),
            ..
        } => Some(*ticket),
        _ => None,
    };
    actions.iter().filter_map(ticket).collect()
}

/// Names of the events that are published, and of their channels.
fn published(actions: &[Action]) -> Vec<(String, String)> {
    let event = |action: &Action| match action {
        Action::Ask(_, query) => match &**query {
            Query::Publish(event) | Query::Keep(event, _) => {
                Some((event.name.to_string(), event.channel.to_string()))
            }
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(event).collect()
}

/// A past with messages of these ids.
fn past(uids: &[&str]) -> Answer {
    renewed(7, uids)
}

/// The same, where messages may be missing behind them unless the epoch is still 7.
fn renewed(epoch: u64, uids: &[&str]) -> Answer {
    let message = |(number, uid): (u64, &&str)| {
        (
            Place { epoch: 7, number },
            message::message("public:x", uid, "1", From::default()),
        )
    };
    let placed = (1..).zip(uids).map(message).collect();
    Answer::Past(Past::new(
        Place {
            epoch,
            number: uids.len() as u64,
        },
        placed,
    ))
}

#[test]
fn a_batch_waits_for_what_it_asks_and_is_answered_in_order() {
    let (mut client, _) = Client::connected(CONFIG);
    let batch = [
        subscribe("public:x"),
        r#"{"method":"history","params":{"channel":"public:x"}}"#.into(),
        "{\"method\":\"ping\"}".into(),
    ];
    let begun = client.say(&format!("[{}]", batch.join(",")));
    assert_eq!((asked(&begun).len(), sent(&begun).len()), (1, 0));
    let gone_on = client.answer(asked(&begun)[0], past(&["m1", "m2"]));
    assert_eq!((asked(&gone_on).len(), sent(&gone_on).len()), (1, 0));
    assert_eq!(
        client.answer(NO_MATTER, Answer::Published),
        [],
        "that its join is published is no matter"
    );
    let done = client.answer(asked(&gone_on)[0], past(&["m1", "m2"]));
    let told: Vec<serde_json::Value> = serde_json::from_str(&sent(&done)[0]).expect("an array");
    assert_eq!(told[0]["body"]["recovered"], true);
    assert_eq!(
        (
            told[0]["body"]["messages"][0]["uid"].as_str(),
            &told[0]["body"]["messages"][1]
        ),
        (Some("m2"), &serde_json::Value::Null)
    );
    assert_eq!(told[1]["body"]["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(told[2]["method"], "ping");
}

#[test]
fn where_the_past_cannot_be_told_nobody_is_subscribed_and_it_may_be_tried_again() {
    let (mut client, _) = Client::connected(CONFIG);
    let begun = client.say(&subscribe("public:x"));
    let failed = client.answer(asked(&begun)[0], Answer::Unavailable);
    assert!(sent(&failed)[0].contains(r#""error":"internal server error","advice":"retry""#));
    assert!(
        failed.contains(&Action::Unsubscribe(message::channel("public:x")))
            && published(&failed).is_empty()
    );
    assert_eq!(asked(&client.say(&subscribe("public:x"))).len(), 1);
}

#[test]
fn who_comes_back_too_late_is_told_all_there_is_and_that_something_may_be_missing() {
    let (mut client, _) = Client::connected(CONFIG);
    let begun = client.say(&subscribe("public:x"));
    let told = client.answer(asked(&begun)[0], past(&["m2", "m3"]));
    assert!(
        sent(&told)[0].contains(r#""recovered":false"#)
            && sent(&told)[0].contains(r#"[{"uid":"m3""#)
    );
}

#[test]
fn where_messages_may_be_missing_behind_the_last_one_nobody_is_told_that_all_are_there() {
    let (mut client, _) = Client::connected(CONFIG);
    let begun = client.say(&subscribe("public:x"));
    let told = client.answer(asked(&begun)[0], renewed(8, &["m1", "m2"]));
    assert!(
        sent(&told)[0].contains(r#""recovered":false"#)
            && sent(&told)[0].contains(r#"{"uid":"m1""#)
    );
}

#[test]
fn a_refresh_is_good_with_the_users_own_proof_alone() {
    let config = CONFIG.replacen('{', r#"{"connection_lifetime": 60, "#, 1);
    let (mut client, id) = Client::connected(&config);
    client.say_through(r#"{"method":"subscribe","params":{"channel":"info:x"}}"#);
    client.now_ms += 50_000;
    let until = client.session.next_tick();
    let refreshed = client.say(&connect(
        "refresh",
        "42",
        client.now_ms / 1_000,
        r#"{"a": 1}"#,
    ));
    assert_eq!(
        client.session.next_tick(),
        until.map(|until| until + 50_000)
    );
    let info = format!(r#"{{"user":"42","client":"{id}","default_info":{{"a": 1}}}}"#);
    assert_eq!(
        entrances(&refreshed)[0].who,
        info,
        "presence tells the new info at once"
    );
    let other = client.say(&connect("refresh", "43", client.now_ms / 1_000, ""));
    assert_eq!(
        closed(&other).map(|close| close.label),
        Some("invalid_token")
    );
}

#[test]
fn connections_end_when_they_are_not_made_known_or_not_refreshed() {
    let mut client = Client::new(CONFIG);
    assert_eq!(client.session.next_tick(), Some(NOW_MS + 25_000));
    client.now_ms += 25_000;
    assert_eq!(
        closed(&client.act(|session, turn| session.on_tick(turn))).map(|close| close.label),
        Some("stale")
    );
    let (mut client, _) =
        Client::connected(&CONFIG.replacen('{', r#"{"connection_lifetime": 60, "#, 1));
    client.now_ms += 84_999;
    assert_eq!(client.act(|session, turn| session.on_tick(turn)), []);
    client.now_ms += 1;
    assert_eq!(
        closed(&client.act(|session, turn| session.on_tick(turn))).map(|close| close.label),
        Some("expired")
    );
}

#[test]
fn in_insecure_mode_nothing_expires_and_nobody_is_told_that_it_does() {
    let mut client = Client::new(r#"{"secret": "s", "insecure": true, "connection_lifetime": 3}"#);
    let told = client.say(r#"{"method":"connect","params":{}}"#);
    assert!(
        sent(&told)[0].ends_with(r#""expires":false,"expired":false,"ttl":0}}"#)
            && client.session.next_tick().is_none()
    );
}

#[test]
fn a_sign_opens_no_channel_whose_name_ends_elsewhere() {
    let (mut client, id) = Client::connected(CONFIG);
    for (channel, info) in [("$room1", "2"), ("$room", "12")] {
        let told = client.say(&private(channel, &id, "$room12", info));
        assert!(sent(&told)[0].contains("permission denied"), "{channel}");
    }
    assert!(
        sent(&client.say(&private("$room12", &id, "$room12", "")))[0].contains(r#""status":true"#)
    );
    let broken = client.say(&private("$a", &id, "$a{", "{"));
    assert_eq!(
        closed(&broken).map(|close| close.label),
        Some("invalid_message")
    );
}

#[test]
fn an_info_lasts_as_long_as_its_subscription() {
    let (mut client, id) = Client::connected(CONFIG);
    let first = client.say_through(&private("$info:x", &id, "$info:x{}", "{}"));
    assert!(String::from_utf8_lossy(&entrances(&first)[0].who).contains(r#""channel_info":{}"#));
    client.say(r#"{"method":"unsubscribe","params":{"channel":"$info:x"}}"#);
    let second = client.say_through(&private("$info:x", &id, "$info:x", ""));
    assert!(!String::from_utf8_lossy(&entrances(&second)[0].who).contains("channel_info"));
}

#[test]
fn who_ends_leaves_every_channel_and_where_nothing_is_kept_of_idle_channels_it_is_noted() {
    let (mut client, _) = Client::connected(CONFIG);
    client.say_through(&subscribe("public:x"));
    let dropped = client.say_through(r#"{"method":"subscribe","params":{"channel":"drop:x"}}"#);
    assert_eq!(entrances(&dropped)[0].channel, message::in_use("drop:x"));
    let mut left = published(&client.act(|session, turn| session.on_end(turn)));
    left.sort();
    let leave = |channel: &str| ("leave".to_owned(), channel.to_owned());
    assert_eq!(left, [leave("c-use/drop:x"), leave("c/public:x")]);
    assert_eq!(client.session.site.attendance.present().channels, 0);
}

#[test]
fn a_backend_puts_out_who_is_there_once_what_it_asked_is_answered() {
    let (mut client, _) = Client::connected(CONFIG);
    let mail = |client: &mut Client, order: Order<'_>| {
        let mut answered = None;
        let actions = client.act(|session, turn| answered = session.on_mail(turn, &order.write()));
        assert!(answered.is_some());
        actions
    };
    assert_eq!(
        mail(&mut client, Order::Leave("public:x")),
        [],
        "it is not there"
    );
    let begun = client.say(&subscribe("public:x"));
    assert_eq!(mail(&mut client, Order::Leave("")), []);
    let told = sent(&client.answer(asked(&begun)[0], past(&["m1"])));
    assert!(told[0].contains(r#""recovered":true"#));
    assert_eq!(
        told[1],
        r#"{"method":"unsubscribe","body":{"channel":"public:x","status":true}}"#
    );
    assert_eq!(
        closed(&mail(&mut client, Order::End)).map(|close| close.label),
        Some("admin")
    );
}

#[test]
fn a_session_is_no_larger_than_it_may_be() {
    assert!(size_of::<ClientSession>() <= 72);
}
