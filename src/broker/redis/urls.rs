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
    #[error("a Redis URL cannot be read ({0}); it should look like redis://user:password@host:6379/0")]
    Unreadable(url::ParseError),
    /// Its scheme is none we know.
    #[error(
        "`{0}://` is no Redis URL; it should begin with redis://, rediss://, redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://"
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
    #[error("the Sentinel URL of {0} names no master; it should look like redis-sentinel://host:26379/mymaster")]
    Service(String),
    /// User or password are not written as in a URL.
    #[error("user or password in the Redis URL of {0} cannot be decoded; percent-encode what is not a letter or digit")]
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
            Self::Login(_) => "login",
        }
    }
}

/// Reads a comma-separated list of URLs, one for each shard. A piece that has no scheme is one more host of the URL
/// before it: `redis-sentinel://a:26379,b:26379/main` is one shard.
///
/// # Errors
/// The first fault met.
pub fn parse_urls(text: &str) -> Result<Vec<Server>, UrlFault> {
    let mut urls: Vec<String> = Vec::new();
    for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        match urls.last_mut() {
            Some(last) if !piece.contains("://") => {
                last.push(',');
                last.push_str(piece);
            }
            _ => urls.push(piece.to_owned()),
        }
    }
    if urls.is_empty() {
        return Err(UrlFault::Empty);
    }
    urls.iter().map(|url| Server::parse(url)).collect()
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
        let (first, more) = split_hosts(text);
        let url = Url::parse(&first).map_err(UrlFault::Unreadable)?;
        let (tls, kind) = match url.scheme() {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis-sentinel" => (false, "sentinel"),
            "rediss-sentinel" => (true, "sentinel"),
            "redis-cluster" => (false, "cluster"),
            "rediss-cluster" => (true, "cluster"),
            other => return Err(UrlFault::Scheme(other.to_owned())),
        };
        if kind.is_empty() && !more.is_empty() {
            return Err(UrlFault::Scheme(more[0].clone()));
        }
        let port = if kind == "sentinel" { 26_379 } else { 6_379 };
        let mut hosts = vec![host(&url, port)?];
        for address in more {
            let other = Url::parse(&format!("redis://{address}")).map_err(UrlFault::Unreadable)?;
            hosts.push(host(&other, port)?);
        }
        for (_, address) in url.query_pairs().filter(|(key, _)| key == "node") {
            let other = Url::parse(&format!("redis://{address}")).map_err(UrlFault::Unreadable)?;
            hosts.push(host(&other, port)?);
        }
        let mut server = Self { tls, hosts, ..Self::single("", 0) };
        server.read_login(&url)?;
        server.read_path(&url, kind)?;
        Ok(server)
    }

    fn read_login(&mut self, url: &Url) -> Result<(), UrlFault> {
        let name = self.name();
        let decode = |text: &str| decode(text).ok_or_else(|| UrlFault::Login(name.clone()));
        self.user = Some(decode(url.username())?).filter(|user| !user.is_empty());
        self.password = url.password().map(decode).transpose()?;
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
            let named =
                url.query_pairs().find(|(key, _)| key == "sentinelServiceName").map(|(_, name)| name.into_owned());
            let service = named.or_else(|| parts.next().and_then(decode));
            let service = service.filter(|name| !name.is_empty()).ok_or_else(|| UrlFault::Service(self.name()))?;
            self.layout = Layout::Sentinel { service };
        }
        if let Some(database) = parts.next() {
            self.database = database.parse().map_err(|_| UrlFault::Database(database.to_owned(), self.name()))?;
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

/// Takes the hosts after the first out of `scheme://login@first,second,third/path`.
fn split_hosts(text: &str) -> (String, Vec<String>) {
    let Some(start) = text.find("://").map(|at| at + 3) else { return (text.to_owned(), Vec::new()) };
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let hosts = text[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let mut list = text[hosts..end].split(',').map(str::to_owned);
    let first = list.next().unwrap_or_default();
    (format!("{}{first}{}", &text[..hosts], &text[end..]), list.collect())
}

fn host(url: &Url, port: u16) -> Result<(String, u16), UrlFault> {
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlFault::Host)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(port)))
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
mod tests {
    use super::*;

    #[test]
    fn a_url_says_everything_and_shows_no_password() {
        let server = Server::parse("rediss://ann:s%40crt@cache.example:6380/3").unwrap();
        assert_eq!((server.name().as_str(), server.tls, server.database), ("cache.example:6380", true, 3));
        assert_eq!((server.user.as_deref(), server.password.as_deref()), (Some("ann"), Some("s@crt")));
        assert!(!format!("{server:?}").contains("crt"));
        let only = Server::parse("redis://:pw@h").unwrap();
        assert_eq!((only.user, only.password.as_deref(), only.hosts), (None, Some("pw"), vec![("h".into(), 6379)]));
    }

    #[test]
    fn lists_keep_the_hosts_of_one_url_together() {
        let list =
            parse_urls("redis://a, redis-sentinel://:p@b:1,c,d:2/main/4?sentinelPassword=x ,redis-cluster://e,f:7")
                .unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list[1].layout, Layout::Sentinel { service: "main".into() });
        assert_eq!(list[1].hosts, vec![("b".into(), 1), ("c".into(), 26379), ("d".into(), 2)]);
        assert_eq!((list[1].database, list[1].sentinel_login.1.as_deref()), (4, Some("x")));
        assert_eq!((&list[2].layout, list[2].hosts.len()), (&Layout::Cluster, 2));
        let other = Server::parse("rediss-sentinel://a?node=b:7&sentinelServiceName=main").unwrap();
        assert_eq!((other.hosts.len(), other.layout), (2, Layout::Sentinel { service: "main".into() }));
    }

    #[test]
    fn faults_are_named_without_the_password() {
        for (url, label) in [
            ("", "empty"),
            ("cache:6379", "scheme"),
            ("http://:hunter2@h", "scheme"),
            ("redis://:hunter2@h/x", "database"),
            ("redis://:hunter2@h,i", "scheme"),
            ("redis-sentinel://:hunter2@h", "service"),
            ("redis-cluster://:hunter2@h/2", "database"),
            ("redis://:%zzhunter2@h", "login"),
            ("redis://", "host"),
        ] {
            let fault = parse_urls(url).unwrap_err();
            assert_eq!(fault.label(), label, "{url}: {fault}");
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
    }
}
