//! The sessions of this node that are fetched from by requests, by name.
//!
//! Invariant: a name leads to one session, from its first request until nothing of it is left; how many there are is bounded by
//! the node's bound on connections, which each of them counts for.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use parking_lot::Mutex;

use crate::connection::Refused;
use crate::connection::detached::Desk;

/// See the module.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Sessions>>);

type Sessions = HashMap<Box<str>, Arc<Desk>, RandomState>;

impl Table {
    /// The session of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Desk>> {
        self.0.lock().get(name).cloned()
    }

    /// The session of this name, which `open` opens where there is none. It stays until the place that `open` is given is dropped.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn find_or(
        &self,
        name: &str,
        open: impl FnOnce(Box<dyn FnOnce() -> TableSeat>) -> Result<Arc<Desk>, Refused>,
    ) -> Result<Arc<Desk>, Refused> {
        let mut sessions = self.0.lock();
        if let Some(found) = sessions.get(name) {
            return Ok(Arc::clone(found));
        }
        let place = {
            let (table, name) = (self.clone(), Box::from(name));
            Box::new(move || TableSeat { table, name })
        };
        let desk = open(place)?;
        sessions.insert(name.into(), Arc::clone(&desk));
        Ok(desk)
    }
}

/// A session's place in the table, given up when dropped.
pub struct TableSeat {
    table: Table,
    name: Box<str>,
}

impl Drop for TableSeat {
    fn drop(&mut self) {
        let mut sessions = self.table.0.lock();
        sessions.remove(&self.name);
        if sessions.capacity() > 8 * sessions.len().max(64) {
            sessions.shrink_to_fit();
        }
    }
}
