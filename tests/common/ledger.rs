//! What a drill counts: numbered events for each library, and clients that write down what they got.
//!
//! Owed: every event answered 200, to every client of its library that had subscribed before it was posted. Lost: owed
//! and never made, unless the client was told (1012, 1013) that it may have missed something: then it is declared.
//! Duplicates and order are judged within one connection, order among events posted to one address.
//!
//! Invariant: counts are asserted, times only reported.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::http::{self, Answer};
use super::socket::{CLOSE, Handshake, PING, PONG, Socket, TEXT};
use super::{PATIENCE, eventually, token};

/// How long a poster waits for an answer. What is not answered then counts as not accepted.
const ANSWER: Duration = Duration::from_secs(5);

/// What kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As the desktop client.
    Desktop,
    /// As a browser.
    Web,
}

struct Post {
    to: u16,
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

/// How it all came out.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Events answered 200.
    pub accepted: usize,
    /// Events answered otherwise, or not at all (status 0).
    pub refused: BTreeMap<u16, usize>,
    /// Deliveries owed.
    pub owed: usize,
    /// Of those, made.
    pub made: usize,
    /// Of those, neither made nor declared.
    pub lost: usize,
    /// Of those, not made to clients that were told so.
    pub declared: usize,
    /// Deliveries that came again on one connection.
    pub duplicated: usize,
    /// Deliveries that came after a later one on one connection.
    pub disordered: usize,
    /// From posting to receiving, the slowest.
    pub worst: Duration,
    /// The 99th percentile of the posts' answers.
    pub p99: Duration,
    /// Some of what is lost, for messages.
    pub examples: Vec<String>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, owed, made, lost, declared, duplicated, disordered, .. } = self;
        let refused: usize = self.refused.values().sum();
        let (worst, p99) = (self.worst.as_secs_f64(), self.p99.as_secs_f64() * 1e3);
        write!(
            f,
            "accepted {accepted} | not accepted {refused} | owed {owed} | made {made} | lost {lost} | declared {declared} \
             | duplicated {duplicated} | out of order {disordered} | worst delay {worst:.2} s | answers p99 {p99:.0} ms"
        )
    }
}

impl Counts {
    /// Panics unless every event was accepted and every delivery owed was made, once and in order.
    pub fn perfect(&self) -> &Self {
        assert!(self.refused.is_empty(), "{self}: {:?}", self.refused);
        self.nothing_lost();
        assert_eq!(self.declared, 0, "{self}");
        self
    }

    /// Panics if anything was lost, came twice or in the wrong order.
    pub fn nothing_lost(&self) -> &Self {
        assert!(self.accepted > 0 && self.owed > 0, "nothing was tried: {self}");
        assert_eq!((self.lost, self.duplicated, self.disordered), (0, 0, 0), "{self}: {:?}", self.examples);
        self
    }
}

impl Ledger {
    /// A ledger for `fault`, which names its line.
    pub fn open(fault: &str) -> Self {
        let (book, stop) = (Arc::default(), Arc::default());
        Self { fault: fault.to_owned(), book, stop, tasks: Vec::new(), routes: Mutex::default() }
    }

    /// A client of `library` at `port` that comes back whenever its connection ends. Returns once it is subscribed.
    pub async fn seat(&mut self, port: u16, library: &str, kind: Kind) {
        let id = {
            let mut book = self.book.lock();
            let library = library.to_owned();
            let (got, ends) = (Vec::new(), Vec::new());
            let seat = Seat { port, library, kind, since: 0, connections: 0, subscribed: false, got, ends, told: 0 };
            book.seats.push(seat);
            book.seats.len() - 1
        };
        let (book, stop) = (Arc::clone(&self.book), Arc::clone(&self.stop));
        self.tasks.push(tokio::spawn(attend(book, id, stop)));
        eventually("a subscribed client", || async { self.book.lock().seats[id].subscribed.then_some(()) }).await;
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
            let (book, stop, library) = (Arc::clone(&self.book), Arc::clone(&stop), library.to_owned());
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    post(&book, port, &library).await;
                    tokio::time::sleep(pause).await;
                }
            })
        });
        Load { tasks: tasks.collect(), stop }
    }

    /// Posts one event; gives the status, 0 for no answer.
    pub async fn post(&self, port: u16, library: &str) -> u16 {
        self.routes.lock().insert((port, library.to_owned()));
        post(&self.book, port, library).await
    }

    /// Events accepted so far.
    pub fn accepted(&self) -> usize {
        self.book.lock().statuses.get(&200).copied().unwrap_or_default()
    }

    /// Waits until `more` events have been accepted.
    pub async fn accepts(&self, more: usize) {
        let goal = self.accepted() + more;
        eventually("events accepted", || async { (self.accepted() >= goal).then_some(()) }).await;
    }

    /// Waits until clients at `ports` have got all that they are owed so far.
    pub async fn caught_up(&self, ports: &[u16]) {
        let owed: Vec<(usize, usize)> = {
            let book = self.book.lock();
            let at = book.seats.iter().enumerate().filter(|(_, seat)| ports.contains(&seat.port));
            at.flat_map(|(id, seat)| seat.owed(&book.posts).map(move |number| (id, number))).collect()
        };
        eventually("deliveries to this node's clients", || async {
            let book = self.book.lock();
            let got: Vec<HashSet<usize>> =
                book.seats.iter().map(|seat| seat.got.iter().map(|got| got.number).collect()).collect();
            owed.iter().all(|(id, number)| got[*id].contains(number)).then_some(())
        })
        .await;
    }

    /// How many connections of clients of this kind ended with this code (1006: without one), at any of `ports`.
    pub fn ended(&self, ports: &[u16], kind: Kind, code: u16) -> usize {
        let book = self.book.lock();
        let seats = book.seats.iter().filter(|seat| seat.kind == kind && ports.contains(&seat.port));
        seats.flat_map(|seat| &seat.ends).filter(|end| **end == code).count()
    }

    /// All close codes of all clients.
    pub fn ends(&self) -> BTreeMap<u16, usize> {
        let mut ends = BTreeMap::new();
        self.book.lock().seats.iter().flat_map(|seat| &seat.ends).for_each(|code| *ends.entry(*code).or_default() += 1);
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
        self.settle().await;
        // One more for each library: what was on its way before it has come when this has.
        let routes: Vec<_> = self.routes.lock().iter().cloned().collect();
        for (port, library) in routes {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                post(&self.book, port, &library).await;
            }
        }
        self.settle().await;
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

    async fn settle(&self) {
        let started = Instant::now();
        while self.book.lock().open() && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if std::thread::panicking() {
            println!("ledger | {} | as far as it went: {}", self.fault, self.book.lock().counts());
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
    fn owed<'a>(&self, posts: &'a HashMap<String, Vec<Post>>) -> impl Iterator<Item = usize> + use<'a> {
        let posts = posts.get(&self.library).map_or(&[][..], Vec::as_slice);
        let since = if self.connections == 0 { usize::MAX } else { self.since };
        posts.iter().enumerate().skip(since).filter(|(_, post)| post.accepted).map(|(number, _)| number)
    }
}

impl Book {
    /// Whether something is owed yet.
    fn open(&self) -> bool {
        let counts = self.counts();
        counts.lost > 0 || self.seats.iter().any(|seat| !seat.subscribed)
    }

    fn counts(&self) -> Counts {
        let accepted = self.statuses.get(&200).copied().unwrap_or_default();
        let refused = self.statuses.iter().filter(|(status, _)| **status != 200).map(|(s, n)| (*s, *n)).collect();
        let mut counts = Counts { accepted, refused, ..Counts::default() };
        for (id, seat) in self.seats.iter().enumerate() {
            self.judge(id, seat, &mut counts);
        }
        let mut answers = self.answers.clone();
        answers.sort_unstable();
        counts.p99 = answers.get(answers.len() * 99 / 100).or(answers.last()).copied().unwrap_or_default();
        counts
    }

    fn judge(&self, id: usize, seat: &Seat, counts: &mut Counts) {
        let mut first: HashMap<usize, Instant> = HashMap::new();
        let (mut seen, mut highest) = (HashSet::new(), HashMap::new());
        let empty = Vec::new();
        let posts = self.posts.get(&seat.library).unwrap_or(&empty);
        for got in &seat.got {
            first.entry(got.number).or_insert(got.at);
            let Some(post) = posts.get(got.number).filter(|post| post.accepted) else { continue };
            if !seen.insert((got.connection, got.number)) {
                counts.duplicated += 1;
                counts.examples.push(format!("client {id} got {} twice", got.number));
                continue;
            }
            let highest = highest.entry((got.connection, post.to)).or_insert(got.number);
            if got.number < *highest {
                counts.disordered += 1;
                counts.examples.push(format!("client {id} got {} after {highest}", got.number));
            }
            *highest = (*highest).max(got.number);
        }
        for number in seat.owed(&self.posts) {
            counts.owed += 1;
            match first.get(&number) {
                Some(at) => {
                    counts.made += 1;
                    counts.worst = counts.worst.max(at.saturating_duration_since(posts[number].begun));
                }
                None if number < seat.told => counts.declared += 1,
                None => {
                    counts.lost += 1;
                    if counts.examples.len() < 20 {
                        counts.examples.push(format!("client {id} at port {} never got {number}", seat.port));
                    }
                }
            }
        }
    }
}

async fn post(book: &Mutex<Book>, port: u16, library: &str) -> u16 {
    let begun = Instant::now();
    let (number, pad) = {
        let mut book = book.lock();
        let pad = book.pad;
        let posts = book.posts.entry(library.to_owned()).or_default();
        posts.push(Post { to: port, begun, accepted: false });
        (posts.len() - 1, pad)
    };
    let mut content = json!({"repo_id": library, "commit_id": number.to_string()});
    if pad > 0 {
        content["pad"] = "x".repeat(pad).into();
    }
    let body = json!({"type": "repo-update", "content": content}).to_string();
    let authorization = format!("Token {}", token::event());
    let headers = [("Authorization", authorization.as_str())];
    let request = http::try_request(port, "POST", "/events", &headers, Some(body.as_bytes()));
    let answer: Option<Answer> = tokio::time::timeout(ANSWER, request).await.ok().flatten();
    let status = answer.map_or(0, |answer| answer.status);
    let mut book = book.lock();
    if let Some(post) = book.posts.get_mut(library).and_then(|posts| posts.get_mut(number)) {
        post.accepted = status == 200;
    }
    *book.statuses.entry(status).or_default() += 1;
    if status != 0 {
        book.answers.push(begun.elapsed());
    }
    status
}

/// One client's life: connection after connection.
async fn attend(book: Arc<Mutex<Book>>, id: usize, stop: Arc<AtomicBool>) {
    let (port, library, kind) = {
        let book = book.lock();
        (book.seats[id].port, book.seats[id].library.clone(), book.seats[id].kind)
    };
    while !stop.load(Ordering::Acquire) {
        let handshake = match kind {
            Kind::Desktop => Handshake::new(port).desktop(),
            Kind::Web => Handshake::new(port).browser(),
        };
        let opened = tokio::time::timeout(ANSWER, handshake.attempt()).await;
        if let Ok(Ok(Ok(socket))) = opened {
            let code = sit(&book, id, socket, &library).await;
            let mut book = book.lock();
            book.seats[id].subscribed = false;
            book.seats[id].ends.push(code);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One connection: subscribes, writes down what comes, gives the code it ended with.
async fn sit(book: &Mutex<Book>, id: usize, mut socket: Socket, library: &str) -> u16 {
    // What was posted before this cannot be owed to a client that comes for the first time.
    let posted = book.lock().posts.get(library).map_or(0, Vec::len);
    let connection = book.lock().seats[id].connections + 1;
    let token = token::subscription(library, "ann@example.com");
    socket.send_subscribe(&[(library, &token)]).await;
    let mark: [u8; 8] = rand::random();
    socket.send(PING, &mark).await;
    while let Some(frame) = socket.frame().await {
        let at = Instant::now();
        match frame.opcode {
            TEXT => {
                let message: Value = serde_json::from_slice(&frame.payload).expect("one JSON object in one frame");
                let number = message["content"]["commit_id"].as_str().and_then(|text| text.parse().ok());
                let number = number.unwrap_or_else(|| panic!("an unexpected message: {message}"));
                book.lock().seats[id].got.push(Got { connection, number, at });
            }
            PONG if frame.payload == mark => {
                let mut book = book.lock();
                let now = book.posts.get(library).map_or(0, Vec::len);
                let seat = &mut book.seats[id];
                if seat.connections == 0 {
                    seat.since = now;
                }
                if seat.ends.last().is_some_and(|code| [1012, 1013].contains(code)) {
                    seat.told = seat.told.max(posted);
                }
                (seat.connections, seat.subscribed) = (connection, true);
            }
            CLOSE => return frame.payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])),
            _ => {}
        }
    }
    1006
}
