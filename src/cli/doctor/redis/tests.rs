//! What is said to each thing that hinders a node: all of it, in one table.

use super::*;
use crate::broker::redis::{Login, Right};
use crate::fault::TlsFault;

/// The text and the lines, one below the other.
fn told(url: &str, error: &ExamineError, given: Given) -> String {
    let server = Server::parse(url).expect("a URL");
    let lines = mend(&server, error, given);
    [error.to_string()]
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

fn tls(fault: TlsFault) -> ExamineError {
    ExamineError::Tls {
        address: "r:6379".into(),
        fault,
    }
}

fn login(why: Login, sentinel: bool) -> ExamineError {
    ExamineError::Login {
        address: "r:6379".into(),
        user: None,
        sentinel,
        why,
    }
}

fn refused(said: &str) -> ExamineError {
    ExamineError::Refused {
        address: "r:6379".into(),
        command: "SELECT".into(),
        said: said.into(),
    }
}

#[test]
fn each_fault_gets_its_own_advice() {
    let at = || "r:6379".to_owned();
    let plain = "redis://:hush-secret@r:6379";
    let rights = ExamineError::Rights {
        address: at(),
        user: "fog".into(),
        missing: vec![Right::Command("publish".into()), Right::Channels],
        prefix: "foghorn".into(),
    };
    let masters = || vec!["main".to_owned()];
    let table: Vec<(ExamineError, &str, &[&str])> = vec![
        (
            ExamineError::Connect {
                address: at(),
                why: "connection refused".into(),
            },
            plain,
            &[
                "r:6379: connection refused",
                "FOGHORN_REDIS_URLS=redis://r:6379",
            ],
        ),
        (
            ExamineError::Silent {
                address: at(),
                why: "it ends the connection".into(),
            },
            plain,
            &[
                "does not answer",
                "redis-cli -u redis://:PASSWORD@r:6379 PING",
            ],
        ),
        (
            ExamineError::NotRedis {
                address: at(),
                said: "HTTP/1.1 400".into(),
            },
            plain,
            &["is no Redis", "FOGHORN_REDIS_URLS"],
        ),
        (
            tls(TlsFault::Authority),
            "rediss://r",
            &["authority that is not trusted", "FOGHORN_REDIS_CA="],
        ),
        (
            tls(TlsFault::Name(vec!["cache.example".into()])),
            "rediss://r",
            &["but for cache.example", "rediss://cache.example:6379"],
        ),
        (
            tls(TlsFault::Expired),
            "rediss://r",
            &["has expired", "tls-cert-file", "timedatectl"],
        ),
        (
            tls(TlsFault::NotYet),
            "rediss://r",
            &["not valid yet", "tls-cert-file"],
        ),
        (
            tls(TlsFault::OwnAuthority),
            "rediss://r",
            &["CA:TRUE", "signed by that authority"],
        ),
        (
            tls(TlsFault::ClientCertificate),
            "rediss://r",
            &["certificate of the client", "FOGHORN_REDIS_CERT="],
        ),
        (
            tls(TlsFault::Refused),
            "rediss://r",
            &["refuses the TLS handshake", "FOGHORN_REDIS_CERT="],
        ),
        (
            tls(TlsFault::Plain),
            "rediss://r",
            &["does not speak TLS", "FOGHORN_REDIS_URLS=redis://r:6379"],
        ),
        (
            tls(TlsFault::Other("x".into())),
            "rediss://r",
            &["openssl s_client -connect r:6379"],
        ),
        (
            ExamineError::WantsTls { address: at() },
            plain,
            &["speaks TLS", "rediss://:PASSWORD@r:6379"],
        ),
        (
            login(Login::Needed, false),
            "redis://r",
            &[
                "wants a password",
                "FOGHORN_REDIS_URLS=redis://:PASSWORD@r:6379",
            ],
        ),
        (
            login(Login::Wrong, false),
            plain,
            &["refuses the password of user default", "%40"],
        ),
        (
            login(Login::Needed, true),
            "redis-sentinel://r/main",
            &[
                "(a Sentinel) wants a password",
                "/main?sentinelPassword=PASSWORD",
            ],
        ),
        (
            ExamineError::Protected { address: at() },
            plain,
            &["protected mode", "requirepass"],
        ),
        (
            rights,
            plain,
            &[
                "may not use the command PUBLISH, the channels",
                "ACL SETUSER fog +publish &foghorn*",
            ],
        ),
        (
            ExamineError::Sentinel {
                address: at(),
                masters: masters(),
            },
            plain,
            &["is a Sentinel", "redis-sentinel://:PASSWORD@r:6379/main"],
        ),
        (
            ExamineError::NoSentinel { address: at() },
            "redis-sentinel://r/main",
            &["is no Sentinel", "redis://r:6379"],
        ),
        (
            ExamineError::NoMaster {
                address: at(),
                wanted: "mian".into(),
                known: masters(),
            },
            "redis-sentinel://r/mian",
            &[
                "called \"mian\"; it knows main",
                "redis-sentinel://r:6379/main",
            ],
        ),
        (
            ExamineError::Announced {
                address: at(),
                to: "10.9.9.9:1".into(),
                why: "no answer".into(),
            },
            "redis-cluster://r",
            &["sends its clients to \"10.9.9.9:1\"", "cluster-announce-ip"],
        ),
        (
            ExamineError::Announced {
                address: at(),
                to: "10.9.9.9:1".into(),
                why: "no answer".into(),
            },
            "redis-sentinel://r/main",
            &["sends its clients to", "sentinel monitor NAME ADDRESS"],
        ),
        (
            ExamineError::NoCluster { address: at() },
            "redis-cluster://r",
            &[
                "not part of a Redis Cluster",
                "FOGHORN_REDIS_URLS=redis://r:6379",
            ],
        ),
        (
            ExamineError::ClusterDown { address: at() },
            "redis-cluster://r",
            &["cluster_state", "CLUSTER INFO"],
        ),
        (
            ExamineError::Replica {
                address: at(),
                master: Some("m:1".into()),
            },
            plain,
            &[
                "replica of m:1",
                "redis://:PASSWORD@m:1",
                "redis-sentinel://",
            ],
        ),
        (
            ExamineError::Old {
                address: at(),
                command: "SSUBSCRIBE".into(),
            },
            "redis-cluster://r",
            &["SSUBSCRIBE", "7.0"],
        ),
        (
            refused("ERR max number of clients reached"),
            plain,
            &["max number of clients", "maxclients"],
        ),
        (
            refused("LOADING Redis is loading"),
            plain,
            &["LOADING", "this passes"],
        ),
        (
            refused("MASTERDOWN Link with MASTER is down"),
            plain,
            &["MASTERDOWN", "INFO    # which server is it"],
        ),
        (
            ExamineError::Deaf {
                address: at(),
                seconds: 3,
            },
            plain,
            &["within 3 s", "PUBSUB CHANNELS"],
        ),
    ];
    for (error, url, parts) in &table {
        let text = told(url, error, Given::Urls);
        for part in *parts {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(!text.contains("hush-secret"), "{text}");
        let about_tls = matches!(
            error,
            ExamineError::Tls { .. } | ExamineError::WantsTls { .. }
        );
        assert_eq!(
            text.contains("TLS") || text.contains("certificate"),
            about_tls,
            "advice for another fault: {text}"
        );
        assert_eq!(
            text.contains("ACL SETUSER"),
            matches!(error, ExamineError::Rights { .. }),
            "{text}"
        );
    }
}

#[test]
fn seafiles_own_variables_are_named_where_they_are_used() {
    let text = told("redis://r", &login(Login::Wrong, false), Given::Host);
    assert!(
        text.contains("REDIS_PASSWORD=") && !text.contains("FOGHORN_REDIS_URLS"),
        "{text}"
    );
    let away = ExamineError::Connect {
        address: "r:6379".into(),
        why: "no answer".into(),
    };
    let text = told("redis://r", &away, Given::Host);
    assert!(
        text.contains("REDIS_HOST=r, REDIS_PORT=6379") && !text.contains("FOGHORN_REDIS_URLS"),
        "{text}"
    );
}
