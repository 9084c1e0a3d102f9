//! What a drill counts: numbered events for each library, and clients that write down what they got.
//!
//! Owed: every event answered 200, to every client of its library that had subscribed before it was posted. Lost: owed
//! and never made, unless the client was told (1012, 1013) that it may have missed something: then it is declared.
//! Duplicates and order are judged within one connection, order among events that one node
//! accepted: two nodes that answered before Redis did (150 ms) owe each other nothing.
//!
//! Invariant: counts are asserted, times only reported.

mod acts;
mod counts;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use self::acts::{attend, post};
pub use self::counts::Counts;
use super::{PATIENCE, eventually};

/// What kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As the desktop client.
    Desktop,
    /// As a browser.
    Web,
}

struct Post {
    /// The node that accepted it: its port, or what a proxy calls it.
    by: String,
    begun: Instant,
    accepted: bool,
}

struct Got {
    connection: u32,
    number: usize,
    at: Instant,
}

struct Seat {
    port: u16,
    library: String,
    kind: Kind,
    /// The first event it is owed.
    since: usize,
    connections: u32,
    subscribed: bool,
    got: Vec<Got>,
    /// Close codes; 1006 where there was none.
    ends: Vec<u16>,
    /// It was told to check everything that was posted before this one.
    told: usize,
}

#[derive(Default)]
struct Book {
    posts: HashMap<String, Vec<Post>>,
    seats: Vec<Seat>,
    answers: Vec<Duration>,
    statuses: BTreeMap<u16, usize>,
    /// Bytes that make each event bigger.
    pad: usize,
}

/// See the module.
pub struct Ledger {
    fault: String,
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    routes: Mutex<HashSet<(u16, String)>>,
}

/// Posting in the background.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Ledger {
    /// A ledger for `fault`, which names its line.
    pub fn open(fault: &str) -> Self {
        let (book, stop) = (Arc::default(), Arc::default());
        Self {
            fault: fault.to_owned(),
            book,
            stop,
            tasks: Vec::new(),
            routes: Mutex::default(),
        }
    }

    /// A client of `library` at `port` that comes back whenever its connection ends. Returns once it is subscribed.
    pub async fn seat(&mut self, port: u16, library: &str, kind: Kind) {
        let id = {
            let mut book = self.book.lock();
            let library = library.to_owned();
            let (got, ends) = (Vec::new(), Vec::new());
            let seat = Seat {
                port,
                library,
                kind,
                since: 0,
                connections: 0,
                subscribed: false,
                got,
                ends,
                told: 0,
            };
            book.seats.push(seat);
            book.seats.len() - 1
        };
        let (book, stop) = (Arc::clone(&self.book), Arc::clone(&self.stop));
        self.tasks.push(tokio::spawn(attend(book, id, stop)));
        eventually("a subscribed client", || async {
            self.book.lock().seats[id].subscribed.then_some(())
        })
        .await;
    }

    /// Makes events from now on bigger by so many bytes.
    pub fn pad(&self, bytes: usize) {
        self.book.lock().pad = bytes;
    }

    /// Posts to each (port, library) in the background, one event after the other with `pause` between them.
    pub fn load(&self, routes: &[(u16, &str)], pause: Duration) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = routes.iter().map(|&(port, library)| {
            self.routes.lock().insert((port, library.to_owned()));
            let (book, stop, library) = (
                Arc::clone(&self.book),
                Arc::clone(&stop),
                library.to_owned(),
            );
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    post(&book, port, &library).await;
                    tokio::time::sleep(pause).await;
                }
            })
        });
        Load {
            tasks: tasks.collect(),
            stop,
        }
    }

    /// Posts one event; gives the status, 0 for no answer.
    pub async fn post(&self, port: u16, library: &str) -> u16 {
        self.routes.lock().insert((port, library.to_owned()));
        post(&self.book, port, library).await
    }

    /// Events accepted so far.
    pub fn accepted(&self) -> usize {
        self.book
            .lock()
            .statuses
            .get(&200)
            .copied()
            .unwrap_or_default()
    }

    /// Waits until `more` events have been accepted.
    pub async fn accepts(&self, more: usize) {
        let goal = self.accepted() + more;
        eventually("events accepted", || async {
            (self.accepted() >= goal).then_some(())
        })
        .await;
    }

    /// Waits until clients at `ports` have got all that they are owed so far.
    pub async fn caught_up(&self, ports: &[u16]) {
        let owed: Vec<(usize, usize)> = {
            let book = self.book.lock();
            let at = book
                .seats
                .iter()
                .enumerate()
                .filter(|(_, seat)| ports.contains(&seat.port));
            at.flat_map(|(id, seat)| seat.owed(&book.posts).map(move |number| (id, number)))
                .collect()
        };
        eventually("deliveries to this node's clients", || async {
            let book = self.book.lock();
            let got: Vec<HashSet<usize>> = book
                .seats
                .iter()
                .map(|seat| seat.got.iter().map(|got| got.number).collect())
                .collect();
            owed.iter()
                .all(|(id, number)| got[*id].contains(number))
                .then_some(())
        })
        .await;
    }

    /// How many connections of clients of this kind ended with this code (1006: without one), at any of `ports`.
    pub fn ended(&self, ports: &[u16], kind: Kind, code: u16) -> usize {
        let book = self.book.lock();
        let seats = book
            .seats
            .iter()
            .filter(|seat| seat.kind == kind && ports.contains(&seat.port));
        seats
            .flat_map(|seat| &seat.ends)
            .filter(|end| **end == code)
            .count()
    }

    /// All close codes of all clients.
    pub fn ends(&self) -> BTreeMap<u16, usize> {
        let mut ends = BTreeMap::new();
        self.book
            .lock()
            .seats
            .iter()
            .flat_map(|seat| &seat.ends)
            .for_each(|code| *ends.entry(*code).or_default() += 1);
        ends
    }

    /// Waits until clients of this kind at `ports` have been closed `times` times with this code.
    pub async fn closed(&self, ports: &[u16], kind: Kind, code: u16, times: usize) {
        eventually(&format!("{times} closes with {code}"), || async {
            (self.ended(ports, kind, code) >= times).then_some(())
        })
        .await;
    }

    /// Waits for what is owed, ends the clients, prints the line. All loads must have stopped.
    pub async fn close(self) -> Counts {
        self.close_but(0).await
    }

    /// The same where this many deliveries can come no more.
    pub async fn close_but(self, lost: usize) -> Counts {
        self.settle(lost).await;
        // One more for each library: what was on its way before it has come when this has.
        let routes: Vec<_> = self.routes.lock().iter().cloned().collect();
        for (port, library) in routes {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                post(&self.book, port, &library).await;
            }
        }
        self.settle(lost).await;
        let counts = self.book.lock().counts();
        println!("ledger | {} | {counts}", self.fault);
        let ends = self.ends();
        if !ends.is_empty() {
            println!("ledger | {} | closes {ends:?}", self.fault);
        }
        self.stop.store(true, Ordering::Release);
        self.tasks.iter().for_each(JoinHandle::abort);
        counts
    }

    async fn settle(&self, lost: usize) {
        let started = Instant::now();
        while self.book.lock().owes(lost) && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if std::thread::panicking() {
            println!(
                "ledger | {} | as far as it went: {}",
                self.fault,
                self.book.lock().counts()
            );
        }
    }
}

impl Load {
    /// Ends it, and waits until the last event was answered.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.expect("posting goes on");
        }
    }
}

impl Seat {
    fn owed<'a>(
        &self,
        posts: &'a HashMap<String, Vec<Post>>,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let posts = posts.get(&self.library).map_or(&[][..], Vec::as_slice);
        let since = if self.connections == 0 {
            usize::MAX
        } else {
            self.since
        };
        posts
            .iter()
            .enumerate()
            .skip(since)
            .filter(|(_, post)| post.accepted)
            .map(|(number, _)| number)
    }
}

impl Book {
    /// Whether more than this is owed yet.
    fn owes(&self, lost: usize) -> bool {
        let counts = self.counts();
        counts.lost > lost || self.seats.iter().any(|seat| !seat.subscribed)
    }
}
