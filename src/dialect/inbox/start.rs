//! How the dialect starts on a node, and what of the configuration it is told.
//!
//! Invariant: whoever leaves the inboxes open to everybody is told so at the start.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::access_log::AccessLog;
use super::mqtt::Source;
use super::mqtt::holder::Holder;
use super::mqtt::standing::Standing;
use super::roster::Roster;
use super::rules::Rules;
use super::socket::{self, store::Store};
use super::stream::Manner;
use super::{Inbox, figures, settings as s, wire};
use crate::broker::keep::{Foreign, Server};
use crate::config::reader::Reader;
use crate::config::settings::Setting;
use crate::config::{Config, Values};
use crate::dialect::{Certificate, Context, Descriptor, Dialect, Port, StartError};
use crate::throttle::Throttle;

/// How often a comment goes out where heartbeats are off: often enough for proxies that cut after a minute.
const COMMENTS: Duration = Duration::from_secs(55);

/// The port of event streams and posts.
pub const STREAMS: &str = "streams";
/// The port of WebSockets.
pub(super) const SOCKETS: &str = "sockets";

/// Users' inboxes.
pub static DESCRIPTOR: Descriptor = Descriptor {
    name: wire::DIALECT,
    about: "users' notifications as event streams and WebSockets, posted or by MQTT",
    settings: s::TABLE,
    predecessor: None,
    check,
    metrics: figures::TABLE,
    ports,
    start,
};

fn check(values: &Values, r: &mut Reader) {
    let secrets = [
        (&s::COOKIE_SECRET, true),
        (&s::JWT_KEY, true),
        (&s::SECRET, false),
        (&s::SOCKET_JWT_KEY, true),
    ];
    for (secret, signs) in secrets {
        if let Some(text) = values.optional(secret) {
            r.doubt(secret.row.name, &text, signs);
        }
    }
    if values.optional(&s::COOKIE_SECRET).is_none() && values.optional(&s::JWT_KEY).is_none() {
        r.notices.push(
            "FOGHORN_SSE_COOKIE_SECRET and FOGHORN_SSE_JWT_KEY are not set: everybody is whom they say they are, and reads what is for that user".into(),
        );
    }
    if values.optional(&s::SECRET).is_none() {
        r.notices.push("FOGHORN_SSE_SECRET is not set: whoever reaches FOGHORN_SSE_ADDR may post notifications".into());
    }
    check_ways(values, r);
}

/// What is said of a way that there is not.
fn check_ways(values: &Values, r: &mut Reader) {
    let brokers = values.optional(&s::BROKER).unwrap_or_default();
    let sessions = values.optional(&s::SESSION_REDIS).is_some();
    let sockets = sessions || values.optional(&s::SOCKET_JWT_KEY).is_some();
    let users = "FOGHORN_INBOX_SESSION_REDIS_URL or FOGHORN_INBOX_JWT_KEY";
    for (row, is_used, without) in [
        (&s::SOCKET_ADDR.row, sockets, users),
        (&s::SOCKET_TLS_CERT.row, sockets, users),
        (&s::SESSION_COOKIE.row, sessions, s::SESSION_REDIS.row.name),
        (&s::SESSION_RECHECK.row, sessions, s::SESSION_REDIS.row.name),
        (&s::CLIENT_ID.row, !brokers.is_empty(), s::BROKER.row.name),
        (&s::TOPIC.row, !brokers.is_empty(), s::BROKER.row.name),
        (&s::PAYLOAD.row, !brokers.is_empty(), s::BROKER.row.name),
        (
            &s::BROKER_CA.row,
            brokers.iter().any(|broker| broker.tls),
            "mqtts:// in FOGHORN_INBOX_BROKER_URL",
        ),
    ] {
        if r.is_set(row) && !is_used {
            r.notices
                .push(format!("{} is of no use without {without}", row.name));
        }
    }
    if brokers
        .iter()
        .any(|broker| !broker.tls && broker.login.is_some() && !is_here(&broker.host))
    {
        r.notices.push(
            "FOGHORN_INBOX_BROKER_URL sends its password over mqtt://, where others can read it; mqtts:// encrypts"
                .into(),
        );
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn ports(values: &Values) -> Vec<Port> {
    let mut ports = vec![port(values, STREAMS, &s::ADDR, (&s::TLS_CERT, &s::TLS_KEY))];
    if values.optional(&s::SESSION_REDIS).is_some() || values.optional(&s::SOCKET_JWT_KEY).is_some()
    {
        ports.push(port(
            values,
            SOCKETS,
            &s::SOCKET_ADDR,
            (&s::SOCKET_TLS_CERT, &s::SOCKET_TLS_KEY),
        ));
    }
    ports
}

fn port(
    values: &Values,
    name: &'static str,
    address: &'static Setting<SocketAddr>,
    (cert, key): (&'static Setting<PathBuf>, &'static Setting<PathBuf>),
) -> Port {
    let tls = values.optional(cert).zip(values.optional(key));
    let tls = tls.map(|(chain, key)| Certificate::Files(chain, key));
    let setting = address.row.name;
    let address = values.get(address);
    Port {
        name,
        setting,
        host: address.ip().to_string(),
        port: address.port(),
        tls,
    }
}

fn start(config: &Config, context: Context) -> Result<Arc<dyn Dialect>, StartError> {
    let rules = Rules::new(config);
    if rules.believes_anybody() {
        let advice = "set FOGHORN_SSE_COOKIE_SECRET or FOGHORN_SSE_JWT_KEY";
        tracing::warn!(
            "inboxes are open: whoever can connect reads any user's notifications ({advice})"
        );
    }
    let heartbeat = config.values.get(&s::HEARTBEAT);
    let quiet = if heartbeat.is_zero() {
        COMMENTS
    } else {
        heartbeat
    };
    let values = &config.values;
    let text = values.get(&s::TEXT);
    let store = sessions(config).map(|server| {
        let redis = Foreign::new(server, s::SESSION_REDIS.row.name);
        Store::new(redis, values.get(&s::SESSION_COOKIE))
    });
    let sockets = socket::session::Manner {
        text: text.clone().into(),
        gap_ms: config.replay.as_millis() as u64,
        look_ms: values.get(&s::SESSION_RECHECK).as_millis() as u64,
    };
    let access_log = match values.optional(&s::ACCESS_LOG) {
        Some(path) => Some(AccessLog::start(path, &context.tasks)?),
        None => None,
    };
    let inbox = Arc::new(Inbox {
        context,
        access_log,
        rules: RwLock::new(Arc::new(rules)),
        roster: Roster::default(),
        manner: Manner {
            heartbeats: !heartbeat.is_zero(),
            drain: config.drain,
        },
        quiet_ms: quiet.as_millis() as u64,
        replay: values.get(&s::REPLAY),
        gap: config.replay,
        max_event: config.limits.event_bytes,
        request: config.limits.request,
        room: config.waiting.events,
        kind: socket::wire::kind(&text),
        sockets: Arc::new(sockets),
        store,
        text,
        standing: Standing::default(),
        takes_mqtt: values.optional(&s::BROKER).is_some(),
        warnings: Throttle::minutely(),
        resync_window: config.resync_window,
        told_missed: Mutex::default(),
    });
    if let Some(source) = source(config) {
        let holder = Holder::new(Arc::clone(&inbox), source);
        inbox.context.tasks.spawn("inbox-mqtt", holder.run());
    }
    Ok(inbox)
}

/// The Redis in which session cookies are looked up, if they are.
pub fn sessions(config: &Config) -> Option<Server> {
    config.values.optional(&s::SESSION_REDIS)
}

/// Where messages come from, if they do.
pub fn source(config: &Config) -> Option<Source> {
    let values = &config.values;
    Some(Source {
        addresses: values.optional(&s::BROKER)?,
        ca: values.optional(&s::BROKER_CA),
        client_id: values.get(&s::CLIENT_ID),
        topic: values.get(&s::TOPIC),
        payload: values.get(&s::PAYLOAD),
        longest: config.limits.event_bytes,
    })
}
