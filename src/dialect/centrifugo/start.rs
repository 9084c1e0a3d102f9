//! How the dialect starts on a node, and what of the configuration it is told.
//!
//! Invariant: whoever runs it in an insecure mode, or with a weak secret, is told so.

use std::sync::Arc;

use parking_lot::Mutex;

use super::api::Places;
use super::file::node::{ALL, OwnPort};
use super::file::{FileFault, Fixed, V1, stand_ins};
use super::nodes::{self, Snapshot};
use super::sockjs::SockJs;
use super::{Centrifugo, Site, admin, figures, lists, pid, settings as s, wire};
use crate::acme::AcmeError;
use crate::config::reader::Reader;
use crate::config::{Config, Values};
use crate::connection::Shared;
use crate::connection::sweep::Liveness;
use crate::dialect::{Certificate, Context, Descriptor, Dialect, Port, StartError};
use crate::outbox::Bounds;

/// Centrifugo v1.
pub static DESCRIPTOR: Descriptor = Descriptor {
    name: wire::DIALECT,
    about: "Centrifugo v1's protocol for pages and its API for backends",
    settings: s::TABLE,
    predecessor: Some(&stand_ins::V1S),
    check,
    metrics: figures::TABLE,
    ports,
    start,
};

fn check(values: &Values, r: &mut Reader) {
    stand_ins::judge(r);
    let name = s::CONFIG.row.name;
    if r.is_set(&s::CONFIG.row) && values.optional(&s::CONFIG).is_none() {
        // It was told that there is no such file.
        return;
    }
    let v1 = match s::v1(values) {
        Ok(v1) => v1,
        Err(FileFault::None) => {
            return r.fault(
                name,
                "is missing: it has to name Centrifugo's configuration file",
            );
        }
        Err(fault) => return r.fault(name, format!("it cannot be used: {fault}")),
    };
    if let Some(Certificate::Ordered(wanted)) = s::certificate(values, &v1)
        && let Err(error) = wanted.examine()
    {
        let culprit = match error {
            AcmeError::Trusted { .. } => s::ACME_TRUSTED.row.name,
            _ => name,
        };
        r.fault(culprit, format!("no certificate can be ordered: {error}"));
    }
    let V1 {
        rules,
        secret,
        node,
        fixed,
    } = v1;
    if node.autocert.forgets() {
        r.notices.push(format!(
            "`ssl_autocert` in {name} is on without `ssl_autocert_cache_dir`: each start orders certificates anew, and authorities let few pass (Let's Encrypt five a week)"
        ));
    }
    // What is wrong about a Redis that is named is told already.
    if !fixed.lists.is_empty() && !r.names_redis {
        let fault = FileFault::NoRedis;
        r.fault(name, format!("it cannot be used: {fault}"));
    }
    r.notices.extend(node.notes);
    if let Some(secret) = secret {
        r.doubt(&format!("the secret in {name}"), &secret, true);
    }
    if rules.insecure {
        r.notices.push(format!(
            "`insecure` in {name} is on: everybody is whom they say they are, and may do anything"
        ));
    }
    if rules.admin.insecure {
        r.notices.push(format!(
            "`insecure_admin` in {name} is on: whoever reaches the admin socket, or the page of `web`, may do anything"
        ));
    }
    if rules.insecure_api {
        r.notices.push(format!(
            "`insecure_api` in {name} is on: whoever reaches the API may publish and disconnect"
        ));
    }
}

/// The ports that it has to itself.
fn ports(values: &Values) -> Vec<Port> {
    let Ok(v1) = s::v1(values) else {
        return Vec::new();
    };
    let (tls, node) = (s::certificate(values, &v1), v1.node);
    let (setting, host) = (
        s::CONFIG.row.name,
        node.address.clone().unwrap_or_else(|| ALL.to_owned()),
    );
    let of = |(place, port): (OwnPort, u16)| Port {
        name: place.into(),
        setting,
        host: host.clone(),
        port,
        tls: tls.clone(),
    };
    node.own_ports().into_iter().map(of).collect()
}

fn start(config: &Config, context: Context) -> Result<Arc<dyn Dialect>, StartError> {
    let V1 {
        rules, fixed, node, ..
    } = s::v1(&config.values)?;
    let connections = Arc::new(connections(&context, &fixed));
    let centrifugo = Arc::new(Centrifugo {
        sockjs: SockJs::new(&connections, &fixed),
        socket: wire::socket(fixed.compression),
        connections,
        context,
        site: Arc::new(Site::new(rules, fixed.queue_bytes)),
        prefix: fixed.prefix.clone(),
        max_body: config.limits.event_bytes,
        request: config.limits.request,
        interval: fixed.metrics,
        has_admin: fixed.admin,
        has_page: fixed.web,
        places: Places::of(&node),
        attempts: Mutex::default(),
        snapshot: Snapshot::default(),
    });
    if let Some(path) = node.pid_file {
        pid::write(path, &centrifugo.context.tasks).map_err(FileFault::PidFile)?;
    }
    nodes::watch(&centrifugo);
    lists::take(&centrifugo, &fixed.lists);
    if fixed.admin {
        admin::watch(&centrifugo);
    }
    Ok(centrifugo)
}

/// What its connections share: bounded as v1 bounds them.
fn connections(context: &Context, fixed: &Fixed) -> Shared {
    // v1 counts bytes, not messages; and it closes who has not said who it is, not who is subscribed to nothing.
    let outbox = Bounds {
        messages: usize::MAX,
        bytes: fixed.queue_bytes,
    };
    let liveness = Liveness {
        ping: fixed.ping,
        unauthenticated: None,
        pong: Some(fixed.ping / 9),
    };
    let liveness = Arc::new(liveness);
    Shared {
        outbox,
        liveness,
        max_message: fixed.request_bytes,
        ..Shared::clone(&context.connections)
    }
}
