//! Packets out of the bytes that a broker sends.
//!
//! Invariant: what is kept is bounded. Of a message that is too long only what is needed to acknowledge it is kept: one that
//! cannot be read would come again at every connection, for ever.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnectReturnCode, Packet, SubscribeReasonCode};

/// Type of a PUBLISH, in the first byte's upper half.
const PUBLISH: u8 = 3;
/// What a broker sends to a client that publishes nothing: CONNACK, PUBLISH, SUBACK and PINGRESP.
const SENT: [u8; 4] = [2, PUBLISH, 9, 13];
/// Bytes in front of a packet at most.
const HEADER: usize = 5;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is to be acknowledged by; `None`: it is not.
    pub(super) id: Option<u16>,
    /// Whether the broker had it lying there.
    pub(super) retained: bool,
    /// Topic and payload; `None`: it was too long to be kept.
    pub(super) said: Option<(Bytes, Bytes)>,
}

/// What a broker says to who is subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Whether the connection is taken: whether there was a session, or why not.
    Connected(Result<bool, &'static str>),
    /// Whether the subscription is granted.
    Subscribed(bool),
    /// A message.
    Message(Message),
    /// It is there.
    Pong,
}

/// A message that is read over.
#[derive(Clone, Copy, Debug)]
struct Skipped {
    id: Option<u16>,
    retained: bool,
    left: usize,
}

/// See the module's description.
pub struct Frames {
    /// What has come and is no whole packet yet.
    pub(super) buffer: BytesMut,
    skipped: Option<Skipped>,
    longest: usize,
}

impl Frames {
    /// Nothing has come yet. Packets of `longest` bytes are kept.
    pub fn new(longest: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            skipped: None,
            longest,
        }
    }

    /// The next packet, where it is whole.
    ///
    /// # Errors
    /// In words: it is no packet, or none that a broker sends to a client that only listens.
    pub fn take(&mut self) -> Result<Option<Frame>, String> {
        if let Some(skipped) = self.skipped.take() {
            return Ok(self.skip(skipped));
        }
        let kind = self.buffer.first().map(|first| first >> 4);
        if let Some(kind) = kind.filter(|kind| !SENT.contains(kind)) {
            return Err(format!(
                "a packet of type {kind}, which no broker sends to who only listens"
            ));
        }
        let Some((header, length)) = header(&self.buffer)? else {
            return Ok(None);
        };
        if length > self.longest {
            return self.begin_to_skip(header, length);
        }
        if self.buffer.len() < header + length {
            self.buffer.reserve(header + length - self.buffer.len());
            return Ok(None);
        }
        let packet =
            Packet::read(&mut self.buffer, self.longest).map_err(|error| error.to_string())?;
        frame(packet).map(Some)
    }

    fn begin_to_skip(&mut self, header: usize, length: usize) -> Result<Option<Frame>, String> {
        let first = self.buffer[0];
        if first >> 4 != PUBLISH {
            return Err(format!("a packet of {length} bytes that is no message"));
        }
        let Some(topic) = self.buffer.get(header..header + 2) else {
            return Ok(None);
        };
        let topic = usize::from(u16::from_be_bytes([topic[0], topic[1]]));
        let wants_answer = first & 0b110 != 0;
        let used = 2 + topic + if wants_answer { 2 } else { 0 };
        if used > length {
            return Err("a message whose topic is longer than itself".to_owned());
        }
        if self.buffer.len() < header + used {
            return Ok(None);
        }
        let id = self
            .buffer
            .get(header + used - 2..header + used)
            .filter(|_| wants_answer);
        let id = id.map(|id| u16::from_be_bytes([id[0], id[1]]));
        self.buffer.advance(header + used);
        Ok(self.skip(Skipped {
            id,
            retained: first & 1 != 0,
            left: length - used,
        }))
    }

    fn skip(&mut self, Skipped { id, retained, left }: Skipped) -> Option<Frame> {
        let now = left.min(self.buffer.len());
        self.buffer.advance(now);
        if now == left {
            return Some(Frame::Message(Message {
                id,
                retained,
                said: None,
            }));
        }
        self.skipped = Some(Skipped {
            id,
            retained,
            left: left - now,
        });
        None
    }
}

/// Length of a packet's header, and of what follows it; `None`: more has to come.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(HEADER).enumerate().skip(1) {
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Ok(Some((at + 1, length)));
        }
    }
    if bytes.len() < HEADER {
        Ok(None)
    } else {
        Err("a length that does not end".to_owned())
    }
}

fn frame(packet: Packet) -> Result<Frame, String> {
    match packet {
        Packet::ConnAck(taken) => Ok(Frame::Connected(match taken.code {
            ConnectReturnCode::Success => Ok(taken.session_present),
            ConnectReturnCode::RefusedProtocolVersion => Err("it does not speak MQTT 3.1.1"),
            ConnectReturnCode::BadClientId => {
                Err("it does not like the client id (FOGHORN_INBOX_CLIENT_ID)")
            }
            ConnectReturnCode::ServiceUnavailable => Err("it is not ready to serve"),
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                Err("it refuses user and password (FOGHORN_INBOX_BROKER_URL)")
            }
        })),
        Packet::SubAck(granted) => {
            let failed = granted.return_codes.contains(&SubscribeReasonCode::Failure);
            Ok(Frame::Subscribed(!failed))
        }
        Packet::Publish(publish) => {
            let id = match publish.qos {
                QoS::AtMostOnce => None,
                QoS::AtLeastOnce => Some(publish.pkid),
                QoS::ExactlyOnce => {
                    return Err("a message of QoS 2, which was not asked for".to_owned());
                }
            };
            let said = Some((publish.topic, publish.payload));
            Ok(Frame::Message(Message {
                id,
                retained: publish.retain,
                said,
            }))
        }
        Packet::PingResp => Ok(Frame::Pong),
        _ => Err("a packet that is a client's".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::mqttbytes::v4::Publish;

    use super::*;

    fn publish(payload: usize) -> BytesMut {
        let mut publish = Publish::new("notification7", QoS::AtLeastOnce, vec![b'9'; payload]);
        publish.pkid = 258;
        let mut bytes = BytesMut::new();
        Packet::Publish(publish)
            .write(&mut bytes, usize::MAX)
            .expect("written");
        bytes
    }

    #[test]
    fn packets_come_out_of_any_pieces_and_long_ones_are_read_over() {
        let mut all = publish(3);
        all.extend_from_slice(&publish(5_000));
        all.extend_from_slice(&[0xd0, 0]);
        for piece in [1, 7, 1_000, all.len()] {
            let (mut frames, mut found, mut most) = (Frames::new(100), Vec::new(), 0);
            for bytes in all.chunks(piece) {
                frames.buffer.extend_from_slice(bytes);
                while let Some(packet) = frames.take().expect("packets") {
                    found.push(packet);
                }
                most = most.max(frames.buffer.len());
            }
            let said = Some((
                Bytes::from_static(b"notification7"),
                Bytes::from_static(b"999"),
            ));
            let message = |said| {
                Frame::Message(Message {
                    id: Some(258),
                    retained: false,
                    said,
                })
            };
            assert_eq!(
                found,
                [message(said), message(None), Frame::Pong],
                "{piece}"
            );
            assert!(most <= 100, "{most} bytes were kept");
        }
    }

    #[test]
    fn what_is_no_packet_is_said() {
        for bytes in [
            [0xd0, 0xff, 0xff, 0xff, 0xff].as_slice(),
            &[0x00, 0],
            &[0xc0, 0],
            &[0x20, 2, 9, 0],
            &[0x34, 5, 0, 1, b'x', 0, 1],
            &[0x90, 0xff, 0x7f],
            &[0x32, 0xff, 0x7f, 0xff, 0xff],
        ] {
            let mut frames = Frames::new(1_000);
            frames.buffer.extend_from_slice(bytes);
            assert!(frames.take().is_err(), "{bytes:02x?}");
        }
    }
}
