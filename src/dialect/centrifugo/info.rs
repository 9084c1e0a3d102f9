//! What operators are told of the server: its version, its engine, and the configuration as far as it may be shown.
//!
//! Invariant: no secret and no password is in it.

use serde_json::{Map, Value, json};

use super::Centrifugo;
use super::rules::Options;
use crate::broker::keep::Keeper;

/// The body of `info`'s answer.
pub fn info(centrifugo: &Centrifugo) -> Value {
    let rules = centrifugo.site.rules();
    let engine = match centrifugo.context.keeper {
        Keeper::Memory(_) => "memory",
        Keeper::Redis(_) => "redis",
    };
    let mut config = options(rules.default);
    let namespaces = rules.namespaces.iter().map(|(name, of)| {
        let mut namespace = options(*of);
        namespace.insert("name".to_owned(), json!(name));
        namespace
    });
    config.extend([
        ("version".to_owned(), json!(env!("CARGO_PKG_VERSION"))),
        (
            "name".to_owned(),
            json!(
                rules
                    .name
                    .as_deref()
                    .unwrap_or(&centrifugo.connections.name)
            ),
        ),
        ("namespaces".to_owned(), namespaces.collect()),
        ("connection_lifetime".to_owned(), json!(rules.lifetime_s)),
        ("max_channel_length".to_owned(), json!(rules.max_channel)),
        ("client_channel_limit".to_owned(), json!(rules.channels)),
        ("user_connection_limit".to_owned(), json!(rules.connections)),
        ("insecure".to_owned(), json!(rules.insecure)),
        ("insecure_api".to_owned(), json!(rules.insecure_api)),
        ("insecure_admin".to_owned(), json!(rules.admin.insecure)),
    ]);
    json!({"engine": engine, "config": config})
}

fn options(of: Options) -> Map<String, Value> {
    let (size, lifetime) = of
        .keep
        .map_or((0, 0), |keep| (keep.events, keep.lifetime.as_secs()));
    let told = json!({
        "anonymous": of.anonymous, "publish": of.publish, "presence": of.presence, "join_leave": of.join_leave,
        "watch": of.watch, "recover": of.recover, "history_drop_inactive": of.drop_inactive,
        "history_size": size, "history_lifetime": lifetime,
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}
