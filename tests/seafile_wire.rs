//! Promise: the Seafile wire types take any bytes without harm, and keep an event's content to the byte.

use foghorn::dialect::seafile::clients::DESKTOP;
use foghorn::dialect::seafile::message::{
    Audience, BackendEvent, ClientMessage, Parsed, compact, jwt_expired,
};
use foghorn::event::{Channel, Event};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON, with keys and strings that the protocol knows among them.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("subscribe".to_owned()),
        Just("unsubscribe".to_owned()),
        Just("repo-update".to_owned()),
        Just("folder-perm-changed".to_owned()),
        Just("file-lock-changed".to_owned()),
        any::<String>(),
        Just(" \"\\\t\u{0}".to_owned()),
    ];
    let key = prop_oneof![
        4 => prop::sample::select(vec!["type", "content", "repos", "id", "jwt_token", "repo_id", "user", "group", "path"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(-1)),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The text of a value, with blanks between its tokens.
fn spaced(value: &Value) -> String {
    serde_json::to_string_pretty(value)
        .expect("JSON")
        .replace('\n', "\r\n\t ")
}

/// What clients get of it.
fn sent(event: &BackendEvent) -> Vec<u8> {
    let event = Event::new(
        Channel::new("repo", &event.repo_id),
        event.kind.name(),
        event.content.clone(),
    );
    DESKTOP.wire.text(&DESKTOP.wire.event(&event)).to_vec()
}

fn check_any(bytes: &[u8]) {
    if let Err(bad) = ClientMessage::parse(bytes) {
        let close = bad.close();
        assert!(
            [1003, 1007, 1008].contains(&close.code)
                && !close.reason.is_empty()
                && close.reason.len() <= 123
        );
    }
    match BackendEvent::parse(bytes) {
        Ok(Parsed::Deliver(event)) => {
            assert!(!event.repo_id.is_empty());
            let text = sent(&event);
            let sent: Value = serde_json::from_slice(&text).expect("clients get JSON");
            let posted: Value = serde_json::from_slice(bytes).expect("only JSON is delivered");
            assert_eq!(
                sent,
                json!({"type": posted["type"], "content": posted["content"]})
            );
            assert_eq!(text.last(), Some(&b'\n'));
        }
        Ok(Parsed::Nowhere { detail, .. }) => assert!(!detail.is_empty()),
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_any(&bytes);
    }

    #[test]
    fn any_text_of_json_s_letters_is_safe(text in r#"[{}\[\]",:\\ntru0-9e.\-+ \n/bs]{0,60}"#) {
        check_any(text.as_bytes());
    }

    #[test]
    fn any_json_is_safe(value in any_json(), spread in any::<bool>()) {
        let text = if spread { spaced(&value) } else { value.to_string() };
        check_any(text.as_bytes());
    }

    #[test]
    fn a_spoiled_text_is_safe(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = spaced(&value).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        check_any(&text);
        text.truncate(at);
        check_any(&text);
    }

    #[test]
    fn compacting_takes_the_blanks_and_nothing_else(value in any_json()) {
        let mut out = Vec::new();
        compact(&spaced(&value), |piece| out.extend_from_slice(piece));
        prop_assert_eq!(std::str::from_utf8(&out).expect("text"), value.to_string());
        let mut again = Vec::new();
        compact(std::str::from_utf8(&out).expect("text"), |piece| again.extend_from_slice(piece));
        prop_assert_eq!(again, out);
    }

    #[test]
    fn an_event_with_any_extra_content_arrives(extra in any_json(), key in "[a-z]{8,12}", user in any::<String>(), group in any::<i64>()) {
        let content = json!({"repo_id": "r", key: extra, "user": user, "group": group});
        let body = spaced(&json!({"type": "folder-perm-changed", "content": content}));
        let Ok(Parsed::Deliver(event)) = BackendEvent::parse(body.as_bytes()) else { panic!("not delivered: {body}") };
        let whom = match (user, group) {
            (user, _) if !user.is_empty() => Audience::User(user),
            (_, -1) => Audience::All,
            (_, group) => Audience::Group(group),
        };
        prop_assert_eq!(&event.audience, &whom);
        let expected = format!("{{\"type\":\"folder-perm-changed\",\"content\":{content}}}\n");
        prop_assert_eq!(String::from_utf8(sent(&event)).expect("text"), expected);
    }

    #[test]
    fn jwt_expired_is_json_for_any_id(id in any::<String>()) {
        let message: Value = serde_json::from_slice(&jwt_expired(&id)).expect("JSON");
        prop_assert_eq!(message, json!({"type": "jwt-expired", "content": {"repo_id": id}}));
    }
}
