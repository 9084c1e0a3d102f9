//! `listen`: reads a user's event stream as a page does, and prints one line for each notification.
//!
//! Invariant: it ends only when told to, when `--count` is reached, or when it is refused for good; every end of a stream is followed by
//! another try, from where it was, with growing pauses while it does not help.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Request};
use http_body_util::Empty;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::block::Block;
use super::client::stream::{EventStream, Next};
use super::client::{LONGEST_PAUSE, PATIENCE, pauses};
use super::terminal::{fail, print, runtime};
use crate::client::dial::Server;
use crate::config::Sources;
use crate::dialect::inbox::proof::{Proof, escaped};
use crate::event::now_ms;

const EXAMPLE: &str = "\
Examples:
  foghorn listen ann
  FOGHORN_SSE_JWT_KEY=… foghorn listen ann --url https://push.example.com --json

Notifications go to standard output, one a line: the type and the data, or with --json the id too.
What happens to the stream goes to standard error. `resync` says that something may be missing.
The proof is made with FOGHORN_SSE_JWT_KEY, else FOGHORN_SSE_COOKIE_SECRET (or their files); with neither, none is shown.
Exit code: 0 where it was told to end or --count was reached, 1 otherwise.";

/// Listen to a user's inbox and print what comes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Where inboxes are, as pages know it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// Seconds a token is good for; a new one is made when it runs out
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
    /// End after so many notifications
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Give a stream up after so many seconds of silence; signs of life come as FOGHORN_SSE_HEARTBEAT_SECONDS says
    #[arg(long, value_name = "SECONDS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    silence: u64,
    /// Print each notification as JSON
    #[arg(long)]
    json: bool,
    /// Whose inbox it is
    #[arg(value_name = "USER")]
    user: String,
}

/// Prints notifications until Ctrl-C.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let (server, proof) = match (Server::parse(&arguments.url), Proof::from(sources)) {
        (Ok(server), Ok(proof)) => (server, proof),
        (Err(error), _) => return fail(&format!("--url: {error}")),
        (_, Err(error)) => return fail(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let mut listener = Listener {
        server,
        proof,
        arguments,
        printed: 0,
        last: String::new(),
        retry: None,
    };
    let refused = runtime.block_on(async {
        tokio::select! {
            refused = listener.follow() => refused,
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    refused.map_or(ExitCode::SUCCESS, |refused| fail(&refused))
}

struct Listener<'a> {
    server: Server,
    proof: Proof,
    arguments: &'a Arguments,
    printed: u64,
    /// The id of what came last.
    last: String,
    /// How long the server asked to wait before coming back.
    retry: Option<Duration>,
}

/// Why a stream is over.
enum End {
    /// All that was asked for has been printed.
    Enough,
    /// In words.
    Lost(String),
    /// Trying again would not help.
    Refused(String),
}

impl Listener<'_> {
    /// Why it is refused for good; `None`: it has printed enough.
    async fn follow(&mut self) -> Option<String> {
        let mut backoff = pauses();
        loop {
            let started = Instant::now();
            let why = match self.stream().await {
                End::Enough => return None,
                End::Refused(why) => return Some(why),
                End::Lost(why) => why,
            };
            if started.elapsed() > LONGEST_PAUSE {
                backoff.reset();
            }
            let next = backoff.pause();
            let wait = self.retry.take().unwrap_or(next);
            eprintln!("{why}; listening again in {:.1} s", wait.as_secs_f32());
            tokio::time::sleep(wait).await;
        }
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, http::Error> {
        let Arguments { user, ttl, .. } = self.arguments;
        let mut request = Request::get(format!("{}/sse/{}", self.server.prefix(), escaped(user)))
            .header("accept", "text/event-stream")
            .body(Empty::new())?;
        let until = (now_ms() / 1_000) as i64 + i64::from(*ttl);
        let id = HeaderValue::from_str(&self.last)
            .ok()
            .filter(|id| !id.is_empty());
        let headers = request.headers_mut();
        headers.extend(self.proof.header(user, until));
        headers.extend(id.map(|id| (http::HeaderName::from_static("last-event-id"), id)));
        Ok(request)
    }

    /// One stream, from its request to its end.
    async fn stream(&mut self) -> End {
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return End::Refused(error.to_string()),
        };
        let mut stream = match EventStream::open(&self.server, request, PATIENCE).await {
            Ok(stream) if stream.status == 200 => stream,
            Ok(stream) => return self.refused(stream).await,
            Err(error) => return End::Lost(error.to_string()),
        };
        eprintln!(
            "listening at {} as {}",
            self.server.url(),
            self.arguments.user
        );
        let silence = self.arguments.silence;
        loop {
            match stream.next(Duration::from_secs(silence)).await {
                Next::Block(block) => {
                    if self.take(block) {
                        return End::Enough;
                    }
                }
                Next::End => return End::Lost("the stream ended".to_owned()),
                Next::Cut(error) => return End::Lost(format!("the stream was cut off: {error}")),
                Next::Other => return End::Refused("what comes is no event stream".to_owned()),
                Next::Silence => return End::Lost(format!("nothing heard for {silence} s")),
            }
        }
    }

    async fn refused(&self, answer: EventStream) -> End {
        let status = answer.status;
        let text = answer.text().await;
        let text = if text.starts_with('<') {
            ""
        } else {
            text.lines().next().unwrap_or_default()
        };
        let said = format!("{} answered {status}: {text}", self.server.authority());
        if (400..500).contains(&status) {
            End::Refused(said)
        } else {
            End::Lost(said)
        }
    }

    /// Looks at a block; whether it was the last.
    fn take(&mut self, block: Block) -> bool {
        let Block {
            event,
            data,
            id,
            retry,
        } = block;
        // What comes with an id is a stream that goes on; alone it says when to come back.
        self.retry = retry.filter(|_| id.is_none()).map(Duration::from_millis);
        if let Some(id) = id {
            self.last = id;
        }
        if matches!(&*event, "" | "connect" | "heartbeat") {
            return false;
        }
        print(&match self.arguments.json {
            true => format!(
                "{}\n",
                json!({"event": event, "data": read(&data), "id": self.last})
            ),
            false => format!("{event} {}\n", data.replace('\n', " ")),
        });
        self.printed += u64::from(event != "resync");
        self.arguments.count == Some(self.printed)
    }
}

/// Data as JSON, where it is that.
fn read(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|_| data.into())
}
