//! Keys of v1's file that are not honoured, and what to do instead.
//!
//! Invariant: none of them is passed over: a file that asks for one is refused, by that key's name.

/// Each key, and why.
const KEYS: &[(&str, &str)] = &[
    (
        "ssl_autocert_force_rsa",
        "keys are ECDSA; a certificate with an RSA key can be named by ssl_cert and ssl_key",
    ),
    (
        "web_path",
        "`web` serves the page that is built in; another one can be served by any web server, with its origin in FOGHORN_ALLOWED_ORIGINS",
    ),
    ("web_password", "it is called `admin_password` now"),
    ("web_secret", "it is called `admin_secret` now"),
    ("insecure_web", "it is called `insecure_admin` now"),
];

/// Why `key` is refused; `None`: it is no key of v1 at all.
pub fn reason(key: &str) -> Option<&'static str> {
    KEYS.iter()
        .find(|(known, _)| *known == key)
        .map(|(_, why)| *why)
}

/// All keys of v1 that are refused, and why, as `docs/CENTRIFUGO.md` shows them.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().copied()
}
