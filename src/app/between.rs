//! What stands between the nodes, and keeps for them.

use std::sync::Arc;

use super::AppError;
use super::translate::{clustered_config, redis_config};
use crate::broker::Broker;
use crate::broker::carrier::Carrier;
use crate::broker::clustered::ClusteredBroker;
use crate::broker::keep::Keeper;
use crate::broker::memory::MemoryBroker;
use crate::broker::redis;
use crate::config::Config;
use crate::drain::Tasks;
use crate::receive::Receiver;

/// What nodes of one process share, in the place of a broker of their own.
#[derive(Clone)]
pub enum Between {
    /// A memory broker.
    Memory(MemoryBroker),
    /// What stands where Redis would; such nodes keep each their own past.
    Carrier(Arc<dyn Carrier>),
}

/// Joins what is `shared`, or what `config` names.
pub(super) fn join(
    shared: Option<Between>,
    config: &Config,
    sink: Arc<Receiver>,
    tasks: &Tasks,
) -> Result<(Broker, Keeper), AppError> {
    match (shared, &config.redis) {
        (Some(Between::Memory(memory)), _) => Ok(attach(memory, sink)),
        (Some(Between::Carrier(carrier)), _) => {
            let own = clustered_config(config);
            let broker = ClusteredBroker::start(&own, vec![carrier], sink, tasks);
            let keeper = MemoryBroker::start(config.partitions, tasks).keeper();
            Ok((Broker::Clustered(broker), Keeper::Memory(keeper)))
        }
        (None, Some(settings)) => {
            tracing::info!("{}", config.broker);
            let own = redis_config(config, settings);
            let (broker, keeper) = redis::start_keeping(&own, sink, tasks)?;
            Ok((Broker::Clustered(broker), Keeper::Redis(keeper)))
        }
        (None, None) => {
            tracing::info!("{}", config.broker);
            Ok(attach(MemoryBroker::start(config.partitions, tasks), sink))
        }
    }
}

fn attach(memory: MemoryBroker, sink: Arc<Receiver>) -> (Broker, Keeper) {
    memory.attach(sink);
    let keeper = Keeper::Memory(memory.keeper());
    (Broker::Memory(memory), keeper)
}
