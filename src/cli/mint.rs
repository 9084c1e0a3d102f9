//! Makes tokens with the configured key.

use crate::config::{ConfigError, Sources};
use crate::dialect::seafile::auth::{Claims, Keys};
use crate::dialect::seafile::settings::secrets;
use crate::event::now_ms;

/// The key, ready to sign.
pub(super) struct Mint(Keys);

impl Mint {
    /// The key of the environment or of `seafile.conf`; nothing else of the configuration is looked at.
    ///
    /// # Errors
    /// There is none.
    pub fn from(sources: &Sources) -> Result<Self, ConfigError> {
        Ok(Self::with(&secrets(sources)?.current))
    }

    /// This key.
    pub fn with(key: &str) -> Self {
        Self(Keys::new(key, None))
    }

    /// Equal for equal keys, and tells nothing of them.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    /// For subscribing to one library, good for `ttl` seconds.
    pub fn subscription(&self, repo: &str, user: &str, ttl: u32) -> String {
        self.0.sign(&Claims {
            exp: expiry(ttl),
            repo_id: Some(repo.to_owned()),
            username: Some(user.to_owned()),
        })
    }

    /// For posting events, good for `ttl` seconds.
    pub fn events(&self, ttl: u32) -> String {
        self.0.sign(&Claims {
            exp: expiry(ttl),
            repo_id: None,
            username: None,
        })
    }
}

fn expiry(ttl: u32) -> i64 {
    (now_ms() / 1000) as i64 + i64::from(ttl)
}
