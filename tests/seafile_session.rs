//! Promise: a Seafile session takes any sequence of input without harm and without growing past its bounds, answers each
//! refused library, and never lets a subscription outlive its token by more than ten seconds.

use std::collections::HashMap;

use foghorn::dialect::seafile::auth::{Claims, Keys};
use foghorn::dialect::seafile::message::jwt_expired;
use foghorn::dialect::seafile::session::{Rules, SeafileSession};
use foghorn::session::{Action, Session, Turn};
use proptest::prelude::*;
use serde_json::json;

const MAX: usize = 6;
const START: u64 = 1_700_000_000_000;

#[derive(Clone, Debug)]
enum Token {
    /// Good for so many seconds, perhaps not at all.
    Good(i64),
    OtherLibrary,
    WrongKey,
    Junk,
}

#[derive(Clone, Debug)]
enum Input {
    Subscribe(Vec<(u8, Token)>),
    Unsubscribe(Vec<u8>),
    Raw(Vec<u8>),
    /// So many milliseconds go by.
    Wait(u64),
}

fn input() -> impl Strategy<Value = Input> {
    let token = prop_oneof![
        3 => (-5..200_i64).prop_map(Token::Good),
        1 => Just(Token::OtherLibrary),
        1 => Just(Token::WrongKey),
        1 => Just(Token::Junk),
    ];
    prop_oneof![
        4 => prop::collection::vec((0..12_u8, token), 0..5).prop_map(Input::Subscribe),
        2 => prop::collection::vec(0..12_u8, 0..4).prop_map(Input::Unsubscribe),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Input::Raw),
        4 => (0..90_000_u64).prop_map(Input::Wait),
    ]
}

fn id(library: u8) -> String {
    if library == 0 {
        String::new()
    } else {
        format!("library \"{library}\"")
    }
}

fn message(now_ms: u64, input: &Input) -> Vec<u8> {
    let (kind, repos): (_, Vec<_>) = match input {
        Input::Raw(bytes) => return bytes.clone(),
        Input::Wait(_) => return Vec::new(),
        Input::Subscribe(entries) => {
            let entry = |(library, token): &(u8, Token)| {
                let seconds = if let Token::Good(seconds) = token {
                    *seconds
                } else {
                    60
                };
                let named = if matches!(token, Token::OtherLibrary) {
                    "another".to_owned()
                } else {
                    id(*library)
                };
                let exp = (now_ms / 1000) as i64 + seconds;
                let claims = Claims {
                    exp,
                    repo_id: Some(named),
                    username: Some(format!("u{library}")),
                };
                let key = if matches!(token, Token::WrongKey) {
                    "wrong"
                } else {
                    "key"
                };
                let text = if matches!(token, Token::Junk) {
                    "junk".into()
                } else {
                    Keys::new(key, None).sign(&claims)
                };
                json!({"id": id(*library), "jwt_token": text})
            };
            ("subscribe", entries.iter().map(entry).collect())
        }
        Input::Unsubscribe(ids) => (
            "unsubscribe",
            ids.iter()
                .map(|library| json!({"id": id(*library)}))
                .collect(),
        ),
    };
    json!({"type": kind, "content": {"repos": repos}})
        .to_string()
        .into_bytes()
}

/// What the actions so far amount to, and the latest end each subscription may have.
#[derive(Default)]
struct Model {
    ends: HashMap<String, u64>,
    closed: bool,
}

impl Model {
    fn take(&mut self, now_ms: u64, input: &Input, out: &[Action]) {
        for action in out {
            match action {
                Action::Subscribe { channel, user, .. } => {
                    let Input::Subscribe(entries) = input else {
                        panic!("subscribed by {input:?}")
                    };
                    let seconds = entries.iter().filter_map(|(library, token)| match token {
                        Token::Good(seconds) if id(*library) == channel.name() => {
                            Some((*library, *seconds))
                        }
                        _ => None,
                    });
                    let (library, seconds) = seconds
                        .max_by_key(|(_, seconds)| *seconds)
                        .expect("a good token");
                    assert!(seconds > 0 && !channel.name().is_empty());
                    assert_eq!(**user, format!("u{library}"));
                    self.ends
                        .insert(channel.name().to_owned(), now_ms + seconds as u64 * 1000);
                }
                Action::Unsubscribe(channel) => {
                    assert!(
                        self.ends.remove(channel.name()).is_some(),
                        "{channel} was not subscribed"
                    );
                }
                Action::Send(text) => assert!(text.starts_with(b"{\"type\":\"jwt-expired\"")),
                Action::Log(_, text) => {
                    assert!(text.starts_with("token for subscribe refused"), "{text}")
                }
                Action::Identify(user) => assert!(user.starts_with('u')),
                Action::Ask(..) => panic!("nothing of this protocol takes time: {action:?}"),
                Action::Enter(_) | Action::Leave(_) => {
                    panic!("nobody is present in it: {action:?}")
                }
                Action::Close(close) => {
                    assert!([1003, 1007, 1008].contains(&close.code) && close.reason.len() <= 123);
                    self.closed = true;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_sequence_is_safe_and_bounded(inputs in prop::collection::vec(input(), 0..60), seed in any::<u64>()) {
        let rules = Rules::new(Keys::new("key", None), MAX);
        let mut session = SeafileSession::new(rules, seed);
        let (mut now, mut model, mut out) = (START, Model::default(), Vec::new());
        for input in &inputs {
            if let Input::Wait(millis) = input {
                let until = now + millis;
                // As the sweep does it: a tick within two seconds of when it was asked for.
                let mut turns = 0;
                while let Some(due) = session.next_tick().filter(|due| due + 1_500 <= until) {
                    out.clear();
                    session.on_tick(&mut Turn { now_ms: due.max(now) + 1_500, out: &mut out });
                    prop_assert!(!out.is_empty(), "a tick for nothing");
                    model.take(due, input, &out);
                    now = now.max(due);
                    turns += 1;
                    prop_assert!(turns < 200, "ticks in a tight loop");
                }
                now = until;
                for (library, end) in &model.ends {
                    prop_assert!(end + 10_000 >= now, "{library} outlived its token");
                }
                continue;
            }
            out.clear();
            session.on_message(&mut Turn { now_ms: now, out: &mut out }, &message(now, input));
            let identified = out.iter().filter(|action| matches!(action, Action::Identify(_))).count();
            prop_assert!(identified <= 1 && out.len() - identified <= 6);
            model.take(now, input, &out);
            prop_assert!(session.subscriptions() <= MAX);
            prop_assert_eq!(session.subscriptions(), model.ends.len());
            prop_assert!(model.ends.is_empty() || session.next_tick().is_some());
            if model.closed {
                break;
            }
        }
    }

    #[test]
    fn a_client_in_a_tight_loop_is_answered_seldom(gap in 1..400_u64) {
        let mut session = SeafileSession::new(Rules::new(Keys::new("key", None), MAX), 1);
        let bad = message(START, &Input::Subscribe(vec![(1, Token::Junk)]));
        let (mut answers, mut out) = (0, Vec::new());
        for now in (START..START + 120_000).step_by(gap as usize) {
            session.on_message(&mut Turn { now_ms: now, out: &mut out }, &bad);
            if session.next_tick().is_some_and(|due| due <= now) {
                session.on_tick(&mut Turn { now_ms: now, out: &mut out });
            }
            answers += out.len();
            prop_assert!(out.iter().all(|action| *action == Action::Send(jwt_expired(&id(1)))));
            out.clear();
        }
        prop_assert!((6..=8).contains(&answers), "{} answers in two minutes", answers);
    }
}
