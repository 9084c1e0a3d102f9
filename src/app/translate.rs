//! What each module is told of the configuration, in its own words.
//!
//! Invariant: nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use crate::admission;
use crate::broker::{Bounds, clustered, redis};
use crate::config::{Config, RedisSettings};
use crate::listen::{self, Times, idle};
use crate::unfinished::Unfinished;

/// A dialect that waits for a body gives it up first, and says so; what nobody waits for is cut off so much later.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn limits(config: &Config) -> admission::Limits {
    admission::Limits {
        connections: config.limits.connections,
        connections_per_address: config.limits.connections_per_address,
        handshake_rate: config.limits.handshake_rate,
        handshakes: config.limits.handshake_concurrency,
        trusted_proxies: config.http.trusted_proxies.clone(),
        origins: config.http.allowed_origins.clone(),
        events_from: config.http.events_from.clone(),
    }
}

/// What the listening sockets of a node have in common.
pub(super) fn common(config: &Config, unfinished: &Arc<Unfinished>) -> listen::Common {
    let limits = &config.limits;
    listen::Common {
        times: Times {
            handshake: limits.handshake,
            idle: limits.idle,
            request: limits.request + GRACE,
        },
        idle: idle::Limits {
            all: limits.idle_connections,
            per_address: limits.idle_connections_per_address,
        },
        unfinished: Arc::clone(unfinished),
    }
}

pub(super) fn clustered_config(config: &Config) -> clustered::Config {
    clustered::Config {
        partitions: config.partitions,
        replay: config.replay,
        waiting: waiting(config),
    }
}

fn waiting(config: &Config) -> Bounds {
    let waiting = &config.waiting;
    Bounds {
        count: waiting.events,
        bytes: waiting.bytes,
        age: waiting.age,
    }
}

pub(super) fn redis_config(config: &Config, settings: &RedisSettings) -> redis::Config {
    redis::Config {
        shards: settings.shards.clone(),
        prefix: settings.prefix.clone(),
        partitions: config.partitions,
        replay: config.replay,
        waiting: waiting(config),
    }
}
