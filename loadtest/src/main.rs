//! A load generator for servers of the Seafile notification protocol, and for the other protocols that Foghorn speaks.
//!
//! The parent reads options ([`scenario`]), sets the stage ([`stage`]: systems to compare, the floor among them), starts
//! worker processes ([`workers`], [`worker`]) that hold the clients, posts events ([`poster`]) and writes the report
//! ([`report`], [`plot`]); [`capacity`] makes a model of many such runs. All processes share one clock ([`clock`]).
//!
//! Invariant: the generator is cheaper than any server it measures, and says by how much ([`floor`]).

mod capacity;
mod clock;
mod dialect;
mod faults;
mod floor;
mod limits;
mod line;
mod nchan;
mod plot;
mod poster;
mod procfs;
mod progress;
mod report;
mod scenario;
mod sse;
mod stage;
mod stamp;
mod stats;
mod target;
mod token;
mod wire;
mod worker;
mod workers;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "foghorn-load",
    version,
    about = "Load generator for servers of the Seafile notification protocol, for event streams, and for Centrifugo v1's",
    // A script's options are replaced by those of whoever runs it, which come behind them.
    args_override_self = true
)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Memory and CPU of clients that only live
    Idle(scenario::idle::Idle),
    /// One event to N subscribers
    Fanout(scenario::fanout::Fanout),
    /// Events at a steady rate over many libraries
    Rate(scenario::rate::Rate),
    /// N clients come back at once, and each recovers what it missed
    Recover(scenario::recover::Recover),
    /// How many questions a second are answered: who is there, what was published
    Requests(scenario::requests::Requests),
    /// N clients connect and subscribe at once
    Storm(scenario::storm::Storm),
    /// Readers beside others that have stopped reading
    Stuck(scenario::stuck::Stuck),
    /// Subscribe and unsubscribe a million times
    Churn(scenario::churn::Churn),
    /// Events for a long time, with faults; prints the ledger
    Soak(scenario::soak::Soak),
    /// Clusters of many shapes: what each part costs, into docs/capacity/measured.json
    Sweep(capacity::sweep::Sweep),
    /// From those readings to the coefficients of the model
    Fit(capacity::fit::Fit),
    /// How many nodes and Redis shards a site needs
    Plan(capacity::plan::Site),
    /// The server that does nothing but what must be done
    Floor {
        /// Port on 127.0.0.1; 0 takes any
        #[arg(long, default_value_t = 8099)]
        port: u16,
        /// End when stdin does
        #[arg(long, hide = true)]
        child: bool,
    },
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    limits::raise_descriptors();
    let done = match Cli::parse().what {
        What::Idle(o) => scenario::idle::run(&o).map_err(|e| e.to_string()),
        What::Fanout(o) => scenario::fanout::run(&o).map_err(|e| e.to_string()),
        What::Rate(o) => scenario::rate::run(&o).map_err(|e| e.to_string()),
        What::Recover(o) => scenario::recover::run(&o).map_err(|e| e.to_string()),
        What::Requests(o) => scenario::requests::run(&o).map_err(|e| e.to_string()),
        What::Storm(o) => scenario::storm::run(&o).map_err(|e| e.to_string()),
        What::Stuck(o) => scenario::stuck::run(&o).map_err(|e| e.to_string()),
        What::Churn(o) => scenario::churn::run(&o).map_err(|e| e.to_string()),
        What::Soak(o) => scenario::soak::run(&o).map_err(|e| e.to_string()),
        What::Sweep(o) => capacity::sweep::run(&o).map_err(|e| e.to_string()),
        What::Fit(o) => capacity::fit::run(&o).map_err(|e| e.to_string()),
        What::Plan(o) => capacity::plan::run(&o).map_err(|e| e.to_string()),
        What::Floor { port, child } => floor::run(port, child).map_err(|e| e.to_string()),
        What::Worker => worker::run().map_err(|e| e.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("foghorn-load: {e}");
            ExitCode::FAILURE
        }
    }
}
