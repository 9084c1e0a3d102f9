//! The frame parser's view of a connection: bytes that were read already, inflated where they are compressed, and the outbox.
//!
//! Invariant: the parser keeps no bytes of an idle connection, and what it writes it writes at once.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::deflate::inflater::Inflater;
use crate::outbox::Outbox;

/// What the frame parser asks for at a time.
const READ_BUFFER: usize = 256;

pub(super) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(max_message + 1024)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// The parser's view of the socket.
pub(super) struct ParserView<'i, 'a> {
    /// What was read.
    pub(super) input: &'i [u8],
    /// What reads compressed messages, where they were agreed on.
    pub(super) inflater: Option<&'a mut Inflater>,
    pub(super) outbox: &'a Outbox,
}

impl Read for ParserView<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(inflater) = &mut self.inflater {
            return inflater.read(&mut self.input, into);
        }
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(into)
    }
}

impl Write for ParserView<'_, '_> {
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        self.outbox.push_control(frames);
        Ok(frames.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
