//! `/foghorn.js`: the browser module, the same file that the npm package has.
//!
//! Invariant: a browser asks each time whether what it has is still good, so that a page never runs the module of an older server.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sha1::{Digest, Sha1};

const SCRIPT: &str = include_str!("../../../clients/js/foghorn.js");

/// The module, or that the browser's copy is still good.
pub fn answer(request: &HeaderMap) -> Response {
    let tag = format!("\"{:.16}\"", hex(&Sha1::digest(SCRIPT)));
    let is_known = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| has(tags, &tag));
    let head = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (ETAG, tag),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    if is_known {
        (StatusCode::NOT_MODIFIED, head).into_response()
    } else {
        (head, SCRIPT).into_response()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a list of tags has this one; proxies that compress make weak ones of them.
fn has(tags: &str, tag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(tags: &str) -> (StatusCode, String) {
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, tags.parse().expect("a value"));
        let answer = answer(&request);
        let tag = answer.headers()[ETAG].to_str().expect("text").to_owned();
        (answer.status(), tag)
    }

    #[test]
    fn a_copy_that_is_still_good_is_not_sent_again() {
        let (sent, tag) = status("\"other\"");
        assert_eq!((sent, tag.len()), (StatusCode::OK, 18));
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            assert_eq!(status(&known), (StatusCode::NOT_MODIFIED, tag.clone()));
        }
    }

    #[test]
    fn the_module_is_small_and_has_what_its_types_say() {
        assert!(SCRIPT.len() <= 12 << 10, "{} bytes", SCRIPT.len());
        let types = include_str!("../../../clients/js/foghorn.d.ts");
        let functions = |text: &str, begin: &str| {
            let found = text
                .lines()
                .filter_map(|line| line.strip_prefix(begin)?.split(['(', '<']).next());
            found
                .map(str::to_owned)
                .collect::<std::collections::BTreeSet<_>>()
        };
        let exported = functions(SCRIPT, "export function ");
        assert_eq!(exported.len(), 3);
        assert_eq!(functions(types, "export function "), exported);
    }
}
