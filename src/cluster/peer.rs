//! What the broker tells other nodes of this one, and how their questions find who answers them here.
//!
//! Invariant: a question about what this node does not know is left unanswered, since a newer node may ask it.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Cluster, mail};
use crate::broker::cluster::ClusterMember;

impl ClusterMember for Cluster {
    fn id(&self) -> String {
        self.identity.id.clone()
    }

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn keys(&self) -> Vec<String> {
        self.own_keys()
    }

    fn view(&self) -> Bytes {
        serde_json::to_vec(&self.own_view())
            .unwrap_or_default()
            .into()
    }

    fn answer(&self, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let me = self.me.clone();
        Box::pin(async move {
            let end = question.iter().position(|byte| *byte == b'\n')?;
            let (subject, question) = (
                std::str::from_utf8(&question[..end]).ok()?,
                question.slice(end + 1..),
            );
            let me = me.upgrade()?;
            if subject == mail::SUBJECT {
                return me.hand_out(question).await;
            }
            let (_, responder) = me
                .voice
                .get()?
                .responders
                .iter()
                .find(|(name, _)| *name == subject)?;
            responder(question).await
        })
    }
}
