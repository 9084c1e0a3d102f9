//! A password by HTTP Basic and a bearer token: what opens something, and whether a request shows it.
//!
//! Invariant: they are compared in constant time, and never logged.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

/// What opens something: either of the two.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Password of any user, by HTTP Basic.
    pub password: Option<String>,
    /// Bearer token.
    pub token: Option<String>,
}

/// What a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nothing that could be either.
    Nothing,
    /// Something else.
    Wrong,
    /// What is wanted.
    Good,
}

impl Credentials {
    /// Whether anything is wanted.
    pub fn any(&self) -> bool {
        self.password.is_some() || self.token.is_some()
    }

    /// Each kind that is accepted, with the challenge (`WWW-Authenticate`) that asks for it.
    pub fn accepted(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let password = self
            .password
            .as_ref()
            .map(|_| ("password", "Basic realm=\"Foghorn\", charset=\"UTF-8\""));
        let token = self
            .token
            .as_ref()
            .map(|_| ("token", "Bearer realm=\"Foghorn\""));
        password.into_iter().chain(token)
    }

    /// What a request with these headers shows.
    pub fn shown(&self, headers: &HeaderMap) -> Shown {
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let Some((scheme, value)) = authorization.split_once(' ') else {
            return Shown::Nothing;
        };
        let value = value.trim();
        let good = if scheme.eq_ignore_ascii_case("bearer") {
            self.token
                .as_ref()
                .is_some_and(|token| same(token.as_bytes(), value.as_bytes()))
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = STANDARD.decode(value).unwrap_or_default();
            let given = pair
                .iter()
                .position(|byte| *byte == b':')
                .map(|colon| &pair[colon + 1..]);
            given
                .zip(self.password.as_ref())
                .is_some_and(|(given, password)| same(password.as_bytes(), given))
        } else {
            return Shown::Nothing;
        };
        if good { Shown::Good } else { Shown::Wrong }
    }
}

/// Whether two secrets are the same.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_in_its_own_way() {
        let wanted = Credentials {
            password: Some("pass:word".into()),
            token: Some("token".into()),
        };
        let shown = |authorization: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, authorization.parse().expect("a value"));
            wanted.shown(&headers)
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(
            (shown("bearer token"), shown(&basic("any:pass:word"))),
            (Shown::Good, Shown::Good)
        );
        for wrong in [
            "Bearer pass:word",
            "Bearer ",
            "Bearer tokens",
            "Basic !",
            &basic("any:token"),
            &basic("pass"),
        ] {
            assert_eq!(shown(wrong), Shown::Wrong, "{wrong}");
        }
        for nothing in ["", "token", "Digest x", "Basic"] {
            assert_eq!(shown(nothing), Shown::Nothing, "{nothing}");
        }
        assert_eq!(
            Credentials::default().shown(&HeaderMap::new()),
            Shown::Nothing
        );
    }
}
