//! What of the configuration decides about a request; SIGHUP makes it anew.
//!
//! Invariant: no secret is in `Debug` output or in a log.

use std::time::Duration;

use super::keys::Key;
use super::settings::{self as s, FormJson, Page};
use crate::config::Config;
use crate::credentials::Credentials;

/// See the module.
pub struct Rules {
    /// What signs cookies; `None`: they are not looked at as proofs.
    pub(super) cookies: Option<Key>,
    /// What signs tokens.
    pub(super) tokens: Option<Key>,
    /// What signs tokens for WebSockets.
    pub(super) socket_tokens: Option<Key>,
    /// What posts need: one secret, shown in any way.
    pub(super) posters: Credentials,
    /// Pages of which origins may come; empty: see [`super::cors`].
    pub(super) origins: Vec<String>,
    /// The types that may be posted; empty: any.
    pub(super) types: Vec<String>,
    /// How JSON in forms is read.
    pub(super) form_json: FormJson,
    /// For how long the same notification is not sent again; zero: it always is.
    pub(super) dedup: Duration,
    /// Streams of one user on this node.
    pub(super) max_per_user: usize,
    /// Who may see the page and the list.
    pub(super) page: Page,
    /// The operators' password and token.
    pub(super) operators: Credentials,
}

impl Rules {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        let values = &config.values;
        let key = |text: Option<String>| text.map(|text| Key::new(&text));
        let secret = values.optional(&s::SECRET);
        Self {
            cookies: key(values.optional(&s::COOKIE_SECRET)),
            tokens: key(values.optional(&s::JWT_KEY)),
            socket_tokens: key(values.optional(&s::SOCKET_JWT_KEY)),
            posters: Credentials {
                password: secret.clone(),
                token: secret,
            },
            origins: values.optional(&s::ORIGINS).unwrap_or_default(),
            types: values.optional(&s::TYPES).unwrap_or_default(),
            form_json: values.get(&s::FORM_JSON),
            dedup: values.get(&s::DEDUP),
            max_per_user: values.get(&s::MAX_PER_USER) as usize,
            page: values.get(&s::PAGE),
            operators: config.ops.credentials(),
        }
    }

    /// Whether everybody is whom they say they are.
    pub(super) fn believes_anybody(&self) -> bool {
        self.cookies.is_none() && self.tokens.is_none()
    }
}
