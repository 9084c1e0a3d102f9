//! How the text of one setting becomes a value.
//!
//! Invariant: nothing is guessed; what is not understood is [`Wrong`], and the setting's row says what it should be.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::{DbTls, LogFormat, LogLevel};
use crate::broker::redis::{Server, parse_urls};

/// A value that is not understood, with a hint where the mistake is a known one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// A sentence for the administrator.
    pub hint: Option<String>,
}

impl Wrong {
    fn because(hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()) }
    }
}

/// The text as it is, blanks included: keys and passwords.
pub fn raw(text: &str) -> Result<String, Wrong> {
    Ok(text.to_owned())
}

/// Text without blanks around it.
pub fn text(text: &str) -> Result<String, Wrong> {
    Ok(text.trim().to_owned())
}

/// A folder that exists.
pub fn path(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err(Wrong::default()) }
}

/// A file that exists.
pub fn file(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if path.is_file() { Ok(path) } else { Err(Wrong::default()) }
}

/// A host name or an IP address, without brackets around an IPv6 one.
pub fn host(text: &str) -> Result<String, Wrong> {
    let host = text.trim();
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if host.contains("://") {
        return Err(Wrong::because("It is not a URL: leave out what stands before and behind the host."));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !host.is_empty() && host.chars().all(good) { Ok(host.to_owned()) } else { Err(Wrong::default()) }
}

/// A host, or the absolute path of a socket.
pub fn host_or_socket(text: &str) -> Result<String, Wrong> {
    if text.trim().starts_with('/') { Ok(text.trim().to_owned()) } else { host(text) }
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
    let number = text.trim().replace('_', "").parse().map_err(|_| Wrong::default())?;
    if (MIN..=MAX).contains(&number) { Ok(number) } else { Err(Wrong::default()) }
}

/// Whole seconds within bounds.
pub fn seconds<const MIN: u64, const MAX: u64>(text: &str) -> Result<Duration, Wrong> {
    match number::<MIN, MAX>(text) {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) if text.trim().ends_with(['s', 'm', 'h']) => Err(Wrong::because("Leave the unit out: it is seconds.")),
        Err(wrong) => Err(wrong),
    }
}

/// A size in bytes within bounds: plain, or with KiB, MiB, GiB, TiB (K, M, G, T and KB, MB, GB, TB mean the same).
pub fn bytes<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number: u64 = text[..digits].replace('_', "").parse().map_err(|_| Wrong::default())?;
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

/// How the connection to the database is encrypted.
pub fn db_tls(text: &str) -> Result<DbTls, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(DbTls::Off),
        "on" => Ok(DbTls::On),
        "verify" => Ok(DbTls::Verify),
        _ => Err(Wrong::default()),
    }
}

/// Networks, comma-separated; a plain address is the network of just that one.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Wrong> {
    pieces(text).map(network).collect()
}

/// The same, or the word `none`: for lists whose being empty is not the default.
pub fn networks_or_none(text: &str) -> Result<Vec<IpNet>, Wrong> {
    if text.trim() == "none" { Ok(Vec::new()) } else { networks(text) }
}

fn network(piece: &str) -> Result<IpNet, Wrong> {
    let found = piece.parse::<IpNet>().or_else(|_| piece.parse::<IpAddr>().map(IpNet::from));
    found.map_err(|_| Wrong::because(format!("{piece:?} is neither an address nor a network.")))
}

/// Web origins: a scheme, a host and at most a port.
pub fn origins(text: &str) -> Result<Vec<String>, Wrong> {
    pieces(text).map(origin).collect()
}

fn origin(piece: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::because(format!("{piece:?} is no origin: it is a scheme, a host and at most a port."));
    let url = Url::parse(piece).map_err(|_| wrong())?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if bare && url.origin().is_tuple() { Ok(url.origin().ascii_serialization()) } else { Err(wrong()) }
}

/// What keys in Redis begin with. Braces would move them to other hash slots.
pub fn prefix(text: &str) -> Result<String, Wrong> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let prefix = text.trim();
    if !prefix.is_empty() && prefix.chars().all(good) { Ok(prefix.to_owned()) } else { Err(Wrong::default()) }
}

/// The URL of an HTTP server. A collector's needs no password, and this one would be shown.
pub fn http_url(text: &str) -> Result<Url, Wrong> {
    let url = Url::parse(text.trim()).map_err(|_| Wrong::default())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::because("It cannot have a user or a password in it."));
    }
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(Wrong::default()) }
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

/// The URLs of a list with every password in them masked; a piece that is no URL is masked whole.
pub fn mask_urls(text: &str) -> String {
    let masked: Vec<String> = pieces(text).map(mask_url).collect();
    masked.join(",")
}

fn mask_url(piece: &str) -> String {
    let Ok(mut url) = Url::parse(piece) else { return "***".into() };
    if url.cannot_be_a_base() {
        return "***".into();
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".into();
    }
    let secret = |key: &str| key.to_ascii_lowercase().contains("password");
    if url.query_pairs().any(|(key, _)| secret(&key)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(key, value)| (key.to_string(), if secret(&key) { "***".into() } else { value.into_owned() }))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string()
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units() {
        let size = bytes::<1, { 1 << 40 }>;
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(size(" 4 mb "), Ok(4 << 20));
        assert_eq!(size("1_000"), Ok(1000));
        for bad in ["", "MiB", "-1", "4 miles", "0", "9999999999999999999", "99999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_say_when_a_unit_is_the_mistake() {
        assert_eq!(seconds::<0, 60>("30"), Ok(Duration::from_secs(30)));
        assert!(seconds::<0, 60>("30s").is_err_and(|w| w.hint.is_some()));
        assert!(seconds::<0, 60>("61").is_err_and(|w| w.hint.is_none()));
    }

    #[test]
    fn lists_name_the_piece_that_is_wrong() {
        assert_eq!(networks("10.0.0.0/8, 192.0.2.7,").map(|n| n.len()), Ok(2));
        assert_eq!(networks_or_none("none"), Ok(Vec::new()));
        assert!(networks("none").is_err(), "where empty means any, none must not");
        assert!(networks("10.0.0.0/8,nonsense").is_err_and(|w| w.hint.is_some_and(|h| h.contains("nonsense"))));
        assert_eq!(origins("https://A.example/"), Ok(vec!["https://a.example".into()]));
        assert!(origins("https://a.example/path").is_err() && origins("a.example").is_err());
    }

    #[test]
    fn hosts_lose_their_brackets_and_urls_are_refused() {
        assert_eq!(host("[::1]"), Ok("::1".into()));
        assert_eq!(host("notification-server"), Ok("notification-server".into()));
        assert!(host("http://x").is_err() && host("a b").is_err());
        assert!(port("tcp://10.0.0.1:8083").is_err_and(|w| w.hint.is_some()));
    }

    #[test]
    fn redis_urls_are_checked_and_shown_without_passwords() {
        assert!(redis_urls("redis://:pa:ss@h:1/0, rediss-cluster://h,redis-sentinel://s:26379,t:1/main").is_ok());
        for bad in ["http://h", "redis-ring://h", "h:6379", "redis://"] {
            assert!(redis_urls(bad).is_err(), "{bad}");
        }
        let masked = mask_urls("redis://u:secret@h:1/0,redis-sentinel://h?sentinelPassword=secret&x=1,secret");
        assert_eq!(masked, "redis://u:***@h:1/0,redis-sentinel://h?sentinelPassword=***&x=1,***");
    }
}
