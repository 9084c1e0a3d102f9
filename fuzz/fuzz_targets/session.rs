//! Any sequence of client messages and pauses: a session stays within its bounds and never panics.
//!
//! The input is cut into steps: a byte says what comes (a good, an expired or a foreign token for one of a few
//! libraries, an unsubscription, a pause, or raw bytes of a given length).

#![no_main]

use std::collections::HashSet;

use foghorn::dialect::seafile::auth::{Claims, Keys};
use foghorn::dialect::seafile::session::{Rules, SeafileSession};
use foghorn::session::{Action, Session, Turn};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 5;
const START: u64 = 1_700_000_000_000;

fn subscribe(keys: &Keys, library: u8, named: u8, exp: i64) -> Vec<u8> {
    let claims = Claims {
        exp,
        repo_id: Some(format!("l{named}")),
        username: Some("ann".into()),
    };
    let token = keys.sign(&claims);
    serde_json::json!({"type": "subscribe", "content": {"repos": [{"id": format!("l{library}"), "jwt_token": token}]}})
        .to_string()
        .into_bytes()
}

fn step(keys: &Keys, now_ms: u64, rest: &mut &[u8]) -> Option<Result<Vec<u8>, u64>> {
    let [kind, arg, tail @ ..] = *rest else {
        return None;
    };
    *rest = tail;
    let (library, second) = (arg % 9, (now_ms / 1000) as i64);
    Some(match kind % 6 {
        0 => Ok(subscribe(keys, library, library, second + i64::from(*arg))),
        1 => Ok(subscribe(
            keys,
            library,
            library.wrapping_add(1),
            second + 60,
        )),
        2 => Ok(format!(
            r#"{{"type":"unsubscribe","content":{{"repos":[{{"id":"l{library}"}}]}}}}"#
        )
        .into_bytes()),
        3 => Err(u64::from(*arg) * 997),
        _ => {
            let (raw, after) = rest.split_at(rest.len().min(usize::from(*arg)));
            *rest = after;
            Ok(raw.to_vec())
        }
    })
}

fuzz_target!(|data: &[u8]| {
    let keys = Keys::new("key", None);
    let mut session = SeafileSession::new(Rules::new(keys.clone(), MAX), 7);
    let (mut now_ms, mut rest, mut out, mut held) = (START, data, Vec::new(), HashSet::new());
    while let Some(step) = step(&keys, now_ms, &mut rest) {
        match step {
            Ok(message) => session.on_message(
                &mut Turn {
                    now_ms,
                    out: &mut out,
                },
                &message,
            ),
            Err(pause) => {
                now_ms += pause;
                session.on_tick(&mut Turn {
                    now_ms,
                    out: &mut out,
                });
            }
        }
        for action in out.drain(..) {
            match action {
                Action::Subscribe { channel, .. } => drop(held.insert(channel)),
                Action::Unsubscribe(channel) => {
                    assert!(held.remove(&channel), "was not subscribed")
                }
                Action::Send(text) => assert!(text.starts_with(b"{\"type\":\"jwt-expired\"")),
                Action::Log(_, text) => assert!(text.starts_with("token for subscribe refused")),
                Action::Identify(_) => {}
                Action::Ask(..) | Action::Enter(_) | Action::Leave(_) => {
                    panic!("none of its protocol: {action:?}")
                }
                Action::Close(close) => return assert!(close.reason.len() <= 123),
            }
        }
        assert_eq!(session.subscriptions(), held.len());
        assert!(held.len() <= MAX);
    }
});
