//! v1's command line, flag by flag.

use super::*;
use crate::dialect::centrifugo::file::{V1, Variables};

fn line(words: &str) -> Vec<OsString> {
    words.split_whitespace().map(OsString::from).collect()
}

#[test]
fn the_line_is_v1s_by_the_programs_name_or_by_its_first_word() {
    assert_eq!(
        taken(&line("/usr/bin/centrifugo -p 8000")),
        Some(&line("-p 8000")[..])
    );
    assert_eq!(
        taken(&line("foghorn centrifugo checkconfig")),
        Some(&line("checkconfig")[..])
    );
    for other in ["foghorn", "foghorn serve", "foghorn -c centrifugo"] {
        assert_eq!(taken(&line(other)), None, "{other}");
    }
}

#[test]
fn flags_are_spelled_as_v1_spells_them() {
    command().debug_assert();
    let read = |words: &str| command().try_get_matches_from([line(NAME), line(words)].concat());
    let all = "-a 127.0.0.1 -c x.json -e redis -n node -p 1 --admin --insecure_api=false --redis_port=7000 checkconfig";
    let matches = read(all).expect("v1's line");
    let value = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    assert_eq!(
        ["address", "config", "engine", "port"].map(value),
        [Some("127.0.0.1"), Some("x.json"), Some("redis"), Some("1")]
    );
    assert_eq!(
        (value("admin"), value("insecure_api"), value("insecure")),
        (Some("true"), Some("false"), None)
    );
    assert_eq!(matches.subcommand_name(), Some("checkconfig"));
    assert!(read("--redis_pasword=x").is_err());
    let told = |words: &str| told_secret(&read(words).expect("flags"));
    assert!(told("--redis_password=hunter2").is_some_and(|told| !told.contains("hunter2")));
    assert!(
        told("--redis_url=redis://:hunter2@h").is_some() && told("--redis_url=redis://h").is_none()
    );
}

#[test]
fn every_flag_is_a_key_of_v1() {
    for (name, ..) in FLAGS {
        let set: Variables = [
            ((*name).to_owned(), "\u{1}".to_owned()),
            ("secret".to_owned(), "s".to_owned()),
        ]
        .into();
        let noted = V1::load(None, &set)
            .map(|v1| v1.node.notes)
            .unwrap_or_default();
        assert!(
            !noted.iter().any(|note| note.contains("no such key")),
            "{name}"
        );
    }
}
