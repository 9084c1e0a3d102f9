//! `tail`: subscribes as a client does and prints one line for each message.
//!
//! Invariant: it ends only when told to or when `--count` is reached; every end of a connection is followed by another
//! try, with growing pauses while it does not help.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Mint;
use super::client::paths::Paths;
use super::client::{LONGEST_PAUSE, PATIENCE, pauses};
use super::terminal::{fail, print, runtime};
use crate::backoff::Backoff;
use crate::client::ClientError;
use crate::client::dial::{Server, Stream};
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn tail 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c
  foghorn tail -c /opt/seafile/conf --user a@example.com \\
      --url wss://seafile.example.com/notification LIBRARY LIBRARY

Messages go to standard output, one a line; what happens to the connection goes to standard error.
The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder.";

/// After this silence it asks whether the server is still there.
const ASK: Duration = Duration::from_secs(20);
/// After this silence it is not.
const SILENCE: Duration = Duration::from_secs(50);
/// A token refused this soon was never good.
const SOON: Duration = Duration::from_secs(5);

/// Subscribe to libraries and print what comes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Where the server is, as clients know it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8083")]
    url: String,
    /// User to subscribe as
    #[arg(long, value_name = "EMAIL", default_value = "")]
    user: String,
    /// Seconds a token is good for; a new one is made when it runs out
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
    /// End after so many messages
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Libraries to subscribe to
    #[arg(value_name = "LIBRARY", required = true)]
    repos: Vec<String>,
}

/// Prints messages until Ctrl-C.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let (server, mint) = match (Server::parse(&arguments.url), Mint::from(sources)) {
        (Ok(server), Ok(mint)) => (server, mint),
        (Err(error), _) => return fail(&error),
        (_, Err(error)) => return fail(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let mut tail = Tail {
        server,
        mint,
        arguments,
        printed: 0,
    };
    runtime.block_on(async {
        tokio::select! {
            () = tail.follow() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    });
    ExitCode::SUCCESS
}

struct Tail<'a> {
    server: Server,
    mint: Mint,
    arguments: &'a Arguments,
    printed: u64,
}

/// Why a connection is over.
enum End {
    /// All that was asked for has been printed.
    Enough,
    /// In the words of whoever ended it.
    Lost(String),
}

/// A server's message, as far as `tail` looks into it.
#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: String,
    content: Option<About>,
}

#[derive(Deserialize)]
struct About {
    repo_id: Option<String>,
}

impl Tail<'_> {
    async fn follow(&mut self) {
        let mut backoff = pauses();
        loop {
            let started = Instant::now();
            let why = match self.connect().await {
                Ok(socket) => match Connection::new(socket).run(self).await {
                    End::Enough => return,
                    End::Lost(why) => why,
                },
                Err(error) => error.to_string(),
            };
            if started.elapsed() > LONGEST_PAUSE {
                backoff.reset();
            }
            let wait = backoff.pause();
            eprintln!("{why}; connecting again in {:.1} s", wait.as_secs_f32());
            tokio::time::sleep(wait).await;
        }
    }

    async fn connect(&self) -> Result<WebSocketStream<Box<dyn Stream>>, ClientError> {
        let connect = async {
            let stream = self.server.connect().await?;
            let url = self.server.websocket_url();
            let (socket, _) = client_async(&url, stream)
                .await
                .map_err(|error| ClientError::WebSocket(error.to_string()))?;
            eprintln!("connected to {url}");
            Ok(socket)
        };
        timeout(PATIENCE, connect)
            .await
            .map_err(|_| ClientError::Timeout(self.server.authority(), PATIENCE.as_secs()))?
    }

    fn subscribe(&self, repos: &[String]) -> Message {
        let Arguments { user, ttl, .. } = self.arguments;
        let entry = |repo: &String| serde_json::json!({"id": repo, "jwt_token": self.mint.subscription(repo, user, *ttl)});
        let entries: Vec<_> = repos.iter().map(entry).collect();
        Message::text(
            serde_json::json!({"type": "subscribe", "content": {"repos": entries}}).to_string(),
        )
    }
}

/// One connection: what was heard when, and which libraries are to be subscribed to again.
struct Connection {
    socket: WebSocketStream<Box<dyn Stream>>,
    heard: Instant,
    libraries: HashMap<String, Library>,
}

/// A library's subscription on this connection.
struct Library {
    subscribed: Option<Instant>,
    /// When to subscribe again.
    due: Option<Instant>,
    backoff: Backoff,
}

impl Library {
    fn new() -> Self {
        Self {
            subscribed: None,
            due: None,
            backoff: pauses(),
        }
    }
}

impl Connection {
    fn new(socket: WebSocketStream<Box<dyn Stream>>) -> Self {
        Self {
            socket,
            heard: Instant::now(),
            libraries: HashMap::new(),
        }
    }

    async fn run(mut self, tail: &mut Tail<'_>) -> End {
        self.libraries = tail
            .arguments
            .repos
            .iter()
            .map(|repo| (repo.clone(), Library::new()))
            .collect();
        if let Err(error) = self.subscribe(tail, &tail.arguments.repos).await {
            return End::Lost(error);
        }
        let mut ask = tokio::time::interval(ASK);
        loop {
            let due = self
                .libraries
                .values()
                .filter_map(|library| library.due)
                .min();
            let next = due.unwrap_or_else(|| Instant::now() + LONGEST_PAUSE);
            let outcome = tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(message)) => match self.take(tail, message) {
                        Some(end) => return end,
                        None => Ok(()),
                    },
                    Some(Err(error)) => Err(format!("connection lost: {error}")),
                    None => Err("connection closed".into()),
                },
                _ = ask.tick() => self.ask().await,
                () = sleep_until(next) => self.subscribe_due(tail).await,
            };
            if let Err(why) = outcome {
                return End::Lost(why);
            }
        }
    }

    async fn ask(&mut self) -> Result<(), String> {
        if self.heard.elapsed() > SILENCE {
            return Err(format!("nothing heard for {} s", SILENCE.as_secs()));
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), String> {
        self.socket
            .send(message)
            .await
            .map_err(|error| format!("connection lost: {error}"))
    }

    async fn subscribe(&mut self, tail: &Tail<'_>, repos: &[String]) -> Result<(), String> {
        for repo in repos {
            if let Some(library) = self.libraries.get_mut(repo) {
                (library.subscribed, library.due) = (Some(Instant::now()), None);
            }
        }
        self.send(tail.subscribe(repos)).await
    }

    async fn subscribe_due(&mut self, tail: &Tail<'_>) -> Result<(), String> {
        let now = Instant::now();
        let is_due = |library: &Library| library.due.is_some_and(|due| due <= now);
        let repos: Vec<String> = self
            .libraries
            .iter()
            .filter(|(_, l)| is_due(l))
            .map(|(repo, _)| repo.clone())
            .collect();
        if repos.is_empty() {
            Ok(())
        } else {
            self.subscribe(tail, &repos).await
        }
    }

    /// Looks at what came; `Some` where it was the last.
    fn take(&mut self, tail: &mut Tail<'_>, message: Message) -> Option<End> {
        self.heard = Instant::now();
        match message {
            Message::Text(text) => {
                let incoming: Option<Incoming> = serde_json::from_str(&text).ok();
                if let Some(incoming) = incoming.filter(|incoming| incoming.kind == "jwt-expired") {
                    self.expired(
                        &incoming
                            .content
                            .and_then(|about| about.repo_id)
                            .unwrap_or_default(),
                    );
                    return None;
                }
                print(&format!("{}\n", text.trim_end().replace('\n', " ")));
                tail.printed += 1;
                (tail.arguments.count == Some(tail.printed)).then_some(End::Enough)
            }
            Message::Close(frame) => {
                let why =
                    frame.map(|frame| format!(" with {} {}", u16::from(frame.code), frame.reason));
                Some(End::Lost(format!(
                    "the server closed the connection{}",
                    why.unwrap_or_default()
                )))
            }
            _ => None,
        }
    }

    /// A token ran out, or was never good: then trying again at once would not help.
    fn expired(&mut self, repo: &str) {
        let Some(library) = self.libraries.get_mut(repo) else {
            return;
        };
        if library.subscribed.is_some_and(|at| at.elapsed() < SOON) {
            let wait = library.backoff.pause();
            library.due = Some(Instant::now() + wait);
            eprintln!(
                "the server refuses the token for {repo}: is JWT_PRIVATE_KEY its key, and do the clocks agree? Again in {:.1} s",
                wait.as_secs_f32()
            );
        } else {
            library.backoff.reset();
            library.due = Some(Instant::now());
            eprintln!("the token for {repo} ran out; subscribing with a new one");
        }
    }
}
