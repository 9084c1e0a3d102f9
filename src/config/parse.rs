//! How the text of one setting becomes a value.
//!
//! Invariant: nothing is guessed; what is not understood is [`Wrong`], and the setting's row says what it should be.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::mask;
use super::{LogFormat, LogLevel};
use crate::broker::redis::{Server, parse_urls};
use crate::files;

/// A value that is not understood, with a hint where the mistake is a known one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// A sentence for the administrator.
    pub hint: Option<String>,
}

impl Wrong {
    /// It is wrong for this reason, or this helps.
    pub fn because(hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
        }
    }
}

/// The text as it is, blanks included: keys and passwords.
pub fn raw(text: &str) -> Result<String, Wrong> {
    Ok(text.to_owned())
}

/// Text as it stands, and some.
pub fn filled(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        Err(Wrong::default())
    } else {
        raw(text)
    }
}

/// Text without blanks around it.
pub fn text(text: &str) -> Result<String, Wrong> {
    Ok(text.trim().to_owned())
}

/// A folder that exists.
pub fn path(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if path.is_dir() {
        Ok(path)
    } else {
        Err(Wrong::default())
    }
}

/// A path, whatever is there.
pub fn raw_path(text: &str) -> Result<PathBuf, Wrong> {
    Ok(PathBuf::from(text))
}

/// A file that exists, or a pipe.
pub fn file(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if files::is_readable(&path) {
        Ok(path)
    } else {
        Err(Wrong::default())
    }
}

/// A host name or an IP address, without brackets around an IPv6 one.
pub fn host(text: &str) -> Result<String, Wrong> {
    let host = text.trim();
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if host.contains("://") || host.contains('@') {
        return Err(Wrong::because(
            "It is not a URL: leave out what stands before and behind the host. User, password and port have settings of their own; of Redis FOGHORN_REDIS_URLS takes a URL.",
        ));
    }
    if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        return Err(Wrong::because("The port has a setting of its own."));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !host.is_empty() && host.chars().all(good) {
        Ok(host.to_owned())
    } else {
        Err(Wrong::default())
    }
}

/// A port.
pub fn port(text: &str) -> Result<u16, Wrong> {
    if text.starts_with("tcp://") {
        return Err(Wrong::because(
            "Kubernetes set it because a Service has that name: rename the Service, or set enableServiceLinks: false.",
        ));
    }
    text.trim().parse().map_err(|_| Wrong::default())
}

/// An IP address and a port.
pub fn address(text: &str) -> Result<SocketAddr, Wrong> {
    text.trim().parse().map_err(|_| Wrong::default())
}

/// A number within bounds.
pub fn number<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, Wrong> {
    let number = text
        .trim()
        .replace('_', "")
        .parse()
        .map_err(|_| Wrong::default())?;
    if (MIN..=MAX).contains(&number) {
        Ok(number)
    } else {
        Err(Wrong::default())
    }
}

/// Whole seconds within bounds.
pub fn seconds<const MIN: u64, const MAX: u64>(text: &str) -> Result<Duration, Wrong> {
    match number::<MIN, MAX>(text) {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) if text.trim().ends_with(['s', 'm', 'h']) => {
            Err(Wrong::because("Leave the unit out: it is seconds."))
        }
        Err(wrong) => Err(wrong),
    }
}

/// A size in bytes within bounds: plain, or with KiB, MiB, GiB, TiB (K, M, G, T and KB, MB, GB, TB mean the same).
pub fn bytes<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let number: u64 = text[..digits]
        .replace('_', "")
        .parse()
        .map_err(|_| Wrong::default())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(Wrong::default()),
    };
    match number.checked_mul(1 << shift) {
        Some(bytes) if (MIN..=MAX).contains(&bytes) => Ok(bytes),
        _ => Err(Wrong::default()),
    }
}

/// `true` or `false`; also 1 and 0, yes and no, on and off.
pub fn switch(text: &str) -> Result<bool, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Wrong::default()),
    }
}

/// The same, or how many nodes there are: what is true of several.
pub fn required(text: &str) -> Result<bool, Wrong> {
    switch(text).or_else(|wrong| text.trim().parse::<u32>().map(|_| true).map_err(|_| wrong))
}

/// A log level by upstream's names.
pub fn level(text: &str) -> Result<LogLevel, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "trace" => Ok(LogLevel::Trace),
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warning" | "warn" => Ok(LogLevel::Warning),
        "error" | "fatal" | "panic" => Ok(LogLevel::Error),
        _ => Err(Wrong::default()),
    }
}

/// What log lines look like.
pub fn format(text: &str) -> Result<LogFormat, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Wrong::default()),
    }
}

/// Networks, comma-separated; a plain address is the network of just that one.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Wrong> {
    pieces(text).map(network).collect()
}

/// The same, or the word `none`: for lists whose being empty is not the default.
pub(super) fn networks_or_none(text: &str) -> Result<Vec<IpNet>, Wrong> {
    if text.trim() == "none" {
        Ok(Vec::new())
    } else {
        networks(text)
    }
}

fn network(piece: &str) -> Result<IpNet, Wrong> {
    let found = piece
        .parse::<IpNet>()
        .or_else(|_| piece.parse::<IpAddr>().map(IpNet::from));
    found.map_err(|_| {
        Wrong::because(format!(
            "{:?} is neither an address nor a network.",
            mask::open(piece)
        ))
    })
}

/// Web origins: a scheme, a host and at most a port.
pub fn origins(text: &str) -> Result<Vec<String>, Wrong> {
    pieces(text).map(origin).collect()
}

fn origin(piece: &str) -> Result<String, Wrong> {
    let shown = mask::open(piece);
    let wrong = || {
        Wrong::because(format!(
            "{shown:?} is no origin: it is a scheme, a host and at most a port."
        ))
    };
    if piece.contains('*') {
        return Err(Wrong::because(format!(
            "{shown:?} has a star in it, which stands for nothing here: name each origin in full, or leave the setting out to let pages of any origin connect."
        )));
    }
    let url = Url::parse(piece).map_err(|_| wrong())?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if bare && url.origin().is_tuple() {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(wrong())
    }
}

/// Names, one at least, each once.
pub fn names(text: &str) -> Result<Vec<String>, Wrong> {
    let mut names: Vec<String> = Vec::new();
    for name in pieces(text) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        Err(Wrong::default())
    } else {
        Ok(names)
    }
}

/// What keys in Redis begin with. Braces would move them to other hash slots.
pub fn prefix(text: &str) -> Result<String, Wrong> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let prefix = text.trim();
    if !prefix.is_empty() && prefix.chars().all(good) {
        Ok(prefix.to_owned())
    } else {
        Err(Wrong::default())
    }
}

/// The URL of an HTTP server. A collector's needs no password, and this one would be shown.
pub(super) fn http_url(text: &str) -> Result<Url, Wrong> {
    let url = Url::parse(text.trim()).map_err(|_| Wrong::default())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::because(
            "No user or password can stand in it: a login for the collector stands in OTEL_EXPORTER_OTLP_HEADERS.",
        ));
    }
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(Wrong::default())
    }
}

/// What a node may be called.
pub fn label(text: &str) -> Result<String, Wrong> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let label = text.trim();
    if (1..=100).contains(&label.len()) && label.chars().all(good) {
        Ok(label.to_owned())
    } else {
        Err(Wrong::default())
    }
}

/// One Redis deployment after the other; hosts of one may be separated by commas too.
pub fn redis_urls(text: &str) -> Result<Vec<Server>, Wrong> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    parse_urls(text).map_err(|fault| Wrong::because(format!("{fault}.")))
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests;
