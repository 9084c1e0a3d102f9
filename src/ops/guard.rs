//! Who may see the console and use the API; and the headers that every answer of the ops address carries.
//!
//! Invariants: without [`Credentials`], only a loopback address serves,
//! and then only to pages of its own (no other site, and no other name for 127.0.0.1, can use a browser for it). The
//! console's page holds nothing but the form that asks for credentials; all it shows comes through the API.

use std::net::IpAddr;
use std::sync::Arc;

use ::metrics::counter;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::RwLock;
use serde_json::json;

use crate::credentials::{Credentials, Shown};
use crate::metrics;

/// Scripts, styles and requests of this page's own origin; nobody may put it into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is asked for.
pub struct Guard {
    credentials: RwLock<Credentials>,
    /// Whether the ops address can be reached from this machine only.
    loopback: bool,
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum GuardError {
    Unprotected,
    NoCredentials,
    WrongCredentials,
    ForeignHost,
    ForeignPage,
    NoJson,
}

impl GuardError {
    fn label(self) -> &'static str {
        self.into()
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Unprotected | Self::ForeignHost | Self::ForeignPage => StatusCode::FORBIDDEN,
            Self::NoCredentials | Self::WrongCredentials => StatusCode::UNAUTHORIZED,
            Self::NoJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Unprotected => {
                "This address can be reached from elsewhere (FOGHORN_OPS_ADDR), so this page needs a password: \
                 set FOGHORN_OPS_PASSWORD (or FOGHORN_OPS_TOKEN) and restart the node."
            }
            Self::NoCredentials => {
                "The password (FOGHORN_OPS_PASSWORD) or bearer token (FOGHORN_OPS_TOKEN) is needed."
            }
            Self::WrongCredentials => "The password or the token is wrong.",
            Self::ForeignHost => {
                "Without a password this answers under 127.0.0.1, [::1] and localhost only."
            }
            Self::ForeignPage => "Pages of other sites may not do this.",
            Self::NoJson => "Send Content-Type: application/json.",
        }
    }
}

impl Guard {
    /// `loopback`: whether the ops address can be reached from this machine only.
    pub fn new(credentials: Credentials, loopback: bool) -> Self {
        Self {
            credentials: RwLock::new(credentials),
            loopback,
        }
    }

    /// From now on these are asked for.
    pub fn replace(&self, credentials: Credentials) {
        *self.credentials.write() = credentials;
    }

    fn judge(&self, method: &Method, headers: &HeaderMap) -> Result<(), GuardError> {
        let credentials = self.credentials.read();
        if !credentials.any() {
            if !self.loopback {
                return Err(GuardError::Unprotected);
            }
            let mut hosts = headers.get_all(HOST).iter().peekable();
            let local = |host: &HeaderValue| host.to_str().is_ok_and(is_local_name);
            if hosts.peek().is_none() || !hosts.all(local) {
                return Err(GuardError::ForeignHost);
            }
        } else {
            match credentials.shown(headers) {
                Shown::Good => {}
                Shown::Wrong => return Err(GuardError::WrongCredentials),
                Shown::Nothing => return Err(GuardError::NoCredentials),
            }
        }
        let site = headers
            .get("sec-fetch-site")
            .map_or("none", |value| value.to_str().unwrap_or("strange"));
        if method == Method::POST {
            if !matches!(site, "none" | "same-origin") {
                return Err(GuardError::ForeignPage);
            }
            // No form of another page can send this without asking first.
            if !text(headers, &CONTENT_TYPE).starts_with("application/json") {
                return Err(GuardError::NoJson);
            }
        }
        Ok(())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Whether `host`, with or without a port, can only mean this machine.
fn is_local_name(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Lets a request through, or answers it.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.judge(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(turned) => {
            counter!(metrics::OPS_REFUSED, "reason" => turned.label()).increment(1);
            let mut body = json!({"error": turned.label(), "text": turned.advice()});
            let mut challenges = Vec::new();
            if turned.status() == StatusCode::UNAUTHORIZED {
                let (kinds, asked): (Vec<_>, Vec<_>) = guard.credentials.read().accepted().unzip();
                (body["accepts"], challenges) = (json!(kinds), asked);
            }
            let body = format!("{body}\n");
            let mut answer =
                (turned.status(), [(CONTENT_TYPE, "application/json")], body).into_response();
            for challenge in challenges {
                answer
                    .headers_mut()
                    .append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            answer
        }
    }
}

/// Lets the console's page through where it can ask for credentials itself.
pub(super) async fn check_page(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let asks = guard.credentials.read().any();
    if asks {
        next.run(request).await
    } else {
        check(State(guard), request, next).await
    }
}

/// Adds what browsers need to know, where the answer does not say it already. Nothing is kept: a new version's page must
/// not meet an old version's script.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ] {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn judge(
        guard: &Guard,
        method: Method,
        headers: &[(&'static str, &str)],
    ) -> Result<(), GuardError> {
        let pair = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).expect("a value"),
            )
        };
        guard.judge(&method, &headers.iter().map(pair).collect())
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn the_password_of_any_user_and_the_token_open() {
        let both = Credentials {
            password: Some("p:w".into()),
            token: Some("t".into()),
        };
        let guard = Guard::new(both.clone(), false);
        let get = |value: &str| judge(&guard, Method::GET, &[("authorization", value)]);
        assert_eq!(get(&basic("anyone:p:w")), Ok(()));
        assert_eq!(get(&basic(":p:w")), Ok(()));
        assert_eq!(get("bearer t"), Ok(()));
        for wrong in [
            basic("p:w"),
            basic("x:"),
            basic("t"),
            "Bearer p:w".into(),
            "Bearer ".into(),
            "Basic !".into(),
        ] {
            assert_eq!(get(&wrong), Err(GuardError::WrongCredentials), "{wrong}");
        }
        for none in ["", "Digest x", "Basic"] {
            assert_eq!(get(none), Err(GuardError::NoCredentials), "{none}");
        }
        guard.replace(Credentials {
            password: None,
            ..both
        });
        assert_eq!(get(&basic("anyone:p:w")), Err(GuardError::WrongCredentials));
        assert_eq!(
            (get(&basic("a:")), get("Bearer t")),
            (Err(GuardError::WrongCredentials), Ok(()))
        );
    }

    #[test]
    fn without_a_password_only_this_machine_under_its_own_name() {
        let guard = Guard::new(Credentials::default(), true);
        for host in [
            "127.0.0.1:8084",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8084",
            "127.1.2.3",
        ] {
            assert_eq!(
                judge(&guard, Method::GET, &[("host", host)]),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example:8084",
            "",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
        ] {
            assert_eq!(
                judge(&guard, Method::GET, &[("host", host)]),
                Err(GuardError::ForeignHost),
                "{host}"
            );
        }
        let elsewhere = Guard::new(Credentials::default(), false);
        assert_eq!(
            judge(&elsewhere, Method::GET, &[("host", "localhost")]),
            Err(GuardError::Unprotected)
        );
    }

    #[test]
    fn other_sites_cannot_post() {
        let guard = Guard::new(Credentials::default(), true);
        let post = |site, kind| {
            let headers = [
                ("host", "localhost"),
                ("sec-fetch-site", site),
                ("content-type", kind),
            ];
            judge(&guard, Method::POST, &headers)
        };
        assert_eq!(post("same-origin", "application/json"), Ok(()));
        assert_eq!(
            post("cross-site", "application/json"),
            Err(GuardError::ForeignPage)
        );
        assert_eq!(
            post("same-site", "application/json"),
            Err(GuardError::ForeignPage)
        );
        assert_eq!(post("same-origin", "text/plain"), Err(GuardError::NoJson));
    }
}
