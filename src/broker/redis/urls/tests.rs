//! What Redis URLs say, and which are refused.

use super::*;

#[test]
fn a_url_says_everything_and_shows_no_password() {
    let server = Server::parse("rediss://ann:s%40crt@cache.example:6380/3").unwrap();
    assert_eq!(
        (server.name().as_str(), server.tls, server.database),
        ("cache.example:6380", true, 3)
    );
    assert_eq!(
        (server.user.as_deref(), server.password.as_deref()),
        (Some("ann"), Some("s@crt"))
    );
    assert!(!format!("{server:?}").contains("crt"));
    let only = Server::parse("redis://:pw@h").unwrap();
    assert_eq!(
        (only.user, only.password.as_deref(), only.hosts),
        (None, Some("pw"), vec![("h".into(), 6379)])
    );
}

#[test]
fn lists_keep_the_hosts_of_one_url_together() {
    let list = parse_urls(
        "redis://a, redis-sentinel://:p@b:1,c,d:2/main/4?sentinelPassword=x ,redis-cluster://e,f:7",
    )
    .unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(
        list[1].layout,
        Layout::Sentinel {
            service: "main".into()
        }
    );
    assert_eq!(
        list[1].hosts,
        vec![("b".into(), 1), ("c".into(), 26379), ("d".into(), 2)]
    );
    assert_eq!(
        (list[1].database, list[1].sentinel_login.1.as_deref()),
        (4, Some("x"))
    );
    assert_eq!(
        (&list[2].layout, list[2].hosts.len()),
        (&Layout::Cluster, 2)
    );
    let other = Server::parse("rediss-sentinel://a?node=b:7&sentinelServiceName=main").unwrap();
    assert_eq!(
        (other.hosts.len(), other.layout),
        (
            2,
            Layout::Sentinel {
                service: "main".into()
            }
        )
    );
}

#[test]
fn faults_are_named_without_the_password() {
    for (url, label) in [
        ("", "empty"),
        ("cache:6379", "scheme"),
        ("http://:hunter2@h", "scheme"),
        ("redis://:hunter2@h/x", "database"),
        ("redis://:hunter2@h,i", "hosts"),
        ("redis://hunter2@h", "login"),
        ("redis://hunter2:@h", "login"),
        ("redis://:hunt#er2@h:6379", "login"),
        ("redis://:hunter2#@h:6379", "login"),
        ("redis://:x/hunter2@h:6379", "login"),
        ("redis://:x?hunter2@h:6379", "login"),
        ("redis://:p@h?hunter2", "option"),
        ("redis://:p@h?hunter2=", "option"),
        ("redis://h?db=1", "option"),
        ("redis://h?timeout=5", "option"),
        ("rediss://h?ssl_cert_reqs=none", "option"),
        ("redis://h?sentinelPassword=hunter2", "option"),
        ("redis-cluster://h?sentinelPassword=hunter2", "option"),
        ("redis://h/0/hunter", "database"),
        ("hunter2:6379", "scheme"),
        ("hunter2@h:6379", "unreadable"),
        ("redis-sentinel://:hunter2@h", "service"),
        ("redis-cluster://:hunter2@h/2", "database"),
        ("redis://:%zzhunter2@h", "login"),
        ("redis://", "host"),
    ] {
        let fault = parse_urls(url).unwrap_err();
        assert_eq!(fault.label(), label, "{url}: {fault}");
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }
}
