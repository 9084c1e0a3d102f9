//! Answers that are no stream.
//!
//! Invariant: what went wrong is one line of plain text that says what to do; nothing that somebody sent can become a page.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

/// What asks a proxy (nginx) not to gather an answer before it passes it on.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One line of text.
pub fn plain(status: StatusCode, line: impl Into<String>) -> Response {
    let line = format!("{}\n", line.into().trim_end());
    let head = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, head, line).into_response()
}

/// The path is there, and not for this method.
pub(super) fn not_allowed(methods: &'static str) -> Response {
    let mut answer = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("This path takes {methods}."),
    );
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// An event stream with this body.
pub(super) fn event_stream(body: Body) -> Response {
    let head = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        (ACCEL, "no"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (head, body).into_response()
}

/// An event stream that ends at once and is asked for again later: a page would give up for good on any other status.
pub fn again() -> Response {
    let block = format!("retry: {}\n\n", rand::random_range(5_000..=15_000_u32));
    // Of no known length, as all streams.
    event_stream(Body::from_stream(stream::iter([Ok::<_, Infallible>(
        Bytes::from(block),
    )])))
}
