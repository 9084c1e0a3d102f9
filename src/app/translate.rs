//! What each module is told of the configuration, in its own words.
//!
//! Invariant: nothing is decided here.

use crate::broker::redis;
use crate::config::{self, Config, DbTls, RedisSettings};
use crate::connection::door;
use crate::dialect::seafile;
use crate::dialect::seafile::groups::{self, Tls};

pub(super) fn limits(config: &Config) -> door::Limits {
    door::Limits {
        connections: config.limits.connections,
        connections_per_address: config.limits.connections_per_address,
        handshake_rate: config.limits.handshake_rate,
        handshakes: config.limits.handshake_concurrency,
        trusted_proxies: config.http.trusted_proxies.clone(),
        origins: config.http.allowed_origins.clone(),
        events_from: config.http.events_from.clone(),
    }
}

pub(super) fn redis_config(config: &Config, settings: &RedisSettings) -> redis::Config {
    let waiting = &config.waiting;
    redis::Config {
        shards: settings.shards.clone(),
        prefix: settings.prefix.clone(),
        partitions: config.partitions,
        replay: config.replay,
        waiting: redis::Bounds { count: waiting.events, bytes: waiting.bytes, age: waiting.age },
    }
}

pub(super) fn seafile_config(config: &Config) -> seafile::Config {
    seafile::Config {
        max_event: config.limits.event_bytes,
        max_subscriptions: config.limits.subscriptions,
        request: config.limits.request,
    }
}

/// Where the ccnet database is, for who looks into it.
pub(crate) fn groups_config(database: &config::Groups) -> groups::Config {
    groups::Config {
        host: database.host.clone(),
        port: database.port,
        user: database.user.clone(),
        password: database.password.0.clone(),
        database: database.ccnet_db.clone(),
        tls: match database.tls {
            DbTls::Off => Tls::Off,
            DbTls::On => Tls::On,
            DbTls::Verify => Tls::Verify,
        },
        ca: database.ca.clone(),
    }
}
