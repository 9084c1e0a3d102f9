//! Where Redis is, by the settings, and which broker comes of it.
//!
//! Invariant: a node never stands alone without saying why, and not at all where `FOGHORN_REDIS_REQUIRED` forbids it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::doubts::doubts;
use super::reader::Reader;
use super::secrets::one_of;
use super::settings::{self as s, Row};
use super::{RedisSettings, parse};
use crate::broker::redis::{Certificates, Server};

/// Redis, or `None` for the memory broker; and which of the two and why, for the log.
pub fn redis(r: &mut Reader) -> (Option<RedisSettings>, String) {
    let (mut shards, mut named_by) = urls(r);
    let certificates = certificates(r);
    let required = r.value(&s::REDIS_REQUIRED);
    let memcached = r
        .value(&s::CACHE_PROVIDER)
        .eq_ignore_ascii_case("memcached");
    let host = r.optional(&s::REDIS_HOST);
    let port = r.value(&s::REDIS_PORT);
    let password = one_of(r, &s::REDIS_PASSWORD, &s::REDIS_PASSWORD_FILE)
        .filter(|password| !password.is_empty());
    let prefix = r.value(&s::REDIS_PREFIX);
    doubt_passwords(r, &shards, named_by);
    if shards.is_empty() && !r.is_set(named_by) {
        if let Some(host) = host.filter(|_| !memcached) {
            let password = password.inspect(|password| {
                r.notices
                    .extend(doubts(s::REDIS_PASSWORD.row.name, password, false))
            });
            shards = vec![Server {
                password,
                ..Server::single(&host, port)
            }];
            named_by = &s::REDIS_HOST.row;
        } else if memcached && r.is_set(&s::REDIS_HOST.row) {
            r.notices.push("REDIS_HOST is not used, since CACHE_PROVIDER is memcached; a Redis for Foghorn alone is named by FOGHORN_REDIS_URLS".into());
        } else if password.is_some() && !r.is_set(&s::REDIS_HOST.row) {
            r.notices.push(
                "REDIS_PASSWORD is set and REDIS_HOST is not: this node uses no Redis".into(),
            );
        }
    }
    for server in &mut shards {
        server.certificates = certificates.clone();
    }
    check_tls(r, &shards, &certificates);
    // A fault that is named already is the reason; another one beside it would lead astray.
    let broken =
        shards.is_empty() && (r.is_set(named_by) || (r.is_set(&s::REDIS_HOST.row) && !memcached));
    if shards.is_empty() {
        let why = alone(r, memcached);
        if required && !broken {
            r.fault(s::REDIS_REQUIRED.row.name, format!("is true, and this node is told of no Redis: {why}. Set FOGHORN_REDIS_URLS, the same on all nodes; or false for a node that is to stand alone"));
        }
        return (
            None,
            format!("broker: memory, this node stands alone ({why})"),
        );
    }
    let broker = named(r, &shards, named_by);
    (Some(RedisSettings { shards, prefix }), broker)
}

/// Which Redis it is, for the log.
fn named(r: &Reader, shards: &[Server], by: &Row) -> String {
    let names: Vec<String> = shards.iter().map(Server::name).collect();
    let (count, source) = (shards.len(), r.source(by));
    let plural = if count == 1 { "" } else { "s" };
    format!(
        "broker: Redis, {count} shard{plural} ({}), named by {} ({source})",
        names.join(", "),
        by.name
    )
}

/// Notes what may be wrong with the passwords in URLs, each thing once.
fn doubt_passwords(r: &mut Reader, shards: &[Server], named_by: &Row) {
    let written = shards
        .iter()
        .flat_map(|server| [&server.password, &server.sentinel_login.1])
        .flatten();
    let of = format!("a password in {}", named_by.name);
    let doubtful: BTreeSet<String> = written
        .flat_map(|password| doubts(&of, password, false))
        .collect();
    r.notices.extend(doubtful);
}

/// The URLs, and the setting that has them.
fn urls(r: &mut Reader) -> (Vec<Server>, &'static Row) {
    let given = r.value(&s::REDIS_URLS);
    let Some(text) = r.contents(&s::REDIS_URLS_FILE) else {
        return (given, &s::REDIS_URLS.row);
    };
    let (file, plain) = (&s::REDIS_URLS_FILE.row, &s::REDIS_URLS.row);
    if r.is_set(plain) {
        if r.source(plain) == r.source(file) {
            r.fault(
                file.name,
                format!("and {} are both set: give one of them", plain.name),
            );
        } else if r.source(plain) < r.source(file) {
            return (given, plain);
        }
    }
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    match parse::redis_urls(&lines.join(",")) {
        Ok(shards) if shards.is_empty() => r.fault(file.name, "is a file with nothing in it"),
        Ok(shards) => return (shards, file),
        Err(wrong) => {
            let hint = wrong
                .hint
                .map(|hint| format!(". {}", hint.trim_end_matches('.')))
                .unwrap_or_default();
            r.fault(
                file.name,
                format!("the file should have {}{hint}", plain.shape),
            );
        }
    }
    (Vec::new(), file)
}

fn certificates(r: &mut Reader) -> Certificates {
    let ca = r.optional(&s::REDIS_CA);
    let (cert, key) = (r.optional(&s::REDIS_CERT), r.optional(&s::REDIS_KEY));
    for (one, other) in [
        (&s::REDIS_CERT.row, &s::REDIS_KEY.row),
        (&s::REDIS_KEY.row, &s::REDIS_CERT.row),
    ] {
        if r.is_set(one) && !r.is_set(other) {
            r.fault(
                other.name,
                format!("is missing: {} is of no use without it", one.name),
            );
        }
    }
    Certificates {
        ca,
        own: cert.zip(key),
    }
}

/// Certificates need TLS, and must be what they should be.
fn check_tls(r: &mut Reader, shards: &[Server], certificates: &Certificates) {
    let files: [(&'static Row, Option<&PathBuf>); 2] = [
        (&s::REDIS_CA.row, certificates.ca.as_ref()),
        (
            &s::REDIS_CERT.row,
            certificates.own.as_ref().map(|(cert, _)| cert),
        ),
    ];
    let plain = !shards.iter().any(|server| server.tls);
    for (row, _) in files.iter().filter(|(_, file)| file.is_some() && plain) {
        r.fault(row.name, "is of no use without TLS: FOGHORN_REDIS_URLS should have a URL that begins with rediss://");
    }
    if let Err(error) = certificates.check() {
        r.fault(error.setting(), error.to_string());
    }
}

/// Why no Redis is known.
fn alone(r: &Reader, memcached: bool) -> String {
    let state = |row: &Row| {
        if r.is_empty(row) {
            format!("{} is empty", row.name)
        } else {
            format!("{} is not set", row.name)
        }
    };
    let beside = if memcached {
        "CACHE_PROVIDER is memcached".to_owned()
    } else {
        state(&s::REDIS_HOST.row)
    };
    format!("{}, {beside}", state(&s::REDIS_URLS.row))
}
