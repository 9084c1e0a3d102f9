//! The MQTT broker, as the node that takes notifications from it would use it: connect, login, client id, subscription, and
//! whether anything comes by that.
//!
//! Invariants: nobody is thrown out and nothing is left there, since the visit is made under a client id of its own; no password is shown.

use super::report::Check;
use crate::config::Config;
use crate::dialect::inbox::mqtt::Source;
use crate::dialect::inbox::mqtt::address::Address;
use crate::dialect::inbox::mqtt::link::{Echo, Link, LinkError};
use crate::dialect::inbox::start::source;

/// Each broker that the settings name.
pub async fn check(config: &Config) -> Vec<Check> {
    let Some(source) = source(config) else {
        return Vec::new();
    };
    let mut checks = Vec::new();
    for address in &source.addresses {
        let visited = Link::visit(&source, address).await;
        checks.extend(told(&source, address, visited));
    }
    checks
}

fn told(source: &Source, address: &Address, visited: Result<Echo, LinkError>) -> Vec<Check> {
    match visited {
        Ok(echo) => {
            let what = format!(
                "{address} takes the login and a client id like {:?}, and grants the subscription to {:?}",
                source.client_id,
                source.topic.filter()
            );
            vec![
                Check::ok("mqtt", "subscribe", what),
                delivered(source, address, echo),
            ]
        }
        Err(error) => {
            let (what, lines) = (format!("{address}: {error}"), mend(source, address, &error));
            vec![Check::fail("mqtt", step(&error), what, lines)]
        }
    }
}

/// Whether anything comes by the subscription.
fn delivered(source: &Source, address: &Address, echo: Echo) -> Check {
    match echo {
        Echo::Heard(topic) => {
            let what = format!("{address} delivers what is published at {topic}");
            Check::ok("mqtt", "deliver", what)
        }
        Echo::Lost(topic) => {
            let what = format!(
                "{address} grants the subscription and does not serve it: what was published at {topic} has not come"
            );
            Check::fail("mqtt", "deliver", what, vec![read(source, address)])
        }
        Echo::Silent(topic) => {
            let what = format!(
                "{address} has not delivered what was published at {topic}: either this user may not publish, as it need not, \
                 or it grants a subscription that it does not serve"
            );
            let backend = format!(
                "mosquitto_pub --url mqtt://BACKEND:PASSWORD@{address}/{topic} --message x    # as the backend: foghorn_inbox_mqtt_messages_total counts it at a node"
            );
            Check::warn(
                "mqtt",
                "deliver",
                what,
                vec![read(source, address), backend],
            )
        }
        Echo::Untried => {
            let what = format!(
                "{address} does not let this user publish, as it need not: whether it delivers could not be tried"
            );
            Check::skipped("mqtt", "deliver", what)
        }
    }
}

/// The right without which Mosquitto delivers nothing.
fn read(source: &Source, address: &Address) -> String {
    let user = address.login.as_ref().map_or("USER", |(user, _)| user);
    let filter = source.topic.filter();
    format!(
        "topic read {filter}    # Mosquitto's acl_file, below `user {user}`: it grants every subscription, and delivers by this"
    )
}

/// How far it came.
fn step(error: &LinkError) -> &'static str {
    match error {
        LinkError::Unreachable(_) | LinkError::Tls(_) | LinkError::Roots(_) => "connect",
        LinkError::Refused(_) => "login",
        LinkError::Subscription => "subscribe",
        LinkError::Late(_) | LinkError::Broken(_) | LinkError::Crowded | LinkError::Ended(_) => {
            "protocol"
        }
    }
}

fn mend(source: &Source, address: &Address, error: &LinkError) -> Vec<String> {
    let (scheme, other, port) = if address.tls {
        ("mqtts", "mqtt", 1_883)
    } else {
        ("mqtt", "mqtts", 8_883)
    };
    let host = &address.host;
    let user = address.login.as_ref().map_or("USER", |(user, _)| user);
    match error {
        LinkError::Unreachable(_) => vec![
            format!("FOGHORN_INBOX_BROKER_URL={scheme}://USER:PASSWORD@{address}    # is this the address, as this machine knows it?"),
            "listener 1883 0.0.0.0    # Mosquitto without a listener takes its own machine only; RabbitMQ: rabbitmq-plugins enable rabbitmq_mqtt"
                .into(),
        ],
        LinkError::Tls(_) | LinkError::Roots(_) => vec![
            "FOGHORN_INBOX_BROKER_CA=/path/to/ca.pem    # the authority that signed the broker's certificate".into(),
            format!("(the certificate must be for {host}; a port without TLS is {other}://{host}:{port})"),
        ],
        LinkError::Refused(why) if why.contains("CLIENT_ID") => vec![format!(
            "FOGHORN_INBOX_CLIENT_ID={}    # one that the broker lets this user have; Mosquitto: clientid_prefixes",
            source.client_id
        )],
        LinkError::Refused(_) => vec![
            format!("FOGHORN_INBOX_BROKER_URL={scheme}://USER:PASSWORD@{address}    # signs such as @ are written %40"),
            format!("mosquitto_passwd PASSWORD_FILE {user}, or rabbitmqctl set_permissions {user} '.*' '.*' '.*'    # at the broker"),
        ],
        LinkError::Subscription => vec![
            format!("topic read {}    # Mosquitto's acl_file, below `user {user}`", source.topic.filter()),
            format!("rabbitmqctl set_topic_permissions {user} amq.topic '' '.*'    # RabbitMQ"),
        ],
        LinkError::Late(_) | LinkError::Broken(_) | LinkError::Crowded | LinkError::Ended(_) => vec![
            format!("FOGHORN_INBOX_BROKER_URL={other}://USER:PASSWORD@{host}:{port}    # if that is where the broker speaks {other}"),
            "(the broker's own log says why it ends a connection)".into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::dialect::inbox::mqtt::address::addresses;
    use crate::dialect::inbox::mqtt::message::{Payload, Topic};
    use crate::fault::TlsFault;

    #[test]
    fn each_thing_that_a_broker_does_not_grant_gets_its_own_advice() {
        let source = Source {
            addresses: addresses("mqtt://ann:hush-secret@broker").expect("one"),
            ca: None,
            client_id: "foghorn-inbox".into(),
            topic: Topic::parse("notification{id}").expect("a topic"),
            payload: Payload::Id,
            longest: 1,
        };
        let address = &source.addresses[0];
        let topic = "notificationdoctor-0".to_owned();
        for (echo, outcome) in [
            (Echo::Heard(topic.clone()), Outcome::Ok),
            (Echo::Lost(topic.clone()), Outcome::Fail),
            (Echo::Silent(topic), Outcome::Warn),
            (Echo::Untried, Outcome::Skipped),
        ] {
            let [good, delivers] = &told(&source, address, Ok(echo))[..] else {
                panic!("two checks");
            };
            assert!(
                good.outcome == Outcome::Ok
                    && good.what.contains("broker:1883")
                    && good.what.contains("\"+\""),
                "{good:?}"
            );
            assert_eq!(delivers.outcome, outcome, "{delivers:?}");
            assert!(!delivers.text().contains("hush"), "{delivers:?}");
        }
        for (error, check, part) in [
            (
                LinkError::Unreachable("connection refused".into()),
                "connect",
                "rabbitmq-plugins enable",
            ),
            (
                LinkError::Tls(TlsFault::Authority),
                "connect",
                "FOGHORN_INBOX_BROKER_CA=",
            ),
            (
                LinkError::Roots("none".into()),
                "connect",
                "FOGHORN_INBOX_BROKER_CA=",
            ),
            (
                LinkError::Refused("it does not like the client id (FOGHORN_INBOX_CLIENT_ID)"),
                "login",
                "clientid_prefixes",
            ),
            (
                LinkError::Refused("it refuses user and password"),
                "login",
                "mosquitto_passwd PASSWORD_FILE ann",
            ),
            (LinkError::Subscription, "subscribe", "topic read +"),
            (
                LinkError::Late("CONNECT"),
                "protocol",
                "mqtts://USER:PASSWORD@broker:8883",
            ),
            (LinkError::Broken("x".into()), "protocol", "mqtts://"),
            (LinkError::Crowded, "protocol", "mqtts://"),
            (
                LinkError::Ended(String::new()),
                "protocol",
                "the broker's own log",
            ),
        ] {
            let [failed] = &told(&source, address, Err(error.clone()))[..] else {
                panic!("one check");
            };
            assert_eq!(
                (failed.outcome, failed.check),
                (Outcome::Fail, check),
                "{error:?}"
            );
            let said = failed.text();
            assert!(
                said.contains("broker:1883: ") && said.contains(part) && !said.contains("hush"),
                "{part} in {said}"
            );
        }
    }
}
