//! Tokens and events on their whole way: signed with the configured key, posted where Seafile posts, received where
//! clients receive.
//!
//! Invariant: everything happens in a library made up for this run, so that no user's client hears of it; no token is
//! shown.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::handshake::Stream;
use super::mend::Expected;
use super::reach::start;
use super::report::{Check, Outcome};
use super::sides::Side;
use super::{redirect, unreachable};
use crate::cli::Mint;
use crate::cli::client::paths::Paths;
use crate::cli::client::post;
use crate::client::exchange::Answer;

/// How long a token of this run is good, in seconds: long enough not to be taken for a wrong clock.
const TTL: u32 = 3_600;
/// An event that has not come by then does not come.
const ARRIVAL: Duration = Duration::from_secs(5);

/// A client on one side.
pub struct Listener {
    /// Which side it is on.
    pub(super) place: &'static str,
    /// The headers of the handshake's answer.
    answer: HeaderMap,
    /// Whether its token was taken.
    subscribed: bool,
    socket: WebSocketStream<TokioIo<Upgraded>>,
}

/// What came of waiting.
enum Heard {
    Message(Value),
    Closed(String),
    Nothing,
}

impl Listener {
    /// A client on a stream that was just upgraded.
    pub async fn new(place: &'static str, (answer, stream): Stream) -> Self {
        Self {
            place,
            answer,
            subscribed: false,
            socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await,
        }
    }

    /// Subscribes to `library` with a token of `mint`. A token that is surely bad goes after it: its refusal shows that
    /// the server has judged both, since a good one is not answered.
    pub async fn subscribe(&mut self, mint: &Mint, library: &str) -> Check {
        let place = self.place;
        let probe = format!("{library}-bad");
        let token = mint.subscription(library, "doctor@foghorn.invalid", TTL);
        let entries =
            json!([{"id": library, "jwt_token": token}, {"id": probe, "jwt_token": "bad"}]);
        let message = json!({"type": "subscribe", "content": {"repos": entries}}).to_string();
        if let Err(error) = self.socket.send(Message::text(message)).await {
            return Check::fail(
                place,
                "token",
                format!("the connection broke: {error}"),
                cut_off(),
            );
        }
        let by = Instant::now() + ARRIVAL;
        loop {
            match self.hear(by).await {
                Heard::Message(message) if message["type"] == "jwt-expired" => {
                    let about = &message["content"]["repo_id"];
                    if about == library {
                        return refused(place);
                    }
                    if about == probe.as_str() {
                        self.subscribed = true;
                        return Check::ok(
                            place,
                            "token",
                            "a token of this key is taken, a bad one refused",
                        );
                    }
                }
                Heard::Message(_) => {}
                Heard::Closed(why) => return Check::fail(place, "token", why, cut_off()),
                Heard::Nothing => {
                    let what = "the WebSocket is open, but nothing comes through it";
                    let mend = vec![
                        "nginx: proxy_buffering off;    # and no module that changes bodies in this location".into(),
                        "HAProxy: timeout tunnel 90s    # and no filter (compression, SPOE) on this backend".into(),
                    ];
                    return Check::fail(place, "token", what, mend);
                }
            }
        }
    }

    /// Stays connected, and quiet but for pongs, for `time`: a proxy may have less patience than the node's heartbeat.
    pub async fn hold(&mut self, side: &Side, time: Duration) -> Check {
        let since = Instant::now();
        loop {
            match self.hear(since + time).await {
                Heard::Nothing => {
                    return Check::ok(
                        self.place,
                        "hold",
                        format!("stayed open for {} s", time.as_secs()),
                    );
                }
                Heard::Message(_) => {}
                Heard::Closed(why) => {
                    let what = format!(
                        "{why}, after {} s in which nothing was sent",
                        since.elapsed().as_secs()
                    );
                    return Check::fail(
                        self.place,
                        "hold",
                        what,
                        side.front.mend(Expected::Patience, &self.answer, ""),
                    );
                }
            }
        }
    }

    /// Leaves as clients do.
    pub async fn leave(mut self) {
        // Whether the server still listens does not matter.
        let _ = tokio::time::timeout(ARRIVAL, self.socket.close(None)).await;
    }

    /// Waits for the event of commit `commit`; how long it took, or why it did not come.
    async fn receive(&mut self, commit: &str, since: Instant) -> Result<Duration, String> {
        loop {
            match self.hear(since + ARRIVAL).await {
                Heard::Message(message) if message["content"]["commit_id"] == commit => {
                    return Ok(since.elapsed());
                }
                Heard::Message(_) => {}
                Heard::Closed(why) => return Err(why),
                Heard::Nothing => {
                    return Err(format!("did not come within {} s", ARRIVAL.as_secs()));
                }
            }
        }
    }

    async fn hear(&mut self, by: Instant) -> Heard {
        loop {
            let message = match tokio::time::timeout_at(by.into(), self.socket.next()).await {
                Err(_) => return Heard::Nothing,
                Ok(None) => return Heard::Closed("the connection ended".into()),
                Ok(Some(Err(error))) => {
                    return Heard::Closed(format!("the connection broke: {error}"));
                }
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => {
                    if let Ok(value) = serde_json::from_str(&text) {
                        return Heard::Message(value);
                    }
                }
                Message::Close(frame) => {
                    let why =
                        frame.map(|frame| format!(": {} {}", u16::from(frame.code), frame.reason));
                    return Heard::Closed(format!(
                        "the server closed the connection{}",
                        why.unwrap_or_default()
                    ));
                }
                _ => {}
            }
        }
    }
}

/// What helps where a connection that was made ends at once.
fn cut_off() -> Vec<String> {
    vec![
        "journalctl -u foghorn    # says why, if a node ended it (FOGHORN_LOG_FORMAT, NOTIFICATION_SERVER_LOG_LEVEL=debug)".into(),
        "HAProxy: timeout tunnel 90s    # a node's heartbeat must fit in; nginx: proxy_read_timeout 90s;".into(),
    ]
}

fn refused(place: &'static str) -> Check {
    let mend = vec![
        "JWT_PRIVATE_KEY=…    # the same in Seafile's environment, on every node, and where this command runs".into(),
        "(foghorn check-config shows where a node has its key from; a blank or quote too many makes another key)"
            .into(),
    ];
    Check::fail(
        place,
        "token",
        "the server refuses tokens of this key: its JWT_PRIVATE_KEY is another one",
        mend,
    )
}

/// Posts an event on `side` and waits for it on each of `listeners` that is subscribed to `library`.
pub async fn event(
    side: &Side,
    mint: &Mint,
    library: &str,
    listeners: &mut [Listener],
) -> Vec<Check> {
    let commit = format!("{:040x}", rand::random::<u128>());
    let body = json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": commit}})
        .to_string();
    let since = Instant::now();
    let answer = match post::event(&side.server, &mint.events(TTL), body, super::PATIENCE).await {
        Ok(answer) => answer,
        Err(error) => {
            return vec![Check::fail(
                side.place,
                "post",
                error.to_string(),
                unreachable::mend(side, &error),
            )];
        }
    };
    let posted = judge(side, &answer, since.elapsed());
    let mut checks = vec![posted];
    if answer.status == 200 {
        for listener in listeners.iter_mut().filter(|listener| listener.subscribed) {
            let received = listener.receive(&commit, since).await;
            checks.push(arrival(side, listener.place, received));
        }
    }
    checks
}

fn arrival(side: &Side, at: &'static str, received: Result<Duration, String>) -> Check {
    let name = if side.place == "public" {
        "event from /notification/events"
    } else {
        "event from seaf-server"
    };
    match received {
        Ok(took) => Check::ok(
            at,
            "event",
            format!(
                "{name}: received {} ms after it was posted",
                took.as_millis()
            ),
        ),
        Err(why) => {
            let mend = vec![
                "FOGHORN_REDIS_URLS=redis://…    # the same on all nodes; without it, each node stands alone".into(),
                format!("# and {} must lead to the same installation as the other address", side.server.url()),
            ];
            Check::fail(at, "event", format!("{name}: accepted, but {why}"), mend)
        }
    }
}

/// Longer than this, and seaf-server may already have hung up (it waits a second and never tries again).
const SLOW: Duration = Duration::from_millis(700);

fn judge(side: &Side, answer: &Answer, took: Duration) -> Check {
    let (place, path) = (side.place, side.server.events_path());
    let ms = took.as_millis();
    let mend = |want| side.front.mend(want, &answer.headers, &answer.body);
    let seen = format!("{path} answers {}: {}", answer.status, start(&answer.body));
    match answer.status {
        200 if took > SLOW => {
            let mend = vec![
                "seaf-server hangs up after 1 s: is Redis slow, or the way to the node?".to_owned(),
            ];
            Check::warn(
                place,
                "post",
                format!("{path} takes events, but after {ms} ms"),
                mend,
            )
        }
        200 => Check::ok(place, "post", format!("{path} takes events, in {ms} ms")),
        400 if answer.body.contains("token not match") => Check {
            check: "post",
            ..refused(place)
        },
        403 if answer.body.contains("FOGHORN_EVENTS_FROM") => {
            let mend =
                vec!["FOGHORN_EVENTS_FROM=…    # on each node: add this address, if Seafile posts from it".into()];
            blocked(
                place,
                format!("{path}: this address may not post events (FOGHORN_EVENTS_FROM)"),
                mend,
            )
        }
        403 => blocked(
            place,
            format!("{path} answers 403 to this machine"),
            mend(Expected::Events),
        ),
        301 | 302 | 307 | 308 => {
            let (what, mend) = redirect::explain(side, &path, answer);
            Check::fail(place, "post", what, mend)
        }
        502..=504 => Check::fail(place, "post", seen, mend(Expected::Address)),
        413 => Check::fail(
            place,
            "post",
            seen,
            vec!["nginx: client_max_body_size 8m;".to_owned()],
        ),
        _ if place == "public" => Check::fail(
            place,
            "post",
            format!("{seen}; Seahub's notices of comments are lost"),
            mend(Expected::Events),
        ),
        _ => Check::fail(
            place,
            "post",
            seen,
            vec![format!(
                "INNER_NOTIFICATION_SERVER_URL=http://{}    # a node's address",
                side.front.node
            )],
        ),
    }
}

/// Posting is forbidden to this machine: right, unless Seafile's own servers meet the same.
fn blocked(place: &'static str, what: String, mend: Vec<String>) -> Check {
    let who = if place == "public" {
        "Seahub"
    } else {
        "Seafile's servers"
    };
    let what = format!("{what}: right only if {who} may post; run this there to know");
    Check {
        outcome: Outcome::Warn,
        ..Check::fail(place, "post", what, mend)
    }
}
