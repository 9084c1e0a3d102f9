//! The demonstration's nodes and what is between them: each can be stopped and started again.
//!
//! Invariants: a node that is started again has the ports that it had; one thing is switched at a time, and no node is stopped
//! while it may have events that the others do not have, since they would go with it.

use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::app::{self, AppError, Between, Running};
use crate::broker::local::Network;
use crate::config::{Config, ConfigError, Sources, load};
use crate::dialect;
use crate::fault::words;
use crate::ops::recorder::Recorder;

/// How many nodes there are.
pub const COUNT: u16 = 3;

/// Why something is not done.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DemoError {
    /// A node would take events with it.
    #[error(
        "start the broker first: a node that ends while the broker is away takes along what only it has"
    )]
    Away,
    /// They have not caught up.
    #[error("the nodes are still telling each other what they missed: try again")]
    Busy,
    /// Nobody is called so.
    #[error("there is no such node")]
    Unknown,
    /// Somebody has to be there.
    #[error("one node has to stay")]
    Last,
    /// It cannot start.
    #[error("it cannot start: {0}")]
    Start(#[from] AppError),
}

impl DemoError {
    /// Its short name.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// How long a node may take to hand over, once the broker is there.
const HANDOVER: Duration = Duration::from_secs(15);
/// How long nodes that hear each other again take to heal what they missed: they announce themselves once a second.
const HEALING: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// One node, running or not.
struct Place {
    config: Config,
    client: SocketAddr,
    ops: SocketAddr,
    running: Mutex<Option<Running>>,
}

/// See the module's description.
pub struct Nodes {
    network: Arc<Network>,
    places: Vec<Place>,
    /// Held by whoever switches something.
    switch: Mutex<()>,
    recorder: Recorder,
}

impl Nodes {
    /// Starts all of them. `port`: the page's; the nodes take the ones after it. `None`: any free ones. `begins` is told of each
    /// that is about to start, and that there are so many.
    ///
    /// # Errors
    /// A port is taken, as a rule.
    pub async fn start(
        key: &str,
        port: Option<u16>,
        begins: impl Fn(usize, usize),
    ) -> Result<Self, Box<dyn Error>> {
        let recorder = Recorder::install(dialect::ALL)?;
        let network = Network::new("the demonstration's broker");
        let mut places = Vec::new();
        for index in 0..COUNT {
            begins(index.into(), COUNT.into());
            let mut config = configured(key, index, port)?;
            let between = Between::Carrier(network.end());
            let node = app::start(&config, Some(between), recorder.clone())
                .await
                .map_err(|error| taken(error, port))?;
            let (client, ops) = (node.client_addr, node.ops_addr);
            config.http.port = client.port();
            config.ops_addr = ops;
            places.push(Place {
                config,
                client,
                ops,
                running: Mutex::new(Some(node)),
            });
        }
        Ok(Self {
            network,
            places,
            switch: Mutex::default(),
            recorder,
        })
    }

    /// What stands between the nodes.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What a node is called.
    pub fn name(index: usize) -> String {
        format!("node {}", index + 1)
    }

    /// The node of that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        (0..self.places.len()).find(|index| Self::name(*index) == name)
    }

    /// Where each node takes clients, and where operators.
    pub fn addresses(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.places
            .iter()
            .map(|place| (place.client, place.ops))
            .collect()
    }

    /// Which nodes run.
    pub async fn running(&self) -> Vec<bool> {
        let mut running = Vec::new();
        for place in &self.places {
            running.push(place.running.lock().await.is_some());
        }
        running
    }

    /// Stops what is between the nodes, or lets it go on.
    pub(super) async fn set_broker(&self, running: bool) {
        let _turn = self.switch.lock().await;
        self.network.set_running(running);
    }

    /// Starts a node that is stopped.
    ///
    /// # Errors
    /// [`DemoError`]
    pub(super) async fn start_one(&self, index: usize) -> Result<(), DemoError> {
        let _turn = self.switch.lock().await;
        let place = &self.places[index];
        let mut running = place.running.lock().await;
        if running.is_none() {
            let between = Between::Carrier(self.network.end());
            let node = app::start(&place.config, Some(between), self.recorder.clone()).await?;
            *running = Some(node);
        }
        Ok(())
    }

    /// Ends a node as SIGTERM does, without the time that proxies are given.
    ///
    /// # Errors
    /// [`DemoError`]
    pub(super) async fn stop_one(&self, index: usize) -> Result<(), DemoError> {
        let _turn = self.switch.lock().await;
        let mut others = self.running().await.into_iter().enumerate();
        if others.all(|(other, runs)| other == index || !runs) {
            return Err(DemoError::Last);
        }
        if !self.network.is_running() {
            return Err(DemoError::Away);
        }
        if !self.is_settled().await {
            return Err(DemoError::Busy);
        }
        if let Some(node) = self.places[index].running.lock().await.take() {
            node.stop().await;
        }
        Ok(())
    }

    /// Waits until all nodes have what each of them has; `false`: it took too long.
    async fn is_settled(&self) -> bool {
        let wait = async {
            // Nodes that have just subscribed anew are told within seconds what they have missed.
            let mut even_since = None;
            loop {
                let mut even = true;
                for place in &self.places {
                    even &= place
                        .running
                        .lock()
                        .await
                        .as_ref()
                        .is_none_or(Running::is_even);
                }
                let since = *even_since.get_or_insert_with(Instant::now);
                match even {
                    true if since.elapsed() >= HEALING => return,
                    true => {}
                    false => even_since = None,
                }
                sleep(LOOK).await;
            }
        };
        timeout(HANDOVER, wait).await.is_ok()
    }

    /// Ends all of them.
    pub async fn stop(&self) {
        for place in &self.places {
            if let Some(node) = place.running.lock().await.take() {
                node.stop().await;
            }
        }
    }
}

/// The demonstration has one setting for its ports.
fn taken(error: AppError, port: Option<u16>) -> Box<dyn Error> {
    match (error, port) {
        (
            AppError::Bind {
                address, source, ..
            },
            Some(port),
        ) => {
            let last = port + 2 * COUNT;
            let why = words(&source);
            format!("cannot listen on {address}: {why}. --port {port} takes the ports {port} to {last}: give another, or none").into()
        }
        (error, _) => error.into(),
    }
}

fn configured(key: &str, index: u16, port: Option<u16>) -> Result<Config, ConfigError> {
    let client = port.map_or(0, |port| port + 1 + index);
    let ops = port.map_or(0, |port| port + 1 + COUNT + index);
    let settings = [
        ("JWT_PRIVATE_KEY", key.to_owned()),
        ("NOTIFICATION_SERVER_HOST", "127.0.0.1".to_owned()),
        ("NOTIFICATION_SERVER_PORT", client.to_string()),
        ("FOGHORN_OPS_ADDR", format!("127.0.0.1:{ops}")),
        ("FOGHORN_NODE_NAME", format!("node-{}", index + 1)),
        // Whoever stops the broker may look at that for a while.
        ("FOGHORN_WAITING_SECONDS", "3600".to_owned()),
    ];
    let env = settings
        .into_iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    load(&Sources {
        env,
        ..Sources::default()
    })
    .into_config()
}
