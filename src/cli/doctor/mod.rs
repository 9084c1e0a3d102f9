//! `doctor`: does what Seafile's clients and servers do, from an administrator's machine, and says what is wrong and which
//! line of configuration mends it.
//!
//! * [`reach`]: `/ping`, and the clocks.
//! * [`handshake`]: the WebSocket through the proxy.
//! * [`trip`]: tokens and events, end to end.
//! * [`stores`]: Redis and the database, where they are configured.
//! * [`mend`]: the lines for each proxy; [`report`]: how it is told.

mod handshake;
mod mend;
mod reach;
mod report;
mod stores;
mod trip;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::mend::{Front, Proxy};
use self::report::{Check, Outcome, Report};
use self::trip::Listener;
use super::client::dial::Server;
use super::{Mint, fail, print, runtime};
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn doctor --url https://cloud.example.com/notification --inner http://10.0.0.11:8083
  foghorn doctor -c /opt/seafile/conf --url https://cloud.example.com --json

Redis and the database are checked where the environment, or seafile.conf, says where they are.
The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder; without it,
tokens and events are not tried. Events go to a library made up for this run: no user's client hears of them.
Exit code: 0 where nothing failed, 1 otherwise.";

/// What has not answered within this time is taken not to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check an installation from outside, and say what mends it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The public address, as clients know it
    #[arg(long, value_name = "URL", required_unless_present = "inner")]
    url: Option<String>,
    /// The inner address, as INNER_NOTIFICATION_SERVER_URL has it
    #[arg(long, value_name = "URL")]
    inner: Option<String>,
    /// The proxy in front, where its answers do not tell
    #[arg(long, value_name = "NAME")]
    proxy: Option<Proxy>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// One of the two addresses.
struct Side {
    /// `public` or `inner`.
    place: &'static str,
    server: Server,
    front: Front,
}

impl Side {
    /// As who this side is visited.
    fn agent(&self) -> &'static str {
        if self.place == "public" { "Seafile/9.0 (doctor)" } else { "Seafile Server" }
    }

    /// The origin of web pages that this side serves.
    fn origin(&self) -> String {
        let scheme = if self.server.tls() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.authority())
    }
}

/// Checks everything and prints the report.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let sides = match sides(arguments) {
        Ok(sides) => sides,
        Err(error) => return fail(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let mut told = Told { report: Report::default(), live: !arguments.json };
    runtime.block_on(async {
        for check in stores::check(sources).await {
            told.add(check);
        }
        examine(&sides, sources, &mut told).await;
    });
    let report = told.report;
    print(&if arguments.json { report.json() } else { report.summary() });
    if report.healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sides(arguments: &Arguments) -> Result<Vec<Side>, super::client::ClientError> {
    let parse = |url: &Option<String>| url.as_deref().map(Server::parse).transpose();
    let (public, inner) = (parse(&arguments.url)?.map(Server::for_clients), parse(&arguments.inner)?);
    let node = inner.as_ref().map_or_else(|| "NODE:8083".to_owned(), Server::authority);
    let path = public.as_ref().map_or("/notification", Server::websocket_path).to_owned();
    let side = |place, server| {
        let front = Front { proxy: arguments.proxy, node: node.clone(), path: path.clone() };
        Side { place, server, front }
    };
    let public = public.map(|server| side("public", server));
    let inner = inner.map(|server| side("inner", server));
    Ok(inner.into_iter().chain(public).collect())
}

/// The report, told while it comes about where people watch.
struct Told {
    report: Report,
    live: bool,
}

impl Told {
    fn add(&mut self, check: Check) {
        if self.live {
            print(&check.text());
        }
        self.report.checks.push(check);
    }
}

async fn examine(sides: &[Side], sources: &Sources, told: &mut Told) {
    let (mut streams, mut answering) = (Vec::new(), Vec::new());
    for side in sides {
        let (checks, answers) = reach::ping(side).await;
        for check in checks {
            told.add(check);
        }
        if !answers {
            continue;
        }
        answering.push(side);
        let (checks, stream) = handshake::check(side).await;
        for check in checks {
            told.add(check);
        }
        streams.extend(stream.map(|stream| (side.place, stream)));
    }
    let mint = match Mint::from(sources) {
        Ok(mint) => mint,
        Err(error) => {
            let what = format!("tokens and events were not tried: {error}");
            return told.add(Check::skipped("here", "key", what.replace('\n', "")));
        }
    };
    let library = format!("foghorn-doctor-{:032x}", rand::random::<u128>());
    let mut listeners = Vec::new();
    for (place, stream) in streams {
        let mut listener = Listener::new(place, stream).await;
        let check = listener.subscribe(&mint, &library).await;
        let subscribed = check.outcome == Outcome::Ok;
        told.add(check);
        if subscribed {
            listeners.push(listener);
        }
    }
    for side in answering {
        for check in trip::event(side, &mint, &library, &mut listeners).await {
            told.add(check);
        }
    }
    for listener in listeners {
        listener.leave().await;
    }
}
