//! A carrier within this process: for nodes that share it, in the demonstration and in tests, in the place of Redis.
//!
//! Invariant: while it is stopped nobody is heard and nothing is taken, as with a Redis that was killed; it keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::carrier::{Carrier, CarrierError, Heard, Said, Topic};

type Message = (Topic, Bytes);

/// So many messages may wait for a node; who falls behind further is told so.
const BACKLOG: usize = 16_384;

/// One for all nodes.
pub struct Network {
    name: &'static str,
    ears: Mutex<Vec<mpsc::Sender<Message>>>,
    is_stopped: AtomicBool,
}

impl Network {
    /// It runs, and nobody listens yet. `name`: what logs and the console call it.
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            ears: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Ends every subscription and takes nothing more, or takes messages again.
    pub fn set_running(&self, running: bool) {
        self.is_stopped.store(!running, Ordering::SeqCst);
        if !running {
            self.ears.lock().clear();
        }
    }

    /// Whether messages are taken.
    pub fn is_running(&self) -> bool {
        !self.is_stopped.load(Ordering::SeqCst)
    }

    /// One node's end.
    pub fn end(self: &Arc<Self>) -> Arc<dyn Carrier> {
        Arc::new(End(Arc::clone(self)))
    }

    fn say(&self, message: &Message) -> Said {
        let mut ears = self.ears.lock();
        if !self.is_running() {
            return Err(CarrierError {
                text: "it is stopped".to_owned(),
                label: "connection",
            });
        }
        // Whoever is too far behind loses the subscription, and subscribes anew.
        ears.retain(|ear| ear.try_send(message.clone()).is_ok());
        Ok(ears.len() as u64)
    }

    /// `None`: it is stopped.
    fn subscribe(&self) -> Option<mpsc::Receiver<Message>> {
        let (ear, heard) = mpsc::channel(BACKLOG);
        let mut ears = self.ears.lock();
        self.is_running().then(|| {
            ears.push(ear);
            heard
        })
    }
}

struct End(Arc<Network>);

impl Carrier for End {
    fn name(&self) -> String {
        self.0.name.to_owned()
    }

    fn topics_are_apart(&self) -> bool {
        false
    }

    fn say(&self, messages: Vec<Message>) -> BoxFuture<'_, Vec<Said>> {
        Box::pin(ready(
            messages.iter().map(|message| self.0.say(message)).collect(),
        ))
    }

    fn listen<'a>(
        &'a self,
        partitions: u32,
        origin: u64,
        ear: &'a (dyn Fn(Heard) + Send + Sync),
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(mut heard) = self.0.subscribe() {
                ear(Heard::Subscribed);
                while let Some((topic, bytes)) = heard.recv().await {
                    let is_ours = match topic {
                        Topic::Partition(partition) => partition < partitions,
                        Topic::All => true,
                        Topic::Node(node) => node == origin,
                    };
                    if is_ours {
                        ear(Heard::Message(bytes));
                    }
                }
            }
            ear(Heard::Ended(None));
        })
    }
}
