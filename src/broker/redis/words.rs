//! What the Redis client's errors say, in words, for the log: what is wrong and the setting or rule that mends it.
//!
//! Invariant: no text is Rust's `Debug`, none shows a password, and none gives advice for another fault than the one at hand.

use fred::error::{Error, ErrorKind};

use super::config::{Layout, Server};
use super::examine::Right;
use crate::fault::{TlsFault, undebugged};

/// The same error, with its text in words.
pub fn plain(server: &Server, error: &Error) -> Error {
    Error::new(error.kind().clone(), text(server, error))
}

/// What is wrong with `server`.
pub fn text(server: &Server, error: &Error) -> String {
    let details = error.details();
    if let Some(fault) = TlsFault::told(details) {
        return format!("{fault}{}", tls(&fault));
    }
    if let Some(right) =
        refused_command(details).and_then(|command| Right::missing(details, &[&command]))
    {
        return missing(server, &right);
    }
    match details {
        text if text.starts_with("Missing primary address") => no_master(server),
        text if text.starts_with("Failed to connect to all sentinel nodes") => {
            "none of the Sentinels can be reached, or they want another login (?sentinelPassword=… in FOGHORN_REDIS_URLS)".to_owned()
        }
        text if text.starts_with("NOAUTH") => {
            "it wants a password, and none is given (in FOGHORN_REDIS_URLS, or REDIS_PASSWORD)".to_owned()
        }
        text if text.starts_with("WRONGPASS") || text.contains("invalid password") => {
            let user = server.user.as_deref().unwrap_or("default");
            format!("it refuses the password of user {user} (in FOGHORN_REDIS_URLS, or REDIS_PASSWORD)")
        }
        text if text.contains("accepted by Sentinel instances") => {
            "it is a Sentinel, which carries no events: FOGHORN_REDIS_URLS=redis-sentinel://HOST:26379/MASTER".to_owned()
        }
        text if text.contains("cluster support disabled") => {
            "it is not part of a Redis Cluster: redis:// in FOGHORN_REDIS_URLS, not redis-cluster://".to_owned()
        }
        text if *error.kind() == ErrorKind::Timeout && !text.contains("connecting") => "it does not answer in time".to_owned(),
        text => undebugged(text),
    }
}

/// `publish` in `NOPERM this user has no permissions to run the 'publish' command`.
fn refused_command(details: &str) -> Option<String> {
    details
        .starts_with("NOPERM")
        .then(|| details.split('\'').nth(1).unwrap_or_default().to_owned())
}

fn missing(server: &Server, right: &Right) -> String {
    let user = server.user.as_deref().unwrap_or("default");
    match right {
        Right::Command(command) => {
            let name = command.replace('|', " ").to_uppercase();
            format!("its user {user} may not use {name}: ACL SETUSER {user} +{command}")
        }
        Right::Keys => {
            format!(
                "its user {user} may not use the keys that are asked for: ACL SETUSER {user} ~PATTERN"
            )
        }
        Right::Channels => {
            format!(
                "its user {user} may not use Foghorn's channels: ACL SETUSER {user} &PREFIX* (FOGHORN_REDIS_PREFIX)"
            )
        }
    }
}

fn no_master(server: &Server) -> String {
    let name = match &server.layout {
        Layout::Sentinel { service } => service,
        _ => "",
    };
    format!(
        "its Sentinels know no master called {name:?}: the name in FOGHORN_REDIS_URLS is that of `sentinel monitor NAME …`"
    )
}

/// The setting that the fault is about.
fn tls(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::Authority => " (FOGHORN_REDIS_CA names one)",
        TlsFault::Name(_) => " (FOGHORN_REDIS_URLS)",
        TlsFault::ClientCertificate | TlsFault::Refused => {
            " (FOGHORN_REDIS_CERT, FOGHORN_REDIS_KEY)"
        }
        TlsFault::Plain => " (redis:// in FOGHORN_REDIS_URLS, not rediss://)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_is_wrong_and_what_it_is_about() {
        let url = "redis-sentinel://fog:hush@s/main/3";
        let server = Server::parse(url).expect("a URL");
        let refused = format!("{:?}", std::io::Error::from_raw_os_error(111));
        for (kind, details, parts) in [
            (ErrorKind::IO, refused.as_str(), &["connection refused"][..]),
            (
                ErrorKind::IO,
                "Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }",
                &["authority that is not trusted", "FOGHORN_REDIS_CA"],
            ),
            (
                ErrorKind::IO,
                "Custom { kind: InvalidData, error: InvalidMessage(InvalidContentType) }",
                &["does not speak TLS", "redis://"],
            ),
            (
                ErrorKind::IO,
                "Custom { kind: InvalidData, error: AlertReceived(CertificateRequired) }",
                &["certificate of the client", "FOGHORN_REDIS_CERT"],
            ),
            (
                ErrorKind::Sentinel,
                "Missing primary address in response from sentinel node.",
                &["no master called \"main\"", "sentinel monitor NAME"],
            ),
            (
                ErrorKind::Sentinel,
                "Failed to connect to all sentinel nodes.",
                &["none of the Sentinels", "sentinelPassword"],
            ),
            (
                ErrorKind::Auth,
                "NOAUTH Authentication required.",
                &["wants a password"],
            ),
            (
                ErrorKind::Auth,
                "WRONGPASS invalid username-password pair or user is disabled.",
                &["refuses the password of user fog"],
            ),
            (
                ErrorKind::Unknown,
                "NOPERM this user has no permissions to run the 'publish' command",
                &["may not use PUBLISH", "ACL SETUSER fog +publish"],
            ),
            (
                ErrorKind::Unknown,
                "NOPERM User fog has no permissions to run the 'cluster|slots' command",
                &["CLUSTER SLOTS", "+cluster|slots"],
            ),
            (
                ErrorKind::Unknown,
                "NOPERM this user has no permissions to access one of the channels used as arguments",
                &["channels", "&PREFIX*"],
            ),
            (
                ErrorKind::Unknown,
                "ERR Only HELLO messages are accepted by Sentinel instances.",
                &["is a Sentinel", "redis-sentinel://"],
            ),
            (
                ErrorKind::Config,
                "ERR This instance has cluster support disabled",
                &["not part of a Redis Cluster"],
            ),
            (
                ErrorKind::Timeout,
                "Request timed out.",
                &["does not answer in time"],
            ),
        ] {
            let said = text(&server, &Error::new(kind, details.to_owned()));
            for part in parts {
                assert!(said.contains(part), "{part:?} in {said:?}");
            }
            for debug in ["Os {", "Custom {", "kind:", "hush"] {
                assert!(!said.contains(debug), "{debug} in {said}");
            }
        }
    }
}
