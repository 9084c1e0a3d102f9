//! The options that all scenarios share.
//!
//! Invariant: what is not said is good for one node on this machine, and its limits are checked here.

use crate::dialect::{Dialect, Manner};
use clap::Args;
use std::path::PathBuf;

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
    /// Another system to measure in turns with it: NAME=URL[,URL...], and where it is not Seafile's protocol NAME=PROTOCOL+URL,
    /// with the names of --protocol: NAME=nchan+URL, for Centrifugo 6 NAME=centrifugo+URL (it is to want no token and no key),
    /// NAME=mercure+URL (it is to have the publisher's key from --key, and to let the anonymous subscribe)
    #[arg(long, value_name = "NAME=URL")]
    pub against: Vec<String>,
    /// Start nginx with nchan and measure it too, by its EventSource subscriber where --protocol is one of event streams
    #[arg(long)]
    pub nchan: bool,
    /// Measure without the floor
    #[arg(long)]
    pub no_floor: bool,
    /// The key that signs tokens
    #[arg(
        long,
        env = "JWT_PRIVATE_KEY",
        hide_env_values = true,
        default_value = "testkey-testkey-testkey-testkey-00"
    )]
    pub key: String,
    /// The server's process, if it is not the one that listens there; several times for several
    #[arg(long)]
    pub pid: Vec<u32>,
    /// The process of the Redis that carries between the nodes, of all systems: what it costs is told by itself
    #[arg(long)]
    pub redis_pid: Vec<u32>,
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
