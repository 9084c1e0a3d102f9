//! What is written down: posts with their answers, and each client's life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Book, Got, Kind, Post};
use crate::common::http::{self, Answer};
use crate::common::socket::{CLOSE, Handshake, PING, PONG, Socket, TEXT};
use crate::common::token;

/// How long a poster waits for an answer. What is not answered then counts as not accepted.
const ANSWER: Duration = Duration::from_secs(30);

/// The header in which a proxy names the node that answered, in lower case.
const NODE: &str = "x-node";

/// Posts one event; gives the status, 0 for no answer.
pub(super) async fn post(book: &Mutex<Book>, port: u16, library: &str) -> u16 {
    let begun = Instant::now();
    let (number, pad) = {
        let mut book = book.lock();
        let pad = book.pad;
        let posts = book.posts.entry(library.to_owned()).or_default();
        posts.push(Post {
            by: port.to_string(),
            begun,
            accepted: false,
        });
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
    let status = answer.as_ref().map_or(0, |answer| answer.status);
    let node = answer.and_then(|mut answer| answer.headers.remove(NODE));
    let mut book = book.lock();
    if let Some(post) = book
        .posts
        .get_mut(library)
        .and_then(|posts| posts.get_mut(number))
    {
        post.accepted = status == 200;
        post.by = node.unwrap_or(std::mem::take(&mut post.by));
    }
    *book.statuses.entry(status).or_default() += 1;
    if status != 0 {
        book.answers.push(begun.elapsed());
    }
    status
}

/// One client's life: connection after connection.
pub(super) async fn attend(book: Arc<Mutex<Book>>, id: usize, stop: Arc<AtomicBool>) {
    let (port, library, kind) = {
        let book = book.lock();
        (
            book.seats[id].port,
            book.seats[id].library.clone(),
            book.seats[id].kind,
        )
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
    // What does not come is found out by the ledger's end.
    socket.patience = Duration::MAX;
    socket.send_subscribe(&[(library, &token)]).await;
    let mark: [u8; 8] = rand::random();
    socket.send(PING, &mark).await;
    while let Some(frame) = socket.frame().await {
        let at = Instant::now();
        match frame.opcode {
            TEXT => {
                let message: Value =
                    serde_json::from_slice(&frame.payload).expect("one JSON object in one frame");
                let number = message["content"]["commit_id"]
                    .as_str()
                    .and_then(|text| text.parse().ok());
                let number = number.unwrap_or_else(|| panic!("an unexpected message: {message}"));
                book.lock().seats[id].got.push(Got {
                    connection,
                    number,
                    at,
                });
            }
            PONG if frame.payload == mark => {
                let mut book = book.lock();
                let now = book.posts.get(library).map_or(0, Vec::len);
                let seat = &mut book.seats[id];
                if seat.connections == 0 {
                    seat.since = now;
                }
                if seat
                    .ends
                    .last()
                    .is_some_and(|code| [1012, 1013].contains(code))
                {
                    seat.told = seat.told.max(posted);
                }
                (seat.connections, seat.subscribed) = (connection, true);
            }
            CLOSE => {
                return frame
                    .payload
                    .get(..2)
                    .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
            }
            _ => {}
        }
    }
    1006
}
