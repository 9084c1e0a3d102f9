//! Where the ccnet database is, and how connections to it are made.
//!
//! Invariant: the password is never printed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{OptsBuilder, PoolConstraints, PoolOpts, SslOpts};

/// Connections to the database at most.
pub(super) const MAX_CONNECTIONS: usize = 8;
/// Connections are made anew after this.
const RENEW_AFTER: Duration = Duration::from_secs(300);
/// Connections that nobody used for this long are closed.
const IDLE: Duration = Duration::from_secs(60);

/// Whether the connection to the database is encrypted. A Unix socket never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// No.
    #[default]
    Off,
    /// Yes, with any certificate.
    On,
    /// Yes, and the certificate must fit the host and lead to a trusted authority.
    Verify,
}

/// Where the ccnet database is.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// A name, an address, or the path of a Unix socket if it starts with `/`.
    pub host: String,
    /// TCP port; not looked at for a socket.
    pub port: u16,
    /// Database user.
    pub user: String,
    /// That user's password.
    pub password: String,
    /// The database that has the `GroupUser` table.
    pub database: String,
    /// Encryption.
    pub tls: Tls,
    /// A file of PEM certificates to trust instead of the well-known authorities, for [`Tls::Verify`].
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            user,
            database,
            tls,
            ..
        } = self;
        write!(f, "{user}@{host}:{port}/{database} (tls {tls:?})")
    }
}

/// How connections are made, and how many are kept.
pub(super) fn options(config: &Config) -> OptsBuilder {
    let constraints = PoolConstraints::new(0, MAX_CONNECTIONS).unwrap_or_default();
    let pool = PoolOpts::default()
        .with_constraints(constraints)
        .with_inactive_connection_ttl(IDLE)
        .with_abs_conn_ttl(Some(RENEW_AFTER));
    let options = OptsBuilder::default()
        .user(Some(&config.user))
        .pass(Some(&config.password))
        .db_name(Some(&config.database))
        .tcp_keepalive(Some(IDLE))
        // Else a connection over TCP would change to a socket that the server names, which may be another machine's.
        .prefer_socket(false)
        .pool_opts(pool);
    if config.host.starts_with('/') {
        options.socket(Some(&config.host))
    } else {
        options
            .ip_or_hostname(&config.host)
            .tcp_port(config.port)
            .ssl_opts(encryption(config))
    }
}

fn encryption(config: &Config) -> Option<SslOpts> {
    match config.tls {
        Tls::Off => None,
        Tls::On => Some(
            SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        Tls::Verify => Some(match &config.ca {
            Some(ca) => SslOpts::default()
                .with_root_certs(vec![ca.clone().into()])
                .with_disable_built_in_roots(true),
            None => SslOpts::default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_printed() {
        let config = Config {
            host: "db".into(),
            port: 3306,
            user: "seafile".into(),
            password: "hush".into(),
            database: "ccnet_db".into(),
            tls: Tls::Off,
            ca: None,
        };
        assert_eq!(format!("{config:?}"), "seafile@db:3306/ccnet_db (tls Off)");
    }
}
