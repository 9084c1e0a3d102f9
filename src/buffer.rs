//! Buffers for what an event is made of: its body, its data, its packet, its frames.
//!
//! Invariant: a large one lies in a mapping of its own, which the system gets back the moment that nobody holds it any
//! more. libc's heap keeps what was freed below something that lives on, and a busy second leaves such things
//! everywhere: large events in it would hold their memory long after they are gone.

use std::ops::{Deref, DerefMut};

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;

/// From so many bytes on a buffer has a mapping. Most events have some hundred bytes.
pub const LARGE: usize = 16 * 1_024;

/// Bytes that are written one after the other, then shared.
#[derive(Debug)]
pub struct Buffer(Place);

#[derive(Debug)]
enum Place {
    Heap(BytesMut),
    Mapping(Mapped),
}

/// A mapping, and how many of its bytes are written.
#[derive(Debug)]
struct Mapped {
    map: MmapMut,
    len: usize,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

impl Place {
    fn with_room(bytes: usize) -> Self {
        if bytes < LARGE {
            return Self::Heap(BytesMut::with_capacity(bytes));
        }
        // A process may have some 65,000 mappings. With none left there is still the heap.
        match MmapMut::map_anon(bytes) {
            Ok(map) => Self::Mapping(Mapped { map, len: 0 }),
            Err(_) => Self::Heap(BytesMut::with_capacity(bytes)),
        }
    }
}

impl Buffer {
    /// An empty one with room for so many bytes. It grows where that was too few; room that is never written costs nothing.
    pub fn with_room(bytes: usize) -> Self {
        Self(Place::with_room(bytes))
    }

    /// `start`, and `rest` behind it.
    pub fn joined(mut start: BytesMut, rest: &[u8]) -> Self {
        let len = start.len() + rest.len();
        if len < LARGE {
            start.extend_from_slice(rest);
            return Self(Place::Heap(start));
        }
        let mut buffer = Self::with_room(len);
        buffer.put(&start);
        buffer.put(rest);
        buffer
    }

    /// Appends `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        let len = self.len();
        let needed = len + bytes.len();
        let room = match &self.0 {
            Place::Heap(heap) if needed < LARGE => needed.max(heap.capacity()),
            Place::Heap(heap) => heap.capacity(),
            Place::Mapping(mapped) => mapped.map.len(),
        };
        if needed > room {
            let mut larger = Self::with_room(needed.max(2 * room));
            larger.put(self);
            *self = larger;
        }
        match &mut self.0 {
            Place::Heap(heap) => heap.extend_from_slice(bytes),
            Place::Mapping(mapped) => {
                mapped.map[len..needed].copy_from_slice(bytes);
                mapped.len = needed;
            }
        }
    }

    /// What was written, to be shared.
    pub fn freeze(self) -> Bytes {
        match self.0 {
            // It may be kept for long: without much room that was not needed.
            Place::Heap(heap) if heap.capacity() > heap.len() + heap.len() / 8 + 64 => {
                Bytes::copy_from_slice(&heap)
            }
            Place::Heap(heap) => heap.freeze(),
            Place::Mapping(mapped) => Bytes::from_owner(mapped),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Heap(heap) => heap,
            Place::Mapping(mapped) => mapped.as_ref(),
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Heap(heap) => heap,
            Place::Mapping(mapped) => &mut mapped.map[..mapped.len],
        }
    }
}

/// The same bytes, where they may be kept: large ones are copied out of what they came in.
pub fn kept(bytes: Bytes) -> Bytes {
    if bytes.len() < LARGE {
        return bytes;
    }
    let mut buffer = Buffer::with_room(bytes.len());
    buffer.put(&bytes);
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_in_order_whatever_its_length() {
        for (room, pieces) in [
            (0, 3),
            (10, 40),
            (LARGE, 1),
            (LARGE, 300),
            (LARGE - 1, 300),
            (100, 3_000),
        ] {
            let mut buffer = Buffer::with_room(room);
            let mut wanted = Vec::new();
            for n in 0..pieces {
                let piece = vec![n as u8; 97];
                buffer.put(&piece);
                wanted.extend_from_slice(&piece);
            }
            assert!(buffer[..] == wanted[..], "{room} {pieces}");
            buffer[0] = 7;
            wanted[0] = 7;
            let shared = buffer.freeze();
            let part = shared.slice(1..50);
            let joined = Buffer::joined(BytesMut::from(&wanted[..50]), &wanted[50..]);
            assert!(joined[..] == wanted[..], "{room} {pieces}");
            assert!(
                shared == wanted && kept(shared) == wanted,
                "{room} {pieces}"
            );
            assert_eq!(part, wanted[1..50]);
        }
    }

    #[test]
    fn large_ones_are_mapped_also_when_they_grow() {
        let is_mapped = |buffer: &Buffer| matches!(buffer.0, Place::Mapping(_));
        assert!(is_mapped(&Buffer::with_room(LARGE)));
        let mut buffer = Buffer::with_room(100);
        buffer.put(&[0; 1_000]);
        assert!(!is_mapped(&buffer));
        buffer.put(&[0; LARGE]);
        assert!(is_mapped(&buffer));
        assert_eq!(buffer.len(), 1_000 + LARGE);
    }
}
