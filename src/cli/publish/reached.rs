//! Whom an event was for, and how many of them there are, as a node's ops address tells.
//!
//! Invariant: what is not known is said not to be known; no number is made up.

use serde_json::{Value, json};

use crate::cli::client::ops::OpsAddress;
use crate::dialect::seafile::backend_event::Audience;
use crate::dialect::seafile::message::CHANNEL_KIND;
use crate::ops::api::LookupAnswer;

/// The subscriptions of a library that an event was for.
pub(super) struct Reached {
    library: String,
    audience: Audience,
    found: Result<LookupAnswer, String>,
}

impl Reached {
    /// Asks `ops` who holds `library`.
    pub fn ask(ops: Result<OpsAddress, String>, library: String, audience: Audience) -> Self {
        let value: String = url::form_urlencoded::byte_serialize(library.as_bytes()).collect();
        let found = ops.and_then(|ops| {
            ops.json(
                &format!("/api/v1/lookup?channel={CHANNEL_KIND}/{value}"),
                None,
            )
        });
        Self {
            library,
            audience,
            found,
        }
    }

    /// How many subscriptions it went to; `None` for a group, whose members only the node knows, and where nobody could be
    /// asked.
    fn count(&self) -> Option<usize> {
        let found = self.found.as_ref().ok()?;
        match &self.audience {
            Audience::All => Some(found.total),
            Audience::User(user) => Some(
                found
                    .nodes
                    .iter()
                    .flat_map(|node| &node.clients)
                    .filter(|client| client.user == *user)
                    .count(),
            ),
            Audience::Group(_) => None,
        }
    }

    fn nodes(&self) -> Vec<&str> {
        let nodes = self
            .found
            .as_ref()
            .map(|found| found.nodes.as_slice())
            .unwrap_or_default();
        nodes
            .iter()
            .filter(|node| node.total > 0)
            .map(|node| node.node.as_str())
            .collect()
    }

    /// A line for people.
    pub fn text(&self) -> String {
        let library = &self.library;
        let whom = match &self.audience {
            Audience::All => format!("everybody who holds {library}"),
            Audience::User(user) => format!("{user}, where they hold {library}"),
            Audience::Group(group) => {
                format!("the members of group {group}, where they hold {library}")
            }
        };
        let many = |count: usize| {
            if count == 1 {
                "1 subscription".to_owned()
            } else {
                format!("{count} subscriptions")
            }
        };
        match (&self.found, self.count()) {
            (Err(error), _) => {
                format!("for {whom}; how many that is, is not known: {error} (--ops)\n")
            }
            (Ok(_), Some(0)) => format!("for {whom}: nobody does now\n"),
            (Ok(_), Some(count)) => format!(
                "for {whom}: {} on {}\n",
                many(count),
                self.nodes().join(", ")
            ),
            (Ok(found), None) => format!("for {whom}: some of {}\n", many(found.total)),
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let audience = match &self.audience {
            Audience::All => json!("all"),
            Audience::User(user) => json!({"user": user}),
            Audience::Group(group) => json!({"group": group}),
        };
        json!({
            "library": self.library,
            "audience": audience,
            "subscriptions": self.count(),
            "nodes": self.nodes(),
            "unknown": self.found.as_ref().err(),
        })
    }
}
