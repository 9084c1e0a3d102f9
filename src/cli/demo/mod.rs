//! `demo`: three nodes in one process on one memory broker, and a page that shows an event crossing them.
//!
//! Invariant: it needs nothing else installed, listens on 127.0.0.1 only, and takes no setting from the environment, so
//! that it cannot touch an installation that is there.

mod page;

use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::{Mint, fail, print};
use crate::app::{self, Running};
use crate::broker::memory::MemoryBroker;
use crate::config::{Config, ConfigError, Log, LogFormat, LogLevel, Sources, load};
use crate::connection::door::{self, Door};
use crate::drain::Tasks;
use crate::listen::Server;
use crate::{logging, ops};
use page::{Stage, TTL};

const EXAMPLE: &str = "\
Examples:
  foghorn demo
  foghorn demo --port 9000";

/// How many nodes there are.
const NODES: u16 = 3;
/// What everything is about.
const LIBRARY: &str = "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c";

/// Try it: three nodes in one process, and a page that shows an event crossing them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Port of the page; the nodes take the ones after it. Without it: any free ones
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_529))]
    port: Option<u16>,
}

/// Runs until Ctrl-C.
pub fn run(arguments: &Arguments) -> ExitCode {
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(demonstrate(arguments.port)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn demonstrate(port: Option<u16>) -> Result<(), Box<dyn Error>> {
    logging::start(&Log { level: LogLevel::Warning, format: LogFormat::Text, file: None })?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let key = format!("demo-{:032x}", rand::random::<u128>());
    let tasks = Tasks::new();
    let nodes = start_nodes(&key, port, &tasks).await?;
    let addresses = nodes.iter().map(|node| node.client_addr).collect();
    let stage = Arc::new(Stage { mint: Mint::with(&key), library: LIBRARY.to_owned(), nodes: addresses });
    let page = serve_page(&stage, port, &tasks).await?;
    print(&introduction(&stage, page, &key));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    for node in nodes {
        node.stop().await;
    }
    tasks.stop();
    tasks.finish(Duration::from_secs(1)).await;
    Ok(())
}

async fn start_nodes(key: &str, port: Option<u16>, tasks: &Tasks) -> Result<Vec<Running>, Box<dyn Error>> {
    let recorder = ops::install_recorder()?;
    let mut nodes = Vec::new();
    let mut broker = None;
    for index in 0..NODES {
        let config = node_config(key, index, port)?;
        let broker = broker.get_or_insert_with(|| MemoryBroker::start(config.partitions, tasks)).clone();
        nodes.push(app::start(&config, Some(broker), recorder.clone()).await?);
    }
    Ok(nodes)
}

fn node_config(key: &str, index: u16, port: Option<u16>) -> Result<Config, ConfigError> {
    let client = port.map_or(0, |port| port + 1 + index);
    let ops = port.map_or(0, |port| port + 1 + NODES + index);
    let settings = [
        ("JWT_PRIVATE_KEY", key.to_owned()),
        ("NOTIFICATION_SERVER_HOST", "127.0.0.1".to_owned()),
        ("NOTIFICATION_SERVER_PORT", client.to_string()),
        ("FOGHORN_OPS_ADDR", format!("127.0.0.1:{ops}")),
    ];
    let env = settings.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    load(&Sources { env, ..Sources::default() }).into_config()
}

async fn serve_page(stage: &Arc<Stage>, port: Option<u16>, tasks: &Tasks) -> Result<SocketAddr, Box<dyn Error>> {
    let wanted = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)));
    let listener =
        TcpListener::bind(wanted).await.map_err(|error| format!("cannot listen on {wanted} (--port): {error}"))?;
    let address = listener.local_addr()?;
    let (router, door) = (page::router(Arc::clone(stage)), Door::new(door::Limits::default()));
    Server { router, door, handshake: Duration::from_secs(10) }.run(listener, tasks);
    Ok(address)
}

fn introduction(stage: &Stage, page: SocketAddr, key: &str) -> String {
    let node = |(index, address): (usize, &SocketAddr)| format!("  node {}  http://{address}\n", index + 1);
    let nodes: String = stage.nodes.iter().enumerate().map(node).collect();
    format!(
        "Foghorn's demonstration: three nodes in this process, one broker in memory.\n\n  page    http://{page}/\n{nodes}\n\
         Open the page, then post an event to node 3; it arrives through node 1:\n\n{curl}\n\n\
         See it in a shell (the tokens are good for {hours} hours, the key ends with this process):\n\n\
         JWT_PRIVATE_KEY={key} foghorn tail --url http://{first} {library}\n\nCtrl-C ends it.\n",
        curl = stage.curl(),
        hours = TTL / 3600,
        first = stage.nodes[0],
        library = stage.library,
    )
}
