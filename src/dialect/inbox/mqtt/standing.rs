//! What operators are told of the feed from a broker, and whether this node has to hand it over.
//!
//! Invariant: it is one sentence, without a secret in it.

use std::sync::atomic::{AtomicBool, Ordering};

use ::metrics::gauge;
use parking_lot::Mutex;

use super::super::figures;

/// See the module's description.
#[derive(Debug)]
pub struct Standing {
    text: Mutex<String>,
    holds: AtomicBool,
}

impl Default for Standing {
    fn default() -> Self {
        let text = Mutex::new("another node is connected, or none is yet".to_owned());
        Self {
            text,
            holds: AtomicBool::new(false),
        }
    }
}

impl Standing {
    /// This node is connected to the broker, as `text` says, or it is not.
    pub fn set(&self, connected: bool, text: String) {
        gauge!(figures::MQTT_CONNECTED).set(f64::from(u8::from(connected)));
        *self.text.lock() = text;
    }

    /// It is this node's turn, or no more.
    pub fn holds(&self, holds: bool) {
        self.holds.store(holds, Ordering::Release);
    }

    /// Whether it is: a node that ends waits until it has left the turn to others.
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire)
    }

    /// The sentence.
    pub fn text(&self) -> String {
        self.text.lock().clone()
    }
}
