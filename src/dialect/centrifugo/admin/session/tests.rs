//! Operators' sessions, turn by turn.

use super::super::super::file::V1;
use super::super::tokens::Tokens;
use super::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn session() -> AdminSession {
    let config = r#"{"secret": "s", "admin": true, "admin_password": "p", "admin_secret": "a"}"#;
    let V1 { rules, fixed, .. } = V1::read(config)
        .map_err(|fault| fault.to_string())
        .expect("a configuration");
    let mut session = AdminSession::new(Arc::new(Site::new(rules, fixed.queue_bytes)));
    act(&mut session, NOW_MS, |session, turn| session.on_start(turn));
    session
}

fn act(
    session: &mut AdminSession,
    now_ms: u64,
    act: impl FnOnce(&mut AdminSession, &mut Turn<'_>),
) -> Vec<Action> {
    let mut out = Vec::new();
    act(
        session,
        &mut Turn {
            now_ms,
            out: &mut out,
        },
    );
    out
}

fn say(session: &mut AdminSession, text: &str) -> Vec<Action> {
    act(session, NOW_MS, |session, turn| {
        session.on_message(turn, text.as_bytes())
    })
}

fn connect(until_s: u64, watch: &str) -> String {
    let token = Tokens::new("a", "p").issue(until_s);
    format!(r#"{{"uid":"1","method":"connect","params":{{"token":"{token}"{watch}}}}}"#)
}

fn send(text: &str) -> Action {
    Action::Send(text.to_owned().into())
}

#[test]
fn whoever_connects_is_answered_whether_it_watches_or_not() {
    let until_s = NOW_MS / 1_000 + 60;
    let answer = send(r#"[{"uid":"1","method":"connect","error":null,"body":true}]"#);
    for watch in ["", r#","watch":false"#] {
        let told = say(&mut session(), &connect(until_s, watch));
        assert_eq!(told, [Action::Unsubscribe(watchers()), answer.clone()]);
    }
    let told = say(&mut session(), &connect(until_s, r#","watch":true"#));
    let subscribe = Action::Subscribe {
        channel: watchers(),
        user: "".into(),
        since: Since::Now,
    };
    assert_eq!(told, [subscribe, answer]);
}

#[test]
fn nobody_does_anything_without_a_token_and_nothing_after_its_end() {
    let mut strange = session();
    assert_eq!(
        say(&mut strange, r#"{"method":"ping"}"#),
        [Action::Close(UNAUTHORIZED)]
    );
    assert_eq!(
        say(&mut session(), &connect(NOW_MS / 1_000, "")),
        [Action::Close(UNAUTHORIZED)]
    );
    let mut idle = session();
    let stale_ms = idle.next_tick().expect("a time");
    assert_eq!(
        act(&mut idle, stale_ms, |session, turn| session.on_tick(turn)),
        [Action::Close(STALE)]
    );
    let mut operator = session();
    say(&mut operator, &connect(NOW_MS / 1_000 + 60, ""));
    assert_eq!(operator.next_tick(), Some(NOW_MS + LOOK_MS));
    act(&mut operator, NOW_MS + 59_000, |session, turn| {
        session.on_tick(turn)
    });
    assert_eq!(operator.next_tick(), Some(NOW_MS + 60_000));
    let ended = act(&mut operator, NOW_MS + 60_000, |session, turn| {
        session.on_tick(turn)
    });
    assert_eq!(ended, [Action::Close(UNAUTHORIZED)]);
}

#[test]
fn nobody_stays_an_operator_by_rules_of_the_past() {
    let strict = |password: &str| {
        format!(
            r#"{{"secret": "s", "admin": true, "admin_password": "{password}", "admin_secret": "a"}}"#
        )
    };
    let open = r#"{"secret": "s", "admin": true, "insecure_admin": true}"#;
    let change = |session: &AdminSession, config: &str| {
        let v1 = V1::read(config).map_err(|fault| fault.to_string());
        *session.site.rules.write() = Arc::new(v1.expect("a configuration").rules);
    };
    let ended = [Action::Close(UNAUTHORIZED)];
    for (connects_by, holds_then) in [
        (strict("p"), strict("other")),
        (open.to_owned(), strict("p")),
    ] {
        let operator = || {
            let mut session = session();
            change(&session, &connects_by);
            let token = match connects_by == open {
                true => r#"{"method":"connect","params":{"token":"insecure"}}"#.to_owned(),
                false => connect(NOW_MS / 1_000 + 60, ""),
            };
            assert_eq!(say(&mut session, &token).len(), 2);
            session
        };
        let (mut busy, mut idle) = (operator(), operator());
        let look_ms = idle.next_tick().expect("a time");
        let tick = |session: &mut AdminSession, at_ms| {
            act(session, at_ms, |session, turn| session.on_tick(turn))
        };
        assert!(tick(&mut idle, look_ms).is_empty(), "nothing has changed");
        for session in [&busy, &idle] {
            change(session, &holds_then);
        }
        assert_eq!(say(&mut busy, r#"{"method":"ping"}"#), ended);
        let look_ms = idle.next_tick().expect("a time");
        assert_eq!(tick(&mut idle, look_ms), ended);
    }
}

#[test]
fn commands_are_asked_of_the_dialect_one_after_another_and_answered_in_one_array() {
    let mut session = session();
    say(&mut session, &connect(NOW_MS / 1_000 + 60, ""));
    let message =
        r#"[{"method":"ping"},{"uid":"a\"","method":"channels"},{"method":"info","params":{}}]"#;
    let ask = |ticket, text: &str| {
        Action::Ask(
            ticket,
            Box::new(Query::Own([QUESTION, text.as_bytes()].concat().into())),
        )
    };
    assert_eq!(
        say(&mut session, message),
        [ask(1, r#"{"uid":"a\"","method":"channels","params":null}"#)]
    );
    let told = act(&mut session, NOW_MS, |session, turn| {
        session.on_answer(turn, 1, Answer::Own("1".into()))
    });
    assert_eq!(
        told,
        [ask(2, r#"{"uid":null,"method":"info","params":{}}"#)]
    );
    let told = act(&mut session, NOW_MS, |session, turn| {
        session.on_answer(turn, 2, Answer::Unavailable)
    });
    let ping = r#"{"method":"ping","error":null,"body":"pong"}"#;
    let info = r#"{"method":"info","error":"internal server error","advice":"retry","body":null}"#;
    assert_eq!(told, [send(&format!("[{ping},1,{info}]"))]);
}

#[test]
fn a_message_with_one_bad_command_is_refused_whole() {
    let good = r#"{"method":"publish","params":{"channel":"x","data":1}}"#;
    for (bad, close) in [
        (r#"{"method":"zork"}"#, METHOD_NOT_FOUND),
        (
            r#"{"method":"publish","params":{"channel":"x"}}"#,
            INVALID_MESSAGE,
        ),
        (
            r#"{"method":"connect","params":{"token":"forged"}}"#,
            UNAUTHORIZED,
        ),
        (
            r#"{"method":"connect","params":{"token":7}}"#,
            INVALID_MESSAGE,
        ),
        ("1", INVALID_MESSAGE),
    ] {
        let mut session = session();
        say(&mut session, &connect(NOW_MS / 1_000 + 60, ""));
        assert_eq!(
            say(&mut session, &format!("[{good},{bad}]")),
            [Action::Close(close)],
            "{bad}"
        );
    }
}
