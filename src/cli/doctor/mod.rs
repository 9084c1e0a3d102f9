//! `doctor`: does what Seafile's clients and servers do, from an administrator's machine, and says what is wrong and which
//! line of configuration mends it.
//!
//! * [`sides`]: which addresses.
//! * [`reach`]: `/ping`, and the clocks; [`redirect`]: answers that lead elsewhere; [`unreachable`]: none.
//! * [`handshake`]: the WebSocket through the proxy.
//! * [`trip`]: tokens and events, end to end.
//! * [`nodes`]: each node past the proxy.
//! * [`stores`]: Redis ([`redis`]), the database, the backend's sessions ([`sessions`]) and the MQTT broker ([`mqtt`]), where they are
//!   configured; [`files`]: who can read the files with secrets.
//! * [`inbox`]: users' event streams.
//! * [`mend`]: the lines for each proxy; [`report`]: how it is told.

mod files;
mod handshake;
mod inbox;
mod mend;
mod mqtt;
mod nodes;
mod reach;
mod redirect;
mod redis;
mod report;
mod sessions;
mod sides;
mod stores;
mod trip;
mod unreachable;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;

use self::mend::Proxy;
use self::report::{Check, Report};
use self::sides::Side;
use self::trip::Listener;
use super::Mint;
use super::terminal::{fail, print, runtime};
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn doctor --url https://cloud.example.com/notification --inner http://10.0.0.11:8083
  foghorn doctor -c /opt/seafile/conf --url https://cloud.example.com --hold 90 --json
  foghorn doctor -c /opt/seafile/conf
  foghorn doctor --sse https://push.example.com --origin https://www.example.com --hold 90

With --sse alone, inboxes are looked at and nothing of Seafile's; the proof is made with FOGHORN_SSE_JWT_KEY or FOGHORN_SSE_COOKIE_SECRET,
and a notification is posted, with FOGHORN_SSE_SECRET, to a user made up for this run. The MQTT broker is checked where
FOGHORN_INBOX_BROKER_URL and FOGHORN_DIALECTS say so, under a client id of its own, so that no node is thrown out: it is
asked for the subscription, and sent a message for nobody, which should come back. The backend's Redis
(FOGHORN_INBOX_SESSION_REDIS_URL) is asked for a session that is nobody's.

Without --url and --inner, the addresses are those of NOTIFICATION_SERVER_URL and INNER_NOTIFICATION_SERVER_URL in the
environment, else that of this machine's node. Each node's key is looked at where a node's ops address tells of them all
(--ops, FOGHORN_OPS_PASSWORD). Redis and the database are checked where the environment, or seafile.conf, says where they are.
The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder; without it,
tokens and events are not tried. Events go to a library made up for this run: no user's client hears of them.
Exit code: 0 where nothing failed, 1 otherwise.";

/// What has not answered within this time is taken not to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check an installation from outside, and say what mends it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// The public address, as clients know it; /notification is added where no path is given
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The inner address, as INNER_NOTIFICATION_SERVER_URL has it
    #[arg(long, value_name = "URL")]
    inner: Option<String>,
    /// Ops address of a node, which knows all of them; without it, that of this machine's node (FOGHORN_OPS_ADDR)
    #[arg(long, value_name = "URL")]
    ops: Option<String>,
    /// Where users' inboxes are, as pages know it, to look at event streams
    #[arg(long, value_name = "URL")]
    sse: Option<String>,
    /// The origin of pages that read event streams; without it, those of FOGHORN_SSE_ORIGINS
    #[arg(long, value_name = "ORIGIN", requires = "sse")]
    origin: Option<String>,
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

/// Checks everything and prints the report.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let mut told = Told {
        report: Report::default(),
        live: !arguments.json,
    };
    let found = runtime.block_on(async {
        let seafile =
            arguments.url.is_some() || arguments.inner.is_some() || arguments.sse.is_none();
        let (sides, notes) = if seafile {
            sides::find(arguments, sources).await?
        } else {
            Default::default()
        };
        notes.into_iter().for_each(|note| told.add(note));
        stores::check(sources)
            .await
            .into_iter()
            .for_each(|check| told.add(check));
        if seafile {
            examine(arguments, &sides, sources, &mut told).await;
        }
        if let Some(url) = &arguments.sse {
            inbox::check(url, arguments, sources)
                .await?
                .into_iter()
                .for_each(|check| told.add(check));
        }
        Ok::<_, String>(())
    });
    if let Err(error) = found {
        return fail(&error);
    }
    let report = told.report;
    print(&if arguments.json {
        report.json()
    } else {
        report.summary()
    });
    if report.healthy() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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

async fn examine(arguments: &Arguments, sides: &[Side], sources: &Sources, told: &mut Told) {
    let (answering, mut listeners) = connect(sides, told).await;
    match Mint::from(sources) {
        Ok(mint) => {
            converse(&mint, &answering, &mut listeners, told).await;
            for check in nodes::check(arguments, sources, &mint, &answering).await {
                told.add(check);
            }
        }
        Err(error) => {
            let what = format!("tokens and events were not tried: {error}").replace('\n', "");
            told.add(Check::skipped("here", "key", what));
        }
    }
    let hold = Duration::from_secs(arguments.hold);
    if !hold.is_zero() {
        // All at once: whoever is not listened to cannot answer the node's pings.
        let held = listeners.iter_mut().map(|listener| {
            let side = sides.iter().find(|side| side.place == listener.place);
            async move { Some(listener.hold(side?, hold).await) }
        });
        join_all(held)
            .await
            .into_iter()
            .flatten()
            .for_each(|check| told.add(check));
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
