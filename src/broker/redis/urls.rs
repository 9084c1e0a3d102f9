//! What a Redis URL says.
//!
//! Invariant: a password never shows in a fault.

use url::Url;

use super::config::{Layout, Server};

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// No URL at all.
    #[error("no Redis URL is given")]
    Empty,
    /// It cannot be read as a URL.
    #[error(
        "a Redis URL cannot be read ({0}); it should look like redis://user:password@host:6379/0"
    )]
    Unreadable(url::ParseError),
    /// Its scheme is none we know.
    #[error(
        "{0} is no Redis URL; it should begin with redis://, rediss://, redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://"
    )]
    Scheme(String),
    /// No host.
    #[error("a Redis URL names no host; it should look like redis://host:6379")]
    Host,
    /// The database is not a number from 0 to 255.
    #[error("`{0}` at the end of the Redis URL of {1} is no database number")]
    Database(String, String),
    /// A Cluster has only database 0.
    #[error("the Redis Cluster URL of {0} names a database; a Cluster has only one")]
    ClusterDatabase(String),
    /// A Sentinel URL without the master's name.
    #[error(
        "the Sentinel URL of {0} names no master; it should look like redis-sentinel://host:26379/mymaster"
    )]
    Service(String),
    /// A user and no password: most likely the password itself.
    #[error(
        "the Redis URL of {0} has something before the @ and no colon in it: a password alone is written redis://:PASSWORD@{0}, a login redis://USER:PASSWORD@{0}"
    )]
    UserAlone(String),
    /// The login has a sign that ends it.
    #[error(
        "the login in a Redis URL has one of / ? # in it, or the URL a # at its end; in a password write %2F for /, %3F for ?, %23 for #, %40 for @, %25 for %"
    )]
    Unencoded,
    /// A query option that there is not.
    #[error("the Redis URL of {host} has an option that is not known here{named}{cure}")]
    Option {
        /// The first host.
        host: String,
        /// Its name, where it may be shown.
        named: String,
        /// What to write instead.
        cure: &'static str,
    },
    /// Further hosts at a URL for one server.
    #[error(
        "a redis:// URL names one host: more shards are separated by commas and each begins with redis://, further hosts belong to redis-sentinel:// and redis-cluster:// URLs"
    )]
    Hosts,
    /// User or password are not written as in a URL.
    #[error(
        "user or password in the Redis URL of {0} cannot be decoded; percent-encode what is not a letter or digit"
    )]
    Login(String),
}

impl UrlFault {
    /// The fault's short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Unreadable(_) => "unreadable",
            Self::Scheme(_) => "scheme",
            Self::Host => "host",
            Self::Database(..) | Self::ClusterDatabase(_) => "database",
            Self::Service(_) => "service",
            Self::Login(_) | Self::UserAlone(_) | Self::Unencoded => "login",
            Self::Option { .. } => "option",
            Self::Hosts => "hosts",
        }
    }
}

/// Reads a comma-separated list of URLs, one for each shard. A piece that has no scheme is one more host of the URL
/// before it: `redis-sentinel://a:26379,b:26379/main` is one shard.
///
/// # Errors
/// The first fault met.
pub fn parse_urls(text: &str) -> Result<Vec<Server>, UrlFault> {
    let urls = split_urls(text);
    if urls.is_empty() {
        return Err(UrlFault::Empty);
    }
    urls.iter().map(|url| Server::parse(url)).collect()
}

/// The URLs of a list, each with all of its hosts.
pub fn split_urls(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for piece in text
        .split(',')
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
    {
        match urls.last_mut() {
            Some(last) if !piece.contains("://") => {
                last.push(',');
                last.push_str(piece);
            }
            _ => urls.push(piece.to_owned()),
        }
    }
    urls
}

impl Server {
    /// Reads one URL:
    /// `redis://[[user]:password@]host[:6379][/database]`, the same with `rediss://` for TLS,
    /// `redis-sentinel://[login@]host[:26379][,host...]/master[/database][?sentinelUsername=..&sentinelPassword=..]`,
    /// `redis-cluster://[login@]host[:6379][,host...]`. Further hosts may also be given as `?node=host:port&node=...`, and
    /// the master's name as `?sentinelServiceName=...`.
    ///
    /// # Errors
    /// [`UrlFault`], without the password.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        if broken_login(text) {
            return Err(UrlFault::Unencoded);
        }
        let (first, more) = split_hosts(text);
        let url = Url::parse(&first).map_err(UrlFault::Unreadable)?;
        let (tls, kind) = match url.scheme() {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis-sentinel" => (false, "sentinel"),
            "rediss-sentinel" => (true, "sentinel"),
            "redis-cluster" => (false, "cluster"),
            "rediss-cluster" => (true, "cluster"),
            // Without the slashes it is the beginning of who knows what.
            other if first.contains("://") => {
                return Err(UrlFault::Scheme(format!("`{other}://`")));
            }
            _ => return Err(UrlFault::Scheme("what has no scheme".into())),
        };
        if kind.is_empty() && !more.is_empty() {
            return Err(UrlFault::Hosts);
        }
        let port = if kind == "sentinel" { 26_379 } else { 6_379 };
        let mut hosts = vec![host(&url, port)?];
        let named = url
            .query_pairs()
            .filter(|(key, _)| key == "node")
            .map(|(_, address)| address.into_owned());
        for address in more.into_iter().chain(named) {
            let other = Url::parse(&format!("redis://{address}")).map_err(UrlFault::Unreadable)?;
            hosts.push(host(&other, port)?);
        }
        let mut server = Self {
            tls,
            hosts,
            ..Self::single("", 0)
        };
        server.check_options(&url, kind)?;
        server.read_login(&url)?;
        server.read_path(&url, kind)?;
        Ok(server)
    }

    /// An option that is not known may be one that somebody relies on: it is never passed over.
    fn check_options(&self, url: &Url, kind: &str) -> Result<(), UrlFault> {
        let known: &[&str] = match kind {
            "sentinel" => &[
                "node",
                "sentinelServiceName",
                "sentinelUsername",
                "sentinelPassword",
            ],
            "cluster" => &["node"],
            _ => &[],
        };
        let Some((key, value)) = url.query_pairs().find(|(key, _)| !known.contains(&&**key)) else {
            return Ok(());
        };
        let word = key.to_ascii_lowercase();
        let cure = match word.as_str() {
            "db" | "database" => {
                "; the database stands at the end of the path: redis://host:6379/1"
            }
            "username" | "user" | "password" | "pass" | "auth" => {
                "; the login stands before the host: redis://USER:PASSWORD@host"
            }
            _ if word.starts_with("sentinel") => "; it belongs to redis-sentinel:// URLs",
            _ if word.contains("ca") || word.contains("cert") => {
                "; certificates are named by FOGHORN_REDIS_CA, FOGHORN_REDIS_CERT and FOGHORN_REDIS_KEY"
            }
            _ if word.contains("tls") || word.contains("ssl") => {
                "; TLS is spoken where the URL begins with rediss://"
            }
            _ => {
                "; take it out: there are node, sentinelServiceName, sentinelUsername and sentinelPassword, for redis-sentinel:// URLs, and node for redis-cluster://"
            }
        };
        let plain = !value.is_empty()
            && key.len() <= 30
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        let named = if plain {
            format!(" (`{key}`)")
        } else {
            String::new()
        };
        Err(UrlFault::Option {
            host: self.name(),
            named,
            cure,
        })
    }

    fn read_login(&mut self, url: &Url) -> Result<(), UrlFault> {
        let name = self.name();
        let decode = |text: &str| decode(text).ok_or_else(|| UrlFault::Login(name.clone()));
        self.user = Some(decode(url.username())?).filter(|user| !user.is_empty());
        self.password = url.password().map(decode).transpose()?;
        if self.user.is_some() && self.password.is_none() {
            return Err(UrlFault::UserAlone(self.name()));
        }
        for (key, value) in url.query_pairs() {
            match &*key {
                "sentinelUsername" => self.sentinel_login.0 = Some(value.into_owned()),
                "sentinelPassword" => self.sentinel_login.1 = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_path(&mut self, url: &Url, kind: &str) -> Result<(), UrlFault> {
        let mut parts = url.path().split('/').filter(|part| !part.is_empty());
        if kind == "sentinel" {
            let named = url
                .query_pairs()
                .find(|(key, _)| key == "sentinelServiceName")
                .map(|(_, name)| name.into_owned());
            let service = named.or_else(|| parts.next().and_then(decode));
            let service = service
                .filter(|name| !name.is_empty())
                .ok_or_else(|| UrlFault::Service(self.name()))?;
            self.layout = Layout::Sentinel { service };
        }
        if let Some(database) = parts.next() {
            self.database = database
                .parse()
                .map_err(|_| UrlFault::Database(database.to_owned(), self.name()))?;
        }
        if let Some(more) = parts.next() {
            return Err(UrlFault::Database(more.to_owned(), self.name()));
        }
        if kind == "cluster" {
            self.layout = Layout::Cluster;
            if self.database != 0 {
                return Err(UrlFault::ClusterDatabase(self.name()));
            }
        }
        Ok(())
    }
}

/// Whether the login ends too early: at a / ? or # with an @ still to come that is not part of a known option.
fn broken_login(text: &str) -> bool {
    let rest = text.find("://").map_or(text, |at| &text[at + 3..]);
    let Some(end) = rest.find(['/', '?', '#']) else {
        return false;
    };
    let (authority, rest) = rest.split_at(end);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let options = query.is_empty() || query.contains('=');
    rest.contains('#')
        || path.contains('@')
        || (!options && query.contains('@') && !authority.contains('@'))
}

/// Takes the hosts after the first out of `scheme://login@first,second,third/path`.
fn split_hosts(text: &str) -> (String, Vec<String>) {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return (text.to_owned(), Vec::new());
    };
    let end = text[start..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |at| start + at);
    let hosts = text[start..end]
        .rfind('@')
        .map_or(start, |at| start + at + 1);
    let mut list = text[hosts..end].split(',').map(str::to_owned);
    let first = list.next().unwrap_or_default();
    (
        format!("{}{first}{}", &text[..hosts], &text[end..]),
        list.collect(),
    )
}

fn host(url: &Url, port: u16) -> Result<(String, u16), UrlFault> {
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or(UrlFault::Host)?;
    Ok((
        host.trim_matches(['[', ']']).to_owned(),
        url.port().unwrap_or(port),
    ))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
