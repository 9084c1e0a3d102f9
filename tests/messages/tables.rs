//! What is known of the messages: the tests that read each kind of failure, and what stands out for a reason.

/// Each kind of failure, and the tests that judge its words where people meet them: `file::test` in `tests/` or `src/`.
pub const FAILURES: &[(&str, &[&str])] = &[
    (
        "acme/error.rs AcmeError",
        &[
            "src/acme/error::the_authoritys_words_are_passed_on_with_what_helps",
            "centrifugo/autocert::a_host_that_does_not_lead_here_holds_up_no_other_and_is_tried_again_on_sighup",
            "centrifugo/autocert::an_authority_that_is_away_keeps_no_node_from_serving_and_is_named",
            "centrifugo/autocert::check_config_names_what_is_wrong_with_it",
        ],
    ),
    (
        "app/error.rs AppError",
        &[
            "advice/main::a_node_that_cannot_start",
            "cli/life::a_taken_ops_port_is_no_sign_of_another_notification_server",
        ],
    ),
    (
        "connection/websocket/deflate/codec.rs Unreadable",
        &[
            "centrifugo/compression::what_comes_to_too_much_or_is_no_compressed_message_ends_its_connection_and_no_other",
        ],
    ),
    (
        "dialect/seafile/auth.rs Refusal",
        &[
            "logs::who_posts_with_another_key_is_named",
            "ops_api/main::a_token_is_explained_and_not_logged",
        ],
    ),
    (
        "broker/carrier.rs CarrierError",
        &["src/broker/redis/words::each_error_says_what_is_wrong_and_what_it_is_about"],
    ),
    (
        "broker/keep/mod.rs KeepError",
        &[
            "keeper_contract/faults::nothing_waits_for_a_redis_that_stands_still",
            "keeper_contract/rights::",
        ],
    ),
    (
        "broker/mesh/members.rs Misfit",
        &["broker_redis/strangers::"],
    ),
    (
        "broker/packet.rs Unreadable",
        &["src/broker/packet/tests::"],
    ),
    (
        "broker/redis/config.rs ConfigFault",
        &["advice/main::a_node_that_cannot_start"],
    ),
    (
        "broker/redis/examine/error.rs ExamineError",
        &[
            "src/cli/doctor/redis/tests::each_fault_gets_its_own_advice",
            "doctor/redis::servers_that_are_something_else",
        ],
    ),
    (
        "broker/redis/tls.rs CertificateError",
        &["broker_redis/tls::"],
    ),
    (
        "broker/redis/urls.rs UrlFault",
        &["src/broker/redis/urls/tests::faults_are_named_without_the_password"],
    ),
    (
        "client/mod.rs ClientError",
        &[
            "otlp::a_collector_that_is_away_holds_up_nothing_and_is_said_once",
            "advice/main::commands_that_find_nobody_or_somebody_else",
            "advice/tls::tls_faults_get_tls_advice_from_every_command",
        ],
    ),
    (
        "cli/demo/nodes.rs DemoError",
        &["chromium::nothing_is_missing_when_nodes_and_broker_are_stopped_on_the_demo_page"],
    ),
    (
        "config/mod.rs ConfigError",
        &["src/dialect/seafile/settings/tests::all_faults_are_told_at_once_and_secrets_are_not"],
    ),
    (
        "connection/entry.rs Refused",
        &["logs::refused_handshakes_are_told_once_with_what_mends_them"],
    ),
    ("dialect/mod.rs PathConflict", &["src/dialect/mod::"]),
    (
        "dialect/centrifugo/answers.rs Refusal",
        &["centrifugo/conversations::one_memory_node"],
    ),
    (
        "dialect/centrifugo/file/fault.rs FileFault",
        &[
            "centrifugo/start::a_file_that_cannot_be_honoured_keeps_the_node_from_starting_and_says_which_keys",
        ],
    ),
    (
        "dialect/centrifugo/posted.rs BadPost",
        &[
            "centrifugo/api::an_array_with_one_bad_command_is_refused_whole_and_nothing_of_it_is_done",
        ],
    ),
    (
        "dialect/centrifugo/sockjs/frames.rs Unreadable",
        &["centrifugo/conversations::one_memory_node"],
    ),
    (
        "dialect/centrifugo/sockjs/frames.rs BadCallback",
        &["centrifugo/sockjs::names_that_are_none_and_functions_that_are_none_are_refused"],
    ),
    (
        "dialect/inbox/mqtt/link.rs LinkError",
        &[
            "inbox_mqtt/misbehaving::each_fault_of_a_broker_is_named_and_counted",
            "inbox_mqtt/tls::",
        ],
    ),
    (
        "dialect/inbox/socket/login.rs LoginError",
        &[
            "inbox_mqtt/sockets::pages_are_refused_by_origin_and_by_what_is_no_websocket",
            "inbox_mqtt/sessions::",
        ],
    ),
    (
        "dialect/inbox/identity.rs Unidentified",
        &["inbox/conversations::one_memory_node"],
    ),
    (
        "dialect/inbox/posted.rs BadPost",
        &["inbox/conversations::one_memory_node"],
    ),
    (
        "dialect/seafile/groups.rs GroupError",
        &[
            "groups::a_database_that_cannot_be_reached_is_told_at_the_start",
            "doctor/stores::a_database_as_it_should_be_and_as_it_should_not",
        ],
    ),
    (
        "dialect/seafile/message.rs BadMessage",
        &["client_messages::an_unknown_type_or_no_json_is_said_so"],
    ),
    (
        "dialect/seafile/backend_event.rs BadBody",
        &["posting::bad_bytes_in_a_string_never_reach_a_client"],
    ),
    (
        "dialect/seafile/token_failures.rs Cause",
        &["logs::what_clients_show_does_not_hide_what_backends_show"],
    ),
    (
        "dialect/seafile/start.rs TokensError",
        &["advice/main::a_node_that_cannot_start"],
    ),
    (
        "fault.rs TlsFault",
        &[
            "src/fault/tests::tls_faults_are_told_apart",
            "advice/tls::tls_faults_get_tls_advice_from_every_command",
        ],
    ),
    (
        "ops/recorder.rs RecorderError",
        &["src/ops/recorder::why_there_is_no_recorder_is_told"],
    ),
    ("listen/http2.rs BodyError", &["ports/bounds::"]),
    (
        "listen/tls.rs TlsError",
        &["advice/main::a_node_that_cannot_start", "ops_guard::"],
    ),
    (
        "logging/mod.rs LogError",
        &["advice/main::a_node_that_cannot_start"],
    ),
];

/// Warnings and errors of the log in which there is nothing to change, by how they go, and why.
pub const NOTHING_TO_CHANGE: &[(&str, &str)] = &[
    (
        "the subscription hears nothing: making it anew",
        "it mends itself; that Redis is away is said with advice",
    ),
    (
        "messages came faster than they were taken: asking for them",
        "it mends itself",
    ),
    (
        "events were lost that no node has any more",
        "the loss is over and was told; FoghornGapsNotFilled explains it",
    ),
    (
        "a node is gone that may have published while this one heard nothing",
        "the same",
    ),
    (
        "may be lost: closing clients so that they check anew",
        "the same",
    ),
    (
        "group events go to nobody, members not known after",
        "quotes why, which names the setting",
    ),
    (
        "it is given up",
        "another node takes the lease; that Redis is away is said with advice",
    ),
    (
        "asked a second time: ending at once",
        "somebody wanted that",
    ),
    (
        "an upgraded connection is neither a TCP stream nor an encrypted one",
        "a fault of the program",
    ),
    (
        "a task panicked, which is a fault of the program",
        "a fault of the program",
    ),
    (
        "not read again: the files did not answer within",
        "which file that is was said before",
    ),
    (
        "certificate not read again: the former one stays in use",
        "quotes why, which names the file",
    ),
    (
        "the old one stays in use",
        "quotes why, which names the file",
    ),
    ("more like this in", "the line that came before it, counted"),
];

/// What a message shows of a failure that has words of its own.
pub const QUOTES: &[&str] = &[
    "{error}",
    "{why}",
    "{text}",
    "{warning}",
    "{advice}",
    "{notice}",
    "{misfit}",
];

/// Places where `Debug` puts a text into quotation marks; nothing else may be shown by it. Named by the field or variable.
pub const QUOTED_TEXTS: &[&str] = &[
    "said", "wanted", "to", "url", "name", "value", "kind", "text", "given", "other", "shown",
    "key", "piece", "0", "path", "host", "agreed", "field", "library", "odd",
    // A fingerprint's input, and a `Debug` of our own.
    "alike", "tls",
];
