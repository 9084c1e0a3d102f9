//! What is not of any session: the greeting, what the server can do, and the page that runs a client for pages of other origins.
//!
//! Invariant: nothing of a request gets into a page.

use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha1::{Digest, Sha1};

use super::headers::allow_keeping;

/// Shows whoever looks that SockJS is here.
pub fn greeting() -> Response {
    (
        [(CONTENT_TYPE, "text/plain; charset=UTF-8")],
        "Welcome to SockJS!\n",
    )
        .into_response()
}

/// What the server can do. Clients in old browsers have no other source of chance.
pub fn info() -> Response {
    let chance = rand::random_range(0..=i32::MAX);
    let body = format!(
        r#"{{"websocket":true,"cookie_needed":false,"origins":["*:*"],"entropy":{chance}}}"#
    ) + "\n";
    ([(CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

/// The page that runs the client of `url`, for who has not got it yet.
pub fn iframe(url: &str, request: &HeaderMap) -> Response {
    let page = page(url);
    let tag = format!("\"{:x}\"", Sha1::digest(&page));
    let mut answer = match request.get(IF_NONE_MATCH) {
        Some(had) if had == tag.as_str() => StatusCode::NOT_MODIFIED.into_response(),
        _ => ([(CONTENT_TYPE, "text/html; charset=UTF-8")], page).into_response(),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    allow_keeping(answer.headers_mut());
    answer
}

fn page(url: &str) -> String {
    let url = url
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    format!(
        r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script>
    document.domain = document.domain;
    _sockjs_onload = function(){{SockJS.bootstrap_iframe();}};
  </script>
  <script src="{url}"></script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_page_is_not_sent_it_again_and_another_address_is_another_page() {
        let url = "//cdn.example.com/sockjs.js?a=1&b=2";
        let first = iframe(url, &HeaderMap::new());
        let mut had = HeaderMap::new();
        had.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(
            (first.status(), iframe(url, &had).status()),
            (StatusCode::OK, StatusCode::NOT_MODIFIED)
        );
        assert_eq!(
            iframe("//cdn.example.com/other.js", &had).status(),
            StatusCode::OK
        );
        assert!(
            page(url)
                .contains(r#"<script src="//cdn.example.com/sockjs.js?a=1&amp;b=2"></script>"#)
        );
        assert!(!page("\"></script><script>alert(1)").contains("<script>alert"));
    }
}
