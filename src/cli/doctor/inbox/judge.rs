//! What an answer to a page's request means, and what mends it.
//!
//! Invariant: pure; each finding names what was seen, what was expected, and a change that touches nothing else.

use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, CONTENT_TYPE,
    LOCATION,
};

use super::mend::Need;
use crate::cli::client::stream::Next;
use crate::cli::doctor::reach::start;
use crate::cli::doctor::report::Check;
use crate::client::ClientError;
use crate::client::dial::Server;

/// What is wrong with an answer's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The check that fails.
    pub(super) check: &'static str,
    what: String,
    /// What the proxy needs, unless there is a line of its own.
    pub(super) need: Need,
    /// That line.
    pub(super) mend: Option<String>,
}

impl Judged {
    /// What was seen, in words.
    pub fn what(&self, body: &str) -> String {
        if body.trim().is_empty() || body.trim_start().starts_with('<') {
            return self.what.clone();
        }
        format!("{}: {}", self.what, start(body))
    }
}

/// What is wrong with the head of what should be a stream; `None`: nothing.
pub fn head(status: u16, headers: &HeaderMap) -> Option<Judged> {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let judged = |what: String, need| {
        Some(Judged {
            check: "stream",
            what,
            need,
            mend: None,
        })
    };
    let own = |what: String, line: String| {
        Some(Judged {
            check: "stream",
            what,
            need: Need::Route,
            mend: Some(line),
        })
    };
    let said = format!("an event stream is answered {status}");
    match status {
        200 if !matches!(value(CONTENT_ENCODING), "" | "identity") => Some(Judged {
            check: "gzip",
            what: format!(
                "the proxy compresses event streams ({}): it gathers what it should pass on at once",
                value(CONTENT_ENCODING)
            ),
            need: Need::NoGzip,
            mend: None,
        }),
        200 if !value(CONTENT_TYPE).starts_with("text/event-stream") => {
            judged(format!("{said} as {:?}, not as text/event-stream: another server answers", value(CONTENT_TYPE)), Need::Route)
        }
        200 => None,
        401 => own(
            format!("{said}: the proof is not good, or none is shown"),
            "FOGHORN_SSE_JWT_KEY=… or FOGHORN_SSE_COOKIE_SECRET=…    # in this command's environment, as the nodes have it".into(),
        ),
        403 => own(
            format!("{said}: who asks may not come"),
            "FOGHORN_SSE_ORIGINS    # the origins of pages; or a rule of the proxy for /sse".into(),
        ),
        404 | 405 => judged(format!("{said}: the path does not lead to where inboxes are (FOGHORN_SSE_ADDR)"), Need::Route),
        502..=504 => judged(
            format!("{said}: the proxy reaches no node, and a page that reads this gives up until it is reloaded"),
            Need::Wait,
        ),
        300..=399 => {
            let line = format!("--sse {}    # and the same in pages", value(LOCATION));
            own(format!("{said}: it leads elsewhere"), line)
        }
        _ => judged(said, Need::Route),
    }
}

/// What the first thing means that comes by a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It begins as it should.
    Connected,
    /// It is to be tried later.
    TryAgain(String),
    /// It is held back.
    Held(String),
    /// It is none.
    Wrong(String),
}

/// See [`First`].
pub fn first(next: &Next) -> First {
    match next {
        Next::Block(block) if block.event == "connect" => First::Connected,
        Next::Block(block) if block.event.is_empty() && block.retry.is_some() => {
            let seconds = block.retry.unwrap_or_default() / 1_000;
            First::TryAgain(format!(
                "it says to come back in {seconds} s: the node is full, over a limit or ending, or the proxy says so since it reaches no node"
            ))
        }
        Next::Block(block) => First::Wrong(format!(
            "it begins with {:?}, not with connect: another server answers",
            block.event
        )),
        Next::Silence => First::Held(
            "the head comes, and the first event does not: the proxy holds it back".into(),
        ),
        Next::End => First::Held(
            "it ends before its first event: the proxy, or something before it, cuts it".into(),
        ),
        Next::Cut(why) => First::Held(format!("it is cut off before its first event: {why}")),
        Next::Other => First::Wrong("what comes is no event stream".into()),
    }
}

/// What helps where a node or proxy says to come back.
pub fn busy() -> Vec<String> {
    vec![
        "foghorn nodes    # do they run, and how full are they?".into(),
        "curl -N http://NODE:3000/sse/x    # past the proxy: does a node say the same?".into(),
    ]
}

/// What a post that was not taken means. `route` are the proxy's lines.
pub(super) fn refused_post(status: u16, body: &str, route: impl Fn() -> Vec<String>) -> Check {
    let what = format!("a post is answered {status}: {}", start(body));
    let line = |text: &str| vec![text.to_owned()];
    match status {
        401 => Check::warn(
            "sse",
            "event",
            what,
            line("FOGHORN_SSE_SECRET=…    # in this command's environment, as the nodes have it"),
        ),
        403 => Check::warn(
            "sse",
            "event",
            what,
            line("FOGHORN_EVENTS_FROM    # names who may post; this machine need not"),
        ),
        400 => Check::warn(
            "sse",
            "event",
            what,
            line(
                "FOGHORN_SSE_TYPES=…,notify    # the type that this command posts; pages need not",
            ),
        ),
        413 | 415 => Check::fail(
            "sse",
            "event",
            what,
            line("client_max_body_size 1m;    # nginx, for /webNotification"),
        ),
        503 => Check::fail(
            "sse",
            "event",
            what,
            line("foghorn nodes    # Redis is away, and too much waits for it"),
        ),
        _ => Check::fail("sse", "event", what, route()),
    }
}

/// Whether pages of `origin` can read the answer. `proxy` are the proxy's lines.
pub fn cors(
    origin: &str,
    status: u16,
    headers: &HeaderMap,
    proxy: impl Fn() -> Vec<String>,
) -> Check {
    let allowed: Vec<&str> = headers
        .get_all(ACCESS_CONTROL_ALLOW_ORIGIN)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let setting = || {
        vec![format!(
            "FOGHORN_SSE_ORIGINS={origin}    # added to what is there"
        )]
    };
    let credentials = headers
        .get(ACCESS_CONTROL_ALLOW_CREDENTIALS)
        .is_some_and(|value| value == "true");
    match (status, &*allowed) {
        (403, _) => Check::fail(
            "sse",
            "cors",
            format!("pages of {origin} are refused"),
            setting(),
        ),
        (_, []) => Check::fail(
            "sse",
            "cors",
            format!("pages of {origin} cannot read: Access-Control-Allow-Origin is missing"),
            setting(),
        ),
        (_, [one]) if one.eq_ignore_ascii_case(origin) && credentials => {
            Check::ok("sse", "cors", format!("pages of {origin} can read"))
        }
        (_, [one]) if one.eq_ignore_ascii_case(origin) => Check::fail(
            "sse",
            "cors",
            format!(
                "pages of {origin} cannot read with cookies: Access-Control-Allow-Credentials is not true"
            ),
            proxy(),
        ),
        (_, [one]) if *one != "*" && !one.contains(',') => Check::fail(
            "sse",
            "cors",
            format!("pages of {origin} cannot read: {one} is allowed"),
            setting(),
        ),
        _ => Check::fail(
            "sse",
            "cors",
            format!(
                "pages of {origin} cannot read: Access-Control-Allow-Origin is {}, and should be that once",
                allowed.join(" and ")
            ),
            proxy(),
        ),
    }
}

/// What helps where there is no answer.
pub fn unreachable(server: &Server, error: &ClientError) -> Vec<String> {
    let authority = server.authority();
    match error {
        ClientError::Http { .. } => {
            let other = if server.tls() { "http" } else { "https" };
            vec![format!(
                "--sse {other}://{authority}    # if that port speaks {other}; else something else than HTTP listens there"
            )]
        }
        ClientError::Connect { .. } if server.tls() => vec![
            format!("openssl s_client -connect {authority}    # what certificate does it show, and who signed it?"),
            "SSL_CERT_FILE=AUTHORITY.pem    # names a private authority to this command".into(),
        ],
        _ => vec![
            format!("curl -N {}/sse/x    # does the proxy run, and does a firewall let this through?", server.url()),
            "FOGHORN_SSE_ADDR=0.0.0.0:3000    # the node's; 127.0.0.1 is reached from its own machine only".into(),
        ],
    }
}

#[cfg(test)]
mod tests;
