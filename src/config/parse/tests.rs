//! Values that can be read, and those that cannot.

use super::*;

#[test]
fn sizes_take_units() {
    let size = bytes::<1, { 1 << 40 }>;
    assert_eq!(size("4MiB"), Ok(4 << 20));
    assert_eq!(size(" 4 mb "), Ok(4 << 20));
    assert_eq!(size("1_000"), Ok(1000));
    for bad in [
        "",
        "MiB",
        "-1",
        "4 miles",
        "0",
        "9999999999999999999",
        "99999999999T",
    ] {
        assert!(size(bad).is_err(), "{bad}");
    }
}

#[test]
fn seconds_say_when_a_unit_is_the_mistake() {
    assert_eq!(seconds::<0, 60>("30"), Ok(Duration::from_secs(30)));
    assert!(seconds::<0, 60>("30s").is_err_and(|w| w.hint.is_some()));
    assert!(seconds::<0, 60>("61").is_err_and(|w| w.hint.is_none()));
}

#[test]
fn lists_name_the_piece_that_is_wrong() {
    assert_eq!(networks("10.0.0.0/8, 192.0.2.7,").map(|n| n.len()), Ok(2));
    assert_eq!(networks_or_none("none"), Ok(Vec::new()));
    assert!(
        networks("none").is_err(),
        "where empty means any, none must not"
    );
    assert!(
        networks("10.0.0.0/8,nonsense")
            .is_err_and(|w| w.hint.is_some_and(|h| h.contains("nonsense")))
    );
    assert_eq!(
        origins("https://A.example/"),
        Ok(vec!["https://a.example".into()])
    );
    assert!(
        origins("https://*.example.com").is_err_and(|w| w.hint.is_some_and(|h| h.contains("star")))
    );
    assert!(origins("https://a.example/path").is_err() && origins("a.example").is_err());
}

#[test]
fn hosts_lose_their_brackets_and_urls_are_refused() {
    assert_eq!(host("[::1]"), Ok("::1".into()));
    assert_eq!(
        host("notification-server"),
        Ok("notification-server".into())
    );
    assert!(host("http://x").is_err() && host("a b").is_err());
    assert!(port("tcp://10.0.0.1:8083").is_err_and(|w| w.hint.is_some()));
}

#[test]
fn redis_urls_are_checked() {
    assert!(
        redis_urls("redis://:pa:ss@h:1/0, rediss-cluster://h,redis-sentinel://s:26379,t:1/main")
            .is_ok()
    );
    for bad in ["http://h", "redis-ring://h", "h:6379", "redis://"] {
        assert!(redis_urls(bad).is_err(), "{bad}");
    }
}
