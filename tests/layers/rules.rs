//! The rules themselves: who may import whom, and what may be used where.

/// Who may import whom: a module (the longest row that fits counts) and what it may name besides itself.
/// `connection` as a target is all of it, `connection::pace` only that. `*` is everything.
pub const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("json", &[]),
    ("buffer", &[]),
    ("metrics", &[]),
    ("drain", &[]),
    ("throttle", &[]),
    ("backoff", &[]),
    ("credentials", &[]),
    ("headroom", &["drain", "metrics"]),
    ("unfinished", &["drain", "metrics"]),
    ("version", &[]),
    ("session", &["event"]),
    ("outbox", &["event", "session", "metrics"]),
    ("admission", &["headroom", "metrics"]),
    ("logging", &["config", "drain", "metrics"]),
    ("fault", &[]),
    (
        "broker",
        &["event", "backoff", "buffer", "metrics", "drain", "fault"],
    ),
    ("hub", &["event", "metrics", "otlp", "outbox"]),
    ("node", &["event", "session", "broker", "hub", "outbox"]),
    (
        "receive",
        &[
            "event",
            "broker",
            "hub",
            "outbox",
            "session",
            "connection::pace",
            "drain",
            "metrics",
        ],
    ),
    (
        "connection",
        &[
            "event",
            "buffer",
            "session",
            "outbox",
            "admission",
            "node",
            "drain",
            "metrics",
            "throttle",
            "unfinished",
        ],
    ),
    (
        "acme",
        &[
            "event", "backoff", "client", "drain", "files", "metrics", "throttle",
        ],
    ),
    (
        "listen",
        &[
            "event",
            "acme",
            "admission",
            "backoff",
            "buffer",
            "drain",
            "files",
            "headroom",
            "metrics",
            "throttle",
            "unfinished",
        ],
    ),
    (
        "cluster",
        &[
            "event",
            "broker",
            "connection",
            "hub",
            "node",
            "drain",
            "metrics",
            "client",
        ],
    ),
    (
        "dialect",
        &[
            "event",
            // What is ordered for a port of its own.
            "acme",
            "backoff",
            "buffer",
            "session",
            "outbox",
            "json",
            "connection",
            "cluster",
            "broker::keep",
            "node",
            "drain",
            "fault",
            "metrics",
            "config",
            "credentials",
            // The mechanism's macro, with which a dialect says its settings.
            "settings",
            "throttle",
            // Who answers with a stream may have to cut its connection off.
            "listen::Cut",
            "listen::Lasts",
            // A dialect may take shorter heads than others do.
            "listen::count_long_head",
            // An access log is written as the log is.
            "logging",
            // Bodies that are posted.
            "listen::whole",
        ],
    ),
    (
        "ops",
        &[
            "event",
            "session",
            "dialect",
            "cluster",
            "broker",
            "connection",
            "hub",
            "node",
            "drain",
            "headroom",
            "metrics",
            "credentials",
            "version",
        ],
    ),
    ("files", &["drain"]),
    ("client", &["fault"]),
    (
        "otlp",
        &["event", "drain", "metrics", "client", "broker::partition"],
    ),
    // Each setting ends in the configuration struct of the module it is for.
    ("config", &["*"]),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    // Only declares modules.
    ("lib", &[]),
];

/// A crate, and the only files that may name it. A folder ends in `/`. What may be spawned and locked where is in
/// `clippy.toml`.
pub const ONLY_IN: &[(&str, &[&str])] = &[
    ("fred::", &["src/broker/redis"]),
    ("redis_protocol::", &["src/broker/redis"]),
    ("rumqttc::", &["src/dialect/inbox/mqtt/"]),
    ("instant_acme::", &["src/acme/"]),
    ("unsafe ", &[]),
];

/// A crate, and the files that may not name it.
pub const NEVER_IN: &[(&str, &[&str])] = &[
    (
        "axum",
        &[
            "src/event.rs",
            "src/session.rs",
            "src/outbox",
            "src/broker/",
            "src/hub",
            "src/node",
        ],
    ),
    (
        "hyper",
        &[
            "src/event.rs",
            "src/session.rs",
            "src/outbox",
            "src/broker/",
            "src/hub",
            "src/node",
        ],
    ),
    (
        "tokio",
        &["src/event.rs", "src/session.rs", "src/dialect/seafile/auth"],
    ),
    // The mesh is given the time, and knows carriers by their numbers.
    ("tokio::time", &["src/broker/mesh"]),
    ("Instant", &["src/broker/mesh"]),
];

/// Who may name a dialect: the list of all, and the commands that are made for people who run one.
pub const NAMES_DIALECTS: &[&str] = &["src/dialect/mod.rs", "src/cli/"];

/// What only a dialect has: a search for it in the core finds nothing, in comments neither.
pub const A_DIALECTS: &[&str] = &["repo_id", "\"repo\"", "librar"];

/// What a file that calls itself pure does not name: whatever waits, tells the time or reaches out of the process.
pub const IMPURE: &[&str] = &[
    "tokio::",
    "axum::",
    "hyper",
    "std::net",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "now_ms()",
    "crate::broker",
    "crate::cluster",
    "crate::connection",
    "crate::hub",
    "crate::node",
];
