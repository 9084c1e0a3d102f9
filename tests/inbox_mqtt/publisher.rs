//! A backend's end: it publishes at a broker, and knows what the broker has taken.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::PATIENCE;

/// A connection that may break, and is made anew then.
pub struct Publisher {
    port: u16,
    client: String,
    clean: bool,
    stream: Option<(TcpStream, BytesMut)>,
}

impl Publisher {
    /// A backend at the broker on this port.
    pub fn new(port: u16) -> Self {
        Self::called(
            port,
            &format!("backend-{:08x}", rand::random::<u32>()),
            true,
        )
    }

    /// A client of this name.
    pub fn called(port: u16, client: &str, clean: bool) -> Self {
        Self {
            port,
            client: client.to_owned(),
            clean,
            stream: None,
        }
    }

    /// Connects, where it is not; whether the broker has taken it.
    pub async fn connect(&mut self) -> bool {
        if self.stream.is_some() {
            return true;
        }
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        self.stream = Some((stream, BytesMut::new()));
        let mut connect = Connect::new(self.client.clone());
        connect.clean_session = self.clean;
        connect.keep_alive = 60;
        connect.set_credentials("guest", "guest");
        self.send(&Packet::Connect(connect)).await;
        matches!(self.next().await, Some(Packet::ConnAck(_)))
    }

    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).expect("a packet");
        let Some((stream, _)) = &mut self.stream else {
            return;
        };
        if stream.write_all(&bytes).await.is_err() {
            self.stream = None;
        }
    }

    /// The next packet; `None`: the connection has ended, or says nothing for long.
    pub async fn next(&mut self) -> Option<Packet> {
        let read = async {
            let (stream, buffer) = self.stream.as_mut()?;
            loop {
                if let Ok(packet) = Packet::read(buffer, 1 << 20) {
                    return Some(packet);
                }
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
        };
        // Whoever is impatient publishes again what the broker has already, and it comes twice.
        let packet = tokio::time::timeout(PATIENCE / 2, read)
            .await
            .ok()
            .flatten();
        if packet.is_none() {
            self.stream = None;
        }
        packet
    }

    /// Publishes with QoS 1, again and again until the broker says that it has it.
    pub async fn publish(&mut self, topic: &str, payload: &str) {
        let done = async {
            loop {
                if self.connect().await {
                    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
                    publish.pkid = 1;
                    self.send(&Packet::Publish(publish)).await;
                    if matches!(self.next().await, Some(Packet::PubAck(_))) {
                        return;
                    }
                }
                self.stream = None;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        // A broker may end and start meanwhile, each of which is waited for as long.
        tokio::time::timeout(3 * PATIENCE, done)
            .await
            .expect("the broker takes it");
    }
}
