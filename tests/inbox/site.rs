//! Nodes that serve inboxes.

use std::ops::{Deref, DerefMut};

use crate::common::node::{Node, Plan};
use crate::common::ports::free_port;

/// A node, and where its inboxes are.
pub struct Inbox {
    node: Node,
    pub port: u16,
}

impl Inbox {
    /// Starts one with these settings.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::from(Plan::new(), settings).await
    }

    /// Starts one from a plan.
    pub async fn from(plan: Plan, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let plan = plan
            .env("FOGHORN_DIALECTS", "inbox")
            .env("FOGHORN_SSE_ADDR", &format!("127.0.0.1:{port}"));
        let plan = settings
            .iter()
            .fold(plan, |plan, (name, value)| plan.env(name, value));
        Self {
            node: plan.start().await,
            port,
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Deref for Inbox {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Inbox {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}
