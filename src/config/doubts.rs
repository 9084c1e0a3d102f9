//! Secrets that are what somebody typed and hardly what somebody meant: quoted, a placeholder, too short.
//!
//! Invariant: nothing of the secret is told but how it looks wrong.

/// Characters that a key should have at least, as the manuals of the programs that share it ask for.
const KEY_LENGTH: usize = 32;

/// What may be wrong with a secret. `signs`: it is a key that tokens are signed with.
pub(super) fn doubts(name: &str, secret: &str, signs: bool) -> Vec<String> {
    let mut found = Vec::new();
    if secret.is_empty() {
        return found;
    }
    if ['"', '\'', '`']
        .iter()
        .any(|quote| secret.len() > 1 && secret.starts_with(*quote) && secret.ends_with(*quote))
    {
        found.push(format!(
            "{name} stands in quotes, which count as part of it: take them away unless they are part of it elsewhere too"
        ));
    }
    if secret.trim() != secret {
        found.push(format!(
            "{name} begins or ends with a blank; it counts as part of the secret"
        ));
    }
    if placeholder(secret) {
        found.push(format!(
            "{name} looks like a placeholder that was never filled in"
        ));
    } else if signs && secret.chars().count() < KEY_LENGTH {
        found.push(format!("{name} has fewer than {KEY_LENGTH} characters and may be guessed; `pwgen -s 40 1` makes a good one, to be set at whoever signs too"));
    }
    found
}

fn placeholder(secret: &str) -> bool {
    let plain: String = secret
        .trim_matches(['"', '\'', '`', ' '])
        .to_lowercase()
        .chars()
        .filter(|c| !"-_ .".contains(*c))
        .collect();
    let bracketed = [
        ("<", ">"),
        ("${", "}"),
        ("{{", "}}"),
        ("[", "]"),
        ("$(", ")"),
    ];
    let same = |word: &&str| plain == **word;
    let first = plain.chars().next();
    bracketed
        .iter()
        .any(|(open, close)| plain.starts_with(open) && plain.ends_with(close))
        || [
            "changeme",
            "placeholder",
            "replaceme",
            "fillme",
            "fillin",
            "yourjwt",
            "yourkey",
            "yoursecret",
            "yourprivate",
            "yourpassword",
            "mustbethesame",
        ]
        .iter()
        .any(|word| plain.contains(word))
        || [
            "secret",
            "password",
            "asecret",
            "example",
            "todo",
            "tbd",
            "none",
            "null",
            "key",
            "jwtprivatekey",
            "dbpassword",
            "privatekey",
            "test",
        ]
        .iter()
        .any(same)
        || (plain.len() > 2
            && plain.chars().all(|c| Some(c) == first)
            && "x*.?0".contains(first.unwrap_or(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A";

    #[test]
    fn doubtful_secrets_are_noted_and_good_ones_are_not() {
        for (secret, word) in [
            (format!("\"{GOOD}\""), "quotes"),
            (format!("'{GOOD}'"), "quotes"),
            (format!("{GOOD} "), "blank"),
            ("changeme".into(), "placeholder"),
            ("<your key>".into(), "placeholder"),
            ("${JWT_PRIVATE_KEY}".into(), "placeholder"),
            (
                "Your_jwt_private_key_comes_here_please".into(),
                "placeholder",
            ),
            ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".into(), "placeholder"),
            ("k".into(), "fewer than 32"),
        ] {
            let found = doubts("KEY", &secret, true);
            assert!(
                found.iter().any(|note| note.contains(word)),
                "{secret}: {found:?}"
            );
            assert!(
                secret.len() < 3 || found.iter().all(|note| !note.contains(&secret)),
                "{found:?}"
            );
        }
        assert_eq!(doubts("KEY", GOOD, true), Vec::<String>::new());
        assert_eq!(doubts("PASSWORD", "hunter2", false), Vec::<String>::new());
    }
}
