//! Where the notifier is wrong, Foghorn does better, and a test shows it: every row of `DEVIATIONS.md` that is about a server
//! has one.

use std::path::Path;

/// How each row of the page begins, and what shows it: `file::test` in `tests/` or `src/`, or the name of a conversation.
const SHOWN_BY: &[(&str, &[&str])] = &[
    (
        "a message to a connected user's topic whose payload",
        &["another-users-payload"],
    ),
    ("a second tab", &["tabs"]),
    ("a page reload", &["reload"]),
    (
        "a plain GET of the path",
        &[
            "handshake-refused",
            "inbox_mqtt/sockets::pages_are_refused_by_origin_and_by_what_is_no_websocket",
        ],
    ),
    (
        "the broker restarts, or the connection breaks",
        &[
            "cut",
            "inbox_mqtt/cluster::nothing_is_lost_while_holders_are_killed_stopped_and_drained_and_mosquitto_restarts",
        ],
    ),
    (
        "two processes (scaling out)",
        &[
            "two-nodes",
            "inbox_mqtt/cluster::a_message_reaches_a_users_tabs_on_all_nodes_once_with_rabbitmq",
        ],
    ),
    (
        "broker away when somebody connects",
        &["inbox_mqtt/sockets::pages_are_served_while_the_broker_is_away"],
    ),
    ("map of connections written by many", &["hundred", "tabs"]),
    (
        "published while nobody of the user's is connected",
        &["gap"],
    ),
    (
        "QoS 0, clean session",
        &[
            "cut",
            "inbox_mqtt/cluster::nothing_is_lost_while_holders_are_killed_stopped_and_drained_and_rabbitmq_restarts",
        ],
    ),
    ("refused handshakes", &["handshake-refused"]),
    (
        "cookie value",
        &["inbox_mqtt/sessions::only_what_looks_like_a_session_is_asked_for"],
    ),
    (
        "a session that ends",
        &["inbox_mqtt/sessions::a_page_ends_with_its_session_and_not_because_redis_is_away"],
    ),
    ("role check on the path", &["handshake"]),
    ("payload `043`", &["payloads"]),
    ("retained messages", &["retained"]),
    ("topic `notification.42` on RabbitMQ", &["other-topics"]),
    ("permessage-deflate", &["handshake"]),
    ("message over 32 KiB", &["big-from-client"]),
    (
        "unmasked frame",
        &["inbox_mqtt/sockets::breaches_of_the_protocol_end_a_page_as_its_specification_says"],
    ),
    (
        "text that is not UTF-8",
        &["inbox_mqtt/sockets::breaches_of_the_protocol_end_a_page_as_its_specification_says"],
    ),
    (
        "empty close frame",
        &["inbox_mqtt/sockets::breaches_of_the_protocol_end_a_page_as_its_specification_says"],
    ),
    (
        "server pings",
        &["inbox_mqtt/sockets::an_idle_page_is_pinged_so_that_no_proxy_cuts_it"],
    ),
    (
        "60 s page heartbeat",
        &["inbox_mqtt/sockets::an_idle_page_is_pinged_so_that_no_proxy_cuts_it"],
    ),
];

/// Rows about the page's own script.
const OF_PAGES: &[&str] = &[
    "`close()` in the composable",
    "send buffer of the composable",
];

fn tests() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}

fn exists(shown_by: &str) -> bool {
    match shown_by.split_once("::") {
        None => tests()
            .join(format!("conformance/inbox-mqtt/cases/{shown_by}.json"))
            .is_file(),
        Some((file, test)) => std::fs::read_to_string(tests().join(format!("{file}.rs")))
            .is_ok_and(|text| text.contains(&format!("fn {test}("))),
    }
}

#[test]
fn every_row_about_a_server_is_shown_by_a_test() {
    let page = std::fs::read_to_string(tests().join("conformance/inbox-mqtt/DEVIATIONS.md"))
        .expect("the page");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .skip(1)
        .collect();
    assert!(rows.len() > 20, "only {} rows were found", rows.len());
    for row in &rows {
        let known = SHOWN_BY
            .iter()
            .map(|(begin, _)| begin)
            .chain(OF_PAGES)
            .filter(|begin| row.starts_with(**begin));
        assert_eq!(known.count(), 1, "{row}");
    }
    for (begin, shown_by) in SHOWN_BY {
        assert!(
            rows.iter().any(|row| row.starts_with(begin)),
            "no row begins with {begin:?} any more"
        );
        for test in *shown_by {
            assert!(exists(test), "{test}, for {begin:?}, does not exist");
        }
    }
}
