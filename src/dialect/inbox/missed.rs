//! Something may be missing, nobody knows whose: everybody who is connected, to whichever node, is told to look.
//!
//! Invariants: each is told once, and not all at the same time, since each then asks the backend; a node that has not answered is
//! asked again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Inbox;
use super::wire::DIALECT;

/// What other nodes are asked.
const QUESTION: &str = "missed";
/// How often those are asked again that do not answer.
const TRIES: usize = 5;
/// So many are remembered that have been told.
const TOLD: usize = 16;
/// How long after.
const AGAIN: Duration = Duration::from_secs(1);

/// Has all nodes tell their clients.
pub(super) fn tell_everybody(inbox: Arc<Inbox>) {
    let tasks = inbox.context.tasks.clone();
    tasks.clone().spawn("inbox-missed", async move {
        let question = format!("{QUESTION} {:016x}", rand::random::<u64>());
        let mut answered: BTreeSet<Bytes> = BTreeSet::new();
        for _ in 0..TRIES {
            let cluster = &inbox.context.cluster;
            answered.extend(cluster.ask(DIALECT, question.as_bytes()).await);
            if cluster
                .view()
                .nodes
                .iter()
                .all(|node| answered.contains(node.name.as_bytes()))
            {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = tasks.stopped() => return,
            }
        }
    });
}

/// Another node asks that this one's clients be told. Answers with this node's name.
pub fn answer(inbox: &Inbox, question: &[u8]) -> Option<Bytes> {
    let said = question.strip_prefix(QUESTION.as_bytes())?;
    let mut told = inbox.told_missed.lock();
    if !told.iter().any(|one| **one == *said) {
        told.push_back(said.into());
        if told.len() > TOLD {
            told.pop_front();
        }
        tell(inbox);
    }
    Some(inbox.context.cluster.identity().name.clone().into())
}

fn tell(inbox: &Inbox) {
    let register = &inbox.context.connections.register;
    let window = inbox.resync_window.as_millis() as u64;
    for peer in register.peers(|peer| peer.outbox.kind().dialect == DIALECT) {
        let after = rand::random_range(0..=window).to_string();
        register.mail().send(&peer, after.into());
    }
}
