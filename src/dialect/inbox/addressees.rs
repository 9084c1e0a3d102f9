//! Whom a notification is for: `TYPE_USER`, several with `;` between them.
//!
//! Invariants: pure; nothing of what a part says can end a line of an event stream, or pass for an event of ours.

/// Parts that one post may name.
const MOST: usize = 10_000;
/// Bytes of a user's name.
const USER: usize = 256;
/// Letters of a type.
const TYPE: usize = 64;

/// Types that mean something to an event stream's reader already.
const RESERVED: [&str; 5] = ["connect", "heartbeat", "resync", "open", "error"];

/// One user, and what kind of news there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressee<'a> {
    /// What the event is called.
    pub kind: &'a str,
    /// Whose it is.
    pub user: &'a str,
}

/// Those of an id that can be used, in its order, and how many cannot; `None`: there are too many.
pub fn read<'a>(id: &'a str, types: &[String]) -> Option<(Vec<Addressee<'a>>, usize)> {
    let parts: Vec<&str> = id
        .split(';')
        .filter(|part| !part.is_empty())
        .take(MOST + 1)
        .collect();
    if parts.len() > MOST {
        return None;
    }
    let good: Vec<Addressee<'a>> = parts
        .iter()
        .filter_map(|part| addressee(part, types))
        .collect();
    let bad = parts.len() - good.len();
    Some((good, bad))
}

fn addressee<'a>(part: &'a str, types: &[String]) -> Option<Addressee<'a>> {
    let (kind, user) = part.split_once('_')?;
    (is_kind(kind, types) && is_user(user)).then_some(Addressee { kind, user })
}

/// Whether a notification may be of this type, where only `types` may be posted, or any where that is empty.
pub(super) fn is_kind(kind: &str, types: &[String]) -> bool {
    let letters = kind
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let wanted = types.is_empty() || types.iter().any(|known| known == kind);
    letters && (1..=TYPE).contains(&kind.len()) && !RESERVED.contains(&kind) && wanted
}

/// Whether a user may be called so.
pub(super) fn is_user(name: &str) -> bool {
    (1..=USER).contains(&name.len()) && !name.bytes().any(|byte| byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_at_their_first_underscore() {
        let (good, bad) = read(";appr_a_b;;notify_한;x;_u;notify_;;", &[]).expect("few");
        assert_eq!(
            good,
            [
                Addressee {
                    kind: "appr",
                    user: "a_b"
                },
                Addressee {
                    kind: "notify",
                    user: "한"
                }
            ]
        );
        assert_eq!(bad, 3);
    }

    #[test]
    fn nothing_passes_for_what_it_is_not() {
        for part in [
            "connect_u",
            "error_u",
            "a\nb_u",
            "a b_u",
            "\ndata: evil\n\n_u",
            "a_u\r",
            "a_\u{7f}",
        ] {
            assert_eq!(read(part, &[]), Some((vec![], 1)), "{part:?}");
        }
        let types = ["appr".to_owned()];
        assert_eq!(
            read("appr_u;notify_u", &types).map(|(good, bad)| (good.len(), bad)),
            Some((1, 1))
        );
        assert_eq!(read(&"a_b;".repeat(MOST + 1), &[]), None);
        let long = format!("a_{}", "u".repeat(257));
        assert_eq!(read(&long, &[]), Some((vec![], 1)));
    }
}
