//! The backend's Redis, in which inboxes look session cookies up: reached, logged in to and asked as a node does.
//!
//! Invariant: nothing is written there, and no session is looked at: the key that is asked for is nobody's.

use super::redis::{Given, mend};
use super::report::Check;
use crate::broker::redis::{ExamineError, Server, examine_values};
use crate::config::Config;
use crate::dialect::inbox::settings::SESSION_REDIS;
use crate::dialect::inbox::start::sessions;

/// Looks at it, where there is one.
pub async fn check(config: &Config) -> Vec<Check> {
    let Some(server) = sessions(config) else {
        return Vec::new();
    };
    match examine_values(&server, &key()).await {
        Ok(address) => {
            let what = format!("{address} takes this user, which may read the keys of sessions");
            vec![Check::ok("sessions", "rights", what)]
        }
        Err(error) => {
            let lines = advice(&server, &error);
            vec![Check::fail(
                "sessions",
                name(&error),
                error.to_string(),
                lines,
            )]
        }
    }
}

/// The check that an error belongs to.
fn name(error: &ExamineError) -> &'static str {
    match error {
        ExamineError::Rights { .. } => "rights",
        _ => "connect",
    }
}

/// What mends it: as for the Redis that carries events, but the setting is another one, and trust is the system's.
fn advice(server: &Server, error: &ExamineError) -> Vec<String> {
    let own = |line: String| match line.contains("FOGHORN_REDIS_C") {
        true => {
            "update-ca-certificates    # its authority has to be one that this system trusts".into()
        }
        false => line.replace("FOGHORN_REDIS_URLS", SESSION_REDIS.row.name),
    };
    let lines = mend(server, error, Given::Urls);
    lines.into_iter().map(own).collect()
}

/// What looks like a session's and is nobody's: a UUID of no version.
fn key() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    let (head, tail) = (&hex[..8], &hex[20..]);
    format!("{head}-0000-0000-0000-{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::TlsFault;

    #[test]
    fn advice_names_the_setting_that_there_is() {
        let server = Server::single("backend", 6_379);
        let address = "backend:6379".to_owned();
        let connect = ExamineError::Connect {
            address: address.clone(),
            why: "connection refused".into(),
        };
        let said = advice(&server, &connect).join("\n");
        assert!(
            said.starts_with("FOGHORN_INBOX_SESSION_REDIS_URL=redis://backend:6379 "),
            "{said}"
        );
        for fault in [TlsFault::Authority, TlsFault::ClientCertificate] {
            let tls = ExamineError::Tls {
                address: address.clone(),
                fault,
            };
            let said = advice(&server, &tls).join("\n");
            assert!(!said.contains("FOGHORN_REDIS"), "{said}");
        }
    }

    #[test]
    fn a_key_looks_like_a_sessions() {
        assert!(crate::dialect::inbox::socket::store::is_name(&key()));
    }
}
