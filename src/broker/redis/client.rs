//! Makes fred clients from our configuration.
//!
//! Invariant: every command has a timeout, every buffer a bound, and a client that is dropped leaves no connection.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, Server as Address, ServerConfig, TlsConfig, TlsHostMapping,
    UnresponsiveConfig,
};
use fred::types::{Builder, ConnectHandle};

use super::config::{Layout, Server};
use super::words;

/// How long one command may take: delivery over a slow Redis slows, it does not stop.
const COMMAND: Duration = Duration::from_secs(5);

/// How long connecting may take, all of it.
const CONNECT: Duration = Duration::from_secs(12);

/// Messages that fred may hold before it says that it dropped some: they are in the log. It keeps room for so many in each
/// of nine channels, some 700 bytes in all for each.
const MESSAGES: usize = 4_096;

/// A connected client; dropping it ends its connections.
pub struct Connected {
    /// The client.
    pub(super) client: Client,
    task: ConnectHandle,
}

impl Connected {
    /// Waits for the end of the connection.
    pub async fn ended(&mut self) {
        // Why it ended matters to nobody: it is made anew.
        let _ = (&mut self.task).await;
    }
}

impl Connected {
    /// Whether the connection has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // `quit` would wait for a server that may not answer.
        self.task.abort();
    }
}

/// Connects a client for commands or for a subscription. It does not reconnect: it is made anew.
///
/// # Errors
/// What fred met.
pub async fn connect(server: &Server, subscription: bool) -> Result<Connected, Error> {
    open(
        server,
        config(server)?,
        if subscription { MESSAGES } else { 32 },
    )
    .await
}

/// Connects a client for what is kept in keys. Those, unlike channels, are apart in each database.
///
/// # Errors
/// What fred met.
pub(super) async fn connect_for_keys(server: &Server) -> Result<Connected, Error> {
    let database = (server.database != 0).then_some(server.database);
    open(
        server,
        Config {
            database,
            ..config(server)?
        },
        32,
    )
    .await
}

async fn open(server: &Server, config: Config, messages: usize) -> Result<Connected, Error> {
    let mut builder = Builder::from_config(config);
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = COMMAND;
        performance.broadcast_channel_capacity = messages;
    });
    builder.with_connection_config(|connection| {
        connection.connection_timeout = Duration::from_secs(2);
        connection.internal_command_timeout = Duration::from_secs(8);
        // What failed is tried again by us, in order.
        connection.max_command_attempts = 1;
        // Following a redirection is not safe in fred 10.1: it can give a question another question's answer.
        connection.max_redirections = 0;
        connection.max_command_buffer_len = 10_000;
        connection.reconnect_on_auth_error = true;
        connection.tcp.nodelay = Some(true);
        connection.unresponsive = UnresponsiveConfig {
            max_timeout: Some(Duration::from_secs(3)),
            interval: Duration::from_millis(500),
        };
    });
    let client = builder.build()?;
    match tokio::time::timeout(CONNECT, client.init()).await {
        Ok(Ok(task)) => Ok(Connected { client, task }),
        Ok(Err(error)) => Err(words::plain(server, &error)),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "connecting took too long")),
    }
}

/// What fred is told about a shard.
pub fn config(server: &Server) -> Result<Config, Error> {
    let login = server.login();
    let hosts: Vec<Address> = server
        .hosts
        .iter()
        .map(|(host, port)| Address::new(host.as_str(), *port))
        .collect();
    let layout = match &server.layout {
        Layout::Single => {
            let (host, port) = server.hosts.first().cloned().unwrap_or_default();
            ServerConfig::new_centralized(host, port)
        }
        Layout::Sentinel { service } => ServerConfig::Sentinel {
            hosts,
            service_name: service.clone(),
            username: login.sentinel.0,
            password: login.sentinel.1,
        },
        Layout::Cluster => ServerConfig::Clustered {
            hosts,
            policy: ClusterDiscoveryPolicy::UseCache,
        },
    };
    let tls = if server.tls {
        let config = server.certificates.client_config();
        let config = config.map_err(|error| Error::new(ErrorKind::Tls, error.to_string()))?;
        Some(TlsConfig {
            connector: config.into(),
            hostnames: TlsHostMapping::DefaultHost,
        })
    } else {
        None
    };
    Ok(Config {
        username: login.redis.0,
        password: login.redis.1,
        server: layout,
        // Channels are the same in all databases, so none is selected.
        database: None,
        tls,
        ..Config::default()
    })
}
