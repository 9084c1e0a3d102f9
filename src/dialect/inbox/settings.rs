//! What the dialect can be told.
//!
//! Invariant: everything that is marked as live is in [`Rules`](super::rules::Rules), which SIGHUP makes anew.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::mqtt::address::{Address, addresses};
use super::mqtt::message::{Payload, Topic};
use crate::broker::keep::Server;
use crate::config::parse::{self, Wrong};

/// In which order JSON in forms is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormJson {
    /// As the former server does: decoded first.
    Decoded,
    /// As it was sent first.
    Literal,
}

/// Who may see the page and the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Whoever has the ops password or token.
    Protected,
    /// Everybody.
    Open,
    /// Nobody: they are not there.
    Off,
}

fn form_json(text: &str) -> Result<FormJson, Wrong> {
    match text.trim() {
        "decoded" => Ok(FormJson::Decoded),
        "literal" => Ok(FormJson::Literal),
        _ => Err(Wrong::default()),
    }
}

fn page(text: &str) -> Result<Page, Wrong> {
    match text.trim() {
        "protected" => Ok(Page::Protected),
        "open" => Ok(Page::Open),
        "off" => Ok(Page::Off),
        _ => Err(Wrong::default()),
    }
}

fn one_redis(text: &str) -> Result<Server, Wrong> {
    let mut servers = parse::redis_urls(text)?;
    if servers.len() == 1 {
        servers.pop().ok_or_else(Wrong::default)
    } else {
        Err(Wrong::default())
    }
}

/// What the user of a browser is shown.
fn line(text: &str) -> Result<String, Wrong> {
    if text.len() <= 1_000 && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err(Wrong::default())
    }
}

fn cookie(text: &str) -> Result<String, Wrong> {
    let good = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if !text.is_empty() && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::default())
    }
}

fn client_id(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    let fits = (1..=200).contains(&text.len()) && !text.contains(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Wrong::default())
    }
}

fn topic(text: &str) -> Result<Topic, Wrong> {
    Topic::parse(text.trim()).ok_or_else(Wrong::default)
}

fn payload(text: &str) -> Result<Payload, Wrong> {
    match text.trim() {
        "id" => Ok(Payload::Id),
        "pass" => Ok(Payload::Pass),
        _ => Err(Wrong::default()),
    }
}

crate::settings! {
    "Inbox" {
        ADDR: SocketAddr = "FOGHORN_SSE_ADDR"
            "0.0.0.0:3000", parse::address, "an IP address and a port, such as 0.0.0.0:3000",
            "Where users' event streams and notifications for them come in.";
        TLS_CERT: PathBuf = "FOGHORN_SSE_TLS_CERT"
            "", parse::file, "a PEM file that exists",
            "Certificate chain of that address, which then speaks TLS only. Read again when it changes; goes with `FOGHORN_SSE_TLS_KEY`.";
        TLS_KEY: PathBuf = "FOGHORN_SSE_TLS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its private key.";
        COOKIE_SECRET: String = "FOGHORN_SSE_COOKIE_SECRET" [mask Secret] [on HUP]
            "", parse::filled, "the secret that Express signs cookies with",
            "Only a cookie `userID` that was signed with it names a user. With neither this nor `FOGHORN_SSE_JWT_KEY` everybody is whom they say they are.";
        COOKIE_SECRET_FILE: PathBuf = "FOGHORN_SSE_COOKIE_SECRET_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with that secret, instead; one line end behind it does not count.";
        JWT_KEY: String = "FOGHORN_SSE_JWT_KEY" [mask Secret] [on HUP]
            "", parse::filled, "a key",
            "Only a JWT (HS256, HS384, HS512) signed with it, of that user and not run out, opens an event stream. With the cookie's secret set too, either proof is good.";
        JWT_KEY_FILE: PathBuf = "FOGHORN_SSE_JWT_KEY_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with that key, instead.";
        SECRET: String = "FOGHORN_SSE_SECRET" [mask Secret] [on HUP]
            "", parse::filled, "a secret",
            "What posts of notifications need: as bearer token, as password of HTTP Basic, or as `?key=`. Not set: nothing.";
        SECRET_FILE: PathBuf = "FOGHORN_SSE_SECRET_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with that secret, instead.";
        ORIGINS: Vec<String> = "FOGHORN_SSE_ORIGINS" [on HUP]
            "", parse::origins, "origins, comma-separated, such as https://gw.example.com",
            "Pages of which origins may read streams and post; others get 403. Not set: pages of any origin may post, and only those of the same origin can read.";
        TYPES: Vec<String> = "FOGHORN_SSE_TYPES" [on HUP]
            "", parse::names, "types of notifications, comma-separated, such as appr,notify",
            "The types that may be posted. Not set: any.";
        FORM_JSON: FormJson = "FOGHORN_SSE_FORM_JSON" [on HUP]
            "decoded", form_json, "decoded or literal",
            "How JSON is read that a form's type was given to: with `decoded` a plus is a blank and `%41` an A, as the former server has it.";
        MAX_PER_USER: u64 = "FOGHORN_SSE_MAX_PER_USER" [on HUP]
            "100", parse::number::<1, 1_000_000>, "a number from 1 to 1000000",
            "Event streams of one user on this node, and as many for each channel of another dialect that the user watches; one more is told to try again later.";
        PAGE: Page = "FOGHORN_SSE_PAGE" [on HUP]
            "protected", page, "protected, open or off",
            "Who may see the page `/` and the list `/users` of who is connected: `protected` asks for `FOGHORN_OPS_PASSWORD` or `FOGHORN_OPS_TOKEN`, and where none is set answers only to this machine.";
        HEARTBEAT: Duration = "FOGHORN_SSE_HEARTBEAT_SECONDS"
            "55", parse::seconds::<0, 600>, "seconds from 0 to 600",
            "After so long without anything else a stream is sent a heartbeat. 0: a comment every 55 s instead, which pages do not see.";
        REPLAY: Duration = "FOGHORN_SSE_REPLAY_SECONDS"
            "60", parse::seconds::<0, 120>, "seconds from 0 to 120",
            "For how long notifications are kept for pages that come back. 0: not at all.";
        DEDUP: Duration = "FOGHORN_SSE_DEDUP_SECONDS" [on HUP]
            "0", parse::seconds::<0, 3_600>, "seconds from 0 to 3600",
            "The same notification for the same user, posted again within this time at any node, is answered 200 and sent once. Where Redis is away it is sent again. 0: each post is sent.";
        ACCESS_LOG: PathBuf = "FOGHORN_SSE_ACCESS_LOG" [per node]
            "", parse::raw_path, "a path",
            "File that gets a line in Apache's combined format for each request to `FOGHORN_SSE_ADDR` when its answer has ended, without keys and tokens. SIGUSR1 opens it anew. In a container it needs a volume that can be written. Not set: none.";
        SOCKET_ADDR: SocketAddr = "FOGHORN_INBOX_ADDR"
            "0.0.0.0:3030", parse::address, "an IP address and a port, such as 0.0.0.0:3030",
            "Where users' WebSockets come in. It listens only where `FOGHORN_INBOX_SESSION_REDIS_URL` or `FOGHORN_INBOX_JWT_KEY` says who a user is.";
        SOCKET_TLS_CERT: PathBuf = "FOGHORN_INBOX_TLS_CERT"
            "", parse::file, "a PEM file that exists",
            "Certificate chain of that address, which then speaks TLS only. Read again when it changes; goes with `FOGHORN_INBOX_TLS_KEY`.";
        SOCKET_TLS_KEY: PathBuf = "FOGHORN_INBOX_TLS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its private key.";
        TEXT: String = "FOGHORN_INBOX_TEXT"
            "New Message", line, "a text of 1 to 1000 bytes",
            "What a WebSocket is sent for each notification.";
        SESSION_REDIS: Server = "FOGHORN_INBOX_SESSION_REDIS_URL" [mask Urls]
            "", one_redis, "one URL, such as redis://:password@10.0.0.5:6379/0",
            "The Redis in which the backend keeps its users' sessions, which say who opens a WebSocket. It is only read.";
        SESSION_REDIS_FILE: PathBuf = "FOGHORN_INBOX_SESSION_REDIS_URL_FILE" [mask File]
            "", parse::file, "a file that exists",
            "File with that URL, instead.";
        SESSION_COOKIE: String = "FOGHORN_INBOX_SESSION_COOKIE"
            "session", cookie, "the name of a cookie",
            "The cookie whose value, a UUID, is the session's key there.";
        SESSION_RECHECK: Duration = "FOGHORN_INBOX_SESSION_RECHECK_SECONDS"
            "60", parse::seconds::<0, 86_400>, "seconds from 0 to 86400",
            "How often it is looked whether the session of an open WebSocket is still there; where it is not, it is closed (1008). 0: never.";
        SOCKET_JWT_KEY: String = "FOGHORN_INBOX_JWT_KEY" [mask Secret] [on HUP]
            "", parse::filled, "a key",
            "A JWT (HS256, HS384, HS512) signed with it, whose `sub` is the user's number, opens a WebSocket; with sessions set too, either does.";
        SOCKET_JWT_KEY_FILE: PathBuf = "FOGHORN_INBOX_JWT_KEY_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with that key, instead.";
        BROKER: Vec<Address> = "FOGHORN_INBOX_BROKER_URL" [mask Secret]
            "", addresses, "URLs, comma-separated, such as mqtt://user:password@10.0.0.6:1883 or mqtts://broker.example.com",
            "The MQTT broker from which notifications come; several are tried in turn. Not set: none come that way.";
        BROKER_FILE: PathBuf = "FOGHORN_INBOX_BROKER_URL_FILE" [mask File]
            "", parse::file, "a file that exists",
            "File with those URLs, instead.";
        BROKER_CA: PathBuf = "FOGHORN_INBOX_BROKER_CA"
            "", parse::file, "a PEM file that exists",
            "Authorities that `mqtts://` trusts, instead of the system's.";
        CLIENT_ID: String = "FOGHORN_INBOX_CLIENT_ID"
            "foghorn-inbox", client_id, "1 to 200 letters",
            "What the broker knows the session by: the same on all nodes, and nobody else's.";
        TOPIC: Topic = "FOGHORN_INBOX_TOPIC"
            "notification{id}", topic, "a topic with one {id} in it, and without + and #",
            "The topics of users' notifications; `{id}` stands for the user's number.";
        PAYLOAD: Payload = "FOGHORN_INBOX_PAYLOAD"
            "id", payload, "id or pass",
            "What a message's payload is: with `id` the user's number again, with `pass` the text that WebSockets are sent, up to 64 KiB, or nothing for the usual one.";
    }
}
