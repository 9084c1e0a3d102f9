//! The task of a lane: connects, makes the calls that wait, and decides what becomes of those that fail.
//!
//! Invariants: nothing is done twice that must not be: a call whose answer was lost is made again, and says so where that
//! matters. That this process stood still makes no call late. Whenever something is told that it waits, all questions fail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::types::Value;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::calls::{self, Fate};
use super::time::{in_time, is_late, overdue};
use super::{Away, Job, Load, Telling, Tellings};
use crate::backoff::Backoff;
use crate::broker::keep::{KeepError, PATIENCE};
use crate::broker::redis::Server;
use crate::broker::redis::client::{self, Connected};
use crate::drain::Tasks;
use crate::metrics;

/// Calls in one pipeline.
const BATCH: usize = 256;
/// How often a call is made at most.
const TRIES: u8 = 6;
/// Pauses between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long connecting may take at first, and in the end, after attempts that each had twice as long: one that was begun while
/// the network was away may be stuck.
const CONNECT_MIN: Duration = PATIENCE;
const CONNECT_MAX: Duration = Duration::from_secs(16);
/// What waits for a shard waits no longer where the other nodes could have had it for so long already.
const FUTILE: Duration = Duration::from_secs(3);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// For how long a lane goes on when the node ends, for what is given up last.
const FAREWELL: Duration = Duration::from_millis(500);

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
    /// How long the next attempt to connect may take.
    connect_within: Duration,
    /// Before this nothing is late, whenever it was asked.
    excused: Instant,
    /// How long what is to be kept may wait.
    age: Duration,
    carried: Box<dyn Fn() -> bool + Send + Sync>,
    /// Since when the others would get what waits here, if it did not, and when that was looked at.
    carried_since: Option<Instant>,
    looked: Instant,
    tellings: Arc<Tellings>,
    /// When the last of what waited was told, and why it had waited.
    told_at: Option<(Instant, KeepError)>,
    tasks: Tasks,
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
            connect_within: CONNECT_MIN,
            excused: Instant::now(),
            age,
            carried,
            carried_since: None,
            looked: Instant::now(),
            tellings: Arc::default(),
            told_at: None,
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

    /// Puts a job in line. Whoever was given what comes before all was told may have been told of what the past will have.
    fn line_up(&mut self, job: Job) {
        match &self.told_at {
            Some((upto, why)) if job.call.since.is_some_and(|since| since <= *upto) => {
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
                    self.down(calls::failure(&self.server, &error));
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
        self.connect_within = CONNECT_MIN;
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
        let (server, within) = (self.server.clone(), self.connect_within);
        self.connect_within = (2 * within).min(CONNECT_MAX);
        let connecting = async move {
            let connecting = client::connect_for_keys(&server);
            let late = || Error::new(ErrorKind::Timeout, "connecting took too long");
            let in_time = tokio::time::timeout(within, connecting).await;
            in_time.unwrap_or_else(|_| Err(late()))
        };
        self.link = Link::Connecting(connecting.boxed());
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
                self.told_at = Some((Instant::now(), why));
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
            // What was begun before the network or the server was back may be stuck.
            if matches!(self.link, Link::Connecting(_) | Link::Pause(_)) {
                self.connect();
            }
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
        let Some(answers) = in_time(calls::send(connected, &jobs), by, &mut self.excused).await
        else {
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
            let failure = calls::failure(&self.server, &error);
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
