//! Keys of v1's file that are honoured, as `docs/CENTRIFUGO.md` shows them.
//!
//! Invariant: [`super::file`] takes each of them, and no other.

/// Each key, its default, and what it does.
pub const KEYS: &[(&str, &str, &str)] = &[
    (
        "secret",
        "none",
        "what tokens and signs are made with; needed unless both insecure modes are on ↻",
    ),
    (
        "insecure",
        "false",
        "clients need no token, may subscribe everywhere and publish where they are subscribed ↻",
    ),
    ("insecure_api", "false", "the API needs no sign ↻"),
    (
        "admin",
        "false",
        "operators log in at `/auth/` and have the socket `/socket`; needs the two keys below, unless anybody may",
    ),
    (
        "web",
        "false",
        "operators have a page at `/`, where `/socket` is; switches `admin` on",
    ),
    ("admin_password", "none", "what operators log in with ↻"),
    (
        "admin_secret",
        "none",
        "what their tokens are made with; a change of it, or of the password, ends all of them ↻",
    ),
    (
        "insecure_admin",
        "false",
        "operators need no password and no token ↻",
    ),
    (
        "address",
        "all",
        "where clients come in; stands in for `NOTIFICATION_SERVER_HOST`, whose default holds but for `foghorn centrifugo`",
    ),
    (
        "port",
        "8000",
        "the port there; stands in for `NOTIFICATION_SERVER_PORT`, whose default holds but for `foghorn centrifugo`",
    ),
    ("api_port", "none", "a port that the API has to itself"),
    (
        "admin_port",
        "none",
        "a port that `/auth/`, `/socket` and the page of `web` have to themselves",
    ),
    (
        "ssl",
        "false",
        "TLS at the ports of this dialect, with the two keys below",
    ),
    (
        "ssl_cert",
        "none",
        "the certificate chain, a PEM file that is read again when it changes",
    ),
    ("ssl_key", "none", "its private key, likewise"),
    (
        "ssl_autocert",
        "false",
        "TLS at the ports of this dialect, with certificates that are ordered by ACME, one for each host of the next key",
    ),
    (
        "ssl_autocert_host_whitelist",
        "none",
        "host names with commas between them; needed with `ssl_autocert`, where v1 ordered for any name that a stranger asked by",
    ),
    (
        "ssl_autocert_cache_dir",
        "none",
        "a folder for certificates and account; without one each start orders anew. What v1 left there is taken",
    ),
    (
        "ssl_autocert_email",
        "none",
        "the address that the authority may write to",
    ),
    (
        "ssl_autocert_server_name",
        "none",
        "the host whose certificate a client gets that names none",
    ),
    (
        "ssl_autocert_http",
        "false",
        "the authority looks for the hosts by HTTP (`http-01`) instead of at the port with TLS (`tls-alpn-01`)",
    ),
    (
        "ssl_autocert_http_addr",
        "`:80`",
        "where it looks then; everybody else is sent on to `https`",
    ),
    (
        "log_level",
        "info",
        "stands in for `NOTIFICATION_SERVER_LOG_LEVEL` ↻",
    ),
    ("log_file", "none", "stands in for `-l`"),
    (
        "debug",
        "false",
        "only false is taken: profiles are not served",
    ),
    (
        "pid_file",
        "none",
        "where the number of this process is written to",
    ),
    (
        "engine",
        "memory",
        "`redis`: the keys below stand in for `FOGHORN_REDIS_URLS`; with `memory` none of them leads to a Redis",
    ),
    (
        "redis_host",
        "127.0.0.1",
        "host of Redis; several with commas between them are shards, in this order",
    ),
    ("redis_port", "6379", "its port, likewise"),
    ("redis_password", "none", "its password"),
    ("redis_db", "0", "its database"),
    (
        "redis_url",
        "none",
        "`redis://:PASSWORD@HOST:PORT/DB` instead of host and port; a password and a database in it win over the keys; `rediss://` speaks TLS",
    ),
    (
        "redis_master_name",
        "none",
        "the master that Sentinels know; several are shards",
    ),
    (
        "redis_sentinels",
        "none",
        "where they are, with commas between them",
    ),
    (
        "redis_api",
        "false",
        "commands are taken from the list `PREFIX.api` in Redis, and those below",
    ),
    (
        "redis_api_num_shards",
        "0",
        "how many lists `PREFIX.api.0`, `PREFIX.api.1`, … there are beside it",
    ),
    (
        "redis_prefix",
        "centrifugo",
        "what the names of those lists begin with; where it is set and `engine` is redis, it stands in for `FOGHORN_REDIS_PREFIX`; a fault where its braces would keep a list's parts apart in a Redis Cluster",
    ),
    (
        "name",
        "host name and port",
        "what `stats` calls the node ↻",
    ),
    (
        "namespaces",
        "none",
        "a list of objects with a `name` and the options of channels below ↻",
    ),
    (
        "anonymous",
        "false",
        "clients that name no user may subscribe ↻",
    ),
    (
        "publish",
        "false",
        "clients may publish where they are subscribed ↻",
    ),
    ("presence", "false", "it is known who is there ↻"),
    (
        "join_leave",
        "false",
        "those who are there are told who comes and goes ↻",
    ),
    (
        "watch",
        "false",
        "operators who watch see what is published ↻",
    ),
    ("history_size", "0", "messages that are kept ↻"),
    (
        "history_lifetime",
        "0",
        "for how long after the newest, seconds ↻",
    ),
    (
        "history_drop_inactive",
        "false",
        "nothing is kept where nobody is, and nothing was kept of late ↻",
    ),
    (
        "recover",
        "false",
        "who comes back is told what it missed ↻",
    ),
    (
        "connection_lifetime",
        "0",
        "seconds that a connection lives from its token's timestamp; 0: for ever ↻",
    ),
    (
        "expired_connection_close_delay",
        "25",
        "seconds that it has then to be refreshed ↻",
    ),
    (
        "stale_connection_close_delay",
        "25",
        "seconds to a good `connect`; 0: any time ↻",
    ),
    (
        "max_channel_length",
        "255",
        "bytes of a channel's name that clients may give ↻",
    ),
    (
        "client_channel_limit",
        "128",
        "channels of one connection ↻",
    ),
    (
        "user_connection_limit",
        "0",
        "connections of one user on each node; 0: any number ↻",
    ),
    (
        "presence_expire_interval",
        "60",
        "seconds that presence outlives its node ↻",
    ),
    (
        "private_channel_prefix",
        "`$`",
        "what a private channel begins with ↻",
    ),
    (
        "namespace_channel_boundary",
        "`:`",
        "what ends a namespace ↻",
    ),
    (
        "user_channel_boundary",
        "`#`",
        "what a list of users follows ↻",
    ),
    (
        "user_channel_separator",
        "`,`",
        "what stands between two users ↻",
    ),
    (
        "client_channel_boundary",
        "`&`",
        "what the one client follows ↻",
    ),
    (
        "client_request_max_size",
        "65536",
        "bytes of a client's message",
    ),
    (
        "client_queue_max_size",
        "10485760",
        "bytes that may wait for a client",
    ),
    ("ping_interval", "25", "seconds between two pings"),
    (
        "websocket_compression",
        "false",
        "messages over the raw WebSocket are compressed for clients that offer it",
    ),
    (
        "websocket_compression_level",
        "1",
        "how hard is tried: from 1, fast, to 9, small; -1: 6; 0: not at all; -2: nothing that is repeated is looked for",
    ),
    (
        "websocket_compression_min_size",
        "0",
        "bytes up to which messages go as they are",
    ),
    (
        "sockjs_url",
        "`//cdn.jsdelivr.net/sockjs/1.1/sockjs.min.js`",
        "where the page in SockJS's iframe gets the client from",
    ),
    (
        "sockjs_heartbeat_delay",
        "25",
        "seconds between two heartbeats of SockJS; 0: none",
    ),
    (
        "node_metrics_interval",
        "60",
        "seconds over which `stats` counts",
    ),
    ("http_prefix", "none", "what all paths begin with"),
];

#[cfg(test)]
mod tests {
    use super::super::file::V1;
    use super::*;

    #[test]
    fn each_key_is_taken_and_a_wrong_value_of_it_is_told() {
        for (key, ..) in KEYS {
            let told = V1::read(&format!(r#"{{"{key}": {{}}}}"#))
                .map(drop)
                .expect_err(key)
                .to_string();
            assert!(told.contains(&format!("{key}: it should be ")), "{told}");
        }
    }
}
