//! Makes fred clients from our configuration.
//!
//! Invariant: every command has a timeout, every buffer a bound, and a client that is dropped leaves no connection.

use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, ReconnectPolicy, Server as Address, ServerConfig, TlsConfig, TlsConnector,
    TlsHostMapping, UnresponsiveConfig,
};
use fred::types::{Builder, ConnectHandle};

use super::config::{Layout, Server};

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(1);

/// How long connecting may take, all of it.
const CONNECT: Duration = Duration::from_secs(5);

/// Messages that fred may hold before it says that it dropped some: they are in the log. It keeps room for so many in each
/// of nine channels, some 700 bytes in all for each.
const MESSAGES: usize = 4_096;

/// A connected client; dropping it ends its connections.
pub struct Connected {
    /// The client.
    pub client: Client,
    task: ConnectHandle,
}

impl Connected {
    /// Waits for the end of the connection.
    pub async fn ended(&mut self) {
        // Why it ended matters to nobody: it is made anew.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // `quit` would wait for a server that may not answer.
        self.task.abort();
    }
}

/// Connects a client for commands, which reconnects by itself, or for a subscription, which is made anew instead.
///
/// # Errors
/// What fred met.
pub async fn connect(server: &Server, subscription: bool) -> Result<Connected, Error> {
    let mut builder = Builder::from_config(config(server)?);
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = COMMAND;
        performance.broadcast_channel_capacity = if subscription { MESSAGES } else { 32 };
    });
    builder.with_connection_config(|connection| {
        connection.connection_timeout = Duration::from_secs(2);
        connection.internal_command_timeout = Duration::from_secs(2);
        // What failed is tried again by us, in order.
        connection.max_command_attempts = 1;
        // Following a redirection is not safe in fred 10.1 (see `lua.rs`); it still learns from it who is who.
        connection.max_redirections = 0;
        connection.max_command_buffer_len = 10_000;
        connection.reconnect_on_auth_error = true;
        connection.tcp.nodelay = Some(true);
        connection.unresponsive =
            UnresponsiveConfig { max_timeout: Some(Duration::from_secs(3)), interval: Duration::from_millis(500) };
    });
    if !subscription {
        builder.set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2));
    }
    let client = builder.build()?;
    match tokio::time::timeout(CONNECT, client.init()).await {
        Ok(Ok(task)) => Ok(Connected { client, task }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::new(fred::error::ErrorKind::Timeout, "connecting took too long")),
    }
}

fn config(server: &Server) -> Result<Config, Error> {
    let hosts: Vec<Address> = server.hosts.iter().map(|(host, port)| Address::new(host.as_str(), *port)).collect();
    let layout = match &server.layout {
        Layout::Single => {
            let (host, port) = server.hosts.first().cloned().unwrap_or_default();
            ServerConfig::new_centralized(host, port)
        }
        Layout::Sentinel { service } => ServerConfig::Sentinel {
            hosts,
            service_name: service.clone(),
            username: server.sentinel_login.0.clone(),
            password: server.sentinel_login.1.clone(),
        },
        Layout::Cluster => ServerConfig::Clustered { hosts, policy: ClusterDiscoveryPolicy::UseCache },
    };
    let tls = if server.tls {
        Some(TlsConfig { connector: TlsConnector::default_rustls()?, hostnames: TlsHostMapping::DefaultHost })
    } else {
        None
    };
    Ok(Config {
        username: server.user.clone(),
        password: server.password.clone(),
        server: layout,
        database: (server.database != 0).then_some(server.database),
        tls,
        ..Config::default()
    })
}
