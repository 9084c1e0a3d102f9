//! The console: one page that shows the cluster live and does what the API offers, for operators and newcomers.
//!
//! Invariants: all of it is in the binary and nothing is asked of another site; no script or style is inline, so that the
//! policy can forbid those; the page does nothing that the API does not offer to every program, and holds nothing that needs a password to be read.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Path, type and content of each part of the page.
const PARTS: &[(&str, &str, &str)] = &[
    ("/console", HTML, include_str!("console.html")),
    ("/console/console.css", CSS, include_str!("console.css")),
    ("/console/console.js", JS, include_str!("console.js")),
    ("/console/api.js", JS, include_str!("api.js")),
    ("/console/chart.js", JS, include_str!("chart.js")),
    ("/console/cluster.js", JS, include_str!("cluster.js")),
    ("/console/common.js", JS, include_str!("common.js")),
    ("/console/lookup.js", JS, include_str!("lookup.js")),
    ("/console/signin.js", JS, include_str!("signin.js")),
    ("/console/tail.js", JS, include_str!("tail.js")),
    ("/console/token.js", JS, include_str!("token.js")),
    ("/console/words.js", JS, include_str!("words.js")),
];

/// The page's routes. Who may see them, and with which headers, is decided around them.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let part = |&(_, kind, content): &(&str, &'static str, &'static str)| {
        get(async move || ([(CONTENT_TYPE, kind)], content))
    };
    PARTS
        .iter()
        .fold(Router::new(), |router, it| router.route(it.0, part(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for (path, _, content) in PARTS {
            // The name of SVG's vocabulary is a name, not an address that is asked.
            let content = content.replace("http://www.w3.org/2000/svg", "");
            for bad in [
                "<style",
                " style=",
                "onclick=",
                "<script>",
                "http://",
                "https://",
                "innerHTML",
                "eval(",
            ] {
                assert!(!content.contains(bad), "{bad} in {path}");
            }
        }
    }

    #[test]
    fn each_part_is_asked_for_by_another() {
        for (path, ..) in &PARTS[1..] {
            let name = path.rsplit('/').next().expect("a name");
            assert!(
                PARTS
                    .iter()
                    .any(|(other, _, content)| other != path && content.contains(name)),
                "{path}"
            );
        }
    }
}
