//! What hinders a node from using a shard.
//!
//! Invariant: each text names the server's address and says what it is like, in words; what mends it is said by whoever
//! knows the settings. No password is part of any.

use fred::error::Error;

use crate::fault::TlsFault;

/// Why a node cannot use a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says what its fields are")]
pub enum ExamineError {
    /// The settings do not give a client at all.
    #[error("no connection can be made: {0}")]
    Settings(String),
    /// Nothing answers there.
    #[error("cannot connect to {address}: {why}")]
    Connect { address: String, why: String },
    /// TLS is not agreed on.
    #[error("{address}: {fault}")]
    Tls { address: String, fault: TlsFault },
    /// It hung up on plain words, and speaks TLS.
    #[error("{address} speaks TLS, and the URL says that it does not")]
    WantsTls { address: String },
    /// It took the connection and says nothing.
    #[error("{address} takes connections and does not answer: {why}")]
    Silent { address: String, why: String },
    /// It speaks something else.
    #[error("{address} is no Redis; it says {said:?}")]
    NotRedis { address: String, said: String },
    /// User or password.
    #[error("{address} {}", login(*.sentinel, .user.as_deref(), *.why))]
    Login {
        address: String,
        user: Option<String>,
        sentinel: bool,
        why: Login,
    },
    /// Redis' protected mode.
    #[error("{address} is in protected mode: without a password it answers its own machine only")]
    Protected { address: String },
    /// The user may not do all that a node does.
    #[error("{address}: the user {user} may not use {}", list(.missing))]
    Rights {
        address: String,
        user: String,
        missing: Vec<Right>,
        prefix: String,
    },
    /// A Sentinel where Redis should be.
    #[error("{address} is a Sentinel, which carries no events{}", its(.masters))]
    Sentinel {
        address: String,
        masters: Vec<String>,
    },
    /// Redis where a Sentinel should be.
    #[error("{address} is no Sentinel")]
    NoSentinel { address: String },
    /// Sentinels that do not know the master.
    #[error("the Sentinel {address} knows no master called {wanted:?}{}", its(.known))]
    NoMaster {
        address: String,
        wanted: String,
        known: Vec<String>,
    },
    /// A Sentinel or a Cluster that sends its clients where this machine cannot go.
    #[error("{address} sends its clients to {to:?}, which cannot be reached from here: {why}")]
    Announced {
        address: String,
        to: String,
        why: String,
    },
    /// A single server where a Cluster should be.
    #[error("{address} is not part of a Redis Cluster")]
    NoCluster { address: String },
    /// A Cluster that does not serve.
    #[error(
        "the Redis Cluster of {address} does not serve all of its slots (cluster_state is not ok)"
    )]
    ClusterDown { address: String },
    /// A replica.
    #[error("{address} is a replica{}: what is published there reaches nobody else", of_master(.master.as_deref()))]
    Replica {
        address: String,
        master: Option<String>,
    },
    /// A command it does not have.
    #[error("{address} does not know {command}: it is too old")]
    Old { address: String, command: String },
    /// Any other refusal, in its own words.
    #[error("{address} refuses {command}: {said}")]
    Refused {
        address: String,
        command: String,
        said: String,
    },
    /// Published, and not heard.
    #[error(
        "{address} took a message and did not give it back to its subscriber within {seconds} s"
    )]
    Deaf { address: String, seconds: u64 },
    /// All of that works, and yet not this node's client.
    #[error("{address} answers, but this node's client cannot use it: {why}")]
    Client { address: String, why: String },
}

/// What is wrong with user or password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// There is none, and one is wanted.
    Needed,
    /// It is another one.
    Wrong,
}

/// What a user lacks, as an ACL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// A command, in small letters; a subcommand behind a bar.
    Command(String),
    /// The channels that begin with the prefix.
    Channels,
    /// The keys that do.
    Keys,
}

impl Right {
    /// The right whose absence a refusal of `command` tells of, if it does.
    pub fn missing(said: &str, command: &[&str]) -> Option<Self> {
        if !said.starts_with("NOPERM") {
            return None;
        }
        if said.contains("channel") {
            return Some(Self::Channels);
        }
        if said.contains("access") && said.contains("key") {
            return Some(Self::Keys);
        }
        let name = command[0].to_lowercase();
        let sub = command
            .get(1)
            .filter(|_| name == "cluster")
            .map(|sub| format!("|{}", sub.to_lowercase()));
        Some(Self::Command(name + &sub.unwrap_or_default()))
    }

    /// What adds it, in an `ACL SETUSER` line.
    pub fn rule(&self, prefix: &str) -> String {
        match self {
            Self::Command(name) => format!("+{name}"),
            Self::Channels => format!("&{prefix}*"),
            Self::Keys => format!("~{prefix}*"),
        }
    }
}

impl ExamineError {
    /// The error's short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } | Self::WantsTls { .. } => "tls",
            Self::Silent { .. } => "silent",
            Self::NotRedis { .. } => "not_redis",
            Self::Login { .. } => "login",
            Self::Protected { .. } => "protected",
            Self::Rights { .. } => "rights",
            Self::Sentinel { .. } | Self::NoSentinel { .. } | Self::NoMaster { .. } => "sentinel",
            Self::Announced { .. } => "announced",
            Self::NoCluster { .. } | Self::ClusterDown { .. } => "cluster",
            Self::Replica { .. } => "replica",
            Self::Old { .. } => "old",
            Self::Refused { .. } => "refused",
            Self::Deaf { .. } => "deaf",
            Self::Client { .. } => "client",
        }
    }

    /// A refusal that has nothing to do with rights.
    pub(super) fn refusal(address: &str, command: &str, said: &str) -> Self {
        let (address, command) = (address.to_owned(), command.to_owned());
        if said.contains("unknown command") {
            Self::Old { address, command }
        } else if said.starts_with("CLUSTERDOWN") {
            Self::ClusterDown { address }
        } else {
            Self::Refused {
                address,
                command,
                said: said.to_owned(),
            }
        }
    }

    /// What this node's own client met.
    pub(super) fn client(address: &str, error: &Error) -> Self {
        Self::Client {
            address: address.to_owned(),
            why: error.details().to_owned(),
        }
    }
}

fn login(sentinel: bool, user: Option<&str>, why: Login) -> String {
    let (whose, user) = (
        if sentinel { "(a Sentinel) " } else { "" },
        user.unwrap_or("default"),
    );
    match why {
        Login::Needed => format!("{whose}wants a password, and none is given"),
        Login::Wrong => {
            format!("{whose}refuses the password of user {user}, or there is no such user")
        }
    }
}

fn list(missing: &[Right]) -> String {
    let name = |right: &Right| match right {
        Right::Command(name) => format!("the command {}", name.replace('|', " ").to_uppercase()),
        Right::Channels => "the channels of Foghorn".to_owned(),
        Right::Keys => "the keys".to_owned(),
    };
    missing.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn its(masters: &[String]) -> String {
    if masters.is_empty() {
        String::new()
    } else {
        format!("; it knows {}", masters.join(", "))
    }
}

fn of_master(master: Option<&str>) -> String {
    master
        .map(|master| format!(" of {master}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_names_the_right() {
        for (said, command, rule) in [
            (
                "NOPERM this user has no permissions to run the 'publish' command",
                &["PUBLISH", "c", "m"][..],
                "+publish",
            ),
            (
                "NOPERM User f has no permissions to run the 'cluster|slots' command",
                &["CLUSTER", "SLOTS"],
                "+cluster|slots",
            ),
            (
                "NOPERM this user has no permissions to access one of the channels used as arguments",
                &["PUBLISH"],
                "&fog*",
            ),
            (
                "NOPERM No permissions to access a channel",
                &["SUBSCRIBE"],
                "&fog*",
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                &["GET", "k"],
                "~fog*",
            ),
            (
                "NOPERM No permissions to access a key",
                &["GET", "k"],
                "~fog*",
            ),
        ] {
            assert_eq!(
                Right::missing(said, command).expect("a right").rule("fog"),
                rule
            );
        }
        assert_eq!(Right::missing("ERR unknown", &["PING"]), None);
    }
}
