//! Files are read as Compose reads them.

use std::collections::BTreeMap;

use super::*;

/// One case a line: the file as JSON, and what Compose's own reader (compose-go 2.16.2) makes of it, as JSON, or `ERR` where
/// it refuses. `B` is `bee` and `EMPTY` is empty outside of the file.
const CASES: &str = include_str!("compose.tsv");

fn outer(name: &str) -> Option<String> {
    match name {
        "B" => Some("bee".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn every_line_means_what_compose_takes_it_for() {
    let mut count = 0;
    for line in CASES.lines() {
        let (text, expected) = line.split_once('\t').expect("two columns");
        let text: String = serde_json::from_str(text).expect("a JSON string");
        let file = read(&text, &outer);
        if expected.starts_with("ERR") {
            assert!(!file.faults.is_empty(), "{text:?} is {:?}", file.values);
        } else {
            let expected: BTreeMap<String, String> =
                serde_json::from_str(expected).expect("a JSON object");
            assert_eq!(
                (&file.values, &file.faults),
                (&expected, &Vec::new()),
                "{text:?}"
            );
        }
        count += 1;
    }
    assert!(count > 90);
}

#[test]
fn a_fault_names_its_line_shows_no_value_and_ends_nothing() {
    let file = read(
        "A=1\nSECRET=\"hunter2\nB=2\nC D=hunter2\n${=x\nE=${hunter2:!}\nF=6\n",
        &|_| None,
    );
    let lines: Vec<usize> = file.faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 4, 5, 6], "{:?}", file.faults);
    assert_eq!(file.values.get("F").map(String::as_str), Some("6"));
    let words: String = file.faults.into_iter().map(|(_, why)| why).collect();
    assert!(
        !words.contains("hunter2\n") && !words.contains("\"hunter2"),
        "{words}"
    );
}

#[test]
fn variables_that_are_not_set_are_named() {
    let file = read("KEY=ab$cd\nOTHER=${KEY}${x:-y}\n", &|_| None);
    assert_eq!(file.undefined, [("KEY".to_owned(), "cd".to_owned())]);
    assert_eq!(file.values["OTHER"], "aby");
}

#[test]
fn odd_files_are_no_trouble() {
    let deep = format!("A={}x{}", "${N:-".repeat(100), "}".repeat(100));
    for text in [
        "",
        "=",
        "\u{0}=\u{0}",
        "A=\"",
        "A='\\",
        "A=\"\\0",
        "A=\"\\012\"",
        "export",
        "export =",
        "$",
        "A=${é}",
        &deep,
    ] {
        read(text, &|_| None);
    }
}
