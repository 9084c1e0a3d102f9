//! Any bytes a client sends: read without a panic, and read the way a whole JSON parser reads them.
//!
//! Invariant checked: what is taken as a message is one JSON object, and a refusal's close frame fits on the wire.

#![no_main]

use foghorn::dialect::seafile::message::ClientMessage;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    match ClientMessage::parse(data) {
        Ok(message) => {
            // serde_json gives up at a depth of 128, where the parser under test does not.
            let Ok(value) = serde_json::from_slice::<Value>(data) else {
                return;
            };
            assert!(value.is_object(), "taken, and no object");
            let entries = match &message {
                ClientMessage::Subscribe(entries) => entries.len(),
                ClientMessage::Unsubscribe(ids) => ids.len(),
            };
            assert!(entries <= data.len());
        }
        Err(bad) => {
            let close = bad.close();
            assert!(
                close.reason.len() <= 123 && [1003, 1007, 1008].contains(&close.code),
                "{close:?}"
            );
        }
    }
});
