//! Every setting there is, in one table.
//!
//! Invariant: the order here is the order in which they are read and shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::{Mask, Row, Setting};
use crate::broker::redis::Server;
use crate::config::{DbTls, LogFormat, LogLevel, parse};

macro_rules! one_of {
    ($first:expr; $rest:expr) => {
        $first
    };
    (; $rest:expr) => {
        $rest
    };
}

macro_rules! some {
    ($value:literal) => {
        Some($value)
    };
    () => {
        None
    };
}

macro_rules! settings {
    ($($area:literal { $(
        $id:ident: $type:ty = $name:literal $([conf $conf:literal])? $([mask $mask:ident])?
            $default:literal, $parse:expr, $shape:literal, $help:literal;
    )* })*) => {
        $($(
            #[doc = $help]
            pub static $id: Setting<$type> = Setting {
                row: Row {
                    area: $area,
                    name: $name,
                    conf: some!($($conf)?),
                    default: $default,
                    shape: $shape,
                    mask: one_of!($(Mask::$mask)?; Mask::Open),
                    help: $help,
                },
                parse: $parse,
            };
        )*)*
        /// All of them, in the order in which they are read and shown.
        pub static TABLE: &[&Row] = &[$($(&$id.row,)*)*];
    };
}

settings! {
    "Command line" {
        CONFIG_DIR: PathBuf = "-c"
            "", parse::path, "a folder that exists",
            "Seafile's configuration folder. The `[notification]` section of the `seafile.conf` in it, where there is one, stands in for environment variables that are not set.";
        LOG_FILE: String = "-l"
            "", parse::text, "a file name, or - for standard output",
            "Log file. Without it: `notification-server.log` in the folder given with `-c`; with neither, standard output.";
    }
    "Settings file" {
        ENV_FILE: PathBuf = "FOGHORN_ENV_FILE"
            "", parse::file, "a file that exists",
            "File of `NAME=value` lines that stand in for environment variables that are not set. It is read again on SIGHUP: what can change in a running node is marked with ↻ in this page, the rest needs a restart.";
    }
    "Listening" {
        HOST: String = "NOTIFICATION_SERVER_HOST" [conf "host"]
            "0.0.0.0", parse::host, "an IP address or a host name",
            "Address that clients and backends connect to.";
        PORT: u16 = "NOTIFICATION_SERVER_PORT" [conf "port"]
            "8083", parse::port, "a port from 0 to 65535; 0 takes any free one",
            "Port that clients and backends connect to.";
        OPS_ADDR: SocketAddr = "FOGHORN_OPS_ADDR"
            "127.0.0.1:8084", parse::address, "an IP address and a port, such as 127.0.0.1:8084",
            "Where `/livez`, `/readyz`, `/metrics`, `/nodes`, `/console` and `/api/v1` are served. The first three are open to whoever can connect; the others need `FOGHORN_OPS_PASSWORD` or `FOGHORN_OPS_TOKEN`, or are refused where neither is set and the address is not loopback.";
        TRUSTED_PROXIES: Vec<IpNet> = "FOGHORN_TRUSTED_PROXIES"
            "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fc00::/7,fe80::/10",
            parse::networks_or_none, "addresses or networks, comma-separated, such as 10.0.0.0/8,192.0.2.7, or none",
            "Whose `X-Forwarded-For` is believed. The default is loopback and the private ranges; narrow it where clients themselves come from there and limits by address matter.";
        ALLOWED_ORIGINS: Vec<String> = "FOGHORN_ALLOWED_ORIGINS"
            "", parse::origins, "origins, comma-separated, such as https://seafile.example.com",
            "Web pages of which origins may connect. Programs that send no `Origin`, as desktop clients, always may. Not set: any.";
        EVENTS_FROM: Vec<IpNet> = "FOGHORN_EVENTS_FROM"
            "", parse::networks, "addresses or networks, comma-separated, such as 10.0.0.0/8,192.0.2.7",
            "Who may post events, beside needing a token. Behind a trusted proxy it is the address the proxy names. Not set: anyone.";
    }
    "Operations" {
        OPS_PASSWORD: String = "FOGHORN_OPS_PASSWORD" [mask Secret]
            "", parse::raw, "a password",
            "Password for `/nodes`, `/console` and `/api/v1` on the ops address (HTTP Basic, any user name; the console asks for it).";
        OPS_PASSWORD_FILE: PathBuf = "FOGHORN_OPS_PASSWORD_FILE"
            "", parse::file, "a file that exists",
            "File with the password, instead; one line end behind it does not count. Read again on SIGHUP.";
        OPS_TOKEN: String = "FOGHORN_OPS_TOKEN" [mask Secret]
            "", parse::raw, "a token of ASCII letters, digits and signs",
            "Bearer token for the same, for programs; the console takes it too. Either of the two is good where both are set.";
        OPS_TOKEN_FILE: PathBuf = "FOGHORN_OPS_TOKEN_FILE"
            "", parse::file, "a file that exists",
            "File with the token, instead. Read again on SIGHUP.";
        OPS_TLS_CERT: PathBuf = "FOGHORN_OPS_TLS_CERT"
            "", parse::file, "a PEM file that exists",
            "Certificate chain of the ops address, which then speaks HTTPS only. Read again when it changes; goes with `FOGHORN_OPS_TLS_KEY`.";
        OPS_TLS_KEY: PathBuf = "FOGHORN_OPS_TLS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its private key.";
        OPS_PAYLOADS: bool = "FOGHORN_OPS_PAYLOADS"
            "false", parse::switch, "true or false",
            "Whether the live tail of events may show what is in them: paths, users, names.";
        NODE_NAME: String = "FOGHORN_NODE_NAME"
            "", parse::label, "letters, digits, dots, dashes, underscores and colons",
            "What this node is called in the cluster's view and in logs. Not set: host name and port.";
    }
    "Keys" {
        KEY: String = "JWT_PRIVATE_KEY" [conf "jwt_private_key"] [mask Secret]
            "", parse::raw, "the very value of JWT_PRIVATE_KEY in Seafile's own environment",
            "The key Seafile signs tokens with. Needed, unless `JWT_PRIVATE_KEY_FILE` is set.";
        KEY_FILE: PathBuf = "JWT_PRIVATE_KEY_FILE"
            "", parse::file, "a file that exists",
            "File with the key, instead; one line end behind it does not count. Read again on SIGHUP.";
        KEY_PREVIOUS: String = "JWT_PRIVATE_KEY_PREVIOUS" [mask Secret]
            "", parse::raw, "the former value of JWT_PRIVATE_KEY",
            "Tokens signed with this key are good too: for the time in which a key is being changed.";
        KEY_PREVIOUS_FILE: PathBuf = "JWT_PRIVATE_KEY_PREVIOUS_FILE"
            "", parse::file, "a file that exists",
            "File with that key, instead. An empty file counts as none. Read again on SIGHUP.";
    }
    "Logs" {
        LOG_LEVEL: LogLevel = "NOTIFICATION_SERVER_LOG_LEVEL" [conf "log_level"]
            "info", parse::level, "one of debug, info, warning, error",
            "How much is logged; debug shows the messages sent to clients. trace, warn, fatal and panic are understood too.";
        LOG_TO_STDOUT: bool = "SEAFILE_LOG_TO_STDOUT"
            "false", parse::switch, "true or false",
            "Log to standard output, whatever `-l` says.";
        LOG_FORMAT: LogFormat = "FOGHORN_LOG_FORMAT"
            "text", parse::format, "text or json",
            "Lines for people, or one JSON object a line.";
        OTLP_ENDPOINT: Url = "FOGHORN_OTLP_ENDPOINT"
            "", parse::http_url, "a URL, such as http://collector:4318",
            "Where traces go, from accepting an event to its deliveries on every node: a collector that takes OTLP over HTTP (protobuf). `/v1/traces` is added where the URL has no path. Not set: no traces.";
        OTLP_PERCENT: u64 = "FOGHORN_OTLP_PERCENT"
            "100", parse::number::<1, 100>, "a number from 1 to 100",
            "How many of a hundred events are traced. All nodes choose the same ones.";
    }
    "Group members" {
        DB_HOST: String = "SEAFILE_MYSQL_DB_HOST"
            "", parse::host_or_socket, "a host name, an IP address, or the path of a socket",
            "MySQL or MariaDB server that has the ccnet database. Not set: a group's permission events go to nobody, everything else works.";
        DB_PORT: u16 = "SEAFILE_MYSQL_DB_PORT"
            "3306", parse::port, "a port from 0 to 65535",
            "Its port.";
        DB_USER: String = "SEAFILE_MYSQL_DB_USER"
            "", parse::text, "a user name",
            "User that may read the table `GroupUser`.";
        DB_PASSWORD: String = "SEAFILE_MYSQL_DB_PASSWORD" [mask Secret]
            "", parse::raw, "that user's password",
            "That user's password; not needed on a socket.";
        DB_NAME: String = "SEAFILE_MYSQL_DB_CCNET_DB_NAME"
            "ccnet_db", parse::text, "a database name",
            "Name of the ccnet database.";
        DB_TLS: DbTls = "FOGHORN_DB_TLS"
            "off", parse::db_tls, "off, on or verify",
            "Encrypt the connection to the database: `on` takes any certificate, `verify` only one that fits the host.";
        DB_CA: PathBuf = "FOGHORN_DB_CA"
            "", parse::file, "a PEM file that exists",
            "Certificates that vouch for the database's, instead of the public authorities; goes with `FOGHORN_DB_TLS=verify`.";
    }
    "Cluster" {
        REDIS_URLS: Vec<Server> = "FOGHORN_REDIS_URLS" [mask Urls]
            "", parse::redis_urls, "URLs, comma-separated, such as redis://:password@10.0.0.5:6379/0",
            "One URL for each Redis deployment (shard): `redis://`, `rediss://` (TLS), `redis-sentinel://`, `redis-cluster://`. The same on all nodes, in the same order. Neither this nor `REDIS_HOST`: the node stands alone.";
        REDIS_HOST: String = "REDIS_HOST"
            "", parse::host, "a host name or an IP address",
            "Seafile's own Redis; used where `FOGHORN_REDIS_URLS` is not set.";
        REDIS_PORT: u16 = "REDIS_PORT"
            "6379", parse::port, "a port from 0 to 65535",
            "Its port.";
        REDIS_PASSWORD: String = "REDIS_PASSWORD" [mask Secret]
            "", parse::raw, "that Redis' password",
            "Its password.";
        REDIS_PREFIX: String = "FOGHORN_REDIS_PREFIX"
            "foghorn", parse::prefix, "letters, digits, dots, dashes and underscores",
            "What every key and channel in Redis begins with: keeps two installations on one Redis apart.";
        PARTITIONS: u64 = "FOGHORN_PARTITIONS"
            "64", parse::number::<1, 4096>, "a number from 1 to 4096",
            "Pieces the channels are divided into; order is kept within one. The same on all nodes.";
        REPLAY: Duration = "FOGHORN_REPLAY_SECONDS"
            "10", parse::seconds::<0, 120>, "seconds from 0 to 120",
            "A new subscriber gets what its library saw in the last so many seconds. 0 turns it off.";
        WAITING_EVENTS: u64 = "FOGHORN_WAITING_EVENTS"
            "100000", parse::number::<1, 100_000_000>, "a number from 1 to 100000000",
            "While Redis is away: how many events wait for it at most.";
        WAITING_BYTES: u64 = "FOGHORN_WAITING_BYTES"
            "64MiB", parse::bytes::<65_536, { 1 << 40 }>, "a size from 64KiB to 1TiB, such as 64MiB",
            "While Redis is away: how much memory waiting events take at most.";
        WAITING_SECONDS: Duration = "FOGHORN_WAITING_SECONDS"
            "60", parse::seconds::<1, 3600>, "seconds from 1 to 3600",
            "While Redis is away: how long an event waits at most.";
        RESYNC_WINDOW: Duration = "FOGHORN_RESYNC_WINDOW"
            "30", parse::seconds::<0, 3600>, "seconds from 0 to 3600",
            "When events may have been lost, desktop clients are closed so that they check everything anew, spread over so many seconds.";
    }
    "Life of a node" {
        SETTLE: Duration = "FOGHORN_SETTLE_SECONDS"
            "5", parse::seconds::<0, 600>, "seconds from 0 to 600",
            "After SIGTERM: how long connections are still taken while proxies notice that the node is not ready.";
        DRAIN: Duration = "FOGHORN_DRAIN_SECONDS"
            "30", parse::seconds::<0, 3600>, "seconds from 0 to 3600",
            "After the settle time: over how long connections are closed, at an even pace. The process ends at the latest then.";
        PING: Duration = "FOGHORN_PING_SECONDS"
            "25", parse::seconds::<1, 3600>, "seconds from 1 to 3600",
            "How often a silent client is pinged. Two pings without an answer end its connection.";
    }
    "Limits" {
        MAX_CONNECTIONS: u64 = "FOGHORN_MAX_CONNECTIONS"
            "0", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "Connections this node takes. 0: no limit.";
        MAX_CONNECTIONS_PER_ADDRESS: u64 = "FOGHORN_MAX_CONNECTIONS_PER_ADDRESS"
            "0", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "Connections from one client address, as trusted proxies name it. 0: no limit.";
        MAX_SUBSCRIPTIONS: u64 = "FOGHORN_MAX_SUBSCRIPTIONS"
            "10000", parse::number::<1, 10_000_000>, "a number from 1 to 10000000",
            "Libraries one connection may subscribe to.";
        MAX_MESSAGE_BYTES: u64 = "FOGHORN_MAX_MESSAGE_BYTES"
            "1MiB", parse::bytes::<1_024, { 1 << 30 }>, "a size from 1KiB to 1GiB, such as 1MiB",
            "Size of one message from a client.";
        MAX_EVENT_BYTES: u64 = "FOGHORN_MAX_EVENT_BYTES"
            "4MiB", parse::bytes::<1_024, { 1 << 30 }>, "a size from 1KiB to 1GiB, such as 4MiB",
            "Size of one posted event.";
        OUTBOX_MESSAGES: u64 = "FOGHORN_OUTBOX_MESSAGES"
            "1000", parse::number::<1, 10_000_000>, "a number from 1 to 10000000",
            "Messages that may wait for one client; one more, and it is closed (1013).";
        OUTBOX_BYTES: u64 = "FOGHORN_OUTBOX_BYTES"
            "5MiB", parse::bytes::<65_536, { 1 << 32 }>, "a size from 64KiB to 4GiB, such as 5MiB",
            "Bytes that may wait for one client; more, and it is closed (1013). At least `FOGHORN_MAX_EVENT_BYTES` and 64KiB.";
        HANDSHAKE: Duration = "FOGHORN_HANDSHAKE_SECONDS"
            "10", parse::seconds::<1, 600>, "seconds from 1 to 600",
            "Time a peer has to send the head of a request.";
        REQUEST: Duration = "FOGHORN_REQUEST_SECONDS"
            "30", parse::seconds::<1, 600>, "seconds from 1 to 600",
            "Time a peer has to send the body of a request.";
        UNAUTHENTICATED: Duration = "FOGHORN_UNAUTHENTICATED_SECONDS"
            "0", parse::seconds::<0, 86_400>, "seconds from 0 to 86400",
            "Time a socket may stay without a single good subscription. 0, the default, means for ever: a desktop client whose last library was removed stays connected and must not be made to reconnect.";
        HANDSHAKE_RATE: u64 = "FOGHORN_HANDSHAKE_RATE"
            "20000", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "WebSocket handshakes a second; who is over it is answered 503 with `Retry-After`. 0: no limit.";
        HANDSHAKE_CONCURRENCY: u64 = "FOGHORN_HANDSHAKE_CONCURRENCY"
            "16384", parse::number::<1, 10_000_000>, "a number from 1 to 10000000",
            "Requests and handshakes in progress at once; who is over it is answered 503 with `Retry-After`.";
    }
}
