//! For each thing that hinders a node at Redis, the lines that mend just that.
//!
//! Invariant: advice fits the fault at hand (TLS faults get TLS advice, rights the ACL rule that is missing, a master's name
//! the names there are), touches nothing but Foghorn's own settings and its own user, and shows no password.

use super::Given;
use crate::broker::redis::{ExamineError, Layout, Login, Server};
use crate::fault::TlsFault;

/// A URL of this kind for `address`, with places for user and password where there are any now.
pub fn url(server: &Server, kind: &str, address: &str, path: &str) -> String {
    let scheme = match (server.tls, kind) {
        (false, "") => "redis".to_owned(),
        (true, "") => "rediss".to_owned(),
        (tls, kind) => format!("{}-{kind}", if tls { "rediss" } else { "redis" }),
    };
    let login = match (&server.user, &server.password) {
        (Some(_), _) => "USER:PASSWORD@",
        (None, Some(_)) => ":PASSWORD@",
        (None, None) => "",
    };
    format!("{scheme}://{login}{address}{path}")
}

fn kind(server: &Server) -> &'static str {
    match server.layout {
        Layout::Single => "",
        Layout::Sentinel { .. } => "sentinel",
        Layout::Cluster => "cluster",
    }
}

/// `/NAME` behind a Sentinel URL.
fn path(server: &Server) -> String {
    match &server.layout {
        Layout::Sentinel { service } => format!("/{service}"),
        _ => String::new(),
    }
}

/// The lines that mend it.
pub fn mend(server: &Server, error: &ExamineError, given: Given) -> Vec<String> {
    let urls = |url: String, why: &str| vec![format!("FOGHORN_REDIS_URLS={url}    # {why}")];
    match error {
        ExamineError::Settings(_) => vec!["foghorn check-config    # shows every setting and where it came from".into()],
        ExamineError::Connect { address, .. } => reach(address, given),
        ExamineError::Silent { address, .. } => vec![
            format!("redis-cli -u {} PING    # what does it answer on this machine?", url(server, "", address, "")),
            "(a proxy or firewall that takes connections for a Redis that is not there looks like this)".into(),
        ],
        ExamineError::NotRedis { address, .. } => reach(address, given),
        ExamineError::Tls { address, fault } => tls(server, address, fault),
        ExamineError::WantsTls { address } => {
            let secure = Server { tls: true, ..server.clone() };
            urls(url(&secure, kind(server), address, &path(server)), "with a second s: it speaks TLS")
        }
        ExamineError::Login { address, user, sentinel, why } => login(server, address, user.as_deref(), (*sentinel, *why), given),
        ExamineError::Protected { .. } => vec![
            "requirepass PASSWORD    # in redis.conf; and the same in the setting that follows".into(),
            password_line(server, given),
        ],
        ExamineError::Rights { user, missing, prefix, .. } => {
            let rules = missing.iter().map(|right| right.rule(prefix)).collect::<Vec<_>>().join(" ");
            vec![format!("ACL SETUSER {user} {rules}    # in Redis; then ACL SAVE, or CONFIG REWRITE, to keep it")]
        }
        ExamineError::Sentinel { address, masters } => {
            let master = masters.first().map_or("MASTER", String::as_str);
            urls(url(server, "sentinel", address, &format!("/{master}")), "the Sentinels, and their name for the master")
        }
        ExamineError::NoSentinel { address } => urls(url(server, "", address, ""), "if this is Redis itself; else the Sentinels' port"),
        ExamineError::NoMaster { address, known, .. } => {
            let master = known.first().map_or("MASTER", String::as_str);
            urls(url(server, "sentinel", address, &format!("/{master}")), "the name of `sentinel monitor NAME …` in sentinel.conf")
        }
        ExamineError::Announced { .. } => vec![match server.layout {
            Layout::Cluster => "cluster-announce-ip ADDRESS    # in redis.conf of that server: one that all nodes can reach",
            _ => "sentinel monitor NAME ADDRESS PORT QUORUM    # in sentinel.conf: an ADDRESS that all nodes can reach",
        }
        .into()],
        ExamineError::NoCluster { address } => urls(url(server, "", address, ""), "it stands alone"),
        ExamineError::ClusterDown { address } => {
            vec![format!("redis-cli -u {} CLUSTER INFO    # which slots have no server?", url(server, "", address, ""))]
        }
        ExamineError::Replica { master, .. } => {
            let address = master.as_deref().unwrap_or("HOST:PORT");
            urls(url(server, "", address, ""), "the master; or redis-sentinel://HOST:26379/NAME, which follows it")
        }
        ExamineError::Old { .. } => vec!["install Redis 7.0 or newer, or Valkey: a Redis Cluster needs it".into()],
        ExamineError::Refused { said, .. } if said.contains("max number of clients") => {
            vec!["maxclients 10000    # in redis.conf; a node takes two connections a shard".into()]
        }
        ExamineError::Refused { said, .. } if said.starts_with("LOADING") => {
            vec!["(Redis is starting and reads its data: this passes)".into()]
        }
        ExamineError::Refused { address, .. } | ExamineError::Client { address, .. } => vec![format!(
            "redis-cli -u {} INFO    # which server is it, and in which state? its own log says more",
            url(server, "", address, "")
        )],
        ExamineError::Deaf { address, .. } => {
            vec![format!("redis-cli -u {} PUBSUB CHANNELS    # is there a proxy that does not pass SUBSCRIBE on?", url(server, "", address, ""))]
        }
    }
}

fn reach(address: &str, given: Given) -> Vec<String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
    let setting = match given {
        Given::Urls => {
            format!(
                "FOGHORN_REDIS_URLS=redis://{address}    # is this the address of Redis, as this machine knows it?"
            )
        }
        Given::Host => {
            format!(
                "REDIS_HOST={host}, REDIS_PORT={port}    # is this the address of Redis, as this machine knows it?"
            )
        }
    };
    let bind = "(a Redis whose `bind` is 127.0.0.1, or a firewall, lets its own machine in only)"
        .to_owned();
    vec![setting, bind]
}

fn tls(server: &Server, address: &str, fault: &TlsFault) -> Vec<String> {
    match fault {
        TlsFault::Plain => {
            let plain = Server { tls: false, ..server.clone() };
            vec![format!(
                "FOGHORN_REDIS_URLS={}    # without the second s; or the port that has TLS (tls-port)",
                url(&plain, kind(server), address, &path(server))
            )]
        }
        TlsFault::Authority => {
            vec!["FOGHORN_REDIS_CA=/path/to/ca.pem    # the authority that signed it, on each node".into()]
        }
        TlsFault::Name(names) => {
            let (_, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
            let host = names.iter().find(|name| !name.contains('*')).map_or("NAME", String::as_str);
            vec![
                format!(
                    "FOGHORN_REDIS_URLS={}    # a name that the certificate is for",
                    url(server, kind(server), &format!("{host}:{port}"), &path(server))
                ),
                format!("(or a certificate for {address} as well: subjectAltName)"),
            ]
        }
        TlsFault::Expired | TlsFault::NotYet => vec![
            "tls-cert-file, tls-key-file    # in redis.conf: a certificate that is valid now".into(),
            "timedatectl    # is this machine's clock right?".into(),
        ],
        TlsFault::OwnAuthority => {
            vec!["tls-cert-file, tls-key-file    # in redis.conf: a certificate for the server, signed by that authority".into()]
        }
        TlsFault::ClientCertificate | TlsFault::Refused => vec![
            "FOGHORN_REDIS_CERT=/path/to/client.pem, FOGHORN_REDIS_KEY=/path/to/client.key    # on each node".into(),
            "tls-auth-clients no    # in redis.conf, where no client needs one".into(),
        ],
        TlsFault::Other(_) => vec![format!("openssl s_client -connect {address}    # what does it show?")],
    }
}

fn password_line(server: &Server, given: Given) -> String {
    match given {
        Given::Host => "REDIS_PASSWORD=…    # the node's, as in Seafile's environment".to_owned(),
        Given::Urls => {
            let login = Server {
                password: Some(String::new()),
                ..server.clone()
            };
            format!(
                "FOGHORN_REDIS_URLS={}",
                url(&login, kind(server), &server.name(), &path(server))
            )
        }
    }
}

fn login(
    server: &Server,
    address: &str,
    user: Option<&str>,
    (sentinel, why): (bool, Login),
    given: Given,
) -> Vec<String> {
    if sentinel {
        let user = if user.is_some() {
            "sentinelUsername=USER&"
        } else {
            ""
        };
        let url = url(
            server,
            "sentinel",
            address,
            &format!("{}?{user}sentinelPassword=PASSWORD", path(server)),
        );
        return vec![format!(
            "FOGHORN_REDIS_URLS={url}    # the Sentinels' own password, beside Redis'"
        )];
    }
    let hint =
        "(a letter beyond A-Z, a-z, 0-9 in a URL's password is written as %XX: @ is %40, # is %23)"
            .to_owned();
    let line = password_line(server, given);
    if given == Given::Urls && why == Login::Wrong {
        vec![line, hint]
    } else {
        vec![line]
    }
}

/// The lines for a Redis that anyone may use.
pub fn needless_password(server: &Server, given: Given) -> Vec<String> {
    let open = Server {
        user: None,
        password: None,
        ..server.clone()
    };
    let line = match given {
        Given::Host => "REDIS_PASSWORD=    # take it out, if this Redis is to have none".to_owned(),
        Given::Urls => {
            let url = url(&open, kind(server), &server.name(), &path(server));
            format!(
                "FOGHORN_REDIS_URLS={url}    # without a password, if this Redis is to have none"
            )
        }
    };
    vec![
        line,
        "requirepass PASSWORD    # in redis.conf, if it is to have that one".into(),
    ]
}
