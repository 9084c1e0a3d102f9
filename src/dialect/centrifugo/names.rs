//! What a channel's name says: its namespace, whether it is private, which users and which client it is for.
//!
//! Invariant: pure.

/// What stands between the parts of a name; none is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Separators {
    /// What a private channel begins with.
    pub(super) private: String,
    /// What ends the namespace.
    pub(super) namespace: String,
    /// What the list of users follows.
    pub(super) users: String,
    /// What stands between two users.
    pub(super) user: String,
    /// What the one client follows.
    pub(super) client: String,
}

impl Default for Separators {
    fn default() -> Self {
        let [private, namespace, users, user, client] =
            ["$", ":", "#", ",", "&"].map(str::to_owned);
        Self {
            private,
            namespace,
            users,
            user,
            client,
        }
    }
}

impl Separators {
    /// Whether a sign is needed to subscribe.
    pub(super) fn is_private(&self, channel: &str) -> bool {
        channel.starts_with(&self.private)
    }

    /// The namespace; empty: none.
    pub fn namespace<'a>(&self, channel: &'a str) -> &'a str {
        let name = channel.strip_prefix(&self.private).unwrap_or(channel);
        name.split_once(&self.namespace)
            .map_or("", |(namespace, _)| namespace)
    }

    /// Whether a client may be there, as far as the name limits users and clients.
    pub fn allow(&self, channel: &str, user: &str, client: &str) -> bool {
        let users = channel.rsplit_once(&self.users).map(|(_, users)| users);
        let of_user = users.is_none_or(|users| users.split(&self.user).any(|one| one == user));
        let of_client = channel
            .rsplit_once(&self.client)
            .is_none_or(|(_, one)| one == client);
        of_user && of_client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_stands_before_the_first_colon() {
        let separators = Separators::default();
        for (channel, namespace) in [
            ("news", ""),
            ("a:b:c", "a"),
            (":x", ""),
            ("$a:b", "a"),
            ("$b", ""),
            ("$:b", ""),
            ("$$a:b", "$a"),
        ] {
            assert_eq!(separators.namespace(channel), namespace, "{channel}");
        }
        assert!(separators.is_private("$x") && !separators.is_private("x$"));
    }

    #[test]
    fn names_limit_users_and_clients() {
        let allow = |channel, user| Separators::default().allow(channel, user, "client-1");
        assert!(
            allow("news", "")
                && allow("x#42", "42")
                && allow("x#7,42", "42")
                && allow("x#7:42", "7:42")
        );
        assert!(
            !allow("x#42", "")
                && !allow("x#42", "4")
                && !allow("x# 42", "42")
                && !allow("x#42#7", "42")
        );
        assert!(allow("x#7:42", "7:42") && !allow("x#7:42", "42"));
        assert!(allow("x&client-1", "") && !allow("x&client-2", "") && !allow("x&client-1&", ""));
        // Each looks at the whole name.
        assert!(allow("x&y#42&client-1", "42&client-1"));
    }
}
