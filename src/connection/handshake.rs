//! The WebSocket opening handshake (RFC 6455, section 4.2): what is asked for, and what is wrong with it.
//!
//! Invariant: whoever is refused reads which header is missing and which proxy directive would send it, since a proxy
//! that takes headers off is by far the commonest reason.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Why a handshake is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHandshake {
    /// 400, or 405 for an upgrade by another method than GET. A 400 goes with `Sec-WebSocket-Version: 13`.
    pub(super) status: StatusCode,
    /// What is wrong and what would mend it; text for the administrator.
    pub(super) advice: String,
    /// The counter's label.
    pub(super) label: &'static str,
}

const OLD: &str = "The request came as HTTP/1.0, which has no upgrades: the proxy in front must speak HTTP/1.1.\n";
const NGINX: &str = "nginx:   proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";
const HAPROXY: &str = "HAProxy: mode http, with no `option httpclose`, and no rule that deletes Upgrade or Connection";
const APACHE: &str =
    "Apache:  ProxyPass /notification ws://HOST:8083/  (mod_proxy_wstunnel), or upgrade=websocket";
const CADDY: &str = "Caddy:   reverse_proxy HOST:8083  (passes upgrades by itself)";

/// Whether somebody only asks what is here, as a balancer's check, a browser or curl does: nothing in it is left of an
/// upgrade, and it says who asks or what for, or is HTTP/1.0. A bare request may be a handshake that a proxy took all
/// headers off, and is answered as one, as the reference does.
pub fn is_question(request: &Parts) -> bool {
    let headers = &request.headers;
    let names = |starts: &str| headers.keys().any(|name| name.as_str().starts_with(starts));
    let asks = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.method);
    let mangled =
        names("upgrade") || names("sec-websocket-") || has_token(headers, &CONNECTION, "upgrade");
    let introduced = names("user-agent") || names("accept") || request.version < Version::HTTP_11;
    asks && !mangled && introduced
}

/// The value of `Sec-WebSocket-Accept`, where the request is a proper handshake.
///
/// # Errors
/// [`BadHandshake`] says what is wrong with it.
pub fn accept(request: &Parts) -> Result<String, BadHandshake> {
    let headers = &request.headers;
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(missing(request, "Connection: Upgrade", "no-connection"));
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        return Err(missing(request, "Upgrade: websocket", "no-upgrade"));
    }
    if request.method != Method::GET {
        let advice = format!(
            "A WebSocket handshake is a GET; this was a {}.\n",
            request.method
        );
        return Err(BadHandshake {
            status: StatusCode::METHOD_NOT_ALLOWED,
            advice,
            label: "method",
        });
    }
    if text(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(missing(request, "Sec-WebSocket-Version: 13", "version"));
    }
    if request.version < Version::HTTP_11 {
        return Err(refuse(
            &format!("Bad WebSocket handshake.\n{OLD}"),
            "http-1.0",
        ));
    }
    match text(headers, &SEC_WEBSOCKET_KEY) {
        None => Err(missing(request, "Sec-WebSocket-Key", "no-key")),
        Some(key) if STANDARD.decode(key).is_ok_and(|raw| raw.len() == 16) => {
            Ok(derive_accept_key(key.as_bytes()))
        }
        Some(_) => {
            let advice = "Bad WebSocket handshake: Sec-WebSocket-Key is not 16 bytes in Base64.\n"
                .to_owned();
            Err(BadHandshake {
                status: StatusCode::BAD_REQUEST,
                advice,
                label: "bad-key",
            })
        }
    }
}

fn missing(request: &Parts, header: &str, label: &'static str) -> BadHandshake {
    let old = if request.version < Version::HTTP_11 {
        OLD
    } else {
        ""
    };
    refuse(
        &format!(
            "Bad WebSocket handshake: the header `{header}` is missing or has another value.\n{old}"
        ),
        label,
    )
}

fn refuse(what: &str, label: &'static str) -> BadHandshake {
    let advice = format!(
        "{what}If a client sent it, a proxy in between took it off. To pass it on:\n  {NGINX}\n  {HAPROXY}\n  {APACHE}\n  {CADDY}\n"
    );
    BadHandshake {
        status: StatusCode::BAD_REQUEST,
        advice,
        label,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
}

/// Whether a list of tokens that the header `name` holds has `token`, in upper or lower case.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl Fn(&mut Parts)) -> Parts {
        let (mut parts, ()) = http::Request::builder()
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .expect("a request")
            .into_parts();
        change(&mut parts);
        parts
    }

    #[test]
    fn the_rfc_example_is_accepted() {
        assert_eq!(
            accept(&request(|_| {})).expect("accepted"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn each_missing_header_is_named_with_the_directive_that_sends_it() {
        for (name, shown) in [
            ("connection", "Connection: Upgrade"),
            ("upgrade", "Upgrade: websocket"),
            ("sec-websocket-version", "Sec-WebSocket-Version: 13"),
            ("sec-websocket-key", "Sec-WebSocket-Key"),
        ] {
            let refused = accept(&request(|r| drop(r.headers.remove(name)))).expect_err(name);
            assert_eq!(refused.status, StatusCode::BAD_REQUEST);
            assert!(refused.advice.contains(shown), "{}", refused.advice);
            assert!(
                refused
                    .advice
                    .contains("proxy_set_header Upgrade $http_upgrade")
            );
        }
        let old = accept(&request(|r| {
            r.version = Version::HTTP_10;
            r.headers.remove("upgrade");
        }));
        assert!(old.expect_err("refused").advice.contains("HTTP/1.0"));
        let old =
            accept(&request(|r| r.version = Version::HTTP_10)).expect_err("no upgrades there");
        assert_eq!(
            (old.status, old.label),
            (StatusCode::BAD_REQUEST, "http-1.0")
        );
        assert!(
            old.advice.contains("HTTP/1.0") && !old.advice.contains("header `"),
            "{}",
            old.advice
        );
    }

    #[test]
    fn who_only_asks_is_told_from_who_was_mangled() {
        let headers = [
            "connection",
            "upgrade",
            "sec-websocket-version",
            "sec-websocket-key",
        ];
        let without = |gone: &[&str]| {
            request(|r| {
                gone.iter().for_each(|name| drop(r.headers.remove(*name)));
                r.headers.insert(
                    "user-agent",
                    "ELB-HealthChecker/2.0".parse().expect("a value"),
                );
            })
        };
        assert!(is_question(&without(&headers)));
        for (at, kept) in headers.iter().enumerate() {
            let gone: Vec<&str> = headers
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != at)
                .map(|(_, name)| *name)
                .collect();
            assert!(!is_question(&without(&gone)), "{kept}");
        }
        let mut request = without(&headers);
        request.method = Method::POST;
        assert!(
            !is_question(&request),
            "an event that went astray must not be answered 200"
        );
        request.method = Method::GET;
        request.headers.clear();
        assert!(!is_question(&request), "the reference answers 400 to this");
        request.version = Version::HTTP_10;
        assert!(is_question(&request), "HAProxy's check");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        for key in [
            "",
            "x",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZXg=",
        ] {
            let refused = accept(&request(|r| {
                r.headers
                    .insert("sec-websocket-key", key.parse().expect("a value"));
            }));
            assert_eq!(refused.expect_err(key).status, StatusCode::BAD_REQUEST);
        }
    }
}
