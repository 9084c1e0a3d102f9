//! The WebSocket handshake, with the very headers that the desktop client sends, and what a refusal says about the proxy.
//!
//! Invariant: the server's own words about the missing header come first; guesses are made only where there are none.

use http::header::{
    CACHE_CONTROL, CONNECTION, ORIGIN, PRAGMA, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::mend::Expected;
use super::reach::start;
use super::report::{Check, Outcome};
use super::sides::Side;
use super::{PATIENCE, redirect, unreachable};
use crate::cli::client::paths::Paths;
use crate::client::exchange::{self, Answer, Reply};

/// What the desktop client offers. It lives without it in the answer.
const SUBPROTOCOL: &str = "notification.seafile.com";

/// A WebSocket's stream, and the headers it was agreed to with.
pub type Stream = (HeaderMap, TokioIo<Upgraded>);

/// Who is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitor {
    Desktop,
    Page,
}

/// Connects as the desktop client and as a web page do. The first's stream is kept for what follows.
pub async fn check(side: &Side) -> (Vec<Check>, Option<Stream>) {
    let (mut checks, stream) = desktop(side).await;
    if stream.is_some() && side.place == "public" {
        checks.push(page(side).await);
    }
    (checks, stream)
}

/// Connects as the desktop client does.
pub async fn desktop(side: &Side) -> (Vec<Check>, Option<Stream>) {
    let key = generate_key();
    match knock(side, Visitor::Desktop, &key).await {
        Ok((answer, Some(stream))) => {
            let checks = accepted(side, &answer, &key);
            let good = checks[0].outcome == Outcome::Ok;
            (checks, good.then_some((answer.headers, stream)))
        }
        Ok((answer, None)) => (vec![refused(side, &answer)], None),
        Err(error) => (
            vec![Check::fail(
                side.place,
                "upgrade",
                error.to_string(),
                unreachable::mend(side, &error),
            )],
            None,
        ),
    }
}

async fn knock(
    side: &Side,
    visitor: Visitor,
    key: &str,
) -> Result<Reply, crate::client::ClientError> {
    let mut request = Request::get(side.server.websocket_path())
        .header(PRAGMA, "no-cache")
        .header(CACHE_CONTROL, "no-cache")
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_KEY, key)
        .header(SEC_WEBSOCKET_VERSION, "13");
    request = match visitor {
        Visitor::Desktop => request
            .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
            .header("User-Agent", side.agent()),
        Visitor::Page => request.header(ORIGIN, side.origin()).header(
            "User-Agent",
            concat!("Mozilla/5.0 (foghorn/", env!("CARGO_PKG_VERSION"), ")"),
        ),
    };
    let request = request
        .body(String::new())
        .map_err(|_| crate::client::ClientError::Url {
            url: side.server.websocket_url(),
        })?;
    exchange::send(&side.server, request, PATIENCE).await
}

fn accepted(side: &Side, answer: &Answer, key: &str) -> Vec<Check> {
    let place = side.place;
    let header = |name: &HeaderName| {
        answer
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if header(&SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str()) {
        let what =
            "101, but Sec-WebSocket-Accept does not fit the key that was sent: clients hang up";
        let mend = side
            .front
            .mend(Expected::Header("Sec-WebSocket-Key"), &answer.headers, "");
        return vec![Check::fail(place, "upgrade", what, mend)];
    }
    let upgrade = Check::ok(
        place,
        "upgrade",
        format!("a WebSocket, in {} ms", answer.took.as_millis()),
    );
    let agreed = header(&SEC_WEBSOCKET_PROTOCOL).or(header(&SEC_WEBSOCKET_EXTENSIONS));
    let subprotocol = match agreed {
        None => Check::ok(place, "subprotocol", "none is agreed to, as clients expect"),
        Some(agreed) => {
            let what =
                format!("the server agrees to {agreed:?}, which a notification server never does");
            let mend = vec![format!(
                "is {} the address of a notification server?",
                side.server.url()
            )];
            Check::warn(place, "subprotocol", what, mend)
        }
    };
    vec![upgrade, subprotocol]
}

async fn page(side: &Side) -> Check {
    let (place, origin) = (side.place, side.origin());
    match knock(side, Visitor::Page, &generate_key()).await {
        Ok((_, Some(_))) => Check::ok(place, "web page", format!("a page of {origin} may connect")),
        Ok((answer, None)) if answer.body.contains("FOGHORN_ALLOWED_ORIGINS") => {
            let mend = vec![format!(
                "FOGHORN_ALLOWED_ORIGINS={origin}    # on each node, beside what it has now"
            )];
            Check::fail(
                place,
                "web page",
                format!("pages of {origin} are turned away"),
                mend,
            )
        }
        Ok((answer, None)) => Check {
            check: "web page",
            ..refused(side, &answer)
        },
        Err(error) => Check::fail(
            place,
            "web page",
            error.to_string(),
            unreachable::mend(side, &error),
        ),
    }
}

/// What the server found missing, in its own words or in those of the reference.
fn missing(body: &str) -> Option<Expected> {
    if body.contains("HTTP/1.0") {
        return Some(Expected::Http11);
    }
    let named = |name: &str| body.contains(&format!("the header `{name}"));
    if named("Connection")
        || named("Upgrade")
        || body.contains("'Connection' header")
        || body.contains("'Upgrade' header")
    {
        return Some(Expected::Upgrade);
    }
    ["Sec-WebSocket-Key", "Sec-WebSocket-Version"]
        .into_iter()
        .find(|name| named(name) || body.contains(&format!("'{name}'")))
        .map(Expected::Header)
}

fn refused(side: &Side, answer: &Answer) -> Check {
    let mend = |want| side.front.mend(want, &answer.headers, &answer.body);
    let status = StatusCode::from_u16(answer.status).unwrap_or_default();
    let fail = |what: String, mend| Check::fail(side.place, "upgrade", what, mend);
    match (status, missing(&answer.body)) {
        (StatusCode::BAD_REQUEST, Some(want)) => {
            let what = match want {
                Expected::Http11 => {
                    "the proxy speaks HTTP/1.0 to the node, which has no upgrades".to_owned()
                }
                Expected::Header(name) => {
                    format!("the proxy takes off or changes the header {name}")
                }
                _ => format!(
                    "the proxy does not pass the upgrade on: {}",
                    header_named(&answer.body)
                ),
            };
            fail(what, mend(want))
        }
        (StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED, None) => {
            let what = format!(
                "{status} without a reason; most likely a header was lost: {}",
                start(&answer.body)
            );
            fail(what, mend(Expected::Upgrade))
        }
        (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, _) => fail(
            format!("{status}: the proxy does not reach a node"),
            mend(Expected::Address),
        ),
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
            let what = format!("{status}: {}", start(&answer.body));
            fail(
                what,
                busy(&answer.body).unwrap_or_else(|| mend(Expected::Address)),
            )
        }
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => {
            let what = format!("{status}: {}", start(&answer.body));
            fail(
                what,
                vec![format!(
                    "take the restriction of {} out of the proxy",
                    side.server.websocket_path()
                )],
            )
        }
        (status, _) if status.is_redirection() => {
            let (what, mend) = redirect::explain(side, side.server.websocket_path(), answer);
            fail(what, mend)
        }
        (status, _) => {
            let path = side.server.websocket_path();
            fail(
                format!(
                    "{status}: the proxy does not lead {path} to a node: {}",
                    start(&answer.body)
                ),
                mend(Expected::Route),
            )
        }
    }
}

/// The limit of ours that was hit, if it was one.
fn busy(body: &str) -> Option<Vec<String>> {
    let setting = body
        .split(['(', ')'])
        .find(|part| part.starts_with("FOGHORN_"))?;
    Some(vec![format!(
        "{setting}=…    # larger, on each node; 0 is no limit"
    )])
}

/// The header named in our refusal or the reference's, for people.
fn header_named(body: &str) -> String {
    match body.split('`').nth(1) {
        Some(header) => format!("`{header}` is missing where it arrives"),
        None => start(body.trim_start_matches("Bad Request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_what_is_missing() {
        let ours = "Bad WebSocket handshake: the header `Upgrade: websocket` is missing or has another value.\n";
        assert_eq!(missing(ours), Some(Expected::Upgrade));
        assert_eq!(
            header_named(ours),
            "`Upgrade: websocket` is missing where it arrives"
        );
        assert_eq!(
            missing(&format!("{ours}The request came as HTTP/1.0, …")),
            Some(Expected::Http11)
        );
        let key = ours.replace("Upgrade: websocket", "Sec-WebSocket-Key");
        assert_eq!(missing(&key), Some(Expected::Header("Sec-WebSocket-Key")));
        let reference = "Bad Request\nwebsocket: the client is not using the websocket protocol: 'upgrade' token not \
                         found in 'Connection' header\n";
        assert_eq!(missing(reference), Some(Expected::Upgrade));
        assert_eq!(missing("<html>400</html>"), None);
    }

    #[test]
    fn a_limit_of_ours_is_told_from_an_absent_node() {
        let full = "This node has as many connections as it may have (FOGHORN_MAX_CONNECTIONS).\n";
        assert!(busy(full).expect("a limit")[0].starts_with("FOGHORN_MAX_CONNECTIONS="));
        assert_eq!(busy("No server is available to handle this request."), None);
    }
}
