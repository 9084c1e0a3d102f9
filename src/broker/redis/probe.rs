//! A shard's command client: keeps it connected, probes the shard, and checks that the subscription is not deaf.
//!
//! Invariant: every partition's log end is compared with what this node knows at least every few seconds while commands
//! are answered, whatever the subscription says; and no channel stays unheard for longer without being asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred::types::Value;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Fatal;
use super::client::{self, Connected};
use super::line::Line;
use super::script;
use super::shard::{Failure, Shard, Trouble};
use crate::broker::log::{Known, Position};
use crate::broker::wire;
use crate::drain::Tasks;
use crate::metrics;

/// How often a shard is probed.
const PROBE: Duration = Duration::from_secs(2);

/// How often while it is not up.
const PROBE_DOWN: Duration = Duration::from_millis(250);

/// A channel that was quiet for this long is asked for a sign of life.
const QUIET_MS: u64 = 3_000;

/// A channel that was asked for this long in vain is deaf.
const DEAF_MS: u64 = 3_000;

/// Probes that may fail in a row before the command client is made anew.
const FAILED_PROBES: u32 = 8;

/// How often what has a lifetime in Redis is renewed.
const RENEW: Duration = Duration::from_secs(60);

impl Shard {
    /// Keeps the command client connected and probes, until the process stops.
    pub async fn run_commands(self: Arc<Self>, fatal: watch::Sender<Option<Fatal>>, tasks: Tasks) {
        let mut trouble = Trouble::default();
        let mut pause = Duration::from_millis(50);
        loop {
            let connected = tokio::select! {
                connected = client::connect(&self.server, false) => connected,
                () = tasks.stopped() => return,
            };
            match connected {
                Ok(connected) => {
                    pause = Duration::from_millis(50);
                    *self.commands.write() = Some(connected.client.clone());
                    self.probe_until_broken(&connected, &mut trouble, &fatal, &tasks).await;
                    ::metrics::counter!(metrics::REDIS_RECONNECTS, "shard" => self.name.clone()).increment(1);
                }
                Err(error) => trouble.log(&self.name, "cannot be reached", &error.into()),
            }
            self.set_up(false);
            if tasks.is_stopped() {
                return;
            }
            sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn probe_until_broken(
        &self,
        connected: &Connected,
        trouble: &mut Trouble,
        fatal: &watch::Sender<Option<Fatal>>,
        tasks: &Tasks,
    ) {
        let mut renewed: Option<Instant> = None;
        let mut failed = 0;
        while failed < FAILED_PROBES {
            let renew = renewed.is_none_or(|at| at.elapsed() >= RENEW);
            let result = async {
                if renew {
                    self.renew(&connected.client, fatal).await?;
                }
                self.probe(&connected.client).await
            }
            .await;
            match result {
                Ok(heard) => {
                    failed = 0;
                    if renew {
                        renewed = Some(Instant::now());
                    }
                    self.set_up(heard && fatal.borrow().is_none());
                }
                Err(error) => {
                    failed += 1;
                    self.set_up(false);
                    trouble.log(&self.name, "does not answer", &error);
                }
            }
            tokio::select! {
                () = sleep(if self.is_up() { PROBE } else { PROBE_DOWN }) => {}
                () = self.probe_now.notified() => {}
                () = self.mixed_up.notified() => return,
                () = tasks.stopped() => return self.until_idle().await,
            }
        }
    }

    /// Keeps the client, 2 s at most, for what is still to be sent.
    async fn until_idle(&self) {
        for _ in 0..100 {
            if self.lines.iter().all(|line| line.outgoing.lock().is_empty()) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks the number of partitions, and renews what has a lifetime.
    async fn renew(&self, client: &Client, fatal: &watch::Sender<Option<Fatal>>) -> Result<(), Failure> {
        let found = self.trusted(script::renew(client, &self.names, self.partitions).await)?;
        if found != self.partitions.to_string() {
            let problem = Fatal::Partitions { shard: self.name.clone(), found, ours: self.partitions };
            tracing::error!("{problem}");
            if !self.was_up.load(Ordering::Relaxed) {
                fatal.send_replace(Some(problem));
            }
            return Err(Failure::Partitions);
        }
        let age = script::STATE_AGE_MS as i64;
        let renewals =
            self.lines.iter().map(|line| client.pexpire::<Value, _>(self.names.state(line.partition), age, None));
        join_all(renewals).await.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(error.into()))
    }

    /// Looks at the end of every log, and asks quiet channels for a sign of life. Returns whether every channel was
    /// heard and every partition is being followed.
    async fn probe(&self, client: &Client) -> Result<bool, Failure> {
        let asked: Vec<(&Arc<Line>, Known, Option<Position>)> =
            self.lines.iter().map(|line| (line, *line.known.lock(), *line.confirmed.lock())).collect();
        let heads = asked.iter().map(|(line, ..)| script::head(client, &self.names, line.partition));
        let (mut behind, mut failure) = (0, None);
        for ((line, known, confirmed), head) in asked.iter().zip(join_all(heads).await) {
            match self.trusted(head) {
                Ok(head) => {
                    behind += lag(*known, head);
                    let lost = |at: Position| head.is_none_or(|head| head.epoch != at.epoch || head.seq < at.seq);
                    // The publisher may have found out by itself meanwhile.
                    if confirmed.is_some_and(lost) && *line.confirmed.lock() == *confirmed {
                        line.ask_republish();
                    }
                    line.head(head, *known);
                }
                // The others are looked at nevertheless: in a Cluster they live elsewhere.
                Err(error) => failure = Some(error),
            }
        }
        ::metrics::gauge!(metrics::REDIS_LAG, "shard" => self.name.clone()).set(behind as f64);
        let asked = self.ask_quiet().await;
        let known = |line: &Arc<Line>| *line.known.lock() != Known::Nothing;
        let deaf = self.lines.iter().any(|line| line.silent_ms() > DEAF_MS);
        let subscribed = self.subscribed.load(Ordering::Acquire);
        if deaf && subscribed {
            tracing::warn!(shard = self.name, "the subscription hears nothing: making it anew");
            self.deaf.notify_one();
        }
        failure.map_or(asked, Err)?;
        Ok(subscribed && !deaf && self.lines.iter().all(|line| line.is_proven() && known(line)))
    }

    async fn ask_quiet(&self) -> Result<(), Failure> {
        let quiet = self.lines.iter().filter(|line| line.should_ask(QUIET_MS));
        let canary = Bytes::from(wire::encode_canary());
        let canaries = quiet.map(|line| {
            let (at_ms, told) = (line.now_ms(), self.tell(self.names.channel(line.partition), canary.clone()));
            async move { told.await.map(|()| line.asked(at_ms)) }
        });
        join_all(canaries).await.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }
}

fn lag(known: Known, head: Option<Position>) -> u64 {
    match (known, head) {
        (Known::Upto(at), Some(head)) if at.epoch == head.epoch => head.seq.saturating_sub(at.seq),
        _ => 0,
    }
}
