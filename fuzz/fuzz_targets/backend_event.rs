//! Any body a backend posts: read without a panic; what goes out to clients is one line of JSON that says the same.
//!
//! Invariant checked: the payload is valid JSON, equal to what was posted, and reading it again changes nothing.

#![no_main]

use foghorn::dialect::seafile::message::{BackendEvent, Posted};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(Posted::Deliver(event)) = BackendEvent::parse(data) else { return };
    assert!(event.payload.ends_with(b"}\n") && !event.payload[..event.payload.len() - 1].contains(&b'\n'));
    let (Ok(posted), Ok(sent)) = (serde_json::from_slice::<Value>(data), serde_json::from_slice::<Value>(&event.payload))
    else {
        return;
    };
    assert_eq!((&posted["type"], &posted["content"]), (&sent["type"], &sent["content"]));
    assert_eq!(sent["content"]["repo_id"].as_str().unwrap_or_default(), event.repo_id);
    match BackendEvent::parse(&event.payload) {
        Ok(Posted::Deliver(again)) => assert_eq!(again, event),
        other => panic!("what was sent cannot be read: {other:?}"),
    }
});
