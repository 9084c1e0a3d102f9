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
use futures_util::future::join_all;

use self::mend::{Front, Proxy};
use self::report::{Check, Report};
use self::trip::Listener;
use super::client::dial::Server;
use super::{Mint, fail, print, runtime};
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn doctor --url https://cloud.example.com/notification --inner http://10.0.0.11:8083
  foghorn doctor -c /opt/seafile/conf --url https://cloud.example.com --hold 90 --json

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
    /// Stay connected for so long, to see whether a proxy cuts quiet connections off
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    hold: u64,
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
        examine(&sides, sources, Duration::from_secs(arguments.hold), &mut told).await;
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

async fn examine(sides: &[Side], sources: &Sources, hold: Duration, told: &mut Told) {
    let (answering, mut listeners) = connect(sides, told).await;
    match Mint::from(sources) {
        Ok(mint) => converse(&mint, &answering, &mut listeners, told).await,
        Err(error) => {
            let what = format!("tokens and events were not tried: {error}").replace('\n', "");
            told.add(Check::skipped("here", "key", what));
        }
    }
    if !hold.is_zero() {
        // All at once: whoever is not listened to cannot answer the node's pings.
        let held = listeners.iter_mut().map(|listener| {
            let side = sides.iter().find(|side| side.place == listener.place);
            async move { Some(listener.hold(side?, hold).await) }
        });
        join_all(held).await.into_iter().flatten().for_each(|check| told.add(check));
    }
    join_all(listeners.into_iter().map(Listener::leave)).await;
}

/// Which sides answer at all, and the clients that could connect there.
async fn connect<'a>(sides: &'a [Side], told: &mut Told) -> (Vec<&'a Side>, Vec<Listener>) {
    let (mut answering, mut listeners) = (Vec::new(), Vec::new());
    for side in sides {
        let (checks, answers) = reach::ping(side).await;
        checks.into_iter().for_each(|check| told.add(check));
        if !answers {
            continue;
        }
        answering.push(side);
        let (checks, stream) = handshake::check(side).await;
        checks.into_iter().for_each(|check| told.add(check));
        if let Some(stream) = stream {
            listeners.push(Listener::new(side.place, stream).await);
        }
    }
    (answering, listeners)
}

async fn converse(mint: &Mint, sides: &[&Side], listeners: &mut [Listener], told: &mut Told) {
    let library = format!("foghorn-doctor-{:032x}", rand::random::<u128>());
    for listener in listeners.iter_mut() {
        told.add(listener.subscribe(mint, &library).await);
    }
    for side in sides {
        for check in trip::event(side, mint, &library, listeners).await {
            told.add(check);
        }
    }
}
