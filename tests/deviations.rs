//! Where the reference is wrong, Foghorn does better, and a test shows it: every row of `DEVIATIONS.md` has one.

use std::path::Path;

/// How each row of the page begins, and what shows it: `file::test` in `tests/` or `src/`, or the name of a conversation.
const SHOWN_BY: &[(&str, &[&str])] = &[
    (
        "a client stops answering pings",
        &["liveness::a_client_that_answers_no_ping_is_closed_and_forgotten"],
    ),
    (
        "a client does not read",
        &["slow_reader::a_client_that_does_not_read_is_closed_and_the_others_get_everything"],
    ),
    (
        "events for a half-dead or stalled client",
        &[
            "slow_reader::who_reads_slowly_but_reads_is_told_why_it_is_closed",
            "slow_reader::nothing_stays_behind_for_closed_clients",
        ],
    ),
    (
        "`subscribe` with a bad token and a quote",
        &["odd-ids-are-escaped"],
    ),
    (
        "a group event while the database fails",
        &["groups::a_database_that_stays_away_means_nobody"],
    ),
    (
        "`/events` with a user's subscription token",
        &["client-tokens-cannot-post"],
    ),
    ("`subscribe` with id \"\"", &["odd-ids-are-escaped"]),
    (
        "one connection, libraries subscribed under two users",
        &["each-subscription-keeps-its-user"],
    ),
    (
        "`/notification`, `/notification/ping`",
        &[
            "notification-paths",
            "conformance::behind_the_manuals_haproxy",
        ],
    ),
    (
        "keys in other case",
        &["client_messages::keys_count_in_their_own_case_only"],
    ),
    (
        "a client message with more after its JSON",
        &["client_messages::one_json_object_a_message_and_nothing_after_it"],
    ),
    (
        "invalid UTF-8 in a client's text message",
        &["client_messages::a_text_message_must_be_utf8"],
    ),
    (
        "invalid UTF-8 inside an event's strings",
        &["posting::bad_bytes_in_a_string_never_reach_a_client"],
    ),
    (
        "an event of more than about 1 KiB",
        &[
            "one-frame-a-message",
            "libwebsockets::gets_messages_of_any_size_whole",
        ],
    ),
    (
        "`<`, `>`, `&`",
        &["content-bytes-kept", "unicode-and-emoji"],
    ),
    (
        "events posted in quick succession",
        &[
            "order-at-full-speed",
            "posting::events_on_one_connection_are_taken_one_after_the_other",
        ],
    ),
    (
        "one library with more than 65,536 receivers",
        &["src/hub/tests::an_event_reaches_more_receivers_than_the_reference_can_count"],
    ),
    (
        "first client frame in one packet",
        &["handshake::a_message_in_one_packet_with_the_handshake_is_taken"],
    ),
    (
        "`Sec-WebSocket-Key` that is not 16 bytes",
        &["handshake::a_key_that_is_not_sixteen_bytes_is_400"],
    ),
    (
        "`GET /` or `/notification` with a User-Agent or an Accept",
        &[
            "handshake::who_only_asks_what_is_here_is_told",
            "handshake-refused",
        ],
    ),
    (
        "`//events`, `/./ping`",
        &[
            "clean-paths",
            "handshake::odd_spellings_of_a_path_are_served_as_the_clean_one",
        ],
    ),
    (
        "a token with `nbf` in the future",
        &["posting::only_tokens_that_are_wholly_good_may_post"],
    ),
    ("a subscription outliving its token", &["token-runs-out"]),
    (
        "very large bodies or messages",
        &[
            "limits::a_message_that_is_too_long_is_1009",
            "limits::headers_without_end_are_refused",
            "limits::a_body_that_does_not_come_is_408",
            "limits::a_head_that_does_not_end_is_not_waited_for",
            "limits::one_subscription_too_many_ends_the_connection",
            "posting::an_event_may_be_as_large_as_configured_and_arrives_whole",
        ],
    ),
    (
        "ids subscribed to once",
        &["liveness::a_library_that_nobody_watches_any_more_leaves_nothing_behind"],
    ),
    (
        "SIGTERM",
        &["drain::clients_are_closed_with_1001_and_the_exit_is_clean"],
    ),
    (
        "a message that ends the connection",
        &["client_messages::an_unknown_type_or_no_json_is_said_so"],
    ),
    (
        "`/ping` while the database is gone",
        &["groups::a_database_that_stays_away_means_nobody"],
    ),
];

fn tests() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}

/// The first cells of the page's table.
fn rows() -> Vec<String> {
    let page = std::fs::read_to_string(tests().join("conformance/seafile/DEVIATIONS.md"))
        .expect("the page is there");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let rows = rows
        .filter_map(|line| line.split(" | ").next())
        .map(|cell| cell.trim_start_matches("| ").to_owned());
    rows.filter(|cell| cell != "input").collect()
}

fn exists(shown_by: &str) -> bool {
    match shown_by.rsplit_once("::") {
        Some((file, test)) => {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            let folder = if file.starts_with("src/") {
                package
            } else {
                tests()
            };
            let text =
                std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap_or_default();
            text.contains(&format!("fn {test}("))
        }
        None => ["seafile", "seafile-better"].iter().any(|folder| {
            tests()
                .join("conformance")
                .join(folder)
                .join(format!("{shown_by}.json"))
                .is_file()
        }),
    }
}

#[test]
fn every_row_has_a_test_that_exists() {
    let rows = rows();
    assert_eq!(rows.len(), SHOWN_BY.len(), "{rows:#?}");
    for (row, (begins, shown_by)) in rows.iter().zip(SHOWN_BY) {
        assert!(
            row.starts_with(begins),
            "{row:?} does not begin with {begins:?}"
        );
        for test in *shown_by {
            assert!(exists(test), "{test}, for {begins:?}, does not exist");
        }
    }
}
