//! The parent's side of the worker processes.
//!
//! Invariant: no worker outlives its [`Workers`], and no wait is without an end.

use crate::clock;
use crate::limits;
use crate::stats::Times;
use crate::worker::control::{Instruction, Ledger, Plan, Settle, Tally, WorkerMessage};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Why the workers are of no use.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The program cannot start itself again.
    #[error("a worker does not start: {0}")]
    Start(std::io::Error),
    /// There are no such clients.
    #[error("{0}")]
    Plan(&'static str),
    /// A worker died or said that it cannot go on.
    #[error("worker {0} failed: {1}")]
    Worker(usize, String),
    /// Time is up.
    #[error("{0} took longer than {1:?}")]
    Late(&'static str, Duration),
}

/// The worker processes of one leg.
pub struct Workers {
    children: Vec<(Child, ChildStdin, u32)>,
    inbox: Receiver<(usize, Option<WorkerMessage>)>,
}

/// What all workers report together.
#[derive(Default)]
pub struct Sum {
    /// Added up; the packed distributions are left empty.
    pub tally: Tally,
    /// From posted to received.
    pub latency: Times,
    /// From ping to pong.
    pub pong: Times,
    /// From connecting to subscribed.
    pub subscribe: Times,
}

impl Sum {
    fn add(&mut self, t: &Tally) {
        self.latency.add(&t.latency);
        self.pong.add(&t.pong);
        self.subscribe.add(&t.subscribe);
        let s = &mut self.tally;
        s.ready += t.ready;
        s.received += t.received;
        s.last_ns = s.last_ns.max(t.last_ns);
        s.server_pings += t.server_pings;
        s.duplicates += t.duplicates;
        s.reordered += t.reordered;
        s.replayed += t.replayed;
        s.recovered += t.recovered;
        s.holes += t.holes;
        s.foreign += t.foreign;
        s.expired += t.expired;
        s.begun += t.begun;
        s.cpu_s += t.cpu_s;
        t.ends
            .iter()
            .for_each(|(why, n)| *s.ends.entry(why.clone()).or_default() += n);
    }
}

impl Workers {
    /// Starts `count` processes (more if descriptors demand it) and has them connect the plan's clients.
    ///
    /// # Errors
    /// When there can be no such clients, or a process cannot be started.
    pub fn start(plan: &Plan, count: u32) -> Result<Self, Failed> {
        if let Some(fault) = plan.fault() {
            return Err(Failed::Plan(fault));
        }
        let count = count
            .max(plan.clients.div_ceil(limits::per_worker()))
            .max(1);
        let (tell, inbox) = channel();
        let me = std::env::current_exe().map_err(Failed::Start)?;
        let mut workers = Self {
            children: Vec::new(),
            inbox,
        };
        for w in 0..count {
            let part = share(plan, w, count);
            let mut child = Command::new(&me)
                .arg("worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(Failed::Start)?;
            let (stdin, stdout) = (
                child.stdin.take().expect("piped"),
                child.stdout.take().expect("piped"),
            );
            let (tell, at, clients) = (tell.clone(), workers.children.len(), part.clients);
            // Ends with the worker's stdout.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let word = serde_json::from_str(&line)
                        .unwrap_or_else(|e| WorkerMessage::Fault(format!("{e}: {line}")));
                    let _ = tell.send((at, Some(word)));
                }
                let _ = tell.send((at, None));
            });
            workers.children.push((child, stdin, clients));
            workers.tell(at, &Instruction::Start(Box::new(part)))?;
        }
        Ok(workers)
    }

    fn tell(&mut self, at: usize, order: &Instruction) -> Result<(), Failed> {
        let mut line = serde_json::to_vec(order).expect("orders are plain data");
        line.push(b'\n');
        let stdin = &mut self.children[at].1;
        stdin
            .write_all(&line)
            .and_then(|()| stdin.flush())
            .map_err(|e| Failed::Worker(at, e.to_string()))
    }

    fn tell_all(&mut self, order: &Instruction) -> Result<(), Failed> {
        (0..self.children.len()).try_for_each(|at| self.tell(at, order))
    }

    /// Listens until `take` has said yes once for every worker.
    fn listen(
        &mut self,
        what: &'static str,
        within: Duration,
        mut take: impl FnMut(usize, WorkerMessage) -> bool,
    ) -> Result<(), Failed> {
        let until = Instant::now() + within;
        let mut left = self.children.len();
        while left > 0 {
            match self
                .inbox
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok((at, Some(WorkerMessage::Fault(why)))) => return Err(Failed::Worker(at, why)),
                Ok((at, Some(word))) => left -= usize::from(take(at, word)),
                Ok((at, None)) => return Err(Failed::Worker(at, "it ended".into())),
                Err(RecvTimeoutError::Timeout) => return Err(Failed::Late(what, within)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failed::Worker(0, "all ended".into()));
                }
            }
        }
        Ok(())
    }

    /// Waits until every client is subscribed or given up; from the first connect to the last subscription.
    ///
    /// # Errors
    /// When that takes longer than `within`.
    pub fn ready(
        &mut self,
        within: Duration,
        mut progress: impl FnMut(u32, u32),
    ) -> Result<Duration, Failed> {
        let (mut began, mut ended) = (u64::MAX, 0);
        let mut seen = vec![(0, 0); self.children.len()];
        self.listen("connecting", within, |at, word| match word {
            WorkerMessage::Progress { ready, lost } => {
                seen[at] = (ready, lost);
                progress(
                    seen.iter().map(|s| s.0).sum(),
                    seen.iter().map(|s| s.1).sum(),
                );
                false
            }
            WorkerMessage::Ready { began_ns, ended_ns } => {
                (began, ended) = (began.min(began_ns), ended.max(ended_ns));
                true
            }
            _ => false,
        })?;
        Ok(Duration::from_nanos(ended.saturating_sub(began)))
    }

    /// Counts from here. `each`: how many events one client is going to get, for [`Workers::done`]; 0 if that is not known.
    ///
    /// # Errors
    /// When a worker is gone.
    pub fn mark(&mut self, each: u64) -> Result<(), Failed> {
        for at in 0..self.children.len() {
            let expect = u64::from(self.children[at].2) * each;
            self.tell(at, &Instruction::Mark(expect))?;
        }
        // A worker with much to read may see an event before the order; so it is waited for.
        self.listen("marking", Duration::from_secs(60), |_, word| {
            matches!(word, WorkerMessage::Marked)
        })
    }

    /// Waits for the last of the events that [`Workers::mark`] announced; when it came.
    ///
    /// # Errors
    /// When they do not all come in time.
    pub fn done(&mut self, within: Duration) -> Result<u64, Failed> {
        let mut last = 0;
        self.listen("delivering", within, |_, word| match word {
            WorkerMessage::Done { at_ns } => {
                last = last.max(at_ns);
                true
            }
            _ => false,
        })?;
        Ok(last)
    }

    /// Everything counted since the mark.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub fn report(&mut self) -> Result<Sum, Failed> {
        self.tell_all(&Instruction::Report)?;
        let mut sum = Sum::default();
        self.listen("reporting", Duration::from_secs(60), |_, word| match word {
            WorkerMessage::Report(t) => {
                sum.add(&t);
                true
            }
            _ => false,
        })?;
        Ok(sum)
    }

    /// Waits until `owed` events have come, or none has for two seconds of looking, or time is up.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub fn drain(&mut self, owed: u64, within: Duration) -> Result<Sum, Failed> {
        let until = Instant::now() + within;
        // Looks are counted, not seconds: while the machine stands still nothing can come.
        let (mut before, mut quiet) = (0, 0);
        loop {
            let sum = self.report()?;
            quiet += 1;
            if sum.tally.received != before {
                (before, quiet) = (sum.tally.received, 0);
            }
            if before >= owed || quiet > 20 || Instant::now() > until {
                return Ok(sum);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs [`Instruction::Churn`] and waits for its end.
    ///
    /// # Errors
    /// When that takes longer than `within`.
    pub fn churn(&mut self, pairs: u64, within: Duration) -> Result<u64, Failed> {
        let each = pairs.div_ceil(self.children.len() as u64);
        self.tell_all(&Instruction::Churn(each))?;
        let mut all = 0;
        self.listen("churning", within, |_, word| match word {
            WorkerMessage::Churned { pairs } => {
                all += pairs;
                true
            }
            _ => false,
        })?;
        Ok(all)
    }

    /// No more clients hang up at random from here.
    ///
    /// # Errors
    /// When a worker is gone.
    pub fn calm(&mut self) -> Result<(), Failed> {
        self.tell_all(&Instruction::Calm)
    }

    /// All clients hang up and stay away.
    ///
    /// # Errors
    /// When a worker is gone.
    pub fn leave(&mut self) -> Result<(), Failed> {
        self.tell_all(&Instruction::Leave)?;
        self.listen("leaving", Duration::from_secs(60), |_, word| {
            matches!(word, WorkerMessage::Left)
        })
    }

    /// They come back, all at once.
    ///
    /// # Errors
    /// When a worker is gone.
    pub fn come_back(&mut self) -> Result<(), Failed> {
        self.tell_all(&Instruction::Return)
    }

    /// Balances the books.
    ///
    /// # Errors
    /// When a worker does not answer.
    pub fn settle(&mut self, s: Settle) -> Result<Ledger, Failed> {
        self.tell_all(&Instruction::Settle(s))?;
        let mut all = Ledger::default();
        self.listen("settling", Duration::from_secs(300), |_, word| match word {
            WorkerMessage::Ledger(l) => {
                add_ledger(&mut all, l);
                true
            }
            _ => false,
        })?;
        Ok(all)
    }
}

fn add_ledger(all: &mut Ledger, l: Ledger) {
    all.owed += l.owed;
    all.made += l.made;
    all.missing += l.missing;
    all.told += l.told;
    all.excused += l.excused;
    all.unaccepted += l.unaccepted;
    all.duplicates += l.duplicates;
    all.doubled_told += l.doubled_told;
    all.reordered += l.reordered;
    all.late_told += l.late_told;
    all.examples.extend(l.examples);
    all.examples.truncate(10);
}

/// Worker `w`'s part of the plan.
fn share(plan: &Plan, w: u32, workers: u32) -> Plan {
    let begin = |w: u32| (u64::from(plan.clients) * u64::from(w) / u64::from(workers)) as u32;
    let (first, end) = (begin(w), begin(w + 1));
    Plan {
        clients: end - first,
        first: plan.first + first,
        source_base: plan.source_base + w * plan.sources,
        in_flight: if plan.in_flight == 0 {
            0
        } else {
            plan.in_flight.div_ceil(workers)
        },
        connect_rate: if plan.connect_rate == 0 {
            0
        } else {
            plan.connect_rate.div_ceil(workers)
        },
        hang_up_rate: plan.hang_up_rate.div_ceil(workers),
        stuck: plan.stuck.saturating_sub(first).min(end - first),
        ..plan.clone()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (mut child, stdin, _) in self.children.drain(..) {
            drop(stdin); // it ends by itself
            let until = clock::now_ns() + clock::ns(Duration::from_secs(3));
            while clock::now_ns() < until && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
