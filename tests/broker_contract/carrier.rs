//! The carrier within this process, which also loses and repeats and can be cut here: the whole of what a broker needs to run on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use foghorn::broker::carrier::{Carrier, Heard, Said, Topic};
use foghorn::broker::local;
use futures_util::future::BoxFuture;

/// What connects the nodes.
pub struct Network {
    whole: Arc<local::Network>,
    faults: Arc<Faults>,
}

/// What happens to messages as they are heard: to one in so many; 0: to none.
#[derive(Default)]
struct Faults {
    lost: AtomicUsize,
    repeated: AtomicUsize,
}

impl Network {
    pub fn new() -> Self {
        Self {
            whole: local::Network::new("local"),
            faults: Arc::default(),
        }
    }

    /// One node's end.
    pub fn carrier(&self) -> Arc<dyn Carrier> {
        Arc::new(Faulty {
            whole: self.whole.end(),
            faults: Arc::clone(&self.faults),
        })
    }

    pub fn lose_one_in(&self, messages: usize) {
        self.faults.lost.store(messages, Ordering::SeqCst);
    }

    pub fn repeat_one_in(&self, messages: usize) {
        self.faults.repeated.store(messages, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        self.whole.set_running(false);
    }

    pub fn mend(&self) {
        self.whole.set_running(true);
    }
}

/// By chance: counted, it would always be the same message of what is said again and again.
fn is_turn(many: &AtomicUsize) -> bool {
    let many = many.load(Ordering::SeqCst);
    many > 0 && rand::random_range(0..many) == 0
}

impl Faults {
    /// How often a message is heard.
    fn times(&self) -> usize {
        match () {
            () if is_turn(&self.lost) => 0,
            () if is_turn(&self.repeated) => 2,
            () => 1,
        }
    }
}

struct Faulty {
    whole: Arc<dyn Carrier>,
    faults: Arc<Faults>,
}

impl Carrier for Faulty {
    fn name(&self) -> String {
        self.whole.name()
    }

    fn topics_are_apart(&self) -> bool {
        self.whole.topics_are_apart()
    }

    fn say(&self, messages: Vec<(Topic, Bytes)>) -> BoxFuture<'_, Vec<Said>> {
        self.whole.say(messages)
    }

    fn listen<'a>(
        &'a self,
        partitions: u32,
        origin: u64,
        ear: &'a (dyn Fn(Heard) + Send + Sync),
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let hears = move |heard: Heard| match heard {
                Heard::Message(_) => (0..self.faults.times()).for_each(|_| ear(heard.clone())),
                other => ear(other),
            };
            self.whole.listen(partitions, origin, &hears).await;
        })
    }
}
