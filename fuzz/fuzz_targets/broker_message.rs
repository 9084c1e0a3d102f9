//! Any bytes on a channel: read without a panic, and what is read can be written again.
//!
//! Invariant checked: an event that was read and written anew reads as the same event.

#![no_main]

use bytes::Bytes;
use foghorn::broker::packet::{self, CONTROL, Content, Draft};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let head = match packet::head(&bytes) {
        Ok(head) => head,
        Err(why) => return assert!(!why.label().is_empty()),
    };
    if head.kind >= CONTROL {
        let _ = foghorn::broker::control::Control::read(head, &bytes);
        return;
    }
    let packet = packet::read(head, bytes);
    assert!(packet.end() >= packet.stamp.number);
    if let Content::Event(event) = packet.content {
        let again = Draft::new(event.clone()).stamp(packet.stamp);
        assert_eq!(
            packet::read(packet::head(&again.bytes).unwrap(), again.bytes).content,
            Content::Event(event)
        );
    }
});
