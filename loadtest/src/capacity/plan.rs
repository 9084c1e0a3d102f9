//! From a site to the cluster it needs.
//!
//! Invariant: the figures come from the coefficients compiled in, which `fit` made from a measurement, and from what
//! `loadtest/bench.sh` measured of idle clients of other dialects.

use super::Failed;
use super::model::{Coefficients, Driver, Load, Resource};
use super::tables::{bytes, markdown};
use crate::report::{digits, thousands};
use clap::Args;

/// Options: the site, and what its machines have.
#[derive(Args, Clone, Debug)]
pub struct Site {
    /// Desktop clients that are connected
    #[arg(long, value_parser = positive, required_unless_present_any = ["streams", "v1_connections"])]
    connections: Option<f64>,
    /// Event streams of inboxes that are open, one a page
    #[arg(long, value_parser = positive)]
    streams: Option<f64>,
    /// Connections by Centrifugo v1's protocol
    #[arg(long, value_parser = positive)]
    v1_connections: Option<f64>,
    /// Events a second
    #[arg(long, value_parser = positive)]
    events: f64,
    /// Libraries of each client
    #[arg(long, default_value = "20", value_parser = positive)]
    libraries_per_client: f64,
    /// Clients of each library, or streams of each user, that are connected: as many deliveries has an event
    #[arg(long, default_value = "10", value_parser = positive)]
    subscribers_per_library: f64,
    /// Cores of a node
    #[arg(long, default_value = "4", value_parser = positive)]
    cores_per_node: f64,
    /// Memory of a node or shard, such as 8GiB
    #[arg(long, default_value = "8GiB", value_parser = size)]
    memory_per_node: f64,
    /// Open files allowed to a node
    #[arg(long, default_value = "1048576", value_parser = positive)]
    descriptors_per_node: f64,
    /// Bits a second of a node's or shard's network
    #[arg(long, default_value = "1e9", value_parser = positive)]
    network: f64,
    /// Addresses from which proxies connect to a node
    #[arg(long, default_value = "2", value_parser = positive)]
    proxy_addresses: f64,
    /// Ports of each such address (net.ipv4.ip_local_port_range)
    #[arg(long, default_value = "28232", value_parser = positive)]
    ports: f64,
    /// How full CPU, memory and network may be; the rest is for peaks
    #[arg(long, default_value = "0.6", value_parser = share)]
    fill: f64,
    /// Nodes that may be lost at one time
    #[arg(long, default_value_t = 1)]
    spare: u32,
    /// FOGHORN_WAITING_SECONDS: each node remembers all events for a minute longer than that, for others that missed some
    #[arg(long, default_value_t = 60)]
    waiting_seconds: u32,
    /// FOGHORN_WAITING_EVENTS: it remembers no more than so many
    #[arg(long, default_value_t = 100_000)]
    waiting_events: u32,
    /// FOGHORN_PARTITIONS: there cannot be more shards
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("not a number above 0, such as 2000 or 1e6".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    positive(text)
        .ok()
        .filter(|x| *x <= 1.0)
        .ok_or_else(|| "not a share above 0 and at most 1, such as 0.6".into())
}

fn size(text: &str) -> Result<f64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let found = units
        .iter()
        .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, f64::from(*bits).exp2())));
    let (number, factor) = found.unwrap_or((text, 1.0));
    positive(number.trim())
        .map(|n| n * factor)
        .map_err(|_| "not a size, such as 8GiB or 512MiB".into())
}

/// A node remembers events for so much longer than they may wait.
const REMEMBERED_SECONDS: u32 = 60;
/// It remembers at least so many, however few may wait.
const REMEMBERED: u32 = 16_384;
/// What an idle client of another dialect takes of a node that does not encrypt, as docs/CAPACITY.md has it.
struct Idle {
    /// Bytes, the kernel's and its channel's not among them.
    memory: f64,
    /// Seconds of CPU a second.
    cpu: f64,
}

/// An event stream over HTTP/1.1.
const STREAM: Idle = Idle {
    memory: 3.5 * 1_024.0,
    cpu: 0.2e-6,
};
/// A connection by Centrifugo v1's protocol.
const V1: Idle = Idle {
    memory: 3.6 * 1_024.0,
    cpu: 0.4e-6,
};

/// A cluster larger than this is another design.
const MOST_NODES: u32 = 10_000;

/// What one node or one shard uses of one thing.
struct Use {
    what: &'static str,
    used: f64,
    limit: f64,
    show: fn(f64) -> String,
}

impl Use {
    fn share(&self) -> f64 {
        self.used / self.limit
    }
}

impl Site {
    /// What `nodes` nodes and `shards` shards have to do together.
    fn load(&self, nodes: u32, shards: u32) -> Load {
        let desktops = self.connections.unwrap_or_default();
        // Each of the others has one channel.
        let subscriptions = desktops * self.libraries_per_client + self.others();
        let (n, channels) = (
            f64::from(nodes),
            subscriptions / self.subscribers_per_library,
        );
        Load {
            nodes: n,
            shards: shards.into(),
            connections: self.all(),
            subscriptions,
            channels: channels * self.nodes_with_subscribers(n),
            pings: desktops,
            events: self.events,
            deliveries: self.events * self.subscribers_per_library,
            remembered: n * self.remembered(),
        }
    }

    /// Clients of other dialects, and what each takes.
    fn idle(&self) -> [(f64, Idle); 2] {
        [(self.streams, STREAM), (self.v1_connections, V1)]
            .map(|(count, idle)| (count.unwrap_or_default(), idle))
    }

    fn others(&self) -> f64 {
        self.idle().iter().map(|(count, _)| count).sum()
    }

    /// All clients.
    fn all(&self) -> f64 {
        self.connections.unwrap_or_default() + self.others()
    }

    /// How many events each node remembers.
    fn remembered(&self) -> f64 {
        let seconds = f64::from(self.waiting_seconds + REMEMBERED_SECONDS);
        (self.events * seconds).min(self.waiting_events.max(REMEMBERED).into())
    }

    /// On how many of `n` nodes a library has subscribers, which fall on nodes by chance.
    fn nodes_with_subscribers(&self, n: f64) -> f64 {
        n * (1.0 - (1.0 - 1.0 / n).powf(self.subscribers_per_library))
    }

    fn node(&self, c: &Coefficients, load: &Load) -> Vec<Use> {
        let each = |r: Resource| c.used(r, load) / load.nodes;
        let here = load.connections / load.nodes;
        // What the model takes of a connection with one subscription is a desktop client's.
        let modelled = c.cost(Resource::NodeMemory, Driver::Connection)
            + c.cost(Resource::NodeMemory, Driver::Subscription);
        let idle = self.idle();
        let sum =
            |of: &dyn Fn(&Idle) -> f64| idle.iter().map(|(count, i)| count * of(i)).sum::<f64>();
        let cpu = sum(&|idle| idle.cpu) / load.nodes;
        let memory = sum(&|idle| idle.memory - modelled) / load.nodes;
        vec![
            Use {
                what: "CPU of a node, cores",
                used: each(Resource::NodeCpu) + cpu,
                limit: self.cores_per_node * self.fill,
                show: digits,
            },
            Use {
                what: "memory of a node, the kernel's included",
                used: each(Resource::NodeMemory) + each(Resource::KernelMemory) + memory,
                limit: self.memory_per_node * self.fill,
                show: bytes,
            },
            Use {
                what: "network of a node, Mbit/s",
                used: each(Resource::Network) * 8e-6,
                limit: self.network * 1e-6 * self.fill,
                show: digits,
            },
            Use {
                what: "open files of a node",
                used: here,
                limit: self.descriptors_per_node,
                show: whole,
            },
            Use {
                what: "ports of the proxies towards a node",
                used: here,
                limit: self.ports * self.proxy_addresses,
                show: whole,
            },
        ]
    }

    fn shard(&self, c: &Coefficients, load: &Load) -> Vec<Use> {
        if load.shards < 1.0 {
            return Vec::new();
        }
        let each = |r: Resource| c.used(r, load) / load.shards;
        let network = each(Resource::RedisIn) + each(Resource::RedisOut);
        vec![
            // Redis runs commands on one core, however many there are.
            Use {
                what: "CPU of a shard, cores",
                used: each(Resource::RedisCpu),
                limit: self.fill,
                show: digits,
            },
            Use {
                what: "memory of a shard",
                used: each(Resource::RedisMemory),
                limit: self.memory_per_node * self.fill,
                show: bytes,
            },
            Use {
                what: "network of a shard, Mbit/s",
                used: network * 8e-6,
                limit: self.network * 1e-6 * self.fill,
                show: digits,
            },
        ]
    }

    /// The fewest shards that serve so many nodes; none for a node that is alone.
    fn shards(&self, c: &Coefficients, nodes: u32) -> Option<u32> {
        if nodes == 1 {
            return Some(0);
        }
        (1..=self.partitions).find(|m| {
            self.shard(c, &self.load(nodes, *m))
                .iter()
                .all(|u| u.share() <= 1.0)
        })
    }

    /// Nodes, without the spare ones, and shards.
    fn solve(&self, c: &Coefficients) -> Result<(u32, u32), Failed> {
        if self.subscribers_per_library > self.all() {
            return Err(Failed::Impossible(
                "a library cannot have more subscribers than there are connections".into(),
            ));
        }
        for nodes in 1..=MOST_NODES {
            let Some(shards) = self.shards(c, nodes + self.spare) else {
                return Err(Failed::Impossible(format!(
                    "{} partitions are too few: as many shards do not serve {nodes} nodes, since each hears every event \
                     (--partitions)",
                    self.partitions
                )));
            };
            let load = self.load(nodes, shards);
            if self.node(c, &load).iter().all(|u| u.share() <= 1.0) {
                return Ok((nodes, shards));
            }
        }
        Err(Failed::Impossible(format!(
            "no number of nodes is enough: each hears every event, and {} events/s are more than the {} that fill it",
            digits(self.events),
            digits(self.most_events(c))
        )))
    }

    /// Events a second that fill the CPU of a node that has nothing to do but hear them.
    fn most_events(&self, c: &Coefficients) -> f64 {
        let idle = c.used(
            Resource::NodeCpu,
            &Load {
                nodes: 1.0,
                shards: 1.0,
                ..Load::default()
            },
        );
        (self.cores_per_node * self.fill - idle) / c.cost(Resource::NodeCpu, Driver::Hearing)
    }

    /// What `foghorn-load plan` prints.
    fn answer(&self, c: &Coefficients) -> Result<String, Failed> {
        let (nodes, shards) = self.solve(c)?;
        let all = nodes + self.spare;
        let (full, less) = (self.load(all, shards), self.load(nodes, shards));
        let ups = self.node(c, &full).into_iter().chain(self.shard(c, &full));
        let downs = self.node(c, &less).into_iter().chain(self.shard(c, &full));
        let pairs: Vec<(Use, Use)> = ups.zip(downs).collect();
        let head = ["each", "uses", "with the spare lost", "may use", "full, %"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for (up, down) in &pairs {
            let share = format!("{:.0}", down.share() * 100.0);
            rows.push(vec![
                down.what.into(),
                (up.show)(up.used),
                (up.show)(down.used),
                (up.show)(down.limit),
                share,
            ]);
        }
        let worst = pairs
            .iter()
            .map(|p| &p.1)
            .max_by(|a, b| a.share().total_cmp(&b.share()));
        let joining = c.used(Resource::JoinCpu, &full) / full.nodes;
        Ok(format!(
            "Nodes: {} ({} of them spare). Redis shards: {}. Runs out first: {}.\n\n{}\nThe {} clients of a lost node cost the \
             others {} s of CPU to take in.\nHearing all events takes {} cores of each node; {:.1} of the nodes have \
             somebody to give an event to.\nMore nodes help up to {} events/s, where hearing leaves no CPU for clients.\n",
            thousands(all.into()),
            self.spare,
            shards,
            worst.map_or("nothing", |u| u.what),
            markdown(&rows),
            whole(full.connections / full.nodes),
            digits(joining),
            digits(c.cost(Resource::NodeCpu, Driver::Hearing) * self.events),
            self.nodes_with_subscribers(full.nodes),
            whole(self.most_events(c)),
        ))
    }
}

fn whole(x: f64) -> String {
    thousands(x.round() as u64)
}

/// Prints what the site needs.
///
/// # Errors
/// When no cluster is enough.
pub fn run(site: &Site) -> Result<(), Failed> {
    let text = include_str!("../../../docs/capacity/coefficients.json");
    let coefficients = serde_json::from_str(text).expect("checked by a test");
    print!("{}", site.answer(&coefficients)?);
    Ok(())
}

#[cfg(test)]
mod tests;
