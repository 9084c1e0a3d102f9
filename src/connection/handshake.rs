//! The WebSocket opening handshake (RFC 6455, section 4.2): what is asked for, and what is wrong with it.
//!
//! Invariant: whoever is refused reads which header is missing and which proxy directive would send it, since a proxy
//! that takes headers off is by far the commonest reason.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Client;

/// Why a handshake is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// 400, or 405 for an upgrade by another method than GET. A 400 goes with `Sec-WebSocket-Version: 13`.
    pub status: StatusCode,
    /// What is wrong and what would mend it; text for the administrator.
    pub advice: String,
    /// The counter's label.
    pub label: &'static str,
}

const OLD: &str = "The request came as HTTP/1.0, which has no upgrades: the proxy in front must speak HTTP/1.1.\n";
const NGINX: &str =
    "nginx:   proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";
const HAPROXY: &str = "HAProxy: mode http, with no `option httpclose`, and no rule that deletes Upgrade or Connection";
const APACHE: &str = "Apache:  ProxyPass /notification ws://HOST:8083/  (mod_proxy_wstunnel), or upgrade=websocket";
const CADDY: &str = "Caddy:   reverse_proxy HOST:8083  (passes upgrades by itself)";

/// The value of `Sec-WebSocket-Accept`, where the request is a proper handshake.
///
/// # Errors
/// [`Refused`] says what is wrong with it.
pub fn accept(request: &Parts) -> Result<String, Refused> {
    let headers = &request.headers;
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(missing(request, "Connection: Upgrade", "no-connection"));
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        return Err(missing(request, "Upgrade: websocket", "no-upgrade"));
    }
    if request.method != Method::GET {
        let advice = format!("A WebSocket handshake is a GET; this was a {}.\n", request.method);
        return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, advice, label: "method" });
    }
    if text(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(missing(request, "Sec-WebSocket-Version: 13", "version"));
    }
    if request.version < Version::HTTP_11 {
        return Err(refuse(&format!("Bad WebSocket handshake.\n{OLD}"), "http-1.0"));
    }
    match text(headers, &SEC_WEBSOCKET_KEY) {
        None => Err(missing(request, "Sec-WebSocket-Key", "no-key")),
        Some(key) if STANDARD.decode(key).is_ok_and(|raw| raw.len() == 16) => Ok(derive_accept_key(key.as_bytes())),
        Some(_) => {
            let advice = "Bad WebSocket handshake: Sec-WebSocket-Key is not 16 bytes in Base64.\n".to_owned();
            Err(Refused { status: StatusCode::BAD_REQUEST, advice, label: "bad-key" })
        }
    }
}

/// What kind of client sends such headers. `subprotocol` is the one that desktop clients offer.
pub fn client(headers: &HeaderMap, subprotocol: &str) -> Client {
    let agent = text(headers, &USER_AGENT).unwrap_or_default();
    if has_token(headers, &SEC_WEBSOCKET_PROTOCOL, subprotocol) || agent.starts_with("Sea") {
        Client::Desktop
    } else if headers.contains_key(ORIGIN) && agent.starts_with("Mozilla/") {
        Client::Web
    } else {
        Client::Other
    }
}

fn missing(request: &Parts, header: &str, label: &'static str) -> Refused {
    let old = if request.version < Version::HTTP_11 { OLD } else { "" };
    refuse(&format!("Bad WebSocket handshake: the header `{header}` is missing or has another value.\n{old}"), label)
}

fn refuse(what: &str, label: &'static str) -> Refused {
    let advice = format!(
        "{what}If a client sent it, a proxy in between took it off. To pass it on:\n  {NGINX}\n  {HAPROXY}\n  {APACHE}\n  {CADDY}\n"
    );
    Refused { status: StatusCode::BAD_REQUEST, advice, label }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
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
        assert_eq!(accept(&request(|_| {})).expect("accepted"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
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
            assert!(refused.advice.contains("proxy_set_header Upgrade $http_upgrade"));
        }
        let old = accept(&request(|r| {
            r.version = Version::HTTP_10;
            r.headers.remove("upgrade");
        }));
        assert!(old.expect_err("refused").advice.contains("HTTP/1.0"));
        let old = accept(&request(|r| r.version = Version::HTTP_10)).expect_err("no upgrades there");
        assert_eq!((old.status, old.label), (StatusCode::BAD_REQUEST, "http-1.0"));
        assert!(old.advice.contains("HTTP/1.0") && !old.advice.contains("header `"), "{}", old.advice);
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        for key in ["", "x", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZXg="] {
            let refused = accept(&request(|r| {
                r.headers.insert("sec-websocket-key", key.parse().expect("a value"));
            }));
            assert_eq!(refused.expect_err(key).status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn clients_are_told_apart() {
        let kind = |pairs: &[(&'static str, &str)]| {
            let headers =
                pairs.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().expect("a value"))).collect();
            client(&headers, "notification.seafile.com")
        };
        assert_eq!(
            kind(&[("sec-websocket-protocol", "notification.seafile.com"), ("origin", "http://x")]),
            Client::Desktop
        );
        assert_eq!(kind(&[("user-agent", "SeaDrive/3.0")]), Client::Desktop);
        assert_eq!(kind(&[("user-agent", "Mozilla/5.0"), ("origin", "https://cloud")]), Client::Web);
        assert_eq!(kind(&[("user-agent", "curl/8")]), Client::Other);
    }
}
