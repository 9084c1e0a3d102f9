//! Everything a run needs standing: the systems to compare, the floor among them, and how clients are spread.
//!
//! Invariant: what was started for a run is ended with it; each leg has its own run number and source addresses.

use crate::clock;
use crate::crew::{self, Crew};
use crate::dialect::{Dialect, Manner};
use crate::limits;
use crate::nchan::Nchan;
use crate::poster::Source;
use crate::procfs;
use crate::progress;
use crate::target::{self, Target};
use crate::worker::control::Plan;
use clap::Args;
use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Options every scenario takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// A node to load; several times for several nodes of one cluster
    #[arg(long, default_values_t = [String::from("http://127.0.0.1:8083")])]
    pub url: Vec<String>,
    /// A node to post events to, if not the ones that clients connect to; several times for several
    #[arg(long)]
    pub post_url: Vec<String>,
    /// What to call it in the report
    #[arg(long, default_value = "server")]
    pub name: String,
    /// Another system to measure in turns with it: NAME=URL[,URL...], for nchan NAME=nchan+URL
    #[arg(long, value_name = "NAME=URL")]
    pub against: Vec<String>,
    /// Start nginx with nchan and measure it too
    #[arg(long)]
    pub nchan: bool,
    /// Measure without the floor
    #[arg(long)]
    pub no_floor: bool,
    /// The key that signs tokens
    #[arg(long, env = "JWT_PRIVATE_KEY", hide_env_values = true, default_value = "testkey-testkey-testkey-testkey-00")]
    pub key: String,
    /// The server's process, if it is not the one that listens there; several times for several
    #[arg(long)]
    pub pid: Vec<u32>,
    /// The server's wire protocol
    #[arg(long, value_enum, default_value = "seafile")]
    pub protocol: Dialect,
    /// As whom clients behave
    #[arg(long = "as", value_enum, default_value = "web")]
    pub manner: Manner,
    /// Alternating rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Worker processes; more if descriptors demand it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Loopback addresses each worker connects from
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub sources: u32,
    /// Connections being made at one time (0: no limit) [default: 256; in a storm no limit]
    #[arg(long)]
    pub in_flight: Option<u32>,
    /// Connections begun each second (0: no limit)
    #[arg(long, default_value_t = 0)]
    pub connect_rate: u32,
    /// Bytes of filling in each event
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    pub payload: u32,
    /// Longest time any step may take, in seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub timeout: u64,
    /// Write the result here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the result here
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Allow targets that are not loopback addresses
    #[arg(long)]
    pub i_own_this_host: bool,
}

/// Why a run cannot be staged.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A URL is no good.
    #[error(transparent)]
    Target(#[from] target::Bad),
    /// `--against` is not NAME=URL.
    #[error("--against {0:?} is not NAME=URL")]
    Against(String),
    /// The floor does not start.
    #[error("the floor does not start: {0}")]
    Floor(String),
    /// nginx does not start.
    #[error(transparent)]
    Nchan(#[from] crate::nchan::Failed),
}

/// One system under test.
#[derive(Clone, Debug)]
pub struct System {
    /// Its name in the report.
    pub name: String,
    /// Its protocol.
    pub dialect: Dialect,
    /// Its nodes.
    pub targets: Vec<Target>,
    /// Those of its nodes that events are posted to.
    pub posts: Vec<Target>,
    /// Its processes; empty when they are not known.
    pub pids: Vec<u32>,
}

/// How many clients with what.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Clients.
    pub clients: u32,
    /// Libraries.
    pub channels: u32,
    /// Libraries of each client.
    pub per_client: u32,
}

/// All systems, and the floor's process.
pub struct Stage {
    /// Options.
    pub common: Common,
    /// In the order they take turns; the floor is the last and called [`FLOOR`].
    pub systems: Vec<System>,
    children: Vec<Child>,
    _nchan: Option<Nchan>,
    legs: Cell<u32>,
}

/// The floor's name in reports.
pub const FLOOR: &str = "floor";

impl Stage {
    /// Resolves targets, starts the floor (and nchan), finds the processes.
    ///
    /// # Errors
    /// When a target is no good or a process does not start.
    pub fn set(common: &Common) -> Result<Self, Failed> {
        let mut systems = vec![system(common, &common.name, common.protocol, &common.url)?];
        if !common.post_url.is_empty() {
            systems[0].posts = resolve(common, &common.post_url)?;
            systems[0].pids = find(systems[0].targets.iter().chain(&systems[0].posts));
        }
        if !common.pid.is_empty() {
            systems[0].pids.clone_from(&common.pid);
        }
        for text in &common.against {
            let (name, urls) = text.split_once('=').ok_or_else(|| Failed::Against(text.clone()))?;
            let (dialect, urls) = match urls.strip_prefix("nchan+") {
                Some(rest) => (Dialect::Nchan, rest),
                None => (Dialect::Seafile, urls),
            };
            let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
            systems.push(system(common, name, dialect, &urls)?);
        }
        let nchan = if common.nchan { Some(Nchan::start()?) } else { None };
        if let Some(n) = &nchan {
            let mut s = system(common, "nchan", Dialect::Nchan, std::slice::from_ref(&n.url))?;
            s.pids = vec![n.pid()];
            systems.push(s);
        }
        let mut children = Vec::new();
        if !common.no_floor {
            let (child, url) = start_floor()?;
            let mut s = system(common, FLOOR, Dialect::Seafile, &[url])?;
            s.pids = vec![child.id()];
            children.push(child);
            systems.push(s);
        }
        for s in systems.iter().filter(|s| s.pids.is_empty()) {
            progress::step(&format!("{}: its process is not found; CPU and memory are left out (--pid)", s.name));
        }
        Ok(Self { common: common.clone(), systems, children, _nchan: nchan, legs: Cell::new(0) })
    }

    /// Longest time a step may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.common.timeout)
    }

    /// The plan of one leg, different in run number and source addresses from all before.
    pub fn plan(&self, system: &System, shape: Shape) -> Plan {
        let leg = self.legs.get();
        self.legs.set(leg + 1);
        let workers = self.common.workers.max(shape.clients.div_ceil(limits::per_worker()));
        // Runs that follow each other quickly begin elsewhere too: ports stay in TIME_WAIT for a minute.
        let base = (clock::now_ns() >> 30) as u32;
        Plan {
            dialect: system.dialect,
            manner: self.common.manner,
            targets: system.targets.clone(),
            key: self.common.key.clone(),
            run: (clock::now_ns() >> 10) as u32,
            clients: shape.clients,
            first: 0,
            channels: shape.channels,
            per_client: shape.per_client,
            sources: self.common.sources,
            source_base: (base + leg) % 1000 * workers * self.common.sources % 0xf0_0000,
            in_flight: self.common.in_flight.unwrap_or(256),
            connect_rate: self.common.connect_rate,
            reconnect_ms: None,
            ledger: false,
            wrong_key: false,
            stuck: 0,
            hang_up_rate: 0,
        }
    }

    /// Starts the workers of a plan and waits until all clients are subscribed; how long that took.
    ///
    /// # Errors
    /// When the workers fail or time is up.
    pub fn raise(&self, system: &System, plan: &Plan) -> Result<(Crew, Duration), crew::Failed> {
        let mut crew = Crew::start(plan, self.common.workers)?;
        let took = crew.ready(self.timeout(), |ready, lost| {
            let lost = if lost > 0 { format!(", {lost} given up") } else { String::new() };
            progress::passing(&format!("{}: {ready} of {} subscribed{lost}", system.name, plan.clients));
        })?;
        Ok((crew, took))
    }

    /// Where to post a leg's events.
    pub fn source(&self, system: &System, plan: &Plan) -> Source {
        Source {
            dialect: plan.dialect,
            targets: system.posts.clone(),
            key: plan.key.clone(),
            run: plan.run,
            channels: plan.channels,
            pad: self.common.payload as usize,
            connections: 8,
            timeout: Duration::from_secs(10),
            after_seq: 0,
        }
    }
}

fn resolve(common: &Common, urls: &[String]) -> Result<Vec<Target>, target::Bad> {
    urls.iter().map(|u| Target::parse(u, common.i_own_this_host)).collect()
}

/// The processes that listen there, each once.
fn find<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<u32> {
    let mut pids: Vec<u32> = targets.filter_map(|t| procfs::listener(t.addr)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn system(common: &Common, name: &str, dialect: Dialect, urls: &[String]) -> Result<System, Failed> {
    let targets = resolve(common, urls)?;
    let (pids, posts) = (find(targets.iter()), targets.clone());
    Ok(System { name: name.into(), dialect, targets, posts, pids })
}

fn start_floor() -> Result<(Child, String), Failed> {
    let bad = |e: &dyn std::fmt::Display| Failed::Floor(e.to_string());
    let me = std::env::current_exe().map_err(|e| bad(&e))?;
    let mut child = Command::new(me)
        .args(["floor", "--port", "0", "--child"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| bad(&e))?;
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut line).map_err(|e| bad(&e))?;
    let said: serde_json::Value = serde_json::from_str(&line).map_err(|e| bad(&e))?;
    Ok((child, said["listening"].as_str().unwrap_or_default().to_owned()))
}

impl Drop for Stage {
    fn drop(&mut self) {
        for c in &mut self.children {
            let _ = c.kill();
            let _ = c.wait();
        }
    }
}
