//! What operators may do with Seafile's clients and events, by console and commands.
//!
//! Invariant: an operator's event goes the way of a backend's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::backend_event::EventType;
use super::message::CHANNEL_KIND;
use super::{Seafile, ends, events};
use crate::connection::tracked::Tracked;
use crate::dialect::{Ends, Operate, Words};
use crate::event::Channel;

/// The types of events, as they are posted.
const TYPES: &[&str] = &[
    EventType::RepoUpdate.name(),
    EventType::FileLockChanged.name(),
    EventType::FolderPermChanged.name(),
    EventType::CommentUpdate.name(),
];

impl Operate for Seafile {
    fn words(&self) -> Words {
        Words {
            channel: "library",
            name: "library ID",
            kind: CHANNEL_KIND,
            types: TYPES,
        }
    }

    fn post(
        self: Arc<Self>,
        name: String,
        channel: Channel,
        content: Map<String, Value>,
    ) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async move {
            if channel.kind() != CHANNEL_KIND {
                return Err(format!(
                    "{channel} is no library: a library's channel is {CHANNEL_KIND}/ID"
                ));
            }
            let mut content = content;
            content.insert("repo_id".to_owned(), channel.name().into());
            let body = json!({"type": name, "content": content}).to_string();
            match events::take(&self, body.as_bytes(), None).await {
                Ok(None) => Ok(()),
                Ok(Some(nowhere)) => Err(nowhere),
                Err(bad) => Err(bad.to_string()),
            }
        })
    }

    fn explain(&self, token: &str, now_s: i64) -> Value {
        serde_json::to_value(self.rules.keys.explain(token, now_s)).unwrap_or_default()
    }

    fn keys(&self) -> Vec<String> {
        self.rules.keys.fingerprints()
    }

    fn ends(
        self: Arc<Self>,
        held: Vec<(Arc<Tracked>, Vec<Channel>)>,
        within: Duration,
    ) -> BoxFuture<'static, Ends> {
        Box::pin(async move {
            let letters = held
                .iter()
                .map(|(peer, channels)| (Arc::clone(peer), ends::question(channels)))
                .collect();
            let asked: HashMap<u64, &[Channel]> = held
                .iter()
                .map(|(peer, channels)| (peer.outbox.id(), channels.as_slice()))
                .collect();
            let mut found = Ends::new();
            for (id, answer) in self.shared.register.mail().ask(letters, within).await {
                let channels = asked.get(&id).copied().unwrap_or_default();
                found.extend(
                    ends::read(channels, &answer)
                        .map(|(channel, end)| ((id, channel.clone()), end)),
                );
            }
            found
        })
    }
}
