//! Users' inboxes from outside, as a page has them: the event stream through the proxy, what is posted, other origins, HTTP/2.
//!
//! * [`judge`]: what an answer means, pure. [`mend`]: the lines for each proxy.
//!
//! Invariant: what is posted is for a user made up for this run, whom nobody else is; a proof is made as a page would have it, and never shown.

mod judge;
mod mend;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Request};
use http_body_util::Empty;
use serde_json::json;
use tokio::time::{Instant, timeout};

use self::judge::First;
use self::mend::{Need, lines};
use super::report::Check;
use super::{Arguments, PATIENCE};
use crate::cli::client::stream::{EventStream, Next};
use crate::client::ClientError;
use crate::client::dial::Server;
use crate::client::exchange;
use crate::config::{self, Sources};
use crate::dialect::inbox::proof::{self, Proof};
use crate::dialect::inbox::settings::ORIGINS;
use crate::event::now_ms;

/// What is sent must be there within this time.
const SOON: Duration = Duration::from_secs(5);
/// How long the proof of this run is good, seconds.
const TTL: u64 = 3_600;
/// Origins that are looked at, at most.
const MOST: usize = 5;

/// One run's visit.
struct Visit<'a> {
    server: Server,
    user: String,
    proof: Proof,
    arguments: &'a Arguments,
    sources: &'a Sources,
}

/// Checks inboxes at `url`.
///
/// # Errors
/// The address is none, or a key cannot be read.
pub async fn check(
    url: &str,
    arguments: &Arguments,
    sources: &Sources,
) -> Result<Vec<Check>, String> {
    let server = Server::parse(url).map_err(|error| format!("--sse: {error}"))?;
    let proof = Proof::from(sources).map_err(|error| error.to_string())?;
    let user = format!("foghorn-doctor-{:016x}", rand::random::<u64>());
    let visit = Visit {
        server,
        user,
        proof,
        arguments,
        sources,
    };
    let (mut checks, stream) = visit.stream().await;
    if let Some(mut stream) = stream {
        checks.extend(visit.event(&mut stream).await);
        checks.extend(visit.hold(&mut stream).await);
    }
    checks.extend(visit.origins().await);
    checks.push(visit.http2().await);
    Ok(checks)
}

impl Visit<'_> {
    fn mend(&self, need: Need, headers: &HeaderMap, body: &str) -> Vec<String> {
        lines(need, self.arguments.proxy, headers, body)
    }

    fn path(&self) -> String {
        format!(
            "{}/sse/{}",
            self.server.prefix(),
            proof::escaped(&self.user)
        )
    }

    fn headers(&self) -> HeaderMap {
        let until = now_ms() / 1_000 + TTL;
        self.proof
            .header(&self.user, until as i64)
            .into_iter()
            .collect()
    }

    /// Opens the stream, up to its first block.
    async fn stream(&self) -> (Vec<Check>, Option<EventStream>) {
        let fail = |what: String, mend: Vec<String>| {
            (vec![Check::fail("sse", "stream", what, mend)], None)
        };
        let request = Request::get(self.path())
            .header("accept", "text/event-stream")
            .header("accept-encoding", "gzip");
        let Ok(mut request) = request.body(Empty::<Bytes>::new()) else {
            return fail(
                "no request can be made".into(),
                vec!["--sse https://PUSH.EXAMPLE.COM".into()],
            );
        };
        request.headers_mut().extend(self.headers());
        let mut stream = match EventStream::open(&self.server, request, PATIENCE).await {
            Ok(stream) => stream,
            Err(error @ ClientError::Timeout(..)) => {
                let what =
                    format!("{error}: the proxy holds the stream back, or nobody is behind it");
                return fail(what, self.mend(Need::Unbuffered, &HeaderMap::new(), ""));
            }
            Err(error) => return fail(error.to_string(), judge::unreachable(&self.server, &error)),
        };
        let (status, headers) = (stream.status, stream.headers.clone());
        if let Some(judged) = judge::head(status, &headers) {
            let body = if status == 200 {
                String::new()
            } else {
                stream.text().await
            };
            let own = judged.mend.clone().map(|line| vec![line]);
            let mend = own.unwrap_or_else(|| self.mend(judged.need, &headers, &body));
            return (
                vec![Check::fail("sse", judged.check, judged.what(&body), mend)],
                None,
            );
        }
        let began = Instant::now();
        let first = timeout(SOON, stream.next(SOON))
            .await
            .unwrap_or(Next::Silence);
        match judge::first(&first) {
            First::Connected => {
                let what = format!(
                    "an event stream begins, in {} ms",
                    began.elapsed().as_millis()
                );
                (vec![Check::ok("sse", "stream", what)], Some(stream))
            }
            First::TryAgain(what) => (
                vec![Check::warn("sse", "stream", what, judge::busy())],
                None,
            ),
            First::Held(what) => fail(what, self.mend(Need::Unbuffered, &headers, "")),
            First::Wrong(what) => fail(what, self.mend(Need::Route, &headers, "")),
        }
    }

    /// Posts a notification, which must come by the stream at once.
    async fn event(&self, stream: &mut EventStream) -> Option<Check> {
        let body = json!({"id": format!("notify_{}", self.user), "data": "doctor"}).to_string();
        let request = Request::post(format!("{}/webNotification", self.server.prefix()));
        let mut request = request
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .ok()?;
        match proof::posting(self.sources) {
            Ok(secret) => request.headers_mut().extend(secret),
            Err(error) => {
                return Some(Check::skipped(
                    "sse",
                    "event",
                    error.to_string().replace('\n', " "),
                ));
            }
        }
        let posted = match exchange::send(&self.server, request, PATIENCE).await {
            Ok((answer, _)) => answer,
            Err(error) => {
                let mend = judge::unreachable(&self.server, &error);
                return Some(Check::fail("sse", "event", error.to_string(), mend));
            }
        };
        if posted.status != 200 {
            let route = || self.mend(Need::Route, &posted.headers, &posted.body);
            return Some(judge::refused_post(posted.status, &posted.body, route));
        }
        let began = Instant::now();
        let arrives = async {
            loop {
                match stream.next(SOON).await {
                    Next::Block(block) if block.event == "notify" => return true,
                    Next::Block(_) => {}
                    _ => return false,
                }
            }
        };
        if timeout(SOON, arrives).await.unwrap_or(false) {
            let what = format!(
                "what is posted comes by the stream, in {} ms",
                began.elapsed().as_millis()
            );
            return Some(Check::ok("sse", "event", what));
        }
        let what = "what is posted is accepted, and does not come by the stream: the proxy holds it back, or the post and the stream go \
                    to nodes that share no Redis (FOGHORN_REDIS_URLS)";
        Some(Check::fail(
            "sse",
            "event",
            what,
            self.mend(Need::Unbuffered, &stream.headers, ""),
        ))
    }

    /// Stays for as long as was asked for.
    async fn hold(&self, stream: &mut EventStream) -> Option<Check> {
        let (hold, began) = (Duration::from_secs(self.arguments.hold), Instant::now());
        if hold.is_zero() {
            return Some(Check::skipped(
                "sse",
                "hold",
                "whether a quiet stream is cut shows --hold 90",
            ));
        }
        let mut goodbye = false;
        let stays = async {
            loop {
                match stream.next(hold.saturating_mul(2)).await {
                    Next::Block(block) => goodbye = block.retry.is_some() && block.event.is_empty(),
                    _ => return,
                }
            }
        };
        if timeout(hold, stays).await.is_err() {
            return Some(Check::ok(
                "sse",
                "hold",
                format!("a stream stays open for {} s", hold.as_secs()),
            ));
        }
        let after = began.elapsed().as_secs();
        if goodbye {
            let what = format!(
                "after {after} s the node ended it and said when to come back: it is being restarted"
            );
            return Some(Check::warn(
                "sse",
                "hold",
                what,
                vec!["foghorn nodes    # how the nodes are".into()],
            ));
        }
        let what = format!(
            "a quiet stream was cut after {after} s: the proxy's time is shorter than Foghorn's signs of life are apart"
        );
        Some(Check::fail(
            "sse",
            "hold",
            what,
            self.mend(Need::Patience, &stream.headers, ""),
        ))
    }

    /// Whether pages of other origins can read.
    async fn origins(&self) -> Vec<Check> {
        let configured = || {
            config::load(self.sources)
                .so_far()
                .values
                .optional(&ORIGINS)
                .unwrap_or_default()
        };
        let origins = self
            .arguments
            .origin
            .clone()
            .map_or_else(configured, |origin| vec![origin]);
        if origins.is_empty() {
            let what = "no origin of pages is known (--origin, FOGHORN_SSE_ORIGINS)";
            return vec![Check::skipped("sse", "cors", what)];
        }
        let mut checks = Vec::new();
        for origin in origins.iter().take(MOST) {
            let Ok(mut request) = Request::head(self.path())
                .header(ORIGIN, origin)
                .body(String::new())
            else {
                continue;
            };
            request.headers_mut().extend(self.headers());
            checks.push(
                match exchange::send(&self.server, request, PATIENCE).await {
                    Ok((answer, _)) => {
                        let proxy = || self.mend(Need::OneOrigin, &answer.headers, "");
                        judge::cors(origin, answer.status, &answer.headers, proxy)
                    }
                    Err(error) => Check::fail(
                        "sse",
                        "cors",
                        error.to_string(),
                        judge::unreachable(&self.server, &error),
                    ),
                },
            );
        }
        checks
    }

    async fn http2(&self) -> Check {
        if !self.server.tls() {
            return Check::skipped(
                "sse",
                "http2",
                "in clear text browsers speak HTTP/1.1: six connections to a host",
            );
        }
        match self.server.negotiated().await {
            Ok(Some(chosen)) if chosen == b"h2" => Check::ok("sse", "http2", "browsers get HTTP/2"),
            Ok(_) => {
                let what = "browsers get HTTP/1.1: all tabs of one share six connections to the host, and each stream takes one";
                Check::warn(
                    "sse",
                    "http2",
                    what,
                    self.mend(Need::Http2, &HeaderMap::new(), ""),
                )
            }
            Err(error) => Check::fail(
                "sse",
                "http2",
                error.to_string(),
                judge::unreachable(&self.server, &error),
            ),
        }
    }
}
