//! Redis as a carrier: PUBLISH and SUBSCRIBE (SPUBLISH and SSUBSCRIBE in a Redis Cluster), and nothing else. No key is
//! written, so a Redis that was emptied, failed over or ran out of memory has lost nothing. What dialects want kept goes a
//! way of its own ([`keep`]), on a connection that is made when the first of them asks.
//!
//! Invariant: fred, the Redis client, is used in this folder only. A connection is never mended, only made anew: fred's own
//! ways to reconnect and to subscribe again have holes (a server's own `sunsubscribe`, an error halfway).

mod client;
mod config;
mod examine;
mod foreign;
mod keep;
mod tls;
mod urls;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{EventInterface, PubsubInterface};
use fred::types::Value;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use self::client::Connected;
pub use self::config::{Config, ConfigFault, Layout, Server};
pub use self::examine::{ExamineError, Examined, Login, Note, Right, examine, examine_values};
pub use self::foreign::Foreign;
pub use self::keep::RedisKeeper;
pub use self::keep::queue::Queue;
pub use self::tls::{CertificateError, Certificates};
pub use self::urls::{UrlFault, parse_urls, split_urls};
use super::Sink;
use super::carrier::{Carrier, CarrierError, Heard, Said, Topic};
use super::clustered::{self, ClusteredBroker};
use super::keep::listener::Listener;
use crate::drain::Tasks;

/// Starts the broker over Redis, and returns at once.
///
/// # Errors
/// [`ConfigFault`]
pub fn start(
    config: &Config,
    sink: Arc<dyn Sink>,
    tasks: &Tasks,
) -> Result<ClusteredBroker, ConfigFault> {
    config.check()?;
    let carrier = |server: &Server| {
        Arc::new(RedisCarrier::new(server.clone(), &config.prefix)) as Arc<dyn Carrier>
    };
    let carriers = config.shards.iter().map(carrier).collect();
    let (partitions, replay, waiting) = (config.partitions, config.replay, config.waiting);
    Ok(ClusteredBroker::start(
        &clustered::Config {
            partitions,
            replay,
            waiting,
        },
        carriers,
        sink,
        tasks,
    ))
}

/// Starts the broker over Redis, and what keeps there for dialects that ask for it.
///
/// # Errors
/// [`ConfigFault`]
pub fn start_keeping(
    config: &Config,
    sink: Arc<dyn Sink>,
    tasks: &Tasks,
) -> Result<(ClusteredBroker, RedisKeeper), ConfigFault> {
    // What waits may wait to be kept, and then to be carried; and its node may stand still meanwhile.
    let lasts_ms = 3 * config.waiting.age.as_millis() as u64 + 120_000;
    let listener = Arc::new(Listener::new(sink, lasts_ms));
    let broker = start(config, Arc::<Listener>::clone(&listener), tasks)?;
    let keeper = RedisKeeper::start(config, broker.clone(), listener, tasks);
    Ok((broker, keeper))
}

/// The names that one installation uses on one shard. All begin with its prefix, so that one pattern allows them.
#[derive(Clone, Debug)]
struct Names {
    prefix: String,
    suffix: String,
}

impl Names {
    fn new(prefix: &str, database: u8) -> Self {
        // Channels, unlike keys, are the same in all databases of a server.
        let suffix = if database == 0 {
            String::new()
        } else {
            format!("/{database}")
        };
        Self {
            prefix: prefix.to_owned(),
            suffix,
        }
    }

    fn channel(&self, topic: Topic) -> String {
        let Self { prefix, suffix } = self;
        match topic {
            Topic::Partition(partition) => format!("{prefix}:{partition}{suffix}"),
            Topic::All => format!("{prefix}:all{suffix}"),
            Topic::Node(origin) => format!("{prefix}:node:{origin:016x}{suffix}"),
        }
    }
}

/// One Redis deployment.
struct RedisCarrier {
    server: Server,
    names: Names,
    commands: Mutex<Option<Connected>>,
}

impl RedisCarrier {
    /// Not connected yet.
    pub fn new(server: Server, prefix: &str) -> Self {
        Self {
            names: Names::new(prefix, server.database),
            server,
            commands: Mutex::new(None),
        }
    }

    fn is_cluster(&self) -> bool {
        self.server.layout == Layout::Cluster
    }

    fn error(&self, error: &Error) -> CarrierError {
        let label = match error.kind() {
            ErrorKind::Auth => "auth",
            ErrorKind::Timeout => "timeout",
            ErrorKind::IO | ErrorKind::Canceled => "connection",
            ErrorKind::Tls => "tls",
            _ => "refused",
        };
        CarrierError {
            text: words::text(&self.server, error),
            label,
        }
    }

    async fn say_now(&self, messages: Vec<(Topic, Bytes)>) -> Vec<Said> {
        let mut commands = self.commands.lock().await;
        let connected = match commands.take() {
            Some(connected) => connected,
            None => match client::connect(&self.server, false).await {
                Ok(connected) => connected,
                Err(error) => return vec![Err(self.error(&error))],
            },
        };
        let said = self.publish(&connected, messages).await;
        // One that refused something may know an old layout, or none any more.
        if said.iter().all(Result::is_ok) {
            *commands = Some(connected);
        }
        said
    }

    async fn publish(&self, connected: &Connected, messages: Vec<(Topic, Bytes)>) -> Vec<Said> {
        let pipeline = connected.client.pipeline();
        for (topic, bytes) in messages {
            let channel = self.names.channel(topic);
            // In a pipeline a command is only put in line, which cannot fail.
            let queued: Result<Value, Error> = if self.is_cluster() {
                pipeline.spublish(channel, Value::Bytes(bytes)).await
            } else {
                pipeline.publish(channel, Value::Bytes(bytes)).await
            };
            if let Err(error) = queued {
                return vec![Err(self.error(&error))];
            }
        }
        let answers = pipeline.try_all::<i64>().await;
        answers
            .into_iter()
            .map(|answer| {
                answer
                    .map(|count| count.max(0) as u64)
                    .map_err(|e| self.error(&e))
            })
            .collect()
    }

    async fn listen_now(
        &self,
        partitions: u32,
        origin: u64,
        ear: &(dyn Fn(Heard) + Send + Sync),
    ) -> Result<(), Error> {
        let mut connected = client::connect(&self.server, true).await?;
        let mut messages = connected.client.message_rx();
        let topics = (0..partitions)
            .map(Topic::Partition)
            .chain([Topic::All, Topic::Node(origin)]);
        let channels: Vec<String> = topics.map(|topic| self.names.channel(topic)).collect();
        if self.is_cluster() {
            for channel in channels {
                connected.client.ssubscribe(channel).await?;
            }
        } else {
            connected.client.subscribe(channels).await?;
        }
        ear(Heard::Subscribed);
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Ok(message) => match message.value {
                        Value::Bytes(bytes) => ear(Heard::Message(bytes)),
                        Value::String(text) => ear(Heard::Message(text.into_inner())),
                        _ => {}
                    },
                    Err(RecvError::Lagged(_)) => ear(Heard::Lagged),
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = connected.ended() => return Ok(()),
            }
        }
    }
}

impl Carrier for RedisCarrier {
    fn name(&self) -> String {
        self.server.name()
    }

    fn topics_are_apart(&self) -> bool {
        self.is_cluster()
    }

    fn say(&self, messages: Vec<(Topic, Bytes)>) -> BoxFuture<'_, Vec<Said>> {
        self.say_now(messages).boxed()
    }

    fn listen<'a>(
        &'a self,
        partitions: u32,
        origin: u64,
        ear: &'a (dyn Fn(Heard) + Send + Sync),
    ) -> BoxFuture<'a, ()> {
        async move {
            let ended = self.listen_now(partitions, origin, ear).await;
            ear(Heard::Ended(ended.err().map(|error| self.error(&error))));
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_channels_begin_with_the_prefix_and_databases_keep_apart() {
        let names = Names::new("foghorn", 0);
        assert_eq!(names.channel(Topic::Partition(7)), "foghorn:7");
        assert_eq!(names.channel(Topic::All), "foghorn:all");
        assert_eq!(
            names.channel(Topic::Node(255)),
            "foghorn:node:00000000000000ff"
        );
        assert_eq!(Names::new("other", 3).channel(Topic::All), "other:all/3");
    }
}
