//! Who is let in, who is turned away, and who is believed.

use super::*;

fn forwarded(lines: &[&str]) -> HeaderMap {
    lines
        .iter()
        .map(|line| {
            (
                http::HeaderName::from_static("x-forwarded-for"),
                line.parse().expect("a value"),
            )
        })
        .collect()
}

#[test]
fn only_trusted_proxies_are_believed() {
    let limits = Limits {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a net")],
        ..Limits::default()
    };
    let admission = Admission::new(limits, Arc::default());
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let seen = |peer: &str, lines: &[&str]| admission.client(ip(peer), &forwarded(lines));
    assert_eq!(seen("203.0.113.9", &["1.2.3.4"]), ip("203.0.113.9"));
    assert_eq!(seen("10.0.0.1", &["1.2.3.4"]), ip("1.2.3.4"));
    assert_eq!(
        seen("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]),
        ip("1.2.3.4")
    );
    assert_eq!(
        seen("10.0.0.1", &["6.6.6.6", "1.2.3.4:5678"]),
        ip("1.2.3.4")
    );
    assert_eq!(seen("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
    let mut torn = forwarded(&["6.6.6.6"]);
    torn.append(
        "x-forwarded-for",
        HeaderValue::from_bytes(b"\xff").expect("a value"),
    );
    assert_eq!(admission.client(ip("10.0.0.1"), &torn), ip("10.0.0.1"));
    assert_eq!(
        seen("::ffff:10.0.0.1", &["[2001:db8::1]"]),
        ip("2001:db8::1")
    );
}

#[test]
fn each_limit_turns_away_and_lets_in_again() {
    let limits = Limits {
        connections: 2,
        connections_per_address: 1,
        handshakes: 1,
        ..Limits::default()
    };
    let admission = Admission::new(limits, Arc::default());
    let [a, b, c] = [[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]].map(IpAddr::from);
    let first = admission.admit(a, None).expect("in");
    assert_eq!(admission.admit(a, None).err(), Some(Rejection::Address));
    let second = admission.admit(b, None).expect("in");
    assert_eq!(admission.admit(c, None).err(), Some(Rejection::Connections));
    drop((first, second));
    let _third = admission.admit(a, None).expect("in again");
    let pending = admission.pending().ok();
    assert_eq!(admission.pending().err(), Some(Rejection::Handshakes));
    drop(pending);
    assert!(admission.pending().is_ok());
}

#[test]
fn pages_of_other_origins_and_strange_posters_stay_out() {
    let limits = Limits {
        origins: vec!["https://cloud.example.com".into()],
        events_from: vec!["127.0.0.0/8".parse().expect("a net")],
        handshake_rate: 1,
        ..Limits::default()
    };
    let admission = Admission::new(limits, Arc::default());
    let here = IpAddr::from([127, 0, 0, 1]);
    let page = |origin: &'static str| {
        admission
            .admit(here, Some(&HeaderValue::from_static(origin)))
            .err()
    };
    assert_eq!(page("https://evil.example"), Some(Rejection::Origin));
    let strange = HeaderValue::from_bytes(b"https://cloud.example.com\xff").expect("a value");
    assert_eq!(
        admission.admit(here, Some(&strange)).err(),
        Some(Rejection::Origin)
    );
    assert_eq!(page("https://cloud.example.com"), None);
    assert_eq!(admission.admit(here, None).err(), None);
    // One more is let in each second, should that go by just now.
    let more = (0..100).find_map(|_| admission.admit(here, None).err());
    assert_eq!(more, Some(Rejection::Rate));
    assert_eq!(admission.may_post(here), Ok(()));
    assert_eq!(
        admission.may_post(IpAddr::from([8, 8, 8, 8])),
        Err(Rejection::Poster)
    );
}
