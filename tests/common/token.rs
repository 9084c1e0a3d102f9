//! Tokens as Seafile's servers sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The key that nodes under test are started with, unless a test gives another.
pub const KEY: &str = "testkey-testkey-testkey-testkey-00";

/// Unix time in seconds.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}

/// `claims`, signed with `key`.
pub fn sign(key: &str, algorithm: Algorithm, claims: &Value) -> String {
    jsonwebtoken::encode(
        &Header::new(algorithm),
        claims,
        &EncodingKey::from_secret(key.as_bytes()),
    )
    .expect("any claims can be signed")
}

/// What the file server gives `user` to subscribe to `library` with, good for five minutes.
pub fn subscription(library: &str, user: &str) -> String {
    subscription_until(library, user, now() + 300)
}

/// The same, good until `exp` (Unix seconds).
pub fn subscription_until(library: &str, user: &str, exp: i64) -> String {
    sign(
        KEY,
        Algorithm::HS256,
        &json!({"exp": exp, "repo_id": library, "username": user}),
    )
}

/// What seaf-server posts events with.
pub fn event() -> String {
    sign(KEY, Algorithm::HS256, &json!({"exp": now() + 300}))
}
