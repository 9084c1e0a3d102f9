//! Any bytes on a partition's channel or in its log: read without a panic, and what is read can be written again.
//!
//! Invariant checked: an event that was read and encoded anew reads as the same event.

#![no_main]

use bytes::Bytes;
use foghorn::broker::wire::{self, Body, Message};
use libfuzzer_sys::fuzz_target;

fn body(bytes: &[u8]) {
    match wire::decode_body(bytes) {
        Ok(Body::Event(stamp, event)) => {
            let (again, _) = wire::encode_event(stamp, event.clone());
            assert_eq!(wire::decode_body(&again), Ok(Body::Event(stamp, event)));
        }
        Ok(Body::Lost(stamp, channels)) => {
            let again = wire::encode_lost(stamp, channels.as_deref());
            assert_eq!(wire::decode_body(&again), Ok(Body::Lost(stamp, channels)));
        }
        Err(unreadable) => assert!(!unreadable.label().is_empty()),
    }
}

fuzz_target!(|data: &[u8]| {
    match wire::decode_message(&Bytes::copy_from_slice(data)) {
        Ok(Message::Entry(heard)) => body(&heard.entry.body),
        Ok(Message::Canary) | Err(_) => {}
    }
    body(data);
});
