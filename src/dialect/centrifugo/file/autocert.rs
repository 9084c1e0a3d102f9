//! v1's keys about certificates that are ordered.
//!
//! Invariant: pure. They ask for nothing where `ssl_autocert` is off, as with v1.

use std::path::PathBuf;

use serde_json::Value;
use tokio_rustls::rustls::pki_types::DnsName;
use url::{Host, Url};

use super::kinds::{Bad, maybe_text, switch};
use super::node::ALL;
use crate::acme::Wanted;
use crate::config::parse;

/// See the module.
#[derive(Default)]
pub struct Autocert {
    /// Whether certificates are ordered.
    pub on: bool,
    hosts: Option<String>,
    server_name: Option<String>,
    cache: Option<PathBuf>,
    email: Option<String>,
    by_http: bool,
    http: Option<String>,
    /// What they come to.
    found: Found,
}

#[derive(Default)]
struct Found {
    hosts: Vec<String>,
    unnamed: Option<String>,
    http: Option<(String, u16)>,
}

impl Autocert {
    /// Takes a key about them; `None`: it is no such key.
    pub fn take(&mut self, key: &str, value: &Value) -> Option<Result<(), Bad>> {
        Some(match key {
            "ssl_autocert" => switch(key, value).map(|on| self.on = on),
            "ssl_autocert_host_whitelist" => maybe_text(key, value).map(|text| self.hosts = text),
            "ssl_autocert_server_name" => {
                maybe_text(key, value).map(|text| self.server_name = text)
            }
            "ssl_autocert_cache_dir" => {
                maybe_text(key, value).map(|text| self.cache = text.map(PathBuf::from))
            }
            "ssl_autocert_email" => maybe_text(key, value).map(|text| self.email = text),
            "ssl_autocert_http" => switch(key, value).map(|on| self.by_http = on),
            "ssl_autocert_http_addr" => maybe_text(key, value).map(|text| self.http = text),
            _ => return None,
        })
    }

    /// Does what takes several keys.
    ///
    /// # Errors
    /// They do not fit each other.
    pub(super) fn put_together(&mut self) -> Result<(), Bad> {
        if !self.on {
            return Ok(());
        }
        let listed = self.hosts.as_deref().unwrap_or_default();
        let hosts = listed.split(',').map(str::trim);
        let mut found = Found::default();
        for name in hosts.filter(|name| !name.is_empty()) {
            let host = host(name).ok_or("ssl_autocert_host_whitelist: it should be host names with commas between them, such as www.example.com; not IP addresses, and none with *")?;
            if !found.hosts.contains(&host) {
                found.hosts.push(host);
            }
        }
        if found.hosts.is_empty() {
            return Err("ssl_autocert: it needs ssl_autocert_host_whitelist, the hosts that certificates are ordered for".into());
        }
        let named = self.server_name.as_deref();
        found.unnamed = named.map(|name| host(name).unwrap_or_default());
        let is_listed = |name: &String| found.hosts.contains(name);
        if !found.unnamed.iter().all(is_listed) {
            return Err(
                "ssl_autocert_server_name: it should be one of ssl_autocert_host_whitelist".into(),
            );
        }
        let is_address = |email: &String| email.contains('@') && !email.contains([',', ' ', '?']);
        if !self.email.iter().all(is_address) {
            return Err("ssl_autocert_email: it should be one e-mail address".into());
        }
        if self.by_http {
            found.http = Some(address(self.http.as_deref().unwrap_or(":80")).ok_or(
                "ssl_autocert_http_addr: it should be an address and a port, such as :80 or 10.0.0.5:80",
            )?);
        }
        self.found = found;
        Ok(())
    }

    /// Whether nothing of it outlives the process.
    pub(in crate::dialect::centrifugo) fn forgets(&self) -> bool {
        self.on && self.cache.is_none()
    }

    /// What is ordered from this directory, whose server is vouched for by those of a file.
    pub(super) fn wanted(&self, directory: Url, trusted: Option<PathBuf>) -> Option<Wanted> {
        let Found {
            hosts,
            unnamed,
            http,
        } = &self.found;
        self.on.then(|| Wanted {
            hosts: hosts.clone(),
            unnamed: unnamed.clone(),
            directory,
            trusted,
            email: self.email.clone(),
            cache: self.cache.clone(),
            http: http.clone(),
        })
    }
}

/// A host that a certificate can be ordered for, as DNS has it, in small letters.
fn host(name: &str) -> Option<String> {
    let Ok(Host::Domain(host)) = Host::parse(name) else {
        return None;
    };
    let fits = !host.contains('*') && !host.ends_with('.') && DnsName::try_from(&*host).is_ok();
    fits.then_some(host)
}

/// Host and port; without a host all addresses.
fn address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = match host {
        "" => ALL.to_owned(),
        _ => parse::host(host).ok()?,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(given: Value) -> Result<Autocert, Bad> {
        let mut keys = Autocert::default();
        for (key, value) in given.as_object().expect("an object") {
            keys.take(key, value).expect("such a key")?;
        }
        keys.put_together()?;
        Ok(keys)
    }

    fn wanted(given: Value) -> Option<Wanted> {
        let directory = "https://ca.example/directory".parse().expect("a URL");
        read(given).expect("they fit").wanted(directory, None)
    }

    #[test]
    fn the_keys_say_what_is_ordered() {
        let wanted = wanted(
            json!({"ssl_autocert": "true", "ssl_autocert_host_whitelist": "A.example, b.example,a.example,bücher.example,",
            "ssl_autocert_server_name": "B.example", "ssl_autocert_cache_dir": "/certs", "ssl_autocert_email": "a@b.example",
            "ssl_autocert_http": true}),
        );
        let wanted = wanted.expect("it is on");
        assert_eq!(
            wanted.hosts,
            ["a.example", "b.example", "xn--bcher-kva.example"]
        );
        assert_eq!(wanted.unnamed.as_deref(), Some("b.example"));
        assert_eq!(wanted.http, Some(("::".into(), 80)));
        assert_eq!(wanted.cache, Some("/certs".into()));
        assert_eq!(wanted.email.as_deref(), Some("a@b.example"));
    }

    #[test]
    fn what_is_off_asks_for_nothing() {
        let off = json!({"ssl_autocert": false, "ssl_autocert_host_whitelist": "*", "ssl_autocert_http": true});
        assert_eq!(wanted(off), None);
        assert_eq!(address("[::]:80"), Some(("::".into(), 80)));
        let address = json!({"ssl_autocert": true, "ssl_autocert_host_whitelist": "a.example", "ssl_autocert_http_addr": "x"});
        assert!(wanted(address).is_some_and(|wanted| wanted.http.is_none()));
    }

    #[test]
    fn what_does_not_fit_is_told_by_the_keys_name() {
        for (key, value) in [
            ("ssl_autocert_host_whitelist", ""),
            ("ssl_autocert_host_whitelist", "*.example.com"),
            ("ssl_autocert_host_whitelist", "a.example,10.0.0.1"),
            ("ssl_autocert_host_whitelist", "https://a.example"),
            ("ssl_autocert_server_name", "c.example"),
            ("ssl_autocert_email", "nobody"),
            ("ssl_autocert_http_addr", "80"),
            ("ssl_autocert_http_addr", "http://a.example:80"),
        ] {
            let mut given = json!({"ssl_autocert": true, "ssl_autocert_host_whitelist": "a.example", "ssl_autocert_http": true});
            given[key] = value.into();
            let told = read(given).err().expect(value);
            assert!(told.contains(key), "{told}");
        }
    }
}
