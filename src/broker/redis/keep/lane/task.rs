//! The task of a lane: connects, sends what waits in pipelines, and decides what becomes of what fails.
//!
//! Invariants: nothing is done twice that must not be: a call whose answer was lost is made again, and says so where that
//! matters. That this process stood still makes no call late. Whenever something is told that it waits, all questions fail.

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

use super::{Away, Job, Load, Telling, Tellings};
use crate::backoff::Backoff;
use crate::broker::keep::{KeepError, PATIENCE};
use crate::broker::redis::client::{self, Connected};
use crate::broker::redis::{Server, words};
use crate::drain::Tasks;
use crate::event::Place;
use crate::metrics;

/// Calls in one pipeline.
const BATCH: usize = 256;
/// How often a call is made at most.
const TRIES: u8 = 6;
/// Pauses between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// What waits for a shard waits no longer where the other nodes could have had it for so long already.
const FUTILE: Duration = Duration::from_secs(3);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
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

/// See the module.
pub(super) struct Task {
    server: Server,
    load: Arc<Load>,
    queue: VecDeque<Job>,
    link: Link,
    /// Why it is known to be away.
    away: Option<KeepError>,
    /// How many of those in front know that.
    settled: usize,
    /// Whether it could be connected to of late, and answered any of the calls made then but with "not now".
    reached: bool,
    backoff: Backoff,
    /// Before this nothing is late, whenever it was asked.
    excused: Instant,
    /// How long what is to be kept may wait.
    age: Duration,
    carried: Box<dyn Fn() -> bool + Send + Sync>,
    /// Since when the others would get what waits here, if it did not, and when that was looked at.
    carried_since: Option<Instant>,
    looked: Instant,
    tellings: Arc<Tellings>,
    /// When all of what waited was told, and why it had waited.
    told: Option<(Instant, KeepError)>,
    tasks: Tasks,
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
    pub fn new(
        server: Server,
        load: Arc<Load>,
        age: Duration,
        carried: Box<dyn Fn() -> bool + Send + Sync>,
        tasks: &Tasks,
    ) -> Self {
        Self {
            server,
            load,
            queue: VecDeque::new(),
            link: Link::None,
            away: None,
            settled: 0,
            reached: false,
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
            excused: Instant::now(),
            age,
            carried,
            carried_since: None,
            looked: Instant::now(),
            tellings: Arc::default(),
            told: None,
            tasks: tasks.clone(),
        }
    }

    /// Runs until the node ends.
    pub async fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        let tasks = self.tasks.clone();
        let stop = async {
            tasks.stopped().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::pin!(stop);
        loop {
            let looked = Instant::now();
            let due = self.due();
            let unused = matches!(self.link, Link::None) && self.queue.is_empty();
            let (away, look) = (self.away.is_some(), self.looked + LOOK);
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = tasks.stopped(), if unused => break,
                () = self.link_changes() => {}
                () = overdue(due) => self.give_up_overdue(looked),
                () = tokio::time::sleep_until(look), if away => self.look(),
                job = jobs.recv() => match job {
                    Some(job) => self.line_up(job),
                    None => break,
                },
            }
            while let Ok(job) = jobs.try_recv() {
                self.line_up(job);
            }
            self.turn().await;
        }
        jobs.close();
        while let Ok(job) = jobs.try_recv() {
            self.queue.push_back(job);
        }
        for job in self.queue.drain(..) {
            job.end(&self.load, Err(KeepError::Ending));
        }
    }

    /// Puts a job in line. Whoever asked for a past before all was told may have been told of what it will have.
    fn line_up(&mut self, job: Job) {
        match &self.told {
            Some((upto, why)) if job.call.name == "past" && job.began <= *upto => {
                job.end(&self.load, Err(why.clone()));
            }
            _ => self.queue.push_back(job),
        }
    }

    /// When the first one that waits is late, if that matters.
    fn due(&self) -> Option<Instant> {
        let first = self.queue.front().filter(|_| self.away.is_none())?;
        Some(first.by().max(self.excused))
    }

    /// Waits until the link is another.
    async fn link_changes(&mut self) {
        match &mut self.link {
            Link::None => std::future::pending().await,
            Link::Connecting(connecting) => match connecting.await {
                Ok(connected) => self.up(connected),
                Err(error) => {
                    self.reached = false;
                    self.down(failure(&self.server, &error));
                }
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
        self.reached = true;
        self.load.connections.fetch_add(1, Ordering::Release);
    }

    /// It did what was asked, or there was nothing to ask.
    fn well(&mut self) {
        self.backoff.reset();
        self.carried_since = None;
        if self.away.take().is_some() {
            tracing::info!(
                shard = self.server.name(),
                "Redis keeps pasts and presence again"
            );
        }
    }

    fn ill(&mut self, why: KeepError) {
        if self.away.is_none() {
            tracing::warn!(
                shard = self.server.name(),
                why = why.label(),
                "Redis keeps no pasts and no presence now: {why}; this node's own clients have events all the same, the others wait"
            );
        }
        self.away = Some(why);
    }

    fn down(&mut self, why: KeepError) {
        self.ill(why);
        self.link = Link::Pause(Instant::now() + self.backoff.pause());
    }

    fn connect(&mut self) {
        let server = self.server.clone();
        self.link =
            Link::Connecting(async move { client::connect_for_keys(&server).await }.boxed());
    }

    /// Does what can be done now with what waits.
    async fn turn(&mut self) {
        if matches!(self.link, Link::None) && !self.queue.is_empty() {
            self.connect();
        }
        self.settle();
        // While it connects they wait, until their time is over.
        while matches!(self.link, Link::Up(_)) && !self.queue.is_empty() {
            if let Some(why) = self.away.clone() {
                all_told(Arc::clone(&self.tellings), &self.tasks.clone()).await;
                self.told = Some((Instant::now(), why));
            }
            self.batch().await;
            self.settle();
        }
        if matches!(self.link, Link::Up(_)) && self.away.is_some() {
            self.well();
        }
        let oldest = self.queue.front().filter(|_| self.away.is_some());
        *self.load.since.lock() = oldest.map(|job| job.began);
        let waiting = self.load.calls.load(Ordering::Relaxed);
        ::metrics::gauge!(metrics::KEEPER_WAITING, "shard" => self.server.name())
            .set(waiting as f64);
    }

    /// While it is away questions fail, and what waits is told so.
    fn settle(&mut self) {
        let Some(why) = self.away.clone() else { return };
        let futile = self
            .carried_since
            .is_some_and(|since| since.elapsed() >= FUTILE);
        let known = if futile { 0 } else { self.settled };
        for mut job in self.queue.split_off(known.min(self.queue.len())) {
            // In a Cluster others may get through.
            let in_vain = futile && (job.tries > 0 || !self.reached);
            if in_vain || !job.waits() {
                job.end(&self.load, Err(why.clone()));
                continue;
            }
            if let Away::Tells(tell) = job.away {
                let after = Arc::default();
                tell(Telling::new(&self.tellings, &after));
                job.away = Away::Waits(after);
            }
            self.queue.push_back(job);
        }
        self.settled = self.queue.len();
    }

    /// Looks at what has waited for too long, and whether it waits in vain.
    fn look(&mut self) {
        self.looked = Instant::now();
        if !(self.carried)() {
            self.carried_since = None;
        } else if self.carried_since.is_none() {
            self.carried_since = Some(Instant::now());
        }
        while self
            .queue
            .front()
            .is_some_and(|job| job.began.elapsed() > self.age)
            && let Some(job) = self.queue.pop_front()
        {
            self.settled = self.settled.saturating_sub(1);
            job.end(&self.load, Err(KeepError::Expired));
        }
    }

    fn give_up_overdue(&mut self, looked: Instant) {
        let due = self.due();
        if due.is_some_and(|due| is_late(looked, due, &mut self.excused)) {
            self.ill(KeepError::Late);
        }
    }

    /// Makes the calls that wait, all at once, and looks at each answer.
    async fn batch(&mut self) {
        let Link::Up(connected) = &self.link else {
            return;
        };
        let jobs: Vec<Job> = self.queue.drain(..self.queue.len().min(BATCH)).collect();
        self.settled = 0;
        let started = Instant::now();
        // What has waited has its time from now on.
        let by = match jobs.first() {
            Some(first) if first.by() > started => jobs.iter().map(Job::by).max(),
            _ => None,
        };
        let by = by.unwrap_or(started + PATIENCE);
        let Some(answers) = in_time(send(connected, &jobs), by, &mut self.excused).await else {
            self.put_back(jobs);
            self.reached = false;
            return self.down(KeepError::Late);
        };
        ::metrics::histogram!(metrics::KEEPER_SECONDS, "shard" => self.server.name())
            .record(started.elapsed().as_secs_f64());
        self.look_at(jobs, answers);
    }

    /// Puts calls that may have been made in line again, before all others.
    fn put_back(&mut self, jobs: Vec<Job>) {
        for mut job in jobs.into_iter().rev() {
            job.tries = job.tries.saturating_add(1);
            self.queue.push_front(job);
        }
    }

    /// Ends the calls that were answered, and puts others in line again.
    fn look_at(&mut self, jobs: Vec<Job>, answers: Vec<Result<Value, Error>>) {
        let lost = || Err(Error::new(ErrorKind::Canceled, "the connection ended"));
        let (mut answers, mut again) = (answers.into_iter(), Vec::new());
        let (mut tries, mut why, mut any_done) = (0, None, false);
        for job in jobs {
            let error = match answers.next().unwrap_or_else(lost) {
                Ok(value) => {
                    any_done = true;
                    job.end(&self.load, Ok(value));
                    continue;
                }
                Err(error) => error,
            };
            let failure = failure(&self.server, &error);
            if Fate::of(&error) == Fate::Refused {
                any_done = true;
                job.end(&self.load, Err(failure));
                continue;
            }
            tries = tries.max(job.tries.saturating_add(1));
            let late = job.by().max(self.excused) <= Instant::now();
            if !job.waits() && (job.tries + 1 >= TRIES || late) {
                job.end(&self.load, Err(failure.clone()));
            } else {
                again.push(job);
            }
            why.get_or_insert(failure);
        }
        // Where none gets through, those behind them do not either.
        self.reached = any_done;
        self.put_back(again);
        match why {
            None => self.well(),
            // A slot that has moved, a connection that ended: as a rule the next one is good.
            Some(_) if tries < TRIES && self.away.is_none() => self.connect(),
            Some(why) => self.down(why),
        }
    }
}

/// Waits until all of what was to be told is told, or the node ends.
async fn all_told(tellings: Arc<Tellings>, tasks: &Tasks) {
    while tellings.count.load(Ordering::Acquire) > 0 {
        tokio::select! {
            () = tellings.none.notified() => {}
            () = tasks.stopped() => return,
        }
    }
}

async fn send(connected: &Connected, jobs: &[Job]) -> Vec<Result<Value, Error>> {
    let pipeline = connected.client.pipeline();
    for job in jobs {
        let call = &job.call;
        let keys = call.keys.iter().map(|key| Value::from(key.as_str()));
        let head = [
            Value::from_static_str(call.script),
            Value::Integer(call.keys.len() as i64),
        ];
        let told = call.tells_again.then(|| Value::from(told(&job.away)));
        let again = call.tells_again && job.tries > 0;
        let again = again.then(|| Value::from_static_str("again"));
        let args = head
            .into_iter()
            .chain(keys)
            .chain(call.args.iter().cloned().map(Value::Bytes))
            .chain(told)
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
fn told(away: &Away) -> String {
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
