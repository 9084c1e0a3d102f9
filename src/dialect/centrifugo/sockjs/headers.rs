//! What browsers are told about answers: which pages may read them (CORS), and whether they may be kept.
//!
//! Invariant: what one page was told no cache tells another.

use std::time::{Duration, SystemTime};

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    CACHE_CONTROL, EXPIRES, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// For how long what never changes may be kept.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Any page may read the answer to `request`, with its cookies; which may come in at all is decided elsewhere.
pub(super) fn add_cors(request: &HeaderMap, answer: &mut HeaderMap) {
    let origin = request.get(ORIGIN).filter(|origin| *origin != "null");
    answer.insert(
        ACCESS_CONTROL_ALLOW_ORIGIN,
        origin.cloned().unwrap_or(HeaderValue::from_static("*")),
    );
    answer.insert(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    if let Some(asked) = request
        .get(ACCESS_CONTROL_REQUEST_HEADERS)
        .filter(|asked| *asked != "null")
    {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer.append(VARY, HeaderValue::from_static("Origin"));
}

/// The answer may not be kept.
pub(super) fn forbid_keeping(answer: &mut HeaderMap) {
    answer.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache, must-revalidate, max-age=0"),
    );
}

/// The answer may be kept by anybody.
pub(super) fn allow_keeping(answer: &mut HeaderMap) {
    answer.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000"),
    );
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now() + YEAR)) {
        answer.insert(EXPIRES, date);
    }
}

/// The answer to what asks whether one of `methods` may be used.
pub fn preflight(methods: &'static str) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let headers = answer.headers_mut();
    allow_keeping(headers);
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(methods),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("31536000"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_told_that_it_may_and_a_page_without_an_address_that_all_may() {
        for (origin, told) in [("https://a", "https://a"), ("null", "*"), ("", "*")] {
            let (mut request, mut answer) = (HeaderMap::new(), HeaderMap::new());
            if !origin.is_empty() {
                request.insert(ORIGIN, origin.parse().expect("a value"));
            }
            add_cors(&request, &mut answer);
            assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], told);
            assert!(answer[VARY] == "Origin" && !answer.contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
        }
    }
}
