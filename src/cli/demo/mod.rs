//! `demo`: three nodes in one process, something between them that can be stopped as Redis can, and a page that shows events
//! crossing them and counts whether any is missing.
//!
//! * [`nodes`]: what is shown. [`poster`]: who posts. [`page`]: the page.
//!
//! Invariant: it needs nothing else installed, listens on 127.0.0.1 only, and takes no setting from the environment, so
//! that it cannot touch an installation that is there.

mod nodes;
mod page;
mod poster;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::Mint;
use super::terminal::{fail, print};
use crate::admission::{self, Admission};
use crate::config::{Log, LogFormat, LogLevel};
use crate::drain::Tasks;
use crate::fault::words;
use crate::headroom::descriptors::Descriptors;
use crate::listen::{Common, Server, Times, idle};
use crate::logging;
use crate::unfinished::Unfinished;
use nodes::Nodes;
use page::{Stage, TTL};
use poster::Poster;

const EXAMPLE: &str = "\
Examples:
  foghorn demo
  foghorn demo --port 9000";

/// What everything is about.
const LIBRARY: &str = "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c";

/// Try it: three nodes in one process, and a page that shows events crossing them while parts are stopped
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
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
    // What is stopped on purpose is on the page.
    logging::start(&Log {
        level: LogLevel::Error,
        format: LogFormat::Text,
        file: None,
    })?;
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let key = format!("demo-{:032x}", rand::random::<u128>());
    let tasks = Tasks::new();
    let nodes = started(&key, port).await?;
    let addresses = nodes.addresses();
    let (mint, library, poster) = (Mint::with(&key), LIBRARY.to_owned(), Poster::default());
    let stage = Arc::new(Stage {
        mint,
        library,
        nodes,
        addresses,
        poster,
        run: rand::random(),
        tasks: tasks.clone(),
    });
    poster::start(Arc::clone(&stage), &tasks);
    let page = serve_page(&stage, port, &tasks).await?;
    print(&introduction(&stage, page, &key));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stage.poster.set_running(false);
    stage.nodes.set_broker(true).await;
    stage.nodes.stop().await;
    tasks.stop();
    tasks.finish(Duration::from_secs(1)).await;
    Ok(())
}

/// Starts the nodes, with a bar on standard error where that is a terminal.
async fn started(key: &str, port: Option<u16>) -> Result<Nodes, Box<dyn Error>> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:20} starting {msg}") {
        bar.set_style(style);
    }
    let nodes = Nodes::start(key, port, |index, of| {
        bar.set_length(of as u64);
        bar.set_message(Nodes::name(index));
        bar.set_position(index as u64);
    });
    let nodes = nodes.await;
    bar.finish_and_clear();
    nodes
}

/// Bytes of requests that may be unfinished.
const UNFINISHED: usize = 1 << 20;

async fn serve_page(
    stage: &Arc<Stage>,
    port: Option<u16>,
    tasks: &Tasks,
) -> Result<SocketAddr, Box<dyn Error>> {
    let wanted = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)));
    let bound = TcpListener::bind(wanted).await;
    let listener =
        bound.map_err(|error| format!("cannot listen on {wanted} (--port): {}", words(&error)))?;
    let address = listener.local_addr()?;
    let admission = Admission::new(admission::Limits::default(), Arc::default());
    let router = page::router(Arc::clone(stage));
    let ten_seconds = Duration::from_secs(10);
    let common = Common {
        times: Times {
            handshake: ten_seconds,
            idle: ten_seconds,
            request: ten_seconds,
        },
        idle: idle::Limits::default(),
        unfinished: Unfinished::new(UNFINISHED),
    };
    Server::new(router, admission, Descriptors::now().for_clients(), &common).run(listener, tasks);
    Ok(address)
}

fn introduction(stage: &Stage, page: SocketAddr, key: &str) -> String {
    let node = |(index, (client, ops)): (usize, &(SocketAddr, SocketAddr))| {
        format!(
            "  {}  http://{client}  console http://{ops}/console\n",
            Nodes::name(index)
        )
    };
    let nodes: String = stage.addresses.iter().enumerate().map(node).collect();
    format!(
        "Foghorn's demonstration: three nodes in this process, and a stand-in for Redis between them.\n\n  page    http://{page}/\n{nodes}\n\
         Open the page. Stop a node or the broker there while events flow, and see that none is missing. From a shell, post one to node 3:\n\n{curl}\n\n\
         See it in a shell (the tokens are good for {hours} hours, the key ends with this process):\n\n\
         JWT_PRIVATE_KEY={key} foghorn tail --url http://{first} {library}\n\nCtrl-C ends it.\n",
        curl = stage.curl(),
        hours = TTL / 3600,
        first = stage.addresses[0].0,
        library = stage.library,
    )
}
