//! Single values in another program's Redis: as the sessions that a backend keeps there.
//!
//! Invariant: nothing is ever written there; one look takes no longer than [`PATIENCE`], and a server that is away is not tried
//! by everybody at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::KeysInterface;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::{self, Connected};
use super::config::Server;
use super::words;
use crate::broker::keep::{KeepError, PATIENCE};

/// How long an answer may take on a connection that was there: one that is dead does not always show it.
const ANSWER: Duration = Duration::from_millis(600);

/// For how long a server that could not be reached is not tried again.
const REST: Duration = Duration::from_secs(1);

/// The connection, as it is now.
enum State {
    Up(Arc<Connected>),
    /// It could not be made: since when, and why.
    Down(Instant, KeepError),
    New,
}

/// See the module's description.
pub struct Foreign {
    server: Server,
    /// The setting that names it.
    setting: &'static str,
    state: Mutex<State>,
}

impl Foreign {
    /// Values in `server`, which `setting` names. It is connected to when the first one is asked for.
    pub fn new(server: Server, setting: &'static str) -> Self {
        Self {
            server,
            setting,
            state: Mutex::new(State::New),
        }
    }

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// [`KeepError`]
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, KeepError> {
        tokio::time::timeout(PATIENCE, self.look(key))
            .await
            .unwrap_or(Err(KeepError::Late))
    }

    async fn look(&self, key: &str) -> Result<Option<Bytes>, KeepError> {
        let mut failed = None;
        // A connection that has ended shows it only when it is used: the second one is new.
        for _ in 0..2 {
            let connected = self.connected(failed.as_ref()).await?;
            match tokio::time::timeout(ANSWER, connected.client.get::<Option<Bytes>, _>(key)).await
            {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if is_refusal(&error) => {
                    return Err(KeepError::Refused(self.said(&error)));
                }
                Ok(Err(_)) | Err(_) => failed = Some(connected),
            }
        }
        Err(KeepError::Late)
    }

    /// The connection, made anew where there is none but one that has `failed`.
    async fn connected(
        &self,
        failed: Option<&Arc<Connected>>,
    ) -> Result<Arc<Connected>, KeepError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Up(connected)
                if !connected.is_ended()
                    && !failed.is_some_and(|failed| Arc::ptr_eq(failed, connected)) =>
            {
                return Ok(Arc::clone(connected));
            }
            State::Down(since, why) if since.elapsed() < REST => return Err(why.clone()),
            _ => {}
        }
        // Whoever gives up waiting leaves this behind for the next one.
        *state = State::Down(Instant::now(), KeepError::Late);
        match client::connect_for_keys(&self.server).await {
            Ok(connected) => {
                let connected = Arc::new(connected);
                *state = State::Up(Arc::clone(&connected));
                Ok(connected)
            }
            Err(error) => {
                let why = KeepError::Away(self.said(&error));
                *state = State::Down(Instant::now(), why.clone());
                Err(why)
            }
        }
    }

    fn said(&self, error: &Error) -> String {
        // The words are those for the Redis that carries events; this one is named elsewhere.
        let said = words::text(&self.server, error)
            .replace("FOGHORN_REDIS_URLS, or REDIS_PASSWORD", self.setting);
        format!(
            "{}: {}",
            self.server.name(),
            said.replace("FOGHORN_REDIS_URLS", self.setting)
        )
    }
}

fn is_refusal(error: &Error) -> bool {
    let refused = ["NOPERM", "WRONGTYPE", "NOAUTH"];
    *error.kind() == ErrorKind::Auth || refused.iter().any(|word| error.details().starts_with(word))
}
