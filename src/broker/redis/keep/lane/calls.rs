//! How a lane's calls are made, and what their errors say of them.
//!
//! Invariant: of what was not answered it is not said that it was not done.

use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Value};

use super::{Away, Job};
use crate::broker::keep::KeepError;
use crate::broker::redis::client::Connected;
use crate::broker::redis::{Server, words};
use crate::event::Place;

/// Makes calls, all at once; their answers in the same order, as far as they came.
pub async fn send(connected: &Connected, jobs: &[Job]) -> Vec<Result<Value, Error>> {
    let pipeline = connected.client.pipeline();
    for job in jobs {
        let call = &job.call;
        let keys = call.keys.iter().map(|key| Value::from(key.as_str()));
        let head = [
            Value::from_static_str(call.script),
            Value::Integer(call.keys.len() as i64),
        ];
        let early = call.tells_again.then(|| Value::from(early(&job.away)));
        let again = call.tells_again && job.tries > 0;
        let again = again.then(|| Value::from_static_str("again"));
        let args = head
            .into_iter()
            .chain(keys)
            .chain(call.args.iter().cloned().map(Value::Bytes))
            .chain(early)
            .chain(again);
        // In a Cluster the slot of its keys decides who is asked. In a pipeline a command is only put in line.
        let slot = ClusterHash::from(call.keys.first().map_or("", String::as_str));
        let eval = CustomCommand::new_static("EVAL", slot, false);
        let queued: Result<Value, Error> = pipeline.custom(eval, args.collect::<Vec<_>>()).await;
        if let Err(error) = queued {
            return vec![Err(error)];
        }
    }
    pipeline.try_all().await
}

/// Up to which place its node's clients had the channel when they were given what waits: `EPOCH.NUMBER`, or `?`; `-` where they
/// were given nothing.
fn early(away: &Away) -> String {
    match away {
        Away::Waits(after) => match after.get() {
            Some(Place { epoch, number }) => format!("{epoch}.{number}"),
            None => "?".to_owned(),
        },
        Away::Fails | Away::Tells(_) => "-".to_owned(),
    }
}

/// What an error says of the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Redis says no, and would again.
    Refused,
    /// It was not done; another server, or the same one later, may do it.
    NotDone,
    /// Nobody knows.
    Unknown,
}

impl Fate {
    /// Of this error.
    pub fn of(error: &Error) -> Self {
        const NOT_DONE: [&str; 9] = [
            "MOVED",
            "ASK",
            "READONLY",
            "LOADING",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "TRYAGAIN",
            "NOREPLICAS",
            "BUSY",
        ];
        match error.kind() {
            ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Timeout | ErrorKind::Protocol => {
                Self::Unknown
            }
            ErrorKind::Cluster | ErrorKind::Routing => Self::NotDone,
            _ if NOT_DONE.iter().any(|word| error.details().contains(word)) => Self::NotDone,
            _ => Self::Refused,
        }
    }
}

/// Why a call was not done.
pub fn failure(server: &Server, error: &Error) -> KeepError {
    match error.kind() {
        ErrorKind::Timeout => KeepError::Late,
        _ if Fate::of(error) == Fate::Refused => KeepError::Refused(words::text(server, error)),
        _ => KeepError::Away(format!("{}: {}", server.name(), words::text(server, error))),
    }
}
