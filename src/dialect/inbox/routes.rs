//! Which path and method is what, and who answers.
//!
//! Invariant: fixed parts of paths compare without case; whatever is not in the table is 404, and by another method 405.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answers::{not_allowed, plain};
use super::rules::Rules;
use super::session::CHANNEL_KIND;
use super::{Inbox, cors, form, open, post, script, users, watch};
use crate::event::Channel;
use crate::listen::count_long_head;

/// Bytes of a request's head at most.
const HEAD: usize = 16 << 10;
/// Fields of it.
const FIELDS: usize = 100;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Endpoint {
    /// The stream of this user, or of whom the cookies name.
    Stream(Option<String>),
    /// The stream of another dialect's channel.
    Channel(Channel),
    Post,
    Users,
    Page,
    Script,
}

impl Endpoint {
    /// Finds what is at a path without a slash at its end.
    fn find(path: &str) -> Result<Self, StatusCode> {
        let mut parts = path.trim_start_matches('/').split('/');
        let (first, user, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        match (first.to_ascii_lowercase().as_str(), user, more) {
            ("sse", None, None) => Ok(Self::Stream(None)),
            ("sse", Some(user), None) => Ok(Self::Stream(Some(decoded(user)?))),
            ("sse", Some(kind), Some(name)) if parts.next().is_none() && kind != CHANNEL_KIND => {
                Ok(Self::Channel(Channel::new(kind, &decoded(name)?)))
            }
            ("webnotification", None, None) => Ok(Self::Post),
            ("users", None, None) => Ok(Self::Users),
            ("", None, None) => Ok(Self::Page),
            ("foghorn.js", None, None) => Ok(Self::Script),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Stream(_) | Self::Channel(_) | Self::Users => "GET, HEAD, OPTIONS",
            Self::Post => "POST, OPTIONS",
            Self::Page | Self::Script => "GET, HEAD",
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|taken| taken == method.as_str())
    }
}

/// A part of a path.
fn decoded(part: &str) -> Result<String, StatusCode> {
    let whole = form::escapes_are_whole(part.as_bytes());
    let decoded = whole.then(|| form::percent_decoded(part.as_bytes()));
    decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(StatusCode::BAD_REQUEST)
}

/// Answers one request, and notes it in the access log where there is one.
pub async fn answer(State(inbox): State<Arc<Inbox>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(log) = &inbox.access_log else {
        return respond(&inbox, &parts, body).await;
    };
    let from = inbox.context.connections.admission.sender(&parts);
    let line = log.begin(from, &parts);
    line.answered(respond(&inbox, &parts, body).await)
}

async fn respond(inbox: &Arc<Inbox>, parts: &Parts, body: Body) -> Response {
    if is_too_long(parts) {
        count_long_head();
        let advice = "The head of the request is longer than 16 KiB, or has more than 100 fields.";
        return plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, advice);
    }
    let endpoint = match Endpoint::find(parts.uri.path()) {
        Ok(endpoint) => endpoint,
        Err(StatusCode::BAD_REQUEST) => {
            return plain(
                StatusCode::BAD_REQUEST,
                "The path has a broken percent-escape.",
            );
        }
        Err(status) => return plain(status, "There is nothing at this path."),
    };
    if !endpoint.takes(&parts.method) {
        return not_allowed(endpoint.methods());
    }
    let rules = inbox.rules();
    let mut answer = answer_at(inbox, &rules, &endpoint, parts, body).await;
    if endpoint != Endpoint::Page {
        let open = matches!(
            endpoint,
            Endpoint::Post | Endpoint::Users | Endpoint::Script
        );
        cors::add(&rules.origins, &parts.headers, open, answer.headers_mut());
    }
    answer
}

async fn answer_at(
    inbox: &Arc<Inbox>,
    rules: &Rules,
    endpoint: &Endpoint,
    parts: &Parts,
    body: Body,
) -> Response {
    if *endpoint == Endpoint::Post && parts.method == Method::POST {
        return post::post(inbox, rules, parts, body).await;
    }
    if *endpoint != Endpoint::Page && !cors::may_come(&rules.origins, &parts.headers) {
        return plain(
            StatusCode::FORBIDDEN,
            "Pages of this origin may not come here (FOGHORN_SSE_ORIGINS).",
        );
    }
    if parts.method == Method::OPTIONS {
        let mut answer = StatusCode::NO_CONTENT.into_response();
        cors::add_preflight(&rules.origins, &parts.headers, answer.headers_mut());
        return answer;
    }
    match endpoint {
        Endpoint::Stream(user) => open::open(inbox, rules, parts, user.as_deref()).await,
        Endpoint::Channel(channel) => watch::watch(inbox, rules, parts, channel.clone()).await,
        Endpoint::Script => script::answer(&parts.headers),
        _ => match users::refuse(inbox, rules, parts) {
            Some(refused) => refused,
            None if *endpoint == Endpoint::Users => users::list(inbox).await,
            None => users::page(),
        },
    }
}

fn is_too_long(parts: &Parts) -> bool {
    let fields = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    parts.headers.len() > FIELDS || target + fields.sum::<usize>() > HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_the_former_servers_did() {
        let stream = |user: &str| Ok(Endpoint::Stream(Some(user.to_owned())));
        assert_eq!(Endpoint::find("/SSE"), Ok(Endpoint::Stream(None)));
        assert_eq!(Endpoint::find("/Sse/%ED%95%9Cb+c%2Fd"), stream("한b+c/d"));
        assert_eq!(Endpoint::find("/WebNotification"), Ok(Endpoint::Post));
        assert_eq!(Endpoint::find("/"), Ok(Endpoint::Page));
        assert_eq!(Endpoint::find("/foghorn.js"), Ok(Endpoint::Script));
        for broken in ["/sse/%zz", "/sse/%ff"] {
            assert_eq!(Endpoint::find(broken), Err(StatusCode::BAD_REQUEST));
        }
        assert_eq!(
            Endpoint::find("/sse/topic/a%2Db"),
            Ok(Endpoint::Channel(Channel::new("topic", "a-b")))
        );
        for other in ["/sse/topic/a/b", "/sse/user/ann", "/nope", "/users/x"] {
            assert_eq!(Endpoint::find(other), Err(StatusCode::NOT_FOUND));
        }
    }
}
