//! The addresses that are looked at: those given, else those in Seafile's own environment, else the node of this machine.
//!
//! Invariant: an address that somebody gave is looked at as it was given; only where a path is missing is one looked for,
//! and then where clients look for it.

use http::Request;

use super::mend::{Front, Proxy};
use super::report::Check;
use super::{Arguments, PATIENCE, reach};
use crate::cli::client::paths::Paths;
use crate::client::ClientError;
use crate::client::dial::Server;
use crate::client::exchange;
use crate::config::{self, Sources};

/// Where clients look behind a proxy.
const PUBLIC_PATH: &str = "/notification";

/// One of the two addresses.
pub(super) struct Side {
    /// `public` or `inner`.
    pub(super) place: &'static str,
    /// Where it is.
    pub(super) server: Server,
    /// The proxy in front, and where it should lead.
    pub(super) front: Front,
}

impl Side {
    /// As who this side is visited.
    pub fn agent(&self) -> &'static str {
        if self.place == "public" {
            "Seafile/9.0 (doctor)"
        } else {
            "Seafile Server"
        }
    }

    /// The origin of web pages that this side serves.
    pub fn origin(&self) -> String {
        let scheme = if self.server.tls() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.authority())
    }

    /// The variable of Seafile's that has this address.
    pub fn variable(&self) -> &'static str {
        if self.place == "public" {
            "NOTIFICATION_SERVER_URL"
        } else {
            "INNER_NOTIFICATION_SERVER_URL"
        }
    }
}

/// Finds the addresses. What is said of how they were found comes with them.
///
/// # Errors
/// An address is none; with the variable or option it came from.
pub async fn find(
    arguments: &Arguments,
    sources: &Sources,
) -> Result<(Vec<Side>, Vec<Check>), String> {
    let mut notes = Vec::new();
    let public = given(
        &arguments.url,
        "--url",
        "NOTIFICATION_SERVER_URL",
        sources,
        &mut notes,
    )?;
    let mut inner = given(
        &arguments.inner,
        "--inner",
        "INNER_NOTIFICATION_SERVER_URL",
        sources,
        &mut notes,
    )?;
    if public.is_none() && inner.is_none() {
        inner = Some(own_node(sources)?);
        let what = "no address is given (--url, --inner, or NOTIFICATION_SERVER_URL): the node of this machine is looked at";
        notes.push(Check::skipped("public", "address", what));
    }
    let public = match public {
        Some(server) => Some(locate(server).await),
        None => None,
    };
    let node = inner
        .as_ref()
        .map_or_else(|| "NODE:8083".to_owned(), Server::authority);
    let path = public
        .as_ref()
        .map(Server::prefix)
        .filter(|path| path.ends_with(PUBLIC_PATH))
        .unwrap_or(PUBLIC_PATH)
        .to_owned();
    let side = |place, server| Side {
        place,
        server,
        front: front(arguments.proxy, &node, &path),
    };
    let public = public.map(|server| side("public", server));
    let inner = inner.map(|server| side("inner", server));
    Ok((inner.into_iter().chain(public).collect(), notes))
}

fn front(proxy: Option<Proxy>, node: &str, path: &str) -> Front {
    Front {
        proxy,
        node: node.to_owned(),
        path: path.to_owned(),
    }
}

fn given(
    argument: &Option<String>,
    option: &str,
    variable: &str,
    sources: &Sources,
    notes: &mut Vec<Check>,
) -> Result<Option<Server>, String> {
    if let Some(url) = argument {
        return Server::parse(url)
            .map(Some)
            .map_err(|error| format!("{option}: {error}"));
    }
    let Some(url) = config::variable(sources, variable) else {
        return Ok(None);
    };
    let server = Server::parse(&url).map_err(|error| format!("{variable}: {error}"))?;
    notes.push(Check::ok(
        "here",
        "address",
        format!("{variable} says {}", server.url()),
    ));
    Ok(Some(server))
}

/// The client port of this machine's node.
fn own_node(sources: &Sources) -> Result<Server, String> {
    let report = config::load(sources);
    let http = &report.so_far().http;
    let host = match http.host.as_str() {
        "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    Server::parse(&format!("http://{host}:{}", http.port)).map_err(|error| error.to_string())
}

/// The server at the path that answers as a notification server does, of those where clients look.
async fn locate(server: Server) -> Server {
    let prefix = server.prefix().to_owned();
    let below = format!("{prefix}{PUBLIC_PATH}");
    let (likely, other) = if prefix.ends_with(PUBLIC_PATH) {
        return server;
    } else if prefix.is_empty() && !server.default_port() {
        // A node itself, as clients of port 8083 know it.
        (below, Some(prefix))
    } else if prefix.is_empty() {
        (below, None)
    } else {
        (below, Some(prefix))
    };
    match other {
        Some(other) if pongs(&server.at(&other)).await.unwrap_or(false) => server.at(&other),
        _ => server.at(&likely),
    }
}

async fn pongs(server: &Server) -> Result<bool, ClientError> {
    let request = Request::get(server.ping_path()).body(String::new());
    let request = request.map_err(|_| ClientError::Url { url: server.url() })?;
    let (answer, _) = exchange::send(server, request, PATIENCE).await?;
    Ok(answer.status == 200 && answer.body == reach::PONG)
}
