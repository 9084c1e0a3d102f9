//! How the dialect starts on a node, and what of the configuration it is told.
//!
//! Invariant: a build whose tokens do not work never listens.

use std::sync::Arc;

use super::auth::Refusal;
use super::groups::Groups;
use super::sequencer::{self, Directory, Sequencer};
use super::settings::{self, MAX_SUBSCRIPTIONS, Secrets};
use super::{Config, Seafile};
use crate::config;
use crate::dialect::{Context, Descriptor, Dialect, StartError};
use crate::drain::Tasks;
use crate::node::Node;

/// Seafile's notification protocol.
pub static DESCRIPTOR: Descriptor = Descriptor {
    name: super::clients::DIALECT,
    about: "Seafile's notification protocol",
    settings: settings::TABLE,
    predecessor: Some(&super::predecessor::SEAFILE),
    check: settings::check,
    metrics: super::figures::TABLE,
    ports: |_| Vec::new(),
    start,
};

/// The token machinery does not work in this build.
#[derive(Debug, thiserror::Error)]
#[error("tokens cannot be checked: {0}")]
struct TokensError(#[from] Refusal);

fn start(config: &config::Config, context: Context) -> Result<Arc<dyn Dialect>, StartError> {
    let keys = Secrets::of(&config.values).keys();
    keys.self_test().map_err(TokensError)?;
    let groups = groups(config, &context.tasks);
    let order = order(
        groups.clone(),
        context.connections.node.clone(),
        &context.tasks,
    );
    let (limits, subscriptions) = (&config.limits, config.values.get(&MAX_SUBSCRIPTIONS));
    let own = Config {
        max_event: limits.event_bytes,
        max_subscriptions: subscriptions as usize,
        request: limits.request,
    };
    Ok(Seafile::new(context.connections, keys, order, groups, own))
}

/// Who knows the members of groups, where a database is configured.
fn groups(config: &config::Config, tasks: &Tasks) -> Option<Groups> {
    let Some(database) = settings::groups(&config.values) else {
        tracing::warn!(
            "no database is configured (SEAFILE_MYSQL_DB_HOST): events for groups will go to nobody"
        );
        return None;
    };
    let groups = Groups::new(&database, tasks.clone());
    groups.watch();
    Some(groups)
}

fn order(groups: Option<Groups>, node: Node, tasks: &Tasks) -> Sequencer {
    let directory = groups.map(|groups| Arc::new(groups) as Arc<dyn Directory>);
    Sequencer::new(
        move |event| node.publish(event),
        directory,
        sequencer::Limits::default(),
        tasks.clone(),
    )
}
