//! What v1's keys about Redis lead to, and what is a fault.

use super::*;

fn shards(keys: &[(&str, &str)]) -> Result<Option<String>, Bad> {
    let mut redis = RedisKeys::default();
    for (key, value) in [("engine", "redis")].iter().chain(keys) {
        redis
            .take(key, &Value::from(*value))
            .expect("a key about Redis")?;
    }
    redis.shards()
}

#[test]
fn what_v1_says_of_redis_leads_to_shards() {
    for (keys, urls) in [
        (&[][..], "redis://127.0.0.1:6379"),
        (
            &[
                ("redis_host", "10.0.0.5"),
                ("redis_port", "7000"),
                ("redis_db", "2"),
            ],
            "redis://10.0.0.5:7000/2",
        ),
        (
            &[("redis_host", "::1"), ("redis_password", "p@ss,w/rd")],
            "redis://:p%40ss%2Cw%2Frd@[::1]:6379",
        ),
        (&[("redis_host", "a, b")], "redis://a:6379,redis://b:6379"),
        (
            &[("redis_port", "1,2"), ("redis_db", "0")],
            "redis://127.0.0.1:1,redis://127.0.0.1:2",
        ),
        (
            &[("redis_url", "redis://:p@a:1/3,redis://b")],
            "redis://:p@a:1/3,redis://b",
        ),
        (
            &[("redis_host", "x"), ("redis_url", "redis://a")],
            "redis://a",
        ),
        (
            &[
                ("redis_url", "redis://a, rediss://b:7/,redis://:own@c/3"),
                ("redis_password", "p@ss,w/rd"),
                ("redis_db", "2"),
            ],
            "redis://:p%40ss%2Cw%2Frd@a/2,rediss://:p%40ss%2Cw%2Frd@b:7/2,redis://:own@c/3",
        ),
        (
            &[
                ("redis_master_name", "m"),
                ("redis_sentinels", ":26379,b:26380"),
                ("redis_password", "p"),
            ],
            "redis-sentinel://:p@127.0.0.1:26379,b:26380/m",
        ),
        (
            &[("redis_master_name", "m1,m2"), ("redis_sentinels", "s:1")],
            "redis-sentinel://s:1/m1,redis-sentinel://s:1/m2",
        ),
    ] {
        assert_eq!(shards(keys), Ok(Some(urls.to_owned())), "{keys:?}");
    }
    assert_eq!(RedisKeys::default().shards(), Ok(None));
}

#[test]
fn a_prefix_whose_lists_would_lie_apart_from_their_notes_in_a_cluster_is_a_fault() {
    let took = |prefix: &str| {
        RedisKeys::default()
            .take("redis_prefix", &Value::from(prefix))
            .expect("a key about Redis")
    };
    for prefix in ["{}", "a{}b", "a}", "}{", "{}{a}", "}a{"] {
        let told = took(prefix).expect_err(prefix);
        assert!(told.starts_with("redis_prefix: "), "{told}");
        assert!(told.contains("leave the braces out"), "{told}");
    }
    for prefix in ["", "centrifugo", "{a}", "x{a}y", "a{", "}{a}", "{{a}}"] {
        assert_eq!(took(prefix), Ok(()), "{prefix}");
    }
}

#[test]
fn what_leads_nowhere_is_told_without_the_password() {
    for keys in [
        &[("redis_host", "a,b"), ("redis_port", "1,2,3")][..],
        &[("redis_master_name", "m")],
        &[("redis_sentinels", "s:1")],
        &[("redis_port", "hunter2x")],
        &[("redis_url", "http://:hunter2@a")],
        &[("redis_url", "redis://hunter2@a")],
        &[
            ("redis_url", "redis://:hunter2@a"),
            ("redis_master_name", "m"),
            ("redis_sentinels", "s:1"),
        ],
        &[("redis_url", "redis://a"), ("redis_sentinels", "s:1")],
        &[("redis_db", "99999"), ("redis_password", "hunter2")],
        &[("engine", "tarantool")],
    ] {
        let told = shards(keys).expect_err("a fault");
        assert!(
            told.contains("redis_") || told.contains("engine: "),
            "{told}"
        );
        assert!(!told.contains("hunter2@"), "{told}");
    }
}
