//! How far a client is in what it sends: the bytes of a message that has begun and not ended.
//!
//! Invariant: pure, and next to nothing a frame: payloads are passed over, not looked at.

/// The longest head of a frame: two bytes, eight of length, four of the mask.
const HEAD: usize = 14;

/// Where a stream of frames stands (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    head: [u8; HEAD],
    /// How much of the head is here; 0 while a payload is under way.
    have: usize,
    /// What is still to come of the payload.
    left: u64,
    /// The frame under way is the last of its message, or a control frame.
    ends: bool,
    /// It is a control frame, which may stand in the midst of a message.
    control: bool,
    /// Payload of the message so far.
    message: usize,
    /// A message has begun.
    begun: bool,
    /// Payload of the control frame so far.
    aside: usize,
}

impl Progress {
    /// More has come.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = if self.left > 0 {
                self.take_payload(bytes)
            } else {
                self.take_head(bytes)
            };
        }
    }

    /// Bytes of what is unfinished; 0: nothing is.
    pub(super) fn held(&self) -> usize {
        let held = self.message + self.aside + self.have;
        // Also a message without a byte so far is one.
        if self.begun || self.left > 0 {
            held.max(1)
        } else {
            held
        }
    }

    fn take_payload<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let count = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.left -= count as u64;
        *(if self.control {
            &mut self.aside
        } else {
            &mut self.message
        }) += count;
        if self.left == 0 {
            self.end_frame();
        }
        &bytes[count..]
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let wanted = self.head_length().max(2);
        let count = (wanted - self.have).min(bytes.len());
        self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
        self.have += count;
        if self.have >= 2 && self.have == self.head_length() {
            self.begin_frame();
        }
        &bytes[count..]
    }

    /// How long the head is, as far as that is known.
    fn head_length(&self) -> usize {
        if self.have < 2 {
            return 0;
        }
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.head[1] & 0x80 != 0 { 4 } else { 0 }
    }

    fn begin_frame(&mut self) {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        self.left = match self.head[1] & 0x7f {
            126 => number(&self.head[2..4]),
            127 => number(&self.head[2..10]),
            short => u64::from(short),
        };
        self.control = self.head[0] & 0x08 != 0;
        self.ends = self.control || self.head[0] & 0x80 != 0;
        self.begun |= !self.control;
        self.have = 0;
        if self.left == 0 {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        if self.control {
            self.aside = 0;
        } else if self.ends {
            (self.message, self.begun) = (0, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..=125 => frame.push(0x80 | payload as u8),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(vec![b'x'; payload]);
        frame
    }

    #[test]
    fn what_has_begun_is_held_until_it_ends() {
        let mut progress = Progress::default();
        progress.take(&frame(0x81, 5));
        assert_eq!(progress.held(), 0);
        let message = frame(0x82, 70_000);
        progress.take(&message[..1]);
        assert_eq!(progress.held(), 1);
        progress.take(&message[1..1_014]);
        assert_eq!(progress.held(), 1_000);
        progress.take(&message[1_014..]);
        assert_eq!(progress.held(), 0);
        // In fragments, with a ping in between.
        progress.take(&frame(0x01, 0));
        assert_eq!(progress.held(), 1);
        progress.take(&frame(0x00, 300));
        let ping = frame(0x89, 20);
        progress.take(&ping[..16]);
        assert_eq!(progress.held(), 310);
        progress.take(&ping[16..]);
        assert_eq!(progress.held(), 300);
        progress.take(&frame(0x80, 0));
        assert_eq!(progress.held(), 0);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(
            frames in prop::collection::vec((prop_oneof![Just(0x81_u8), Just(0x01), Just(0x00), Just(0x80), Just(0x89)],
                prop_oneof![0..200_usize, 65_500..65_600_usize]), 0..6),
            cuts in prop::collection::vec(1..5_000_usize, 1..50),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, *payload)).collect();
            let (mut whole, mut pieces) = (Progress::default(), Progress::default());
            whole.take(&bytes);
            let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                pieces.take(piece);
                rest = more;
            }
            prop_assert_eq!(whole.held(), pieces.held());
        }
    }
}
