//! One request and its answer: paths made clean, heads measured, and when the answer has gone.
//!
//! Invariants: paths have no doubled or trailing slash before anything routes by them; a head that is longer than
//! [`HEAD`] reaches nobody.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::metrics::counter;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use bytes::Bytes;
use http::header::CONNECTION;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, StatusCode, Uri, Version};
use hyper::body::{Frame, SizeHint};
use tower::ServiceExt;

use super::exchange::Exchange;
use super::lasting::{Lasting, Lasts};
use super::stall;
use crate::admission::Remote;
use crate::metrics;

/// Bytes of a request's head at most.
pub(super) const HEAD: usize = 32 * 1024;

/// Counts a request whose head is longer than it may be.
pub fn count_long_head() {
    counter!(metrics::CONNECTIONS_REFUSED, "reason" => "head-too-large").increment(1);
}

/// Has `router` answer. The exchange rests when the answer has gone. One that lasts takes the connection over where it may:
/// then nothing comes of this.
pub(super) async fn answer<B>(
    router: Router,
    mut request: Request<B>,
    exchange: Arc<Exchange>,
) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if head_bytes(&request) > HEAD {
        count_long_head();
        let mut response = (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The head is longer than 32 KiB.\n",
        )
            .into_response();
        if request.version() < Version::HTTP_2 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        return response.map(|body| Body::new(Answer { body, exchange }));
    }
    if let Some(uri) = clean(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(Remote(exchange.remote()));
    let cut = stall::cut().unwrap_or_else(|| exchange.cut());
    request.extensions_mut().insert(cut);
    let version = request.version();
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    if version < Version::HTTP_2 && response.extensions().get::<Lasts>().is_some() {
        let (head, body) = response.into_parts();
        let body = Answer {
            body,
            exchange: Arc::clone(&exchange),
        };
        exchange.give(Lasting::new(version, &head, body));
        return std::future::pending().await;
    }
    response.map(|body| Body::new(Answer { body, exchange }))
}

/// What the head took on the wire, but for blanks and proxies' liberties.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len() + "http://".len());
    let target = authority + uri.path_and_query().map_or(1, |path| path.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n\r\n".len();
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + fields.sum::<usize>()
}

/// The URI with its path made clean; `None` where it is so already.
fn clean(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if path == "/" || !(path.ends_with('/') || path.contains("//") || path.contains("/.")) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut text = format!("/{}", parts.join("/"));
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut cleaned = uri.clone().into_parts();
    cleaned.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(cleaned).ok()
}

/// An answer's body. It is dropped when all of it was handed over.
pub(super) struct Answer {
    body: Body,
    exchange: Arc<Exchange>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.exchange.rests();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (given, wanted) in [
            ("//events", "/events"),
            ("/./ping", "/ping"),
            ("/ping//", "/ping"),
            ("/notification/", "/notification"),
            ("/a/../ping?x=//", "/ping?x=//"),
            ("/../..", "/"),
            ("//", "/"),
        ] {
            let uri: Uri = given.parse().expect("a URI");
            assert_eq!(clean(&uri).expect("changed").to_string(), wanted, "{given}");
        }
        assert_eq!(clean(&"/ping?a=//b/".parse().expect("a URI")), None);
    }

    #[test]
    fn a_head_is_measured_as_it_was_sent() {
        let sent = "GET /ping?x=1 HTTP/1.1\r\nhost: x\r\nx-pad: yyyy\r\n\r\n";
        let request = Request::get("/ping?x=1")
            .header("host", "x")
            .header("x-pad", "yyyy")
            .body(())
            .expect("a request");
        assert_eq!(head_bytes(&request), sent.len());
    }
}
