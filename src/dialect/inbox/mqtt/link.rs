//! One connection to a broker: what is asked of it, and what it says.
//!
//! Invariants: no step takes longer than [`STEP`]; reading and writing can be given up at any time without losing a byte; dropping
//! it ends the connection.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Publish, Subscribe};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address::Address;
use super::frames::{Frame, Frames};
use super::{Source, permission, tls};
use crate::fault::{TlsFault, words};

/// How long the broker may take for a step.
pub const STEP: Duration = Duration::from_secs(10);

/// What a visitor published is heard within this time, or not at all.
const ECHO: Duration = Duration::from_secs(3);

/// What the broker is told of how often it hears of us. It gives up after one and a half times this.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The subscription's number.
const SUBSCRIPTION: u16 = 1;

/// Why there is no connection, or none any more. Each text is about the broker and reads on after its address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LinkError {
    /// No TCP connection: why.
    #[error("it cannot be reached: {0} (FOGHORN_INBOX_BROKER_URL)")]
    Unreachable(String),
    /// No TLS.
    #[error("{0} (FOGHORN_INBOX_BROKER_URL, FOGHORN_INBOX_BROKER_CA)")]
    Tls(TlsFault),
    /// No authority to trust.
    #[error("{0}")]
    Roots(String),
    /// It does not take us: why.
    #[error("{0}")]
    Refused(&'static str),
    /// It does not grant the subscription.
    #[error("it does not let this user subscribe to what FOGHORN_INBOX_TOPIC needs")]
    Subscription,
    /// It does not answer: what it should have answered.
    #[error("it has not answered {0} in time")]
    Late(&'static str),
    /// It does not speak MQTT: how.
    #[error("it does not speak MQTT 3.1.1: {0}")]
    Broken(String),
    /// A notification was dropped on this node, by a bound: the broker is to bring it again.
    #[error(
        "this node has too much waiting (FOGHORN_WAITING_EVENTS, FOGHORN_WAITING_BYTES): what it could not take comes again"
    )]
    Crowded,
    /// It ended the connection.
    #[error("it ended the connection{0}")]
    Ended(String),
}

impl LinkError {
    /// The counter's label.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// What became of a message for nobody that a visitor published, at this topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It came back.
    Heard(String),
    /// It did not, though this user may publish: what is granted is not served.
    Lost(String),
    /// It did not, and the broker does not say whether this user may publish.
    Silent(String),
    /// This user may not publish.
    Untried,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// See the module's description.
pub struct Link {
    stream: Box<dyn Stream>,
    frames: Frames,
    /// What is to be written.
    out: BytesMut,
}

impl Link {
    /// Connects to a broker, where the session outlives the connection. Returns whether there was a session.
    ///
    /// # Errors
    /// [`LinkError`]
    pub async fn open(source: &Source, address: &Address) -> Result<(Self, bool), LinkError> {
        Self::begin(source, address, false).await
    }

    /// Connects, asks for the subscription and takes leave, as [`open`](Self::open) does, but as somebody else and without a session: nobody is
    /// thrown out, nothing is left at the broker, and nothing that it has is taken. What is subscribed to is tried with a message
    /// for nobody, where the broker lets this user publish.
    ///
    /// # Errors
    /// [`LinkError`]: what the broker does not grant.
    pub async fn visit(source: &Source, address: &Address) -> Result<Echo, LinkError> {
        let other = Source {
            client_id: another(&source.client_id),
            ..source.clone()
        };
        let (mut link, _) = Self::begin(&other, address, true).await?;
        link.subscribe(&other).await?;
        let granted = async {
            loop {
                // What is retained may come before the answer.
                if let Frame::Subscribed(granted) = link.next().await? {
                    return if granted {
                        Ok(())
                    } else {
                        Err(LinkError::Subscription)
                    };
                }
            }
        };
        let granted = timeout(STEP, granted)
            .await
            .unwrap_or(Err(LinkError::Late("SUBSCRIBE")));
        let echo = match granted {
            Ok(()) => Ok(link.echo(&other, address).await),
            Err(error) => Err(error),
        };
        link.close().await;
        echo
    }

    /// Publishes for nobody, and waits to hear it.
    async fn echo(&mut self, source: &Source, address: &Address) -> Echo {
        let word = format!("doctor-{:08x}", rand::random::<u32>());
        let topic = source.topic.of_nobody(&word);
        let publish = Publish::new(topic.clone(), QoS::AtMostOnce, word);
        if self.send(&Packet::Publish(publish)).await.is_err() {
            return Echo::Untried;
        }
        let heard = timeout(ECHO, self.hears(&topic)).await;
        match heard {
            Ok(Ok(())) => return Echo::Heard(topic),
            Ok(Err(_)) => return Echo::Untried,
            Err(_) => {}
        }
        // Beside this connection, and so as yet another one.
        let asking = Source {
            client_id: another(&source.client_id),
            ..source.clone()
        };
        match permission::may_publish(&asking, address, &topic).await {
            Some(true) => {
                // What asked comes back too: a broker that was only slow withholds nothing.
                let heard = timeout(ECHO, self.hears(&topic)).await;
                match heard {
                    Ok(Ok(())) => Echo::Heard(topic),
                    _ => Echo::Lost(topic),
                }
            }
            Some(false) => Echo::Untried,
            None => Echo::Silent(topic),
        }
    }

    /// Waits for a message at `topic`.
    async fn hears(&mut self, topic: &str) -> Result<(), LinkError> {
        loop {
            if let Frame::Message(message) = self.next().await?
                && message.said.is_some_and(|(to, _)| to == topic.as_bytes())
            {
                return Ok(());
            }
        }
    }

    async fn begin(
        source: &Source,
        address: &Address,
        clean: bool,
    ) -> Result<(Self, bool), LinkError> {
        let stream = match timeout(STEP, dial(address, source.ca.as_deref())).await {
            Ok(stream) => stream?,
            Err(_) => return Err(LinkError::Unreachable("it took too long".to_owned())),
        };
        let mut link = Self {
            stream,
            frames: Frames::new(source.longest),
            out: BytesMut::new(),
        };
        let mut connect = Connect::new(source.client_id.clone());
        connect.clean_session = clean;
        connect.keep_alive = KEEP_ALIVE.as_secs() as u16;
        if let Some((user, password)) = &address.login {
            connect.set_credentials(user.clone(), password.clone());
        }
        link.send(&Packet::Connect(connect)).await?;
        let present = match timeout(STEP, link.next()).await {
            Ok(frame) => match frame? {
                Frame::Connected(taken) => taken.map_err(LinkError::Refused)?,
                _ => {
                    return Err(LinkError::Broken(
                        "it says something before CONNACK".to_owned(),
                    ));
                }
            },
            Err(_) => return Err(LinkError::Late("CONNECT")),
        };
        Ok((link, present))
    }

    /// Asks for the subscription, which is not granted yet.
    ///
    /// # Errors
    /// [`LinkError`]
    pub async fn subscribe(&mut self, source: &Source) -> Result<(), LinkError> {
        let mut subscribe = Subscribe::new(source.topic.filter(), QoS::AtLeastOnce);
        subscribe.pkid = SUBSCRIPTION;
        self.send(&Packet::Subscribe(subscribe)).await
    }

    /// What the broker says next.
    ///
    /// # Errors
    /// [`LinkError`]
    pub async fn next(&mut self) -> Result<Frame, LinkError> {
        loop {
            if let Some(frame) = self.frames.take().map_err(LinkError::Broken)? {
                return Ok(frame);
            }
            match self.stream.read_buf(&mut self.frames.buffer).await {
                Ok(0) => return Err(LinkError::Ended(String::new())),
                Ok(_) => {}
                Err(error) => return Err(ended(&error)),
            }
        }
    }

    /// A message need not be sent again.
    ///
    /// # Errors
    /// [`LinkError`]
    pub(super) async fn acknowledge(&mut self, id: u16) -> Result<(), LinkError> {
        self.send(&Packet::PubAck(PubAck::new(id))).await
    }

    /// Asks whether the broker is there.
    ///
    /// # Errors
    /// [`LinkError`]
    pub async fn ping(&mut self) -> Result<(), LinkError> {
        self.send(&Packet::PingReq).await
    }

    /// Takes leave; the session stays.
    pub async fn close(mut self) {
        // Where it is not heard, the end of the connection says the same.
        let _ = self.send(&Packet::Disconnect).await;
        let _ = timeout(STEP, self.stream.shutdown()).await;
        // A socket that is closed with something unread in it may take what it has sent along.
        let mut rest = [0; 4_096];
        let read = async { while matches!(self.stream.read(&mut rest).await, Ok(1..)) {} };
        let _ = timeout(STEP, read).await;
    }

    async fn send(&mut self, packet: &Packet) -> Result<(), LinkError> {
        packet
            .write(&mut self.out, usize::MAX)
            .map_err(|error| LinkError::Broken(error.to_string()))?;
        let (stream, out) = (&mut self.stream, &mut self.out);
        let write = async {
            while !out.is_empty() {
                stream.write_buf(out).await?;
            }
            stream.flush().await
        };
        match timeout(STEP, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ended(&error)),
            Err(_) => Err(LinkError::Late("what it was sent")),
        }
    }
}

/// A client id that nobody has, as long as `id` where that is long enough and with the same beginning: brokers may look at both.
fn another(id: &str) -> String {
    let kept: String = id
        .chars()
        .take(id.chars().count().saturating_sub(6).max(1))
        .collect();
    format!("{kept}{:06x}", rand::random_range(0..1 << 24_u32))
}

fn ended(error: &io::Error) -> LinkError {
    LinkError::Ended(format!(": {}", words(error)))
}

pub(super) async fn dial(
    address: &Address,
    ca: Option<&Path>,
) -> Result<Box<dyn Stream>, LinkError> {
    let connected = TcpStream::connect((address.host.as_str(), address.port)).await;
    let stream = connected.map_err(|error| LinkError::Unreachable(words(&error)))?;
    // Acknowledgements are small, and a broker that waits for them sends nothing more.
    stream
        .set_nodelay(true)
        .map_err(|error| LinkError::Unreachable(words(&error)))?;
    if !address.tls {
        return Ok(Box::new(stream));
    }
    let connector = tls::connector(ca).map_err(LinkError::Roots)?;
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|_| LinkError::Unreachable("no host has such a name".to_owned()))?;
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(TlsFault::of(&error).map_or_else(|| ended(&error), LinkError::Tls)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_called_nearly_as_the_node_is() {
        let visitor = another("foghorn-inbox");
        assert!(
            visitor.len() == 13 && visitor.starts_with("foghorn") && visitor != "foghorn-inbox",
            "{visitor}"
        );
        assert!(another("x").starts_with('x') && another("x").len() == 7);
    }
}
