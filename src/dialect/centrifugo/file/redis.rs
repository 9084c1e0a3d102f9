//! v1's keys about Redis, as URLs of shards.
//!
//! Invariants: pure. Where several are listed, each is a shard, in their order; no password is in a fault.

use std::fmt::Display;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::kinds::{Bad, maybe_text, switch};
use crate::config::parse::redis_urls;

/// See the module.
#[derive(Default)]
pub struct RedisKeys {
    engine: bool,
    hosts: Vec<String>,
    ports: Vec<String>,
    urls: Vec<String>,
    masters: Vec<String>,
    sentinels: Vec<String>,
    password: Option<String>,
    db: Option<String>,
    /// What lists, keys and channels begin with.
    pub(super) prefix: Option<String>,
    /// Whether lists are taken from.
    pub(super) api: bool,
}

impl RedisKeys {
    /// Takes a key about Redis; `None`: it is no such key.
    pub fn take(&mut self, key: &str, value: &Value) -> Option<Result<(), Bad>> {
        let list = match key {
            "redis_host" => &mut self.hosts,
            "redis_port" => &mut self.ports,
            "redis_url" => &mut self.urls,
            "redis_master_name" => &mut self.masters,
            "redis_sentinels" => &mut self.sentinels,
            "redis_password" => {
                return Some(maybe_text(key, value).map(|text| self.password = text));
            }
            "redis_db" => return Some(maybe_text(key, value).map(|text| self.db = text)),
            "redis_prefix" => {
                return Some(maybe_text(key, value).and_then(|text| self.begin(text)));
            }
            "redis_api" => return Some(switch(key, value).map(|on| self.api = on)),
            "engine" => return Some(self.take_engine(value)),
            _ => return None,
        };
        let split = |text: String| {
            text.split(',')
                .map(|piece| piece.trim().to_owned())
                .collect()
        };
        Some(maybe_text(key, value).map(|text| *list = text.map(split).unwrap_or_default()))
    }

    fn begin(&mut self, prefix: Option<String>) -> Result<(), Bad> {
        if prefix.as_deref().is_some_and(spoils_the_hash_tag) {
            return Err("redis_prefix: it has a `}` that ends no hash tag, so a Redis Cluster would keep a list apart from what \
                Foghorn notes about it: leave the braces out, and have backends push to the lists of the new name"
                .into());
        }
        self.prefix = prefix;
        Ok(())
    }

    fn take_engine(&mut self, value: &Value) -> Result<(), Bad> {
        self.engine = match value.as_str() {
            Some("redis") => true,
            Some("memory" | "") => false,
            _ => return Err("engine: it should be memory or redis".into()),
        };
        Ok(())
    }

    /// One URL for each shard, with commas between them; `None`: no Redis is wanted.
    ///
    /// # Errors
    /// The keys do not fit each other, or are no addresses.
    pub fn shards(&self) -> Result<Option<String>, Bad> {
        if !self.engine {
            return Ok(None);
        }
        let shards = if self.urls.is_empty() {
            self.addressed()?
        } else {
            self.named()?
        };
        let key = if self.urls.is_empty() {
            "redis_host, redis_port and those beside them"
        } else {
            "redis_url"
        };
        let text = shards.join(",");
        match redis_urls(&text) {
            Ok(found) if found.len() == shards.len() => Ok(Some(text)),
            Ok(_) => Err(format!("{key}: each should be one server")),
            Err(wrong) => Err(format!(
                "{key}: {}",
                wrong.hint.unwrap_or_else(|| "they lead nowhere".into())
            )),
        }
    }

    /// The shards that URLs name. As in v1 a URL's own login and database win over the keys, which hold where it has none.
    fn named(&self) -> Result<Vec<String>, Bad> {
        for (key, list) in [
            ("redis_master_name", &self.masters),
            ("redis_sentinels", &self.sentinels),
        ] {
            if !list.is_empty() {
                return Err(format!(
                    "{key}: it does not go with redis_url, which names a server: leave one of them out"
                ));
            }
        }
        let filled = |url: &String| filled(url, &self.login(), &self.path());
        Ok(self.urls.iter().map(filled).collect())
    }

    /// What a URL has in front of the host; empty where there is no password.
    fn login(&self) -> String {
        self.password
            .as_deref()
            .map(|password| format!(":{}@", encoded(password)))
            .unwrap_or_default()
    }

    /// What names the database in a URL; empty for the first one.
    fn path(&self) -> String {
        self.db
            .as_deref()
            .filter(|db| *db != "0")
            .map(|db| format!("/{}", encoded(db)))
            .unwrap_or_default()
    }

    fn addressed(&self) -> Result<Vec<String>, Bad> {
        let lists = [
            ("redis_host", &self.hosts),
            ("redis_port", &self.ports),
            ("redis_master_name", &self.masters),
        ];
        let count = lists
            .iter()
            .map(|(_, list)| list.len())
            .max()
            .unwrap_or_default()
            .max(1);
        if let Some((key, list)) = lists
            .iter()
            .find(|(_, list)| list.len() > 1 && list.len() != count)
        {
            return Err(format!(
                "{key}: it lists {}, and another key {count}: that fits no shards",
                list.len()
            ));
        }
        if self.masters.is_empty() != self.sentinels.is_empty() {
            return Err("redis_master_name: it goes with redis_sentinels, and they with it".into());
        }
        let of = |list: &[String], at: usize, default: &str| {
            list.get(if list.len() == 1 { 0 } else { at })
                .filter(|text| !text.is_empty())
                .map_or(default, |v| v)
                .to_owned()
        };
        let (login, db) = (self.login(), self.path());
        let url = |at| {
            if self.masters.is_empty() {
                let (host, port) = (
                    of(&self.hosts, at, "127.0.0.1"),
                    of(&self.ports, at, "6379"),
                );
                return format!("redis://{login}{}:{port}{db}", bracketed(&host));
            }
            let sentinel = |address: &String| {
                if address.starts_with(':') {
                    format!("127.0.0.1{address}")
                } else {
                    address.clone()
                }
            };
            let sentinels: Vec<String> = self.sentinels.iter().map(sentinel).collect();
            format!(
                "redis-sentinel://{login}{}/{}{db}",
                sentinels.join(","),
                encoded(&of(&self.masters, at, ""))
            )
        };
        Ok((0..count).map(url).collect())
    }
}

/// Whether a list of this prefix has no hash tag, and none can be made of its name: where Redis finds no text between a `{` and
/// the next `}` the whole name decides the slot, and a `}` would end a tag around that name too early.
fn spoils_the_hash_tag(prefix: &str) -> bool {
    let tag = prefix
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag);
    prefix.contains('}') && tag.is_none_or(str::is_empty)
}

/// A URL with `login` where it has none, and `path` where it has none.
fn filled(url: &str, login: &str, path: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, behind) = rest.split_at(end);
    let login = if host.contains('@') { "" } else { login };
    // A slash alone names no database.
    let behind = match behind.strip_prefix('/') {
        Some(own) if own.is_empty() || own.starts_with(['?', '#']) => match path {
            "" => behind.to_owned(),
            path => format!("{path}{own}"),
        },
        Some(_) => behind.to_owned(),
        None => format!("{path}{behind}"),
    };
    format!("{scheme}://{login}{host}{behind}")
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// A text as it stands in a URL.
fn encoded(text: &str) -> impl Display {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests;
