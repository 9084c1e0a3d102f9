//! Which pages may come, and what browsers are told about that (CORS).
//!
//! Invariant: a page of an origin that is not listed, where some are, reaches nothing; a program without `Origin` is always
//! served.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const ASKS_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The headers that pages may send.
const HEADERS: &str = "Content-Type, Authorization, Last-Event-ID, Cache-Control, X-Requested-With";

fn is_listed(origins: &[String], page: &HeaderValue) -> bool {
    // Compared as bytes: what is no text is on no list.
    origins
        .iter()
        .any(|origin| origin.as_bytes().eq_ignore_ascii_case(page.as_bytes()))
}

/// Whether the request may be served at all.
pub(super) fn may_come(origins: &[String], request: &HeaderMap) -> bool {
    origins.is_empty()
        || request
            .get_all(ORIGIN)
            .iter()
            .all(|page| is_listed(origins, page))
}

/// Adds what the answer to `request` says of it. `open`: any page may read the answer where no origins are listed.
pub fn add(origins: &[String], request: &HeaderMap, open: bool, answer: &mut HeaderMap) {
    let allowed = match origins {
        [] => open.then(|| HeaderValue::from_static("*")),
        [one] => HeaderValue::from_str(one).ok(),
        several => {
            answer.append(VARY, HeaderValue::from_static("Origin"));
            request
                .get(ORIGIN)
                .filter(|page| is_listed(several, page))
                .cloned()
        }
    };
    let Some(allowed) = allowed else { return };
    if !origins.is_empty() {
        answer.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
}

/// Adds what a preflight asks for.
pub(super) fn add_preflight(origins: &[String], request: &HeaderMap, answer: &mut HeaderMap) {
    answer.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    );
    answer.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(HEADERS),
    );
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    let listed = request
        .get(ORIGIN)
        .is_some_and(|page| is_listed(origins, page));
    if listed && request.get(ASKS_PRIVATE).is_some_and(|asks| asks == "true") {
        answer.insert(ALLOWS_PRIVATE, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !origin.is_empty() {
            headers.insert(ORIGIN, origin.parse().expect("a value"));
        }
        headers
    }

    fn allowed(origins: &[&str], origin: &str, open: bool) -> Option<(String, bool, bool)> {
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let request = request(origin);
        if !may_come(&origins, &request) {
            return None;
        }
        let mut answer = HeaderMap::new();
        add(&origins, &request, open, &mut answer);
        let text = answer
            .get(ACCESS_CONTROL_ALLOW_ORIGIN)
            .map_or("", |value| value.to_str().expect("text"));
        let has = |name| answer.contains_key(name);
        Some((
            text.to_owned(),
            has(ACCESS_CONTROL_ALLOW_CREDENTIALS),
            has(VARY),
        ))
    }

    #[test]
    fn the_three_modes() {
        let one = |text: &str, credentials, vary| Some((text.to_owned(), credentials, vary));
        assert_eq!(allowed(&[], "https://x", false), one("", false, false));
        assert_eq!(allowed(&[], "https://x", true), one("*", false, false));
        for origin in ["", "https://a", "HTTPS://A"] {
            assert_eq!(
                allowed(&["https://a"], origin, true),
                one("https://a", true, false)
            );
        }
        assert_eq!(
            allowed(&["https://a", "https://b"], "https://b", false),
            one("https://b", true, true)
        );
        assert_eq!(
            allowed(&["https://a", "https://b"], "", true),
            one("", false, true)
        );
        for origin in ["https://a.evil", "null"] {
            assert_eq!(allowed(&["https://a"], origin, true), None, "{origin}");
        }
    }

    #[test]
    fn a_private_network_is_allowed_to_listed_pages_that_ask() {
        let mut asks = request("https://a");
        asks.insert(ASKS_PRIVATE, HeaderValue::from_static("true"));
        let allows = |origins: &[String]| {
            let mut answer = HeaderMap::new();
            add_preflight(origins, &asks, &mut answer);
            answer.contains_key(ALLOWS_PRIVATE)
        };
        assert!(allows(&["https://a".to_owned()]) && !allows(&[]));
    }
}
