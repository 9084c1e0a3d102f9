//! Any body a backend posts: read without a panic; what goes out to clients is one line of JSON that says the same.
//!
//! Invariant checked: what is sent is valid JSON, equal to what was posted, and reading it again changes nothing.

#![no_main]

use foghorn::dialect::seafile::backend_event::{BackendEvent, Parsed};
use foghorn::dialect::seafile::clients::DESKTOP;
use foghorn::event::{Channel, Event};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(Parsed::Deliver(event)) = BackendEvent::parse(data) else {
        return;
    };
    let (channel, wire) = (Channel::new("repo", &event.repo_id), DESKTOP.wire);
    let frame = wire.event(&Event::new(
        channel,
        event.kind.name(),
        event.content.clone(),
    ));
    let text = wire.text(&frame);
    assert!(text.ends_with(b"}\n") && !text[..text.len() - 1].contains(&b'\n'));
    let (Ok(posted), Ok(sent)) = (
        serde_json::from_slice::<Value>(data),
        serde_json::from_slice::<Value>(&text),
    ) else {
        return;
    };
    assert_eq!(
        (&posted["type"], &posted["content"]),
        (&sent["type"], &sent["content"])
    );
    assert_eq!(
        sent["content"]["repo_id"].as_str().unwrap_or_default(),
        event.repo_id
    );
    match BackendEvent::parse(&text) {
        Ok(Parsed::Deliver(again)) => assert_eq!(again, event),
        other => panic!("what was sent cannot be read: {other:?}"),
    }
});
