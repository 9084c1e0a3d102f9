//! Where a broker is, as it is set: `mqtt://USER:PASSWORD@HOST:1883` or `mqtts://…`.
//!
//! Invariant: no password is ever shown: not in a name, not in `Debug`, not in a fault.

use std::fmt;

use url::Url;

use super::super::form::percent_decoded;
use crate::config::parse::Wrong;

/// One broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub(super) port: u16,
    /// Who logs in, and with what password.
    pub login: Option<(String, String)>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self}, tls {})", self.tls)
    }
}

/// Reads the URLs of brokers, with commas between them.
///
/// # Errors
/// [`Wrong`], which says what to mend and shows nothing secret.
pub fn addresses(text: &str) -> Result<Vec<Address>, Wrong> {
    let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
    let found = urls.map(address).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        Err(Wrong::default())
    } else {
        Ok(found)
    }
}

fn address(text: &str) -> Result<Address, Wrong> {
    let because = |hint: &str| Wrong {
        hint: Some(hint.to_owned()),
    };
    let encode = "Signs such as / # @ , : in a user or password are written %2F %23 %40 %2C %3A.";
    let url = Url::parse(text).map_err(|_| because(encode))?;
    let tls = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        _ => return Err(because("It begins with mqtt:// or mqtts://.")),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(because(encode));
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| because("A host is missing."))?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .to_owned();
    let decoded = |text: &str| {
        String::from_utf8(percent_decoded(text.as_bytes())).map_err(|_| because(encode))
    };
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        ("", Some(_)) => return Err(because("A user is missing in front of the password.")),
        (user, password) => Some((decoded(user)?, decoded(password.unwrap_or_default())?)),
    };
    Ok(Address {
        tls,
        host,
        port: url.port().unwrap_or(if tls { 8_883 } else { 1_883 }),
        login,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_brokers() {
        let found = addresses("mqtt://u:p%40ss%2Cword@h, mqtts://[::1]:99/").expect("two");
        assert_eq!(found[0].login, Some(("u".into(), "p@ss,word".into())));
        assert_eq!(
            found
                .iter()
                .map(|one| (one.to_string(), one.tls))
                .collect::<Vec<_>>(),
            [("h:1883".to_owned(), false), ("[::1]:99".to_owned(), true)]
        );
        assert!(!format!("{found:?}").contains("word"));
        for bad in [
            "",
            "h:1883",
            "http://h",
            "mqtt://",
            "mqtt://:p@h",
            "mqtt://u:p/w@h",
            "mqtt://h/topic",
            "mqtt://h?x=1",
        ] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
        let hint = addresses("mqtt://u:hun/ter@h")
            .expect_err("a slash")
            .hint
            .expect("a hint");
        assert!(!hint.contains("hun"), "{hint}");
    }
}
