//! The wire types, case by case; arbitrary input is in `tests/seafile_wire.rs`.

use super::*;
use crate::broker::partition;
use crate::dialect::seafile::clients::DESKTOP;
use crate::event::{Channel, Event};

fn delivered(body: &str) -> BackendEvent {
    match BackendEvent::parse(body.as_bytes()) {
        Ok(Parsed::Deliver(event)) => event,
        other => panic!("{body} gave {other:?}"),
    }
}

fn reason(body: &str) -> Reason {
    match BackendEvent::parse(body.as_bytes()) {
        Ok(Parsed::Nowhere { reason, detail }) if !detail.is_empty() => reason,
        other => panic!("{body} gave {other:?}"),
    }
}

fn code(message: &[u8]) -> u16 {
    let close = ClientMessage::parse(message)
        .expect_err("a message that ends the connection")
        .close();
    assert!(
        !close.reason.is_empty() && close.reason.len() <= MAX_REASON,
        "{}",
        close.reason
    );
    close.code
}

#[test]
fn subscribe_and_unsubscribe_are_read_in_order() {
    let text = "\n { \"id\" : 9, \"type\":\"subscribe\",\n \"content\" : {\"v\":1, \"repos\" : [ {\"id\":\"a\", \"name\":\"Docs\", \"jwt_token\":\"t\"}, {\"id\":\"\\u00e9\"}, {}, null ]} }\n";
    let entry = |id: &'static str, token: &'static str| Entry {
        id: id.into(),
        token: token.into(),
    };
    assert_eq!(
        ClientMessage::parse(text.as_bytes()),
        Ok(ClientMessage::Subscribe(vec![
            entry("a", "t"),
            entry("é", ""),
            entry("", ""),
            entry("", "")
        ]))
    );
    let text =
        br#"{"type":"unsubscribe","content":{"repos":[{"id":"a","jwt_token":7},{"id":null}]}}"#;
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::Unsubscribe(vec!["a".into(), "".into()]))
    );
}

#[test]
fn nothing_to_subscribe_to_is_fine() {
    for content in [
        "null",
        "{}",
        r#"{"repos":null}"#,
        r#"{"repos":[]}"#,
        r#"{"other":1}"#,
        " null ",
    ] {
        for kind in ["subscribe", "unsubscribe"] {
            let text = format!(r#"{{"type":"{kind}","content":{content}}}"#);
            let none = if kind == "subscribe" {
                ClientMessage::Subscribe(Vec::new())
            } else {
                ClientMessage::Unsubscribe(Vec::new())
            };
            assert_eq!(ClientMessage::parse(text.as_bytes()), Ok(none), "{text}");
        }
    }
}

#[test]
fn the_last_of_repeated_keys_counts_and_keys_are_exact() {
    let text = br#"{"type":"x","content":5,"type":"unsubscribe","content":{"repos":7,"repos":[{"id":"a","id":"b"}]}}"#;
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::Unsubscribe(vec!["b".into()]))
    );
    assert_eq!(code(br#"{"TYPE":"subscribe","content":{}}"#), 1008);
    assert_eq!(code(br#"{"type":"subscribe","Content":{}}"#), 1003);
    let text =
        br#"{"type":"subscribe","content":{"Repos":[{}],"repos":[{"ID":"a","JWT_TOKEN":"t"}]}}"#;
    let empty = Entry {
        id: "".into(),
        token: "".into(),
    };
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::Subscribe(vec![empty]))
    );
    // Spelled with an escape it is still the same key.
    let text = br#"{"\u0074ype":"unsubscribe","content":null}"#;
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::Unsubscribe(Vec::new()))
    );
}

#[test]
fn everything_else_ends_the_connection() {
    let wrong_shape = [
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","content":[]}"#,
        r#"{"type":"subscribe","content":"x"}"#,
        r#"{"type":"subscribe","content":7}"#,
        r#"{"type":"subscribe","content":{"repos":{}}}"#,
        r#"{"type":"subscribe","content":{"repos":"x"}}"#,
        r#"{"type":"subscribe","content":{"repos":["x"]}}"#,
        r#"{"type":"subscribe","content":{"repos":[{"id":7,"jwt_token":"x"}]}}"#,
        r#"{"type":"subscribe","content":{"repos":[{"id":"x","jwt_token":{}}]}}"#,
        r#"{"type":"unsubscribe"}"#,
        r#"{"type":"unsubscribe","content":{"repos":"x"}}"#,
        r#"{"type":7}"#,
        "[]",
        "7",
        "\"subscribe\"",
        "null",
    ];
    wrong_shape
        .iter()
        .for_each(|text| assert_eq!(code(text.as_bytes()), 1003, "{text}"));
    let no_json = [
        "",
        " ",
        "hello",
        r#"{"type":"subscribe""#,
        "\u{feff}{}",
        r#"{"type":"subscribe","content":null}{}"#,
        r#"{"type":"subscribe","content":null} junk"#,
        "{\"type\":\"subscribe\",\"content\":null}\0",
        r#"{"type":"subscribe","content":{"repos":[],}}"#,
        "{\"type\":\"subscribe\",\"content\":{\"a\":\"line\nbreak\"}}",
        r#"{"type":"subscribe","content":null,"a":01}"#,
    ];
    no_json
        .iter()
        .for_each(|text| assert_eq!(code(text.as_bytes()), 1007, "{text}"));
    assert_eq!(
        code(b"{\"type\":\"subscribe\",\"content\":{\"a\":\"\xff\"}}"),
        1007
    );
    for kind in [
        "hello",
        "Subscribe",
        "ping",
        "repo-update",
        "",
        " subscribe",
        &"\u{1}😀".repeat(400),
    ] {
        let text = serde_json::json!({"type": kind, "content": {}}).to_string();
        assert_eq!(code(text.as_bytes()), 1008, "{text}");
    }
    assert_eq!(code(b"{}"), 1008);
    assert_eq!(code(br#"{"type":null,"content":null}"#), 1008);
}

/// What clients get of it.
fn sent(event: &BackendEvent) -> String {
    let (channel, wire) = (Channel::new(CHANNEL_KIND, &event.repo_id), DESKTOP.wire);
    let frame = wire.event(&Event::new(
        channel,
        event.kind.name(),
        event.content.clone(),
    ));
    std::str::from_utf8(&wire.text(&frame))
        .expect("text")
        .to_owned()
}

#[test]
fn content_is_kept_to_the_byte_but_for_blanks() {
    let event = delivered(
        "{\n  \"content\" : {\n\t\"b\" : [ 1 , 2 ] ,\r\n \"repo_id\": \"r\", \"note\" : \" two  blanks \"\n } , \"type\" :\t\"repo-update\"\n}\n",
    );
    let expected = "{\"type\":\"repo-update\",\"content\":{\"b\":[1,2],\"repo_id\":\"r\",\"note\":\" two  blanks \"}}\n";
    assert_eq!(sent(&event), expected);
    for content in [
        r#"{"z":1,"repo_id":"r","commit_id":"1","big":123456789012345678901234567890,"one":1.0,"a":"x","a":"y"}"#,
        r#"{"repo_id":"r","path":"\/docs\/\u00e9t\u00e9 \"x\" \\ \t"}"#,
        r#"{"repo_id":"r","path":"/中文/été/😀 👩‍👩‍👧.txt","escaped":"\u4e2d\ud83d\ude00","lone":"\ud800","\udfff":1e-7}"#,
        r#"{"repo_id":"r","path":"/<b>R&D</b>/'q' .txt","back\\":"\\","q\"":"\\\""}"#,
    ] {
        let event = delivered(&format!(
            r#"{{"id":5,"type":"repo-update","content":{content},"trace":"abc"}}"#
        ));
        assert_eq!(
            sent(&event),
            format!("{{\"type\":\"repo-update\",\"content\":{content}}}\n")
        );
    }
}

#[test]
fn only_repo_id_is_needed() {
    for kind in ["repo-update", "file-lock-changed", "comment-update"] {
        let event = delivered(&format!(
            r#"{{"type":"{kind}","content":{{"repo_id":"r","path":null}}}}"#
        ));
        assert_eq!(
            (event.repo_id.as_str(), event.kind.name(), &event.audience),
            ("r", kind, &Audience::All)
        );
        for content in [
            "{}",
            r#"{"repo_id":null}"#,
            r#"{"repo_id":""}"#,
            r#"{"Repo_ID":"r"}"#,
        ] {
            let body = format!(r#"{{"type":"{kind}","content":{content}}}"#);
            assert_eq!(reason(&body), Reason::NoLibrary, "{body}");
        }
    }
    assert_eq!(
        delivered(r#"{"type":"repo-update","content":{"repo_id":1,"repo_id":"r"}}"#).repo_id,
        "r"
    );
}

#[test]
fn whom_a_folder_permission_goes_to() {
    let audience = |fields: &str| {
        delivered(&format!(
            r#"{{"type":"folder-perm-changed","content":{{"repo_id":"r"{fields}}}}}"#
        ))
        .audience
    };
    assert_eq!(
        audience(r#","user":"a@x","group":-1"#),
        Audience::User("a@x".into())
    );
    assert_eq!(
        audience(r#","user":"a@x","group":7"#),
        Audience::User("a@x".into())
    );
    assert_eq!(
        audience(r#","user":" ","group":7"#),
        Audience::User(" ".into())
    );
    assert_eq!(audience(r#","user":"","group":-1"#), Audience::All);
    assert_eq!(audience(r#","group":-1"#), Audience::All);
    assert_eq!(audience(r#","user":null,"group":7"#), Audience::Group(7));
    assert_eq!(audience(r#","group":-2"#), Audience::Group(-2));
    for nobody in ["", r#","group":null"#, r#","group":0"#, r#","group":-0"#] {
        assert_eq!(audience(nobody), Audience::Group(0), "{nobody}");
    }
    assert_eq!(
        audience(r#","group":9223372036854775807"#),
        Audience::Group(i64::MAX)
    );
}

#[test]
fn odd_fields_spoil_an_event() {
    for (kind, content) in [
        ("repo-update", r#"{"repo_id":7,"commit_id":"x"}"#),
        ("repo-update", r#"{"repo_id":"r","commit_id":7}"#),
        ("file-lock-changed", r#"{"repo_id":"r","path":["/x"]}"#),
        ("file-lock-changed", r#"{"repo_id":"r","lock_user":{}}"#),
        ("folder-perm-changed", r#"{"repo_id":"r","group":"-1"}"#),
        ("folder-perm-changed", r#"{"repo_id":"r","group":7.0}"#),
        (
            "folder-perm-changed",
            r#"{"repo_id":"r","user":"a@x","group":1e1}"#,
        ),
        (
            "folder-perm-changed",
            r#"{"repo_id":"r","group":9223372036854775808}"#,
        ),
        ("folder-perm-changed", r#"{"repo_id":"r","perm":true}"#),
        ("comment-update", r#"{"repo_id":"r","type":1}"#),
    ] {
        assert_eq!(
            reason(&format!(r#"{{"type":"{kind}","content":{content}}}"#)),
            Reason::FieldType,
            "{content}"
        );
    }
    // Fields that another event looks at do not matter.
    delivered(r#"{"type":"repo-update","content":{"repo_id":"r","path":7,"group":"x","":[]}}"#);
}

#[test]
fn what_is_no_event_goes_nowhere() {
    for kind in [
        "\"repo-created\"",
        "\"Repo-Update\"",
        "\" repo-update\"",
        "\"jwt-expired\"",
        "\"\"",
        "null",
    ] {
        assert_eq!(
            reason(&format!(r#"{{"type":{kind},"content":{{"repo_id":"r"}}}}"#)),
            Reason::UnknownType
        );
    }
    for body in [
        "{}",
        "null",
        " null\n",
        r#"{"content":{"repo_id":"r"}}"#,
        r#"{"TYPE":"repo-update","content":{}}"#,
    ] {
        assert_eq!(reason(body), Reason::UnknownType, "{body}");
    }
    for content in [
        "null",
        "7",
        "[{\"repo_id\":\"r\"}]",
        r#""{\"repo_id\":\"r\"}""#,
        "true",
    ] {
        assert_eq!(
            reason(&format!(r#"{{"type":"repo-update","content":{content}}}"#)),
            Reason::Content
        );
    }
    assert_eq!(reason(r#"{"type":"repo-update"}"#), Reason::Content);
}

#[test]
fn a_malformed_body_is_refused() {
    let bad = |body: &[u8]| {
        BackendEvent::parse(body)
            .expect_err("a malformed body")
            .label()
    };
    for body in ["[]", "7", "\"repo-update\"", "true"] {
        assert_eq!(bad(body.as_bytes()), "body_shape", "{body}");
    }
    for body in [
        "",
        " ",
        "{",
        "{'type':'repo-update'}",
        "\u{feff}{}",
        r#"{"type":"repo-update","content":{"repo_id":"r"}}x"#,
        r#"{"type":"repo-update","content":{"repo_id":"r",}}"#,
        "{\"type\":\"repo-update\",\"content\":{\"repo_id\":\"r\",\"a\nb\":1}}",
        "nullx",
    ] {
        assert_eq!(bad(body.as_bytes()), "body_json", "{body}");
    }
    assert_eq!(bad(br#"{"type":7,"content":{}}"#), "body_type");
    assert_eq!(
        bad(b"{\"type\":\"repo-update\",\"content\":{\"repo_id\":\"r\",\"path\":\"\xc3\x28\"}}"),
        "body_utf8"
    );
}

#[test]
fn nesting_of_any_depth_is_safe() {
    let depth = 500_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let body =
        format!(r#"{{"type":"repo-update","x":{deep},"content":{{"repo_id":"r","x":{deep}}}}}"#);
    let event = delivered(&body);
    assert!(sent(&event).len() > 2 * depth);
    let text = format!(
        r#"{{"type":"subscribe","content":{{"x":{deep},"repos":[{{"id":"a","x":{deep}}}]}}}}"#
    );
    assert!(
        matches!(ClientMessage::parse(text.as_bytes()), Ok(ClientMessage::Subscribe(entries)) if entries.len() == 1)
    );
    assert_eq!(code("[{\"a\":".repeat(depth / 3).as_bytes()), 1007);
    assert!(BackendEvent::parse("[{\"a\":".repeat(depth / 3).as_bytes()).is_err());
}

#[test]
fn jwt_expired_is_escaped() {
    assert_eq!(
        jwt_expired("abc"),
        "{\"type\":\"jwt-expired\",\"content\":{\"repo_id\":\"abc\"}}\n"
    );
    for id in [
        "a\",\"x\":\"y",
        "back\\slash\nand\u{1}control",
        "",
        "é😀\u{2028}",
    ] {
        let message: serde_json::Value = serde_json::from_slice(&jwt_expired(id)).expect("JSON");
        assert_eq!(
            message,
            serde_json::json!({"type": "jwt-expired", "content": {"repo_id": id}})
        );
    }
}

/// Computed by another implementation. A change here splits clusters of mixed versions.
#[test]
fn a_library_stays_in_its_partition() {
    for (name, of_64, of_1024) in [
        ("", 46, 615),
        ("a", 8, 8),
        ("7f3a1c52-0000-4000-8000-000000000001", 57, 841),
        ("7f3a1c52-0000-4000-8000-000000000002", 40, 998),
        ("中文", 50, 861),
    ] {
        let channel = Channel::new(CHANNEL_KIND, name);
        let found = (partition::of(&channel, 64), partition::of(&channel, 1024));
        assert_eq!(found, (of_64, of_1024), "{name}");
    }
}
