//! The page for operators: a login, and behind it what the admin socket can do, for people.
//!
//! Invariants: the page asks no server but the one that it came from, and runs no script but its own; nothing of a request
//! gets into it; no other page shows it in a frame; nobody keeps it, so that it is never older than its server.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::super::Centrifugo;
use super::super::message::new_uid;
use crate::dialect::Route;

const PAGE: &str = include_str!("page.html");
/// Stands in the page for the one word by which a browser knows its script and its style.
const NONCE: &str = "{nonce}";
/// Stands in the page for whether a password is asked for.
const OPEN: &str = "{open}";

/// Where it is.
pub(super) fn route(centrifugo: &Arc<Centrifugo>) -> Route {
    // A slash at a path's end is taken off before anything is looked for.
    let path = match &*centrifugo.prefix {
        "" => "/",
        prefix => prefix,
    };
    (
        path.to_owned(),
        get(page).with_state(Arc::clone(centrifugo)),
    )
}

async fn page(State(centrifugo): State<Arc<Centrifugo>>) -> Response {
    shown(centrifugo.site.rules().admin.insecure)
}

/// The page, where anybody may or where a password is asked for.
fn shown(is_open: bool) -> Response {
    let nonce = new_uid();
    let text = PAGE
        .replace(NONCE, &nonce)
        .replace(OPEN, if is_open { "true" } else { "false" });
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, [(CONTENT_SECURITY_POLICY, policy)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_part_of_the_page_and_nothing_comes_from_elsewhere() {
        for bad in [
            "http://",
            "https://",
            "innerHTML",
            "eval(",
            " style=",
            "onclick=",
            "src=",
        ] {
            assert!(!PAGE.contains(bad), "{bad}");
        }
        assert_eq!(
            (PAGE.matches(NONCE).count(), PAGE.matches(OPEN).count()),
            (2, 1)
        );
    }

    #[test]
    fn each_answer_names_its_script_by_another_word() {
        let policy = || shown(false).headers()[CONTENT_SECURITY_POLICY].clone();
        let (one, other) = (policy(), policy());
        assert_ne!(one, other);
        assert!(!one.to_str().expect("text").contains("unsafe"), "{one:?}");
    }
}
