//! What of a value may be shown where a secret may have been put into the wrong setting.
//!
//! Invariant: of `scheme://user:password@host` only scheme and host are ever shown, whatever setting it stands in.

use std::path::Path;

use crate::broker::redis::{Server, split_urls};

/// Characters of a value that are shown at most.
const LONGEST: usize = 160;

/// The value of a setting that should hold nothing secret.
pub fn open(text: &str) -> String {
    if text.contains("-----BEGIN") {
        return "***".to_owned();
    }
    let shown = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(login)) if login > scheme => {
            format!("{}***{}", &text[..scheme + 3], &text[login..])
        }
        (_, Some(login)) => format!("***{}", &text[login..]),
        _ => text.to_owned(),
    };
    let shown = match (shown.find("://"), shown.find('?')) {
        (Some(scheme), Some(query)) if query > scheme => format!("{}?***", &shown[..query]),
        _ => shown,
    };
    let line: String = shown
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if shown.chars().count() > LONGEST {
        format!("{line}…")
    } else {
        line
    }
}

/// The value of a setting that names a file with a secret: shown where its folder exists, since it is a path then.
pub fn file(text: &str) -> String {
    let path = Path::new(text);
    let folder = path
        .parent()
        .filter(|folder| folder.components().count() > 1 && folder.is_dir());
    if path.is_file() || folder.is_some() {
        open(text)
    } else {
        "***".to_owned()
    }
}

/// The URLs of a list with every password in them masked. Of what is no good Redis URL only the scheme is shown.
pub fn urls(text: &str) -> String {
    let masked: Vec<String> = split_urls(text).iter().map(|one| url(one)).collect();
    masked.join(",")
}

fn url(url: &str) -> String {
    let scheme = url.find("://").map_or(0, |at| at + 3);
    if Server::parse(url).is_err() {
        return format!(
            "{}***",
            url.get(..scheme)
                .filter(|scheme| scheme.starts_with("redis"))
                .unwrap_or_default()
        );
    }
    // A good URL has nothing of these signs inside of its login.
    let end = url[scheme..]
        .find(['/', '?'])
        .map_or(url.len(), |at| scheme + at);
    let (authority, rest) = (&url[scheme..end], &url[end..]);
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let login = login
        .split_once(':')
        .map(|(user, _)| format!("{user}:***@"))
        .unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let option = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}=***"),
        _ => pair.to_owned(),
    };
    let options: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(option)
        .collect();
    let query = if options.is_empty() {
        String::new()
    } else {
        format!("?{}", options.join("&"))
    };
    format!("{}{login}{hosts}{path}{query}", &url[..scheme])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_login_is_shown() {
        for (text, shown) in [
            ("redis://:hunter2@h", "redis://***@h"),
            ("redis://:hun/te#r2@h:6379/0", "redis://***@h:6379/0"),
            ("mysql://u:hunter2@db/ccnet", "mysql://***@db/ccnet"),
            ("u:hunter2@db", "***@db"),
            ("https://collector/?key=hunter2", "https://collector/?***"),
            ("https://u:hunter2@h/?key=hunter2", "https://***@h/?***"),
            ("-----BEGIN PRIVATE KEY-----\nhunter2", "***"),
            ("10.0.0.0/8,::1", "10.0.0.0/8,::1"),
            ("two\nlines", "two lines"),
        ] {
            assert_eq!(open(text), shown);
        }
        assert_eq!(open(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_secret_in_the_place_of_its_file_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing").display().to_string();
        assert_eq!(file(&missing), missing);
        for secret in ["hunter2", "/hunter2", "Zm9v/YmFy+x==", "/no/such/folder/x"] {
            assert_eq!(file(secret), "***", "{secret}");
        }
    }

    #[test]
    fn of_redis_urls_only_passwords_are_masked() {
        for (text, shown) in [
            (
                "redis://u:secret@h:1/0,rediss-sentinel://:secret@a:26379,b:26379/m?sentinelPassword=s%40ret",
                "redis://u:***@h:1/0,rediss-sentinel://:***@a:26379,b:26379/m?sentinelPassword=***",
            ),
            ("redis://:se,cret@h", "redis://:***@h"),
            ("redis://:se#cret@h", "redis://***"),
            ("redis://secret@h", "redis://***"),
            ("redis://h?sentinelPassword=sec@ret", "redis://***"),
            ("secret", "***"),
            ("secret://h", "***"),
        ] {
            assert_eq!(urls(text), shown);
        }
    }
}
