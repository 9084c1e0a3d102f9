//! Settings that are right by themselves and wrong together.
//!
//! Invariant: what loses events or clients is a fault; what may be meant is noted.

use std::time::Duration;

use super::Config;
use super::reader::Reader;
use super::settings as s;

/// What an event's envelope and frame add to it at the very most, bytes.
const ENVELOPE: usize = 64 << 10;

/// After so long the shipped proxy files cut a connection on which nothing is said (`timeout tunnel`, `proxy_read_timeout`
/// and the like); a test compares it with them.
pub(super) const PROXY_TIMEOUT: Duration = Duration::from_secs(90);

/// The shipped systemd units kill a node that takes longer to end (`TimeoutStopSec`); a test compares it with them.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(90);

/// What a ping takes at most to come through, and its pong back.
const ON_THE_WAY: Duration = Duration::from_secs(5);

/// Looks at all of them.
pub(super) fn cross_check(r: &mut Reader, config: &Config) {
    sizes(r, config);
    let limits = &config.limits;
    if limits.connections != 0 && limits.connections_per_address > limits.connections {
        let total = limits.connections;
        r.fault(
            s::MAX_CONNECTIONS_PER_ADDRESS.row.name,
            format!("is more than FOGHORN_MAX_CONNECTIONS ({total})"),
        );
    }
    ports(r, config);
    if config.ping + ON_THE_WAY > PROXY_TIMEOUT {
        let (ping, cut) = (config.ping.as_secs(), PROXY_TIMEOUT.as_secs());
        r.notices.push(format!(
            "FOGHORN_PING_SECONDS is {ping}, and the shipped proxy files cut a connection that is silent for {cut} s: quiet clients would be cut over and over; take 25, or raise the proxy's time-out above three times as much"
        ));
    }
    if config.replay > Duration::ZERO
        && config.waiting.age < config.replay
        && config.redis.is_some()
    {
        r.notices.push("FOGHORN_WAITING_SECONDS is below FOGHORN_REPLAY_SECONDS: an event that waits for Redis is dropped before a new subscriber would have stopped getting it".into());
    }
    if r.is_set(&s::OTLP_PERCENT.row) && config.otlp.is_none() {
        r.notices.push(
            "FOGHORN_OTLP_PERCENT is of no use without FOGHORN_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT".into(),
        );
    }
    if config.settle + config.drain >= STOP_TIMEOUT {
        let (end, killed) = (
            (config.settle + config.drain).as_secs(),
            STOP_TIMEOUT.as_secs(),
        );
        r.notices.push(format!(
            "FOGHORN_SETTLE_SECONDS and FOGHORN_DRAIN_SECONDS are {end} s together, and the shipped systemd units kill a node {killed} s after they asked it to end: raise TimeoutStopSec (in a container stop_grace_period, terminationGracePeriodSeconds) above {end}"
        ));
    }
    if config.drain.is_zero() && config.settle.is_zero() {
        r.notices.push("FOGHORN_SETTLE_SECONDS and FOGHORN_DRAIN_SECONDS are both 0: a node that ends cuts all of its clients at once".into());
    }
}

fn sizes(r: &mut Reader, config: &Config) {
    let (limits, event) = (&config.limits, config.limits.event_bytes);
    if limits.outbox_bytes < event + ENVELOPE {
        let least = event + ENVELOPE;
        r.fault(
            s::OUTBOX_BYTES.row.name,
            format!("should be at least {least}: FOGHORN_MAX_EVENT_BYTES ({event}) and 64KiB, or the largest event closes every client"),
        );
    }
    let largest = limits.message_bytes.max(event);
    if limits.unfinished_bytes < largest {
        r.fault(
            s::UNFINISHED_BYTES.row.name,
            format!("should be at least {largest}, as FOGHORN_MAX_MESSAGE_BYTES and FOGHORN_MAX_EVENT_BYTES are, or none of that size could come in"),
        );
    }
    if config.redis.is_some() && config.waiting.bytes < event {
        r.fault(
            s::WAITING_BYTES.row.name,
            format!("should be at least FOGHORN_MAX_EVENT_BYTES ({event})"),
        );
    }
}

/// Several listeners on one port: of one address, or where one of them has all addresses.
fn ports(r: &mut Reader, config: &Config) {
    let (client, ops) = (&config.http, config.ops_addr);
    let everywhere = |host: &str| matches!(host, "0.0.0.0" | "::");
    let host = ops.ip().to_string();
    let meet = client.host == host || everywhere(&client.host) || everywhere(&host);
    if meet && ops.port() != 0 && ops.port() == client.port {
        r.fault(
            s::OPS_ADDR.row.name,
            "is the address clients connect to: give it a port of its own",
        );
    }
    let mut taken = vec![
        (s::PORT.row.name, client.host.clone(), client.port),
        (s::OPS_ADDR.row.name, host, ops.port()),
    ];
    for (_, own) in &config.ports {
        let meets = |other: &str| other == own.host || everywhere(other) || everywhere(&own.host);
        let clash = taken
            .iter()
            .find(|(_, host, port)| *port != 0 && *port == own.port && meets(host));
        if let Some((other, ..)) = clash {
            r.fault(
                own.setting,
                format!("is an address that {other} has already: give it a port of its own"),
            );
        }
        taken.push((own.setting, own.host.clone(), own.port));
    }
}
