//! Whether group members can be looked up, as far as is known: seen at the start, now and then, and by each look-up.
//!
//! Invariant: a change is logged once, whoever saw it; nobody waits for it.

use ::metrics::gauge;
use parking_lot::Mutex;

use super::GroupError;
use crate::dialect::seafile::figures;

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Well,
    Failing(String),
}

/// See the module's description.
#[derive(Debug)]
pub struct Standing {
    /// Where the database is, for the log.
    place: String,
    state: Mutex<State>,
}

impl Standing {
    /// Nothing is known yet of the database at `place`.
    pub fn new(place: String) -> Self {
        Self {
            place,
            state: Mutex::default(),
        }
    }

    /// It was asked, with this result.
    pub fn saw(&self, result: Result<(), &GroupError>) {
        let seen = match result {
            Ok(()) => State::Well,
            // The node ends: that says nothing of the database.
            Err(GroupError::Stopped) => return,
            Err(error) => State::Failing(error.to_string()),
        };
        gauge!(figures::GROUP_DATABASE_UP).set(if seen == State::Well { 1.0 } else { 0.0 });
        let mut state = self.state.lock();
        let place = &self.place;
        match (&*state, &seen) {
            (State::Failing(_), State::Failing(_)) => {}
            (_, State::Failing(error)) => tracing::warn!(
                "group members cannot be looked up in {place} (SEAFILE_MYSQL_DB_HOST, _PORT, _USER, _PASSWORD, \
                 _CCNET_DB_NAME): {error}; permission events for groups wait for it"
            ),
            (State::Failing(_), _) => {
                tracing::info!("group members can be looked up again in {place}")
            }
            _ => {}
        }
        *state = seen;
    }

    /// What `/readyz` shows: `up`, `unknown`, or what is wrong.
    pub fn words(&self) -> String {
        match &*self.state.lock() {
            State::Unknown => "unknown".to_owned(),
            State::Well => "up".to_owned(),
            State::Failing(error) => error.clone(),
        }
    }
}
