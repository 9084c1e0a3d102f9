//! What the dialect can be told, and what that comes to.
//!
//! Invariant: without a key the dialect is not started; a database that is told of in part is a fault.

use std::path::PathBuf;

use super::auth::Keys;
use super::groups::{Config, Tls};
use crate::config::parse::{self, Wrong};
use crate::config::reader::Reader;
use crate::config::settings::Row;
use crate::config::{ConfigError, Sources, Values};

/// The area of what tokens are signed with.
const KEYS: &str = "Seafile: keys";

/// A host, or the absolute path of a socket.
fn host_or_socket(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    if text.contains("://") || text.contains('@') {
        return Err(Wrong::because(
            "It is not a URL: the database has SEAFILE_MYSQL_DB_HOST, _PORT, _USER and _PASSWORD and no URL.",
        ));
    }
    parse::host(text)
}

fn tls(text: &str) -> Result<Tls, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(Tls::Off),
        "on" => Ok(Tls::On),
        "verify" => Ok(Tls::Verify),
        _ => Err(Wrong::default()),
    }
}

crate::settings! {
    "Seafile: keys" {
        KEY: String = "JWT_PRIVATE_KEY" [mask Secret] [on HUP]
            "", parse::filled, "the very value of JWT_PRIVATE_KEY in Seafile's own environment",
            "The key Seafile signs tokens with. Needed, unless `JWT_PRIVATE_KEY_FILE` is set.";
        KEY_FILE: PathBuf = "JWT_PRIVATE_KEY_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with the key, instead; one line end behind it does not count. Read again on SIGHUP.";
        KEY_PREVIOUS: String = "JWT_PRIVATE_KEY_PREVIOUS" [mask Secret] [on HUP]
            "", parse::raw, "the former value of JWT_PRIVATE_KEY",
            "Tokens signed with this key are good too: for the time in which a key is being changed.";
        KEY_PREVIOUS_FILE: PathBuf = "JWT_PRIVATE_KEY_PREVIOUS_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with that key, instead. An empty file counts as none. Read again on SIGHUP.";
    }
    "Seafile: group members" {
        DB_HOST: String = "SEAFILE_MYSQL_DB_HOST"
            "", host_or_socket, "a host name, an IP address, or the path of a socket",
            "MySQL or MariaDB server that has the ccnet database. Not set: a group's permission events go to nobody, everything else works.";
        DB_PORT: u16 = "SEAFILE_MYSQL_DB_PORT"
            "3306", parse::port, "a port from 0 to 65535",
            "Its port.";
        DB_USER: String = "SEAFILE_MYSQL_DB_USER"
            "", parse::text, "a user name",
            "User that may read the table `GroupUser`.";
        DB_PASSWORD: String = "SEAFILE_MYSQL_DB_PASSWORD" [mask Secret] [on HUP]
            "", parse::raw, "that user's password",
            "That user's password; not needed on a socket.";
        DB_PASSWORD_FILE: PathBuf = "SEAFILE_MYSQL_DB_PASSWORD_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with the password, instead; one line end behind it does not count. Read again on SIGHUP, for new connections.";
        DB_NAME: String = "SEAFILE_MYSQL_DB_CCNET_DB_NAME"
            "ccnet_db", parse::text, "a database name",
            "Name of the ccnet database.";
        DB_TLS: Tls = "FOGHORN_DB_TLS"
            "off", tls, "off, on or verify",
            "Encrypt the connection to the database: `on` takes any certificate, `verify` only one that fits the host.";
        DB_CA: PathBuf = "FOGHORN_DB_CA"
            "", parse::file, "a PEM file that exists",
            "Certificates that vouch for the database's, instead of the public authorities; goes with `FOGHORN_DB_TLS=verify`.";
    }
    "Seafile: limits" {
        MAX_SUBSCRIPTIONS: u64 = "FOGHORN_MAX_SUBSCRIPTIONS"
            "10000", parse::number::<1, 10_000_000>, "a number from 1 to 10000000",
            "Libraries one connection may subscribe to.";
    }
}

/// What may be wrong with all of it together.
pub(super) fn check(values: &Values, r: &mut Reader) {
    check_keys(values, r);
    let (is_socket, tls) = (
        values
            .optional(&DB_HOST)
            .is_some_and(|host| host.starts_with('/')),
        values.get(&DB_TLS),
    );
    if values.optional(&DB_CA).is_some() && tls != Tls::Verify {
        r.fault(DB_CA.row.name, "is of no use without FOGHORN_DB_TLS=verify");
    }
    let in_file = r.is_set(&DB_PASSWORD_FILE.row);
    let password = if in_file {
        &DB_PASSWORD_FILE.row
    } else {
        &DB_PASSWORD.row
    };
    let wanted = [&DB_HOST.row, &DB_USER.row, password];
    let set: Vec<&str> = wanted
        .iter()
        .filter(|row| r.is_set(row))
        .map(|row| row.name)
        .collect();
    if set.is_empty() {
        return;
    }
    let needed = |row: &&&Row| !(is_socket && row.name == password.name);
    for row in wanted
        .iter()
        .filter(needed)
        .filter(|row| !set.contains(&row.name))
    {
        let set = set.join(" and ");
        r.fault(
            row.name,
            format!(
                "is missing, and group members are to be looked up since {set} is set: set it too, or unset the others"
            ),
        );
    }
}

fn check_keys(values: &Values, r: &mut Reader) {
    let (current, previous) = (values.optional(&KEY), values.optional(&KEY_PREVIOUS));
    if current.is_none() && !r.is_set(&KEY.row) && !r.is_set(&KEY_FILE.row) {
        r.fault(
            KEY.row.name,
            "is not set: give it the same value as JWT_PRIVATE_KEY has in Seafile's own environment (its .env file)",
        );
    }
    for (setting, key) in [(&KEY, &current), (&KEY_PREVIOUS, &previous)] {
        if let Some(key) = key {
            r.doubt(setting.row.name, key, true);
        }
    }
    if current.is_some() && current == previous {
        r.notices.push(
            "JWT_PRIVATE_KEY_PREVIOUS is the same as JWT_PRIVATE_KEY and changes nothing".into(),
        );
    }
}

/// What tokens are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The key in use.
    pub current: String,
    /// The one before, while keys change.
    pub(super) previous: Option<String>,
}

impl Secrets {
    /// Those that are set.
    pub fn of(values: &Values) -> Self {
        Self {
            current: values.optional(&KEY).unwrap_or_default(),
            previous: values.optional(&KEY_PREVIOUS).filter(|key| !key.is_empty()),
        }
    }

    /// Ready to check tokens with.
    pub fn keys(&self) -> Keys {
        Keys::new(&self.current, self.previous.as_deref())
    }
}

/// Where the ccnet database is; `None`: there is none.
pub fn groups(values: &Values) -> Option<Config> {
    Some(Config {
        host: values.optional(&DB_HOST)?,
        port: values.get(&DB_PORT),
        user: values.optional(&DB_USER)?,
        password: values.optional(&DB_PASSWORD).unwrap_or_default(),
        database: values.get(&DB_NAME),
        tls: values.get(&DB_TLS),
        ca: values.optional(&DB_CA),
    })
}

/// Just the keys, for commands that need nothing else.
///
/// # Errors
/// There is none, or `-c` is wrong.
pub fn secrets(sources: &Sources) -> Result<Secrets, ConfigError> {
    let keys: Vec<&'static Row> = TABLE
        .iter()
        .copied()
        .filter(|row| row.area == KEYS)
        .collect();
    crate::config::only(sources, &keys, check_keys).map(|values| Secrets::of(&values))
}

#[cfg(test)]
mod tests;
