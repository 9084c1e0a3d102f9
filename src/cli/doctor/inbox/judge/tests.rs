//! What is found in streams that are made up.

use super::*;
use crate::cli::client::block::Block;
use crate::cli::doctor::report::Outcome;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

#[test]
fn each_head_that_is_no_streams_is_named() {
    let stream = ("content-type", "text/event-stream");
    assert_eq!(head(200, &headers(&[stream])), None);
    for (status, pairs, check, need, part) in [
        (
            200,
            &[stream, ("content-encoding", "gzip")][..],
            "gzip",
            Need::NoGzip,
            "compresses event streams (gzip)",
        ),
        (
            200,
            &[("content-type", "text/html")],
            "stream",
            Need::Route,
            "\"text/html\"",
        ),
        (401, &[], "stream", Need::Route, "the proof is not good"),
        (403, &[], "stream", Need::Route, "may not come"),
        (404, &[], "stream", Need::Route, "FOGHORN_SSE_ADDR"),
        (
            502,
            &[],
            "stream",
            Need::Wait,
            "gives up until it is reloaded",
        ),
        (
            301,
            &[("location", "https://x/sse")],
            "stream",
            Need::Route,
            "leads elsewhere",
        ),
        (500, &[], "stream", Need::Route, "answered 500"),
    ] {
        let judged = head(status, &headers(pairs)).expect("something is wrong");
        assert_eq!((judged.check, judged.need), (check, need), "{status}");
        assert!(
            judged.what("").contains(part),
            "{part} in {}",
            judged.what("")
        );
        assert!(
            judged.what("a word\n").ends_with(": a word")
                && !judged.what("<html>").contains("html>")
        );
    }
    let moved = head(308, &headers(&[("location", "https://x/sse")])).expect("it leads elsewhere");
    assert!(
        moved
            .mend
            .is_some_and(|line| line.contains("--sse https://x/sse"))
    );
}

#[test]
fn each_beginning_is_named() {
    let block = |event: &str, retry| {
        Next::Block(Block {
            event: event.into(),
            retry,
            ..Block::default()
        })
    };
    assert_eq!(first(&block("connect", Some(2_000))), First::Connected);
    assert!(
        matches!(first(&block("", Some(7_000))), First::TryAgain(what) if what.contains("in 7 s"))
    );
    assert!(matches!(first(&block("hello", None)), First::Wrong(what) if what.contains("hello")));
    for held in [Next::Silence, Next::End, Next::Cut("reset".into())] {
        assert!(matches!(first(&held), First::Held(_)), "{held:?}");
    }
    assert!(matches!(first(&Next::Other), First::Wrong(_)) && !busy().is_empty());
}

#[test]
fn each_post_that_is_not_taken_is_named() {
    for (status, outcome, part) in [
        (401, Outcome::Warn, "FOGHORN_SSE_SECRET"),
        (403, Outcome::Warn, "FOGHORN_EVENTS_FROM"),
        (400, Outcome::Warn, "FOGHORN_SSE_TYPES"),
        (413, Outcome::Fail, "client_max_body_size"),
        (503, Outcome::Fail, "foghorn nodes"),
        (404, Outcome::Fail, "the proxy's lines"),
    ] {
        let check = refused_post(status, "why", || vec!["the proxy's lines".into()]);
        assert_eq!(check.outcome, outcome, "{status}");
        assert!(
            check.mend[0].contains(part) && check.what.contains("why"),
            "{check:?}"
        );
    }
}

#[test]
fn each_answer_that_pages_cannot_read_is_named() {
    let judged = |status, pairs: &[(&'static str, &str)]| {
        let check = cors("https://a", status, &headers(pairs), || {
            vec!["the proxy's".into()]
        });
        (check.outcome, check.what + "\n" + &check.mend.join("\n"))
    };
    let (origin, credentials) = (
        "access-control-allow-origin",
        ("access-control-allow-credentials", "true"),
    );
    assert_eq!(
        judged(200, &[(origin, "https://a"), credentials]).0,
        Outcome::Ok
    );
    for (status, pairs, part) in [
        (403, &[][..], "FOGHORN_SSE_ORIGINS=https://a"),
        (200, &[], "is missing\nFOGHORN_SSE_ORIGINS"),
        (
            200,
            &[(origin, "https://b"), credentials],
            "https://b is allowed\nFOGHORN_SSE_ORIGINS",
        ),
        (200, &[(origin, "https://a")], "with cookies"),
        (
            200,
            &[(origin, "*"), credentials],
            "is *, and should be that once\nthe proxy's",
        ),
        (
            200,
            &[(origin, "https://a"), (origin, "*"), credentials],
            "https://a and *",
        ),
        (
            200,
            &[(origin, "https://a, *"), credentials],
            "https://a, *",
        ),
    ] {
        let (outcome, said) = judged(status, pairs);
        assert!(
            outcome == Outcome::Fail && said.contains(part),
            "{part} in {said}"
        );
    }
}
