//! The task of a lane: connects, sends what waits in pipelines, and decides what becomes of what fails.
//!
//! Invariants: nothing is done twice that must not be: a call whose answer was lost is made again only if it is repeatable,
//! or if Redis said that it did not do it. That this process stood still makes no call late.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Value};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::{Job, Load};
use crate::backoff::Backoff;
use crate::broker::keep::{KeepError, PATIENCE};
use crate::broker::redis::client::{self, Connected};
use crate::broker::redis::{Server, words};
use crate::drain::Tasks;
use crate::metrics;

/// Calls in one pipeline.
const BATCH: usize = 256;
/// How often a call is made at most.
const TRIES: u8 = 6;
/// Pauses between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// For how long a lane goes on when the node ends, for what is given up last.
const FAREWELL: Duration = Duration::from_millis(500);
/// Whoever wakes up so much later than it is due did not run meanwhile: the process was stopped, or had no CPU.
const STOOD: Duration = Duration::from_millis(250);

enum Link {
    /// Nothing was asked yet.
    None,
    Connecting(BoxFuture<'static, Result<Connected, Error>>),
    Up(Connected),
    /// Until then it is not tried again.
    Pause(Instant),
}

struct Task {
    server: Server,
    load: Arc<Load>,
    queue: VecDeque<Job>,
    link: Link,
    /// Why it is known to be away.
    away: Option<KeepError>,
    backoff: Backoff,
    /// Before this nothing is late, whenever it was asked.
    excused: Instant,
}

/// Runs until the node ends.
pub(super) async fn run(
    server: Server,
    mut jobs: UnboundedReceiver<Job>,
    load: Arc<Load>,
    tasks: Tasks,
) {
    let (queue, link) = (VecDeque::new(), Link::None);
    let mut task = Task {
        server,
        load,
        queue,
        link,
        away: None,
        backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
        excused: Instant::now(),
    };
    let stop = async {
        tasks.stopped().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::pin!(stop);
    loop {
        let looked = Instant::now();
        let by = task.queue.front().map(|job| job.by.max(task.excused));
        let unused = matches!(task.link, Link::None) && task.queue.is_empty();
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = tasks.stopped(), if unused => break,
            () = task.link_changes() => {}
            job = jobs.recv() => match job {
                Some(job) => task.queue.push_back(job),
                None => break,
            },
            () = overdue(by) => task.give_up_overdue(looked),
        }
        while let Ok(job) = jobs.try_recv() {
            task.queue.push_back(job);
        }
        task.turn().await;
    }
    jobs.close();
    while let Ok(job) = jobs.try_recv() {
        task.queue.push_back(job);
    }
    task.fail_all(&KeepError::Ending);
}

async fn overdue(by: Option<Instant>) {
    match by {
        Some(by) => tokio::time::sleep_until(by).await,
        None => std::future::pending().await,
    }
}

/// Waits for `answer` until `by`, or `excused`, and longer where this process stood still meanwhile. `None`: it is late.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = T>,
    by: Instant,
    excused: &mut Instant,
) -> Option<T> {
    tokio::pin!(answer);
    loop {
        let (began, due) = (Instant::now(), by.max(*excused));
        match tokio::time::timeout_at(due, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if is_late(began, due, excused) => return None,
            Err(_) => {}
        }
    }
}

/// Whether what was waited for, since it `began`, until it was `due`, is late. Where it is found out too late itself, there
/// is as much time again.
fn is_late(began: Instant, due: Instant, excused: &mut Instant) -> bool {
    let now = Instant::now();
    let stood = now.saturating_duration_since(due.max(began)) > STOOD;
    if stood {
        *excused = now + PATIENCE;
    }
    !stood
}

impl Task {
    /// Waits until the link is another.
    async fn link_changes(&mut self) {
        match &mut self.link {
            Link::None => std::future::pending().await,
            Link::Connecting(connecting) => match connecting.await {
                Ok(connected) => self.up(connected),
                Err(error) => self.down(failure(&self.server, &error)),
            },
            Link::Up(connected) => {
                connected.ended().await;
                self.connect();
            }
            Link::Pause(until) => {
                tokio::time::sleep_until(*until).await;
                self.connect();
            }
        }
    }

    fn up(&mut self, connected: Connected) {
        self.link = Link::Up(connected);
        self.backoff.reset();
        if self.away.take().is_some() {
            tracing::info!(
                shard = self.server.name(),
                "Redis keeps pasts and presence again"
            );
        }
        self.load.connections.fetch_add(1, Ordering::Release);
    }

    fn down(&mut self, why: KeepError) {
        if self.away.is_none() {
            tracing::warn!(
                shard = self.server.name(),
                why = why.label(),
                "Redis keeps no pasts and no presence now: {why}; events are delivered all the same"
            );
        }
        self.link = Link::Pause(Instant::now() + self.backoff.pause());
        self.away = Some(why);
    }

    fn connect(&mut self) {
        let server = self.server.clone();
        self.link =
            Link::Connecting(async move { client::connect_for_keys(&server).await }.boxed());
    }

    /// Does what can be done now with what waits.
    async fn turn(&mut self) {
        if let Some(why) = self.away.clone() {
            return self.fail_all(&why);
        }
        if matches!(self.link, Link::None) && !self.queue.is_empty() {
            self.connect();
        }
        // While it connects they wait, until their time is over.
        while matches!(self.link, Link::Up(_)) && !self.queue.is_empty() {
            self.batch().await;
        }
    }

    fn fail_all(&mut self, why: &KeepError) {
        for job in self.queue.drain(..) {
            job.end(&self.load, Err(why.clone()));
        }
    }

    fn give_up_overdue(&mut self, looked: Instant) {
        let first = self.queue.front().map(|job| job.by.max(self.excused));
        if first.is_none_or(|due| !is_late(looked, due, &mut self.excused)) {
            return;
        }
        let now = Instant::now();
        while self.queue.front().is_some_and(|job| job.by <= now)
            && let Some(job) = self.queue.pop_front()
        {
            job.end(&self.load, Err(KeepError::Late));
        }
    }

    /// Makes the calls that wait, all at once, and looks at each answer.
    async fn batch(&mut self) {
        let Link::Up(connected) = &self.link else {
            return;
        };
        let jobs: Vec<Job> = self.queue.drain(..self.queue.len().min(BATCH)).collect();
        let by = jobs
            .iter()
            .map(|job| job.by)
            .max()
            .unwrap_or_else(Instant::now);
        let (started, shard) = (Instant::now(), self.server.name());
        let waiting = self.load.calls.load(Ordering::Relaxed);
        ::metrics::gauge!(metrics::KEEPER_WAITING, "shard" => shard.clone()).set(waiting as f64);
        let Some(answers) = in_time(send(connected, &jobs), by, &mut self.excused).await else {
            jobs.into_iter()
                .for_each(|job| job.end(&self.load, Err(KeepError::Late)));
            return self.down(KeepError::Late);
        };
        ::metrics::histogram!(metrics::KEEPER_SECONDS, "shard" => shard)
            .record(started.elapsed().as_secs_f64());
        if !self.look_at(jobs, answers) {
            self.connect();
        }
    }

    /// Ends the calls that were answered, and puts others in line again. Returns whether the connection is still good.
    fn look_at(&mut self, jobs: Vec<Job>, answers: Vec<Result<Value, Error>>) -> bool {
        let lost = || Err(Error::new(ErrorKind::Canceled, "the connection ended"));
        let (mut answers, mut again, mut good) = (answers.into_iter(), VecDeque::new(), true);
        for mut job in jobs {
            let error = match answers.next().unwrap_or_else(lost) {
                Ok(value) => {
                    job.end(&self.load, Ok(value));
                    continue;
                }
                Err(error) => error,
            };
            let fate = Fate::of(&error);
            good &= fate == Fate::Refused;
            job.tries += 1;
            let may = fate == Fate::NotDone || fate == Fate::Unknown && job.call.repeatable;
            if may && job.tries < TRIES && job.by.max(self.excused) > Instant::now() {
                again.push_back(job);
            } else {
                job.end(&self.load, Err(failure(&self.server, &error)));
            }
        }
        again.append(&mut self.queue);
        self.queue = again;
        good
    }
}

async fn send(connected: &Connected, jobs: &[Job]) -> Vec<Result<Value, Error>> {
    let pipeline = connected.client.pipeline();
    for Job { call, .. } in jobs {
        let keys = call.keys.iter().map(|key| Value::from(key.as_str()));
        let head = [
            Value::from_static_str(call.script),
            Value::Integer(call.keys.len() as i64),
        ];
        let args = head
            .into_iter()
            .chain(keys)
            .chain(call.args.iter().cloned().map(Value::Bytes));
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

/// What an error says of the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Redis says no, and would again.
    Refused,
    /// It was not done; another server, or the same one later, may do it.
    NotDone,
    /// Nobody knows.
    Unknown,
}

impl Fate {
    fn of(error: &Error) -> Self {
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

fn failure(server: &Server, error: &Error) -> KeepError {
    match error.kind() {
        ErrorKind::Timeout => KeepError::Late,
        _ if Fate::of(error) == Fate::Refused => KeepError::Refused(words::text(server, error)),
        _ => KeepError::Away(format!("{}: {}", server.name(), words::text(server, error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wakes_up_too_late_has_not_waited() {
        let now = Instant::now();
        let ago = |seconds| now - Duration::from_secs(seconds);
        let mut excused = ago(9);
        assert!(!is_late(ago(5), ago(3), &mut excused));
        assert!(excused >= now + PATIENCE);
        // What was due before anybody began to wait for it is late.
        assert!(is_late(Instant::now(), ago(3), &mut excused));
    }
}
