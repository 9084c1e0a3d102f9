//! What v1's file says, key by key.

use super::super::rules::Options;
use super::*;
use crate::event::Keep;

fn fault(text: &str) -> String {
    V1::read(text).map(drop).expect_err(text).to_string()
}

#[test]
fn the_smallest_file_has_a_secret_and_everything_else_is_as_v1_has_it() {
    let v1 = V1::read(r#"{"secret": "s"}"#)
        .map_err(|fault| fault.to_string())
        .expect("a file");
    assert_eq!(v1.fixed, V1::default().fixed);
    assert_eq!(
        (v1.rules.default, v1.rules.channels, v1.rules.max_channel),
        (Options::default(), 128, 255)
    );
    assert!(V1::read(r#"{"insecure": true, "insecure_api": true}"#).is_ok());
    assert!(fault(r#"{"insecure": true}"#).starts_with("secret: "));
}

#[test]
fn options_hold_outside_of_namespaces_and_in_each() {
    let text = r#"{"secret": "s", "publish": true, "history_size": 2, "http_prefix": "push/", "namespaces": [
            {"name": "public", "anonymous": true, "history_size": 3, "history_lifetime": 60, "recover": true}]}"#;
    let V1 { rules, fixed, .. } = V1::read(text)
        .map_err(|fault| fault.to_string())
        .expect("a file");
    assert_eq!(
        (
            rules.options("x").map(|o| (o.publish, o.keep)),
            fixed.prefix
        ),
        (Some((true, None)), "/push".into())
    );
    let keep = Some(Keep {
        events: 3,
        lifetime: Duration::from_secs(60),
    });
    assert_eq!(
        rules
            .options("$public:x")
            .map(|o| (o.anonymous, o.publish, o.keep)),
        Some((true, false, keep))
    );
    assert_eq!(rules.options("other:x"), None);
}

#[test]
fn what_is_not_honoured_is_refused_by_name_all_at_once_and_no_value_is_shown() {
    let text = r#"{"secret": [77001], "web_path": "hunter2", "web_password": "hunter2", "zork": "hunter2", "publish": "hunter2",
            "namespaces": [{"name": "aa", "watch": "x"}]}"#;
    let told = fault(text);
    for key in [
        "secret: ",
        "web_path: ",
        "web_password: ",
        "zork: ",
        "publish: ",
        "namespace \"aa\": watch: ",
    ] {
        assert!(told.contains(key), "{key} in {told}");
    }
    assert!(
        !told.contains("hunter2") && !told.contains("77001"),
        "{told}"
    );
    assert_eq!(
        fault("{\"secret\": \"hunter2\",\n}"),
        "it is no JSON object, from line 2, column 1 on"
    );
    assert!(fault("[]").starts_with("it is no JSON object"));
    for bad in ["a", "a b", ""] {
        assert!(
            fault(&format!(
                r#"{{"secret": "s", "namespaces": [{{"name": "{bad}"}}]}}"#
            ))
            .contains("needs a name")
        );
    }
    assert!(
        fault(r#"{"secret": "s", "namespaces": [{"name": "aa"}, {"name": "aa"}]}"#).contains("two")
    );
    assert!(
        fault(r#"{"secret": "s", "ping_interval": 0, "history_size": -1}"#).contains("1 or more")
    );
}

#[test]
fn operators_need_a_password_and_a_secret_unless_anybody_is_one() {
    for (keys, good) in [
        (r#""admin_password": "p", "admin_secret": "a""#, true),
        (r#""insecure_admin": true"#, true),
        (r#""admin_password": "p""#, false),
        (r#""admin_secret": "a""#, false),
    ] {
        assert_eq!(
            V1::read(&format!(r#"{{"secret": "s", "admin": true, {keys}}}"#)).is_ok(),
            good,
            "{keys}"
        );
    }
}

#[test]
fn a_page_for_operators_brings_the_socket_with_it_and_so_what_that_needs() {
    let read = |keys: &str| V1::read(&format!(r#"{{"secret": "s", "web": true, {keys}}}"#));
    for keys in [
        r#""insecure_admin": true"#,
        r#""admin_password": "p", "admin_secret": "a""#,
        r#""admin": false, "insecure_admin": true"#,
    ] {
        let v1 = read(keys).expect(keys);
        assert_eq!((v1.fixed.web, v1.fixed.admin), (true, true), "{keys}");
    }
    let told = read(r#""admin_password": "p""#)
        .map(drop)
        .expect_err("no secret");
    assert!(
        told.to_string()
            .contains("web: it needs admin_password and admin_secret"),
        "{told}"
    );
    let without = V1::read(r#"{"secret": "s", "web": false}"#).expect("a configuration");
    assert_eq!((without.fixed.web, without.fixed.admin), (false, false));
}

#[test]
fn variables_win_over_the_file_and_may_do_without_one() {
    let set = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    };
    let load = |path: Option<&Path>, pairs: &[(&str, &str)]| V1::load(path, &set(pairs));
    let file = tempfile::Builder::new()
        .suffix(".yaml")
        .tempfile()
        .expect("a file");
    fs::write(
        file.path(),
        "secret: s\nport: 8001\nconnection_lifetime: 30\nanonymous: false\n",
    )
    .expect("written");
    let read =
        |pairs: &[(&str, &str)]| load(Some(file.path()), pairs).map_err(|fault| fault.to_string());
    let v1 = read(&[]).expect("a configuration");
    assert_eq!(
        (
            v1.node.port,
            v1.rules.lifetime_s,
            v1.rules.default.anonymous
        ),
        (Some(8001), 30, false)
    );
    let v1 = read(&[
        ("port", "9000"),
        ("connection_lifetime", "60"),
        ("anonymous", "true"),
    ])
    .expect("one");
    assert_eq!(
        (
            v1.node.port,
            v1.rules.lifetime_s,
            v1.rules.default.anonymous
        ),
        (Some(9000), 60, true)
    );
    assert!(read(&[("port", "x")]).is_err_and(|told| told.contains("port: it should be")));
    assert!(
        read(&[("ssl_autocert", "false"), ("web_path", "")]).is_ok(),
        "nothing is asked for"
    );
    assert!(
        read(&[("web_path", "/x")])
            .is_err_and(|told| told.contains("web_path: it is not honoured"))
    );
    assert!(
        read(&[("colour", "blue")]).is_ok_and(|v1| v1.node.notes[0].contains("CENTRIFUGO_COLOUR"))
    );
    assert!(
        load(None, &[("secret", "s")]).is_ok()
            && load(None, &[]).is_err_and(|fault| fault.label() == "none")
    );
}

#[test]
fn a_fault_of_each_kind_has_a_word() {
    assert_eq!(
        V1::read("{").map(drop).expect_err("no JSON").label(),
        "form"
    );
    let nowhere = V1::load(Some(Path::new("/nowhere")), &Variables::new())
        .map(drop)
        .expect_err("no file");
    assert_eq!(nowhere.label(), "read");
    assert!(
        FileFault::None
            .to_string()
            .contains("FOGHORN_CENTRIFUGO_CONFIG")
    );
}

#[test]
fn what_is_compressed_and_how_is_as_v1_has_it_and_levels_are_those_of_go() {
    let read = |more: &str| {
        let text = format!(r#"{{"secret": "s", {more}}}"#);
        let v1 = V1::read(&text).map_err(|fault| fault.to_string());
        v1.map(|v1| v1.fixed.compression)
    };
    let effort = |level, passed_bytes| {
        Ok(Some(Effort {
            level,
            passed_bytes,
        }))
    };
    let on = r#""websocket_compression": true"#;
    assert_eq!(read(r#""websocket_compression": "false""#), Ok(None));
    assert_eq!(read(r#""websocket_compression_level": 9"#), Ok(None));
    assert_eq!(read(on), effort(Level::Search(1), 0));
    for (level, wanted) in [
        ("-2", Level::Huffman),
        ("-1", Level::Search(6)),
        ("0", Level::Search(0)),
        (r#""9""#, Level::Search(9)),
    ] {
        let more = format!(
            r#"{on}, "websocket_compression_min_size": 200, "websocket_compression_level": {level}"#
        );
        assert_eq!(read(&more), effort(wanted, 200), "{level}");
    }
    for level in ["-3", "10", "1.5", "\"\"", "true"] {
        let told = read(&format!(r#""websocket_compression_level": {level}"#)).expect_err(level);
        assert!(
            told.contains("websocket_compression_level: it should be"),
            "{told}"
        );
    }
}
