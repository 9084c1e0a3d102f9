//! Every setting of the core, in one table.
//!
//! Invariant: the order here is the order in which they are read and shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::broker::redis::Server;
use crate::config::{LogFormat, LogLevel, parse};
use crate::dialect::DEFAULT;

crate::settings! {
    "Command line" {
        CONFIG_DIR: PathBuf = "-c" [per node]
            "", parse::path, "a folder that exists",
            "Folder with the configuration of the program whose place this one takes. The `.env` in it, where there is one, stands in for environment variables that are not set; what else of it does, is said above.";
        LOG_FILE: String = "-l" [per node]
            "", parse::text, "a file name, or - for standard output",
            "Log file. Without it: `notification-server.log` in the folder given with `-c`; with neither, standard output.";
    }
    "Settings file" {
        ENV_FILE: PathBuf = "FOGHORN_ENV_FILE" [per node]
            "", parse::file, "a file that exists",
            "File of `NAME=value` lines that stand in for environment variables that are not set, read by the rules of Docker Compose (quotes, ` # comment`, `${OTHER}`, `${A:-b}`). It is read again on SIGHUP: what can change in a running node is marked with ↻ in this page, the rest needs a restart.";
    }
    "Listening" {
        HOST: String = "NOTIFICATION_SERVER_HOST" [per node]
            "0.0.0.0", parse::host, "an IP address or a host name",
            "Address that clients and backends connect to.";
        PORT: u16 = "NOTIFICATION_SERVER_PORT" [per node]
            "8083", parse::port, "a port from 0 to 65535; 0 takes any free one",
            "Port that clients and backends connect to.";
        OPS_ADDR: SocketAddr = "FOGHORN_OPS_ADDR"
            "127.0.0.1:8084", parse::address, "an IP address and a port, such as 127.0.0.1:8084",
            "Where `/livez`, `/readyz`, `/metrics`, `/nodes`, `/console` and `/api/v1` are served. The first three are open to whoever can connect; the others need `FOGHORN_OPS_PASSWORD` or `FOGHORN_OPS_TOKEN`, or are refused where neither is set and the address is not loopback.";
        TRUSTED_PROXIES: Vec<IpNet> = "FOGHORN_TRUSTED_PROXIES" [on HUP]
            "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fc00::/7,fe80::/10",
            parse::networks_or_none, "addresses or networks, comma-separated, such as 10.0.0.0/8,192.0.2.7, or none",
            "Whose `X-Forwarded-For` is believed. The default is loopback and the private ranges; narrow it where clients themselves come from there and limits by address matter.";
        ALLOWED_ORIGINS: Vec<String> = "FOGHORN_ALLOWED_ORIGINS" [on HUP]
            "", parse::origins, "origins, comma-separated, such as https://files.example.com",
            "Web pages of which origins may connect; each is named in full. Programs that send no `Origin`, as desktop clients, always may. Not set: any.";
        EVENTS_FROM: Vec<IpNet> = "FOGHORN_EVENTS_FROM" [on HUP]
            "", parse::networks, "addresses or networks, comma-separated, such as 10.0.0.0/8,192.0.2.7",
            "Who may post events, beside needing a token. Behind a trusted proxy it is the address the proxy names. Not set: anyone.";
    }
    "Operations" {
        OPS_PASSWORD: String = "FOGHORN_OPS_PASSWORD" [mask Secret] [on HUP]
            "", parse::raw, "a password",
            "Password for `/nodes`, `/console` and `/api/v1` on the ops address (HTTP Basic, any user name; the console asks for it).";
        OPS_PASSWORD_FILE: PathBuf = "FOGHORN_OPS_PASSWORD_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with the password, instead; one line end behind it does not count. Read again on SIGHUP.";
        OPS_TOKEN: String = "FOGHORN_OPS_TOKEN" [mask Secret] [on HUP]
            "", parse::raw, "a token of ASCII letters, digits and signs",
            "Bearer token for the same, for programs; the console takes it too. Either of the two is good where both are set.";
        OPS_TOKEN_FILE: PathBuf = "FOGHORN_OPS_TOKEN_FILE" [mask File] [on HUP]
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
        NODE_NAME: String = "FOGHORN_NODE_NAME" [per node]
            "", parse::label, "letters, digits, dots, dashes, underscores and colons",
            "What this node is called in the cluster's view and in logs. Not set: host name and port.";
    }
    "Dialects" {
        DIALECTS: Vec<String> = "FOGHORN_DIALECTS"
            const DEFAULT, parse::names, "names of dialects, comma-separated",
            "The protocols that this node speaks to clients and backends; the page begins with what there is.";
    }
    "Logs" {
        LOG_LEVEL: LogLevel = "NOTIFICATION_SERVER_LOG_LEVEL" [on HUP] [per node]
            "info", parse::level, "one of debug, info, warning, error",
            "How much is logged; debug shows the messages sent to clients. trace, warn, fatal and panic are understood too.";
        LOG_TO_STDOUT: bool = "FOGHORN_LOG_TO_STDOUT" [per node]
            "false", parse::switch, "true or false",
            "Log to standard output, whatever `-l` says.";
        LOG_FORMAT: LogFormat = "FOGHORN_LOG_FORMAT" [per node]
            "text", parse::format, "text or json",
            "Lines for people, or one JSON object a line.";
        OTLP_ENDPOINT: Url = "FOGHORN_OTLP_ENDPOINT"
            "", parse::http_url, "a URL, such as http://collector:4318",
            "Where traces go, from accepting an event to its deliveries on every node: a collector that takes OTLP over HTTP (protobuf). `/v1/traces` is added where the URL has no path. Not set: no traces.";
        OTLP_PERCENT: u64 = "FOGHORN_OTLP_PERCENT"
            "100", parse::number::<1, 100>, "a number from 1 to 100",
            "How many of a hundred events are traced. All nodes choose the same ones.";
        OTEL_TRACES_ENDPOINT: String = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
            "", parse::text, "a URL, such as http://collector:4318/v1/traces",
            "OpenTelemetry's name for where traces go, used where `FOGHORN_OTLP_ENDPOINT` is not set. Nothing is added to it.";
        OTEL_ENDPOINT: String = "OTEL_EXPORTER_OTLP_ENDPOINT"
            "", parse::text, "a URL, such as http://collector:4318",
            "OpenTelemetry's name for the collector, used where neither of the two above is set. `/v1/traces` is added. Traces go as `http/protobuf`, whatever `OTEL_EXPORTER_OTLP_PROTOCOL` says.";
        OTEL_HEADERS: String = "OTEL_EXPORTER_OTLP_HEADERS" [mask Secret]
            "", parse::raw, "headers, comma-separated, such as authorization=Bearer%20TOKEN",
            "What is sent along to the collector, as OpenTelemetry writes it: values are percent-encoded.";
        OTEL_HEADERS_FILE: PathBuf = "OTEL_EXPORTER_OTLP_HEADERS_FILE" [mask File]
            "", parse::file, "a file that exists",
            "File with the same, instead; a name of Foghorn's own.";
        OTEL_SERVICE_NAME: String = "OTEL_SERVICE_NAME"
            "foghorn", parse::text, "a name",
            "What traces call this service.";
        OTEL_SAMPLER: String = "OTEL_TRACES_SAMPLER"
            "parentbased_always_on", parse::text, "always_on, always_off, traceidratio, or one of them behind parentbased_",
            "OpenTelemetry's choice of what is traced, where `FOGHORN_OTLP_PERCENT` is not set: nothing with `always_off`; with `traceidratio` as much as the next setting says.";
        OTEL_SAMPLER_ARG: String = "OTEL_TRACES_SAMPLER_ARG"
            "1", parse::text, "a number from 0 to 1, such as 0.25",
            "How much is traced, as a fraction, rounded to a hundredth.";
        OTEL_DISABLED: String = "OTEL_SDK_DISABLED"
            "false", parse::text, "true or false",
            "OpenTelemetry's switch: with `true` there are no traces, where `FOGHORN_OTLP_ENDPOINT` is not set.";
        OTEL_EXPORTER: String = "OTEL_TRACES_EXPORTER"
            "otlp", parse::text, "otlp or none",
            "The same with `none`.";
    }
    "Cluster" {
        REDIS_URLS: Vec<Server> = "FOGHORN_REDIS_URLS" [mask Urls]
            "", parse::redis_urls, "URLs, comma-separated, such as redis://:password@10.0.0.5:6379/0",
            "One URL for each Redis deployment (shard): `redis://host:6379/0`, `redis-sentinel://a:26379,b:26379/mymaster`, `redis-cluster://a:6379,b:6379`; with TLS `rediss://`, `rediss-sentinel://`, `rediss-cluster://`. A login stands before the host (`user:password@`, or `:password@` alone); what is no letter or digit in it is written as `%23` and so on. The Sentinels' own login: `?sentinelUsername=…&sentinelPassword=…`. The same on all nodes, in the same order. Neither this nor `REDIS_HOST`: the node stands alone.";
        REDIS_URLS_FILE: PathBuf = "FOGHORN_REDIS_URLS_FILE" [mask File]
            "", parse::file, "a file that exists",
            "File with the URLs, instead, comma-separated or one a line. Read again on SIGHUP: logins are in force for new connections then, other servers need a restart.";
        REDIS_CA: PathBuf = "FOGHORN_REDIS_CA"
            "", parse::file, "a PEM file that exists",
            "Certificates that vouch for Redis' own, instead of the public authorities; goes with URLs of TLS (`rediss://`). Read again for each new connection.";
        REDIS_CERT: PathBuf = "FOGHORN_REDIS_CERT"
            "", parse::file, "a PEM file that exists",
            "Certificate chain that this node shows to a Redis that wants one (`tls-auth-clients`); goes with `FOGHORN_REDIS_KEY`. Read again for each new connection.";
        REDIS_KEY: PathBuf = "FOGHORN_REDIS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its private key.";
        REDIS_REQUIRED: bool = "FOGHORN_REDIS_REQUIRED"
            "false", parse::required, "true or false; a number of nodes means true",
            "Whether a node that is told of no Redis refuses to start, instead of standing alone. For installations of several nodes: nodes that stand alone do not hear each other.";
        CACHE_PROVIDER: String = "CACHE_PROVIDER"
            "redis", parse::text, "redis or memcached",
            "What the site's own programs keep their cache in. With `memcached` their `REDIS_HOST` leads nowhere and is not used.";
        REDIS_HOST: String = "REDIS_HOST"
            "", parse::host, "a host name or an IP address",
            "The Redis of the site's own programs; used where `FOGHORN_REDIS_URLS` is not set.";
        REDIS_PORT: u16 = "REDIS_PORT"
            "6379", parse::port, "a port from 0 to 65535",
            "Its port.";
        REDIS_PASSWORD: String = "REDIS_PASSWORD" [mask Secret] [on HUP]
            "", parse::raw, "that Redis' password",
            "Its password.";
        REDIS_PASSWORD_FILE: PathBuf = "REDIS_PASSWORD_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with the password, instead; one line end behind it does not count. Read again on SIGHUP, for new connections.";
        REDIS_PREFIX: String = "FOGHORN_REDIS_PREFIX"
            "foghorn", parse::prefix, "letters, digits, dots, dashes and underscores",
            "What every key and channel in Redis begins with: keeps two installations on one Redis apart.";
        PARTITIONS: u64 = "FOGHORN_PARTITIONS"
            "64", parse::number::<1, 4096>, "a number from 1 to 4096",
            "Pieces the channels are divided into; order is kept within one. The same on all nodes.";
        REPLAY: Duration = "FOGHORN_REPLAY_SECONDS"
            "10", parse::seconds::<0, 120>, "seconds from 0 to 120",
            "A new subscriber gets what its channels saw in the last so many seconds. 0 turns it off.";
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
        MAX_CONNECTIONS: u64 = "FOGHORN_MAX_CONNECTIONS" [on HUP]
            "0", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "Connections this node takes. 0: no limit.";
        MAX_CONNECTIONS_PER_ADDRESS: u64 = "FOGHORN_MAX_CONNECTIONS_PER_ADDRESS" [on HUP]
            "0", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "Connections from one client address, as trusted proxies name it. 0: no limit.";
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
            "Time a peer has to send the body of a request, or a message that it has begun.";
        UNFINISHED_BYTES: u64 = "FOGHORN_UNFINISHED_BYTES"
            "64MiB", parse::bytes::<65_536, { 1 << 40 }>, "a size from 64KiB to 1TiB, such as 64MiB",
            "What all connections together may have begun to send: heads of requests, bodies and messages that are not whole. Where it is more, those end that have sent most for longest. At least `FOGHORN_MAX_MESSAGE_BYTES` and `FOGHORN_MAX_EVENT_BYTES`.";
        IDLE: Duration = "FOGHORN_IDLE_SECONDS"
            "75", parse::seconds::<1, 3600>, "seconds from 1 to 3600",
            "How long an HTTP connection may wait for its next request. Backends and proxies keep theirs for a minute.";
        IDLE_CONNECTIONS: u64 = "FOGHORN_IDLE_CONNECTIONS"
            "8192", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "HTTP connections that may wait for their next request, at each port; over it those that have waited longest are closed. 0: no limit.";
        IDLE_CONNECTIONS_PER_ADDRESS: u64 = "FOGHORN_IDLE_CONNECTIONS_PER_ADDRESS"
            "1024", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "The same from one address, which may be a proxy's. 0: no limit.";
        MEMORY_PERCENT: u64 = "FOGHORN_MEMORY_PERCENT"
            "90", parse::number::<0, 100>, "a number from 0 to 100",
            "While the container uses so much of its memory limit (cgroup v2), new connections are refused with 503 and the node is not ready. 0: it is not looked at.";
        CGROUP: PathBuf = "FOGHORN_CGROUP" [per node]
            "/sys/fs/cgroup", parse::raw_path, "a folder",
            "Where the hierarchy of cgroups is mounted.";
        UNAUTHENTICATED: Duration = "FOGHORN_UNAUTHENTICATED_SECONDS"
            "0", parse::seconds::<0, 86_400>, "seconds from 0 to 86400",
            "Time a socket may stay without a single good subscription. 0, the default, means for ever: a desktop client that has nothing left to subscribe to stays connected and must not be made to reconnect.";
        HANDSHAKE_RATE: u64 = "FOGHORN_HANDSHAKE_RATE" [on HUP]
            "20000", parse::number::<0, 10_000_000>, "a number from 0 to 10000000",
            "WebSocket handshakes a second; who is over it is answered 503 with `Retry-After`. 0: no limit.";
        HANDSHAKE_CONCURRENCY: u64 = "FOGHORN_HANDSHAKE_CONCURRENCY" [on HUP]
            "16384", parse::number::<1, 10_000_000>, "a number from 1 to 10000000",
            "Requests and handshakes in progress at once; who is over it is answered 503 with `Retry-After`.";
    }
}
