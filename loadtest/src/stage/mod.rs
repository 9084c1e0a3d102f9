//! Everything a run needs standing: the systems to compare, the floor among them, and how clients are spread.
//!
//! Invariant: what was started for a run is ended with it; each leg has its own run number and source addresses.

mod options;

use crate::clock;
use crate::dialect::Dialect;
use crate::limits;
use crate::nchan::Nchan;
use crate::poster::Source;
use crate::procfs;
use crate::progress::{self, Bar};
use crate::target::{self, Target};
use crate::worker::control::Plan;
use crate::workers::{self, Workers};
use clap::ValueEnum;
pub use options::Common;
use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
            let (name, urls) = text
                .split_once('=')
                .ok_or_else(|| Failed::Against(text.clone()))?;
            let (dialect, urls) = spoken(urls);
            let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
            systems.push(system(common, name, dialect, &urls)?);
        }
        let nchan = if common.nchan {
            Some(Nchan::start()?)
        } else {
            None
        };
        if let Some(n) = &nchan {
            let mut s = system(
                common,
                "nchan",
                common.protocol.of_nchan(),
                std::slice::from_ref(&n.url),
            )?;
            s.pids = vec![n.pid()];
            systems.push(s);
        }
        let mut children = Vec::new();
        if !common.no_floor {
            let (child, url) = start_floor()?;
            let mut s = system(common, FLOOR, common.protocol.of_floor(), &[url])?;
            s.pids = vec![child.id()];
            children.push(child);
            systems.push(s);
        }
        for s in systems.iter().filter(|s| s.pids.is_empty()) {
            progress::step(&format!(
                "{}: its process is not found; CPU and memory are left out (--pid)",
                s.name
            ));
        }
        Ok(Self {
            common: common.clone(),
            systems,
            children,
            _nchan: nchan,
            legs: Cell::new(0),
        })
    }

    /// Longest time a step may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.common.timeout)
    }

    /// The plan of one leg, different in run number and source addresses from all before.
    pub fn plan(&self, system: &System, shape: Shape) -> Plan {
        let leg = self.legs.get();
        self.legs.set(leg + 1);
        let workers = self
            .common
            .workers
            .max(shape.clients.div_ceil(limits::per_worker()));
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
            posters: 1,
            sources: self.common.sources,
            source_base: (base + leg) % 1000 * workers * self.common.sources % 0xf0_0000,
            in_flight: self.common.in_flight.unwrap_or(256),
            connect_rate: self.common.connect_rate,
            reconnect_ms: None,
            ledger: false,
            wrong_key: false,
            stuck: 0,
            hang_up_rate: 0,
            recover: false,
        }
    }

    /// Starts the workers of a plan and waits until all clients are subscribed; how long that took.
    ///
    /// # Errors
    /// When the workers fail or time is up.
    pub fn raise(
        &self,
        system: &System,
        plan: &Plan,
    ) -> Result<(Workers, Duration), workers::Failed> {
        let mut workers = Workers::start(plan, self.common.workers)?;
        let bar = Bar::new(plan.clients.into());
        let took = workers.ready(self.timeout(), |ready, lost| {
            let lost = if lost > 0 {
                format!(", {lost} given up")
            } else {
                String::new()
            };
            bar.at(ready.into(), &format!("{}: subscribed{lost}", system.name));
        })?;
        Ok((workers, took))
    }

    /// Where to post a leg's events.
    pub fn source(&self, system: &System, plan: &Plan) -> Source {
        Source {
            dialect: plan.dialect,
            targets: system.posts.clone(),
            key: plan.key.clone(),
            run: plan.run,
            channels: plan.channels,
            posters: plan.posters,
            pad: self.common.payload as usize,
            connections: 8,
            timeout: self.timeout(),
            after_seq: 0,
        }
    }
}

/// The dialect that stands before `urls`, as in `nchan+URL`; Seafile where there is none.
fn spoken(urls: &str) -> (Dialect, &str) {
    urls.split_once('+')
        .and_then(|(name, rest)| Some((Dialect::from_str(name, true).ok()?, rest)))
        .unwrap_or((Dialect::Seafile, urls))
}

fn resolve(common: &Common, urls: &[String]) -> Result<Vec<Target>, target::Bad> {
    urls.iter()
        .map(|u| Target::parse(u, common.i_own_this_host))
        .collect()
}

/// The processes that listen there, each once.
fn find<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<u32> {
    let mut pids: Vec<u32> = targets.filter_map(|t| procfs::listener(t.addr)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn system(
    common: &Common,
    name: &str,
    dialect: Dialect,
    urls: &[String],
) -> Result<System, Failed> {
    let targets = resolve(common, urls)?;
    let (pids, posts) = (find(targets.iter()), targets.clone());
    Ok(System {
        name: name.into(),
        dialect,
        targets,
        posts,
        pids,
    })
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
    Ok((
        child,
        said["listening"].as_str().unwrap_or_default().to_owned(),
    ))
}

impl Drop for Stage {
    fn drop(&mut self) {
        for c in &mut self.children {
            let _ = c.kill();
            let _ = c.wait();
        }
    }
}
