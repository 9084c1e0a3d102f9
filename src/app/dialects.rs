//! The dialects of a node: which run, and what all of them together are to the cluster.
//!
//! Invariant: no dialect is named here; whatever is done, is done for each that was switched on.

use std::future::ready;
use std::sync::Arc;

use super::AppError;
use crate::acme::Acme;
use crate::cluster::{Responder, Voice};
use crate::config::Config;
use crate::connection::{Asker, Shared};
use crate::dialect::{Context, Descriptor, Dialect};
use crate::ops::{Notes, Operated, Ops, questions};

/// Starts those that `config` switches on, in the order in which it names them.
pub(super) fn start(config: &Config, context: &Context) -> Result<Vec<Arc<dyn Dialect>>, AppError> {
    let start = |dialect: &&'static Descriptor| {
        (dialect.start)(config, context.clone()).map_err(|source| AppError::Dialect {
            dialect: dialect.name,
            source,
        })
    };
    config.dialects.iter().map(start).collect()
}

/// Has the dialects answer what their sessions ask.
pub(super) fn answer_sessions(dialects: &[Arc<dyn Dialect>], connections: &Shared) {
    let asker = |dialect: &Arc<dyn Dialect>| -> (&'static str, Asker) {
        // A dialect holds what its connections share, so that must not hold the dialect.
        let (name, dialect) = (dialect.name(), Arc::downgrade(dialect));
        let answer = move |question| match dialect.upgrade() {
            Some(dialect) => dialect.asked(question),
            None => Box::pin(ready(None)),
        };
        (name, Box::new(answer))
    };
    // Given twice, the first ones stay.
    let _ = connections.askers.set(dialects.iter().map(asker).collect());
}

/// What operators work on: the dialects that let them, in the order in which they are switched on.
pub(super) fn operated(dialects: &[Arc<dyn Dialect>]) -> Vec<Operated> {
    let operated = |dialect: &Arc<dyn Dialect>| {
        Some(Operated {
            dialect: dialect.name(),
            operate: Arc::clone(dialect).operate()?,
        })
    };
    dialects.iter().filter_map(operated).collect()
}

/// What `/readyz` shows of them, and of what is ordered for their ports.
pub(super) fn notes(dialects: &[Arc<dyn Dialect>], ordered: Vec<Arc<Acme>>) -> Notes {
    let dialects = dialects.to_vec();
    Box::new(move || {
        let failing: Vec<String> = ordered.iter().flat_map(|acme| acme.failing()).collect();
        let certificates = (!failing.is_empty()).then(|| ("certificates", failing.join("; ")));
        let notes = dialects.iter().flat_map(|dialect| dialect.notes());
        notes.chain(certificates).collect()
    })
}

/// Events accepted that the broker does not have yet.
pub(super) fn waiting(dialects: &[Arc<dyn Dialect>]) -> usize {
    dialects.iter().map(|dialect| dialect.waiting()).sum()
}

/// Who answers the other nodes' questions here, and by which keys this node is known.
pub(super) fn voice(dialects: &[Arc<dyn Dialect>], ops: &Arc<Ops>) -> Voice {
    let mut responders: Vec<(&'static str, Responder)> = Vec::new();
    for dialect in dialects {
        // A dialect holds the cluster, so the cluster must not hold the dialect.
        let (name, dialect) = (dialect.name(), Arc::downgrade(dialect));
        let answer: Responder = Box::new(move |question| match dialect.upgrade() {
            Some(dialect) => dialect.answer(question),
            None => Box::pin(ready(None)),
        });
        responders.push((name, answer));
    }
    let ops = Arc::downgrade(ops);
    let answer: Responder = Box::new(move |question| {
        let ops = ops.upgrade();
        Box::pin(async move { ops?.answer(question).await })
    });
    responders.push((questions::SUBJECT, answer));
    let operated: Vec<_> = dialects.iter().map(Arc::downgrade).collect();
    let keys = Box::new(move || {
        let running = operated.iter().filter_map(std::sync::Weak::upgrade);
        running
            .filter_map(Dialect::operate)
            .flat_map(|operate| operate.keys())
            .collect()
    });
    Voice { responders, keys }
}
