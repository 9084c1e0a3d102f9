//! WebSocket frames, just what a load generator needs (RFC 6455, section 5).
//!
//! Invariant: nothing here allocates on the receiving side, and a frame is only acted upon when all of it has arrived.

/// A whole text message (or its first fragment).
pub const TEXT: u8 = 1;
/// A whole binary message (or its first fragment).
pub const BINARY: u8 = 2;
/// Close.
pub const CLOSE: u8 = 8;
/// Ping.
pub const PING: u8 = 9;
/// Pong.
pub const PONG: u8 = 10;

/// Where one frame lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The last frame of its message.
    pub fin: bool,
    /// Kind of frame.
    pub opcode: u8,
    /// The masking key, from clients.
    pub mask: Option<[u8; 4]>,
    /// Bytes before the payload.
    pub head: usize,
    /// Bytes of payload.
    pub len: usize,
}

impl Frame {
    /// Bytes of the whole frame.
    pub fn size(&self) -> usize {
        self.head + self.len
    }
}

/// Reads the frame header at the start of `b`; `None` while more bytes are needed. The payload may not be there yet.
pub fn header(b: &[u8]) -> Option<Frame> {
    let (&first, &second) = (b.first()?, b.get(1)?);
    let (mut head, len) = match second & 0x7f {
        126 => (
            4,
            u64::from(u16::from_be_bytes(b.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(b.get(2..10)?.try_into().ok()?)),
        n => (2, u64::from(n)),
    };
    let mask = if second & 0x80 != 0 {
        let key: [u8; 4] = b.get(head..head + 4)?.try_into().ok()?;
        head += 4;
        Some(key)
    } else {
        None
    };
    // A length no machine holds is cut to one that never arrives, so the caller sees a frame that stays incomplete.
    let len = usize::try_from(len)
        .unwrap_or(usize::MAX)
        .min(usize::MAX / 2);
    Some(Frame {
        fin: first & 0x80 != 0,
        opcode: first & 0x0f,
        mask,
        head,
        len,
    })
}

/// Reads one whole frame at the start of `b`; `None` while some of it is missing.
pub fn frame(b: &[u8]) -> Option<Frame> {
    header(b).filter(|f| b.len() >= f.size())
}

/// Applies (or takes off) a mask.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[i & 3];
    }
}

fn push_head(out: &mut Vec<u8>, opcode: u8, len: usize, bit: u8) {
    out.push(0x80 | opcode);
    match len {
        0..126 => out.push(bit | len as u8),
        126..65536 => {
            out.push(bit | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(bit | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Appends a whole masked frame, as clients send it.
pub fn push_client(out: &mut Vec<u8>, opcode: u8, payload: &[u8], key: [u8; 4]) {
    push_head(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&key);
    let at = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[at..], key);
}

/// Appends a whole frame, as servers send it.
pub fn push_server(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    push_head(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_masks_a_server_reads_at_every_length() {
        for len in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut wire = Vec::new();
            push_client(&mut wire, TEXT, &payload, [1, 2, 3, 250]);
            let f = frame(&wire).expect("whole");
            assert_eq!(
                (f.fin, f.opcode, f.len, f.size()),
                (true, TEXT, len, wire.len())
            );
            let mut got = wire[f.head..].to_vec();
            mask(&mut got, f.mask.expect("clients mask"));
            assert_eq!(got, payload);
        }
    }

    #[test]
    fn every_prefix_of_a_frame_is_incomplete() {
        for len in [5, 200, 66000] {
            let mut wire = Vec::new();
            push_server(&mut wire, BINARY, &vec![7; len]);
            for cut in (0..wire.len()).step_by(1 + len / 40) {
                assert_eq!(frame(&wire[..cut]), None, "{cut} of {}", wire.len());
            }
            assert_eq!(frame(&wire).map(|f| f.size()), Some(wire.len()));
        }
    }

    #[test]
    fn an_example_of_the_rfc() {
        // RFC 6455, 5.7: a single-frame masked text message "Hello".
        let wire = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        let mut out = Vec::new();
        push_client(&mut out, TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, wire);
    }

    #[test]
    fn an_absurd_length_never_completes() {
        let wire = [0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 0];
        assert_eq!(frame(&wire), None);
    }
}
