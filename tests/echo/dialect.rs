//! The echo dialect: how it is switched on, where it answers, and what it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use foghorn::cluster::mail::To;
use foghorn::config::parse;
use foghorn::connection::upgrade::upgrade;
use foghorn::connection::{ClientInfo, stream};
use foghorn::dialect::{Certificate, Context, Descriptor, Dialect, Port, Route};
use foghorn::event::Event;
use foghorn::listen::Cut;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::kinds::{SOCKET, STREAM};
use crate::session::{Echo, channel, place};

foghorn::settings! {
    "Echo" {
        ADDR: SocketAddr = "FOGHORN_ECHO_ADDR"
            "127.0.0.1:0", parse::address, "an IP address and a port",
            "Where it answers, beside the clients' port.";
        CERT: PathBuf = "FOGHORN_ECHO_TLS_CERT"
            "", parse::file, "a PEM file that exists",
            "Certificate of that port.";
        KEY: PathBuf = "FOGHORN_ECHO_TLS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its private key.";
        LOUD: bool = "FOGHORN_ECHO_LOUD"
            "false", parse::switch, "true or false",
            "Whether words that are asked about are answered in capitals.";
    }
}

/// Its own figures.
pub mod figures {
    foghorn::metrics! {
        WORDS = "foghorn_echo_words_total", Counter, [], "Words that were asked about.";
    }
}

pub static ECHO: Descriptor = Descriptor {
    name: "echo",
    about: "says everything again",
    settings: TABLE,
    predecessor: None,
    check: |_, _| {},
    metrics: figures::TABLE,
    ports: |values| {
        let address = values.get(&ADDR);
        let tls = values.optional(&CERT).zip(values.optional(&KEY));
        let tls = tls.map(|(chain, key)| Certificate::Files(chain, key));
        let (host, port) = (address.ip().to_string(), address.port());
        vec![Port {
            name: "own",
            setting: ADDR.row.name,
            host,
            port,
            tls,
        }]
    },
    start: |config, context| {
        let loud = config.values.get(&LOUD);
        Ok(Arc::new(Server {
            context,
            loud,
            asked: AtomicUsize::new(0),
            released: Notify::new(),
        }))
    },
};

struct Server {
    context: Context,
    loud: bool,
    asked: AtomicUsize,
    /// Words that begin with "slow" wait for this.
    released: Notify,
}

impl Dialect for Server {
    fn name(&self) -> &'static str {
        ECHO.name
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        vec![("/echo".to_owned(), any(connect).with_state(self))]
    }

    fn router(self: Arc<Self>, _port: &'static str) -> Router {
        Router::new()
            .route("/echo", any(connect))
            .route("/stream", get(listen))
            .route("/say/{name}", post(say))
            .route("/mail/{user}", post(mail))
            .route(
                "/asked",
                get(async |State(echo): State<Arc<Self>>| {
                    echo.asked.load(Ordering::SeqCst).to_string()
                }),
            )
            .route(
                "/release",
                post(async |State(echo): State<Arc<Self>>| echo.released.notify_one()),
            )
            .with_state(self)
    }

    fn asked(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(async move {
            metrics::counter!(figures::WORDS).increment(1);
            self.asked.fetch_add(1, Ordering::SeqCst);
            if question.starts_with(b"slow") {
                self.released.notified().await;
            }
            let word = String::from_utf8_lossy(&question).into_owned();
            (word != "unknown").then(|| if self.loud { word.to_uppercase() } else { word }.into())
        })
    }
}

type Wanted = Query<HashMap<String, String>>;

fn session(wanted: &HashMap<String, String>) -> impl FnOnce(ClientInfo) -> Echo + use<> {
    let user = wanted.get("user").cloned().unwrap_or_default();
    let first = wanted.get("channel").cloned();
    let after = wanted.get("after").and_then(|after| place(after));
    move |_| Echo::new(&user, first, after)
}

async fn connect(
    State(echo): State<Arc<Server>>,
    Query(wanted): Wanted,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    upgrade(&echo.context.connections, &SOCKET, parts, session(&wanted)).map(Body::from)
}

async fn listen(
    State(echo): State<Arc<Server>>,
    Query(wanted): Wanted,
    Extension(cut): Extension<Cut>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let hang_up = Box::new(move || cut.now());
    match stream::open(
        &echo.context.connections,
        &STREAM,
        &parts,
        hang_up,
        session(&wanted),
    ) {
        Ok(stream) => {
            let head = [
                (header::CONTENT_TYPE, "text/event-stream"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (head, Body::new(stream)).into_response()
        }
        // A page would give up for good on any other status.
        Err(refused) => (
            StatusCode::OK,
            format!(
                "retry: 1000\n\nevent: refused\ndata: {}\n\n",
                refused.label()
            ),
        )
            .into_response(),
    }
}

async fn say(State(echo): State<Arc<Server>>, Path(name): Path<String>, body: Bytes) -> StatusCode {
    echo.context
        .connections
        .node
        .publish(Event::new(channel(&name), "said", body));
    StatusCode::ACCEPTED
}

async fn mail(State(echo): State<Arc<Server>>, Path(user): Path<String>, body: Bytes) -> String {
    let mut answers = echo
        .context
        .cluster
        .mail(ECHO.name, &To::User(user), &body)
        .await;
    answers.sort();
    answers
        .iter()
        .map(|answer| format!("{}\n", String::from_utf8_lossy(answer)))
        .collect()
}
