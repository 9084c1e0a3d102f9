//! The way to the server that carries a shard's events: the one given, the master that Sentinels name, or any of a Cluster.
//!
//! Invariant: of several hosts the first that works is taken, and each that does not is told of.

use super::super::config::{Layout, Server};
use super::Note;
use super::error::{ExamineError, Login};
use super::talk::{Reply, Talk, name, speaks_tls};

/// User and password, either of which may be missing.
type Credentials = (Option<String>, Option<String>);

/// A conversation with the server that carries events, and what was wrong on the way there.
///
/// # Errors
/// There is none: what the first host has wrong.
pub async fn carrier(server: &Server) -> Result<(Talk, Vec<Note>), ExamineError> {
    let mut wrong = Vec::new();
    let mut found = None;
    for host in &server.hosts {
        let reached = match &server.layout {
            Layout::Sentinel { service } => by_sentinel(server, host, service).await,
            Layout::Single | Layout::Cluster => enter(server, host).await,
        };
        match reached {
            Ok(talk) if found.is_none() => found = Some(talk),
            Ok(_) => {}
            Err(error) => wrong.push(error),
        }
    }
    match found {
        Some(talk) => Ok((talk, wrong.into_iter().map(Note::Host).collect())),
        None => Err(wrong
            .into_iter()
            .next()
            .unwrap_or_else(|| ExamineError::Settings("no host is given".to_owned()))),
    }
}

/// A conversation with `host`, logged in.
///
/// # Errors
/// It cannot be reached, or refuses user or password.
pub async fn enter(server: &Server, host: &(String, u16)) -> Result<Talk, ExamineError> {
    log_in(
        server,
        host,
        &(server.user.clone(), server.password.clone()),
        false,
    )
    .await
}

async fn log_in(
    server: &Server,
    host: &(String, u16),
    login: &Credentials,
    sentinel: bool,
) -> Result<Talk, ExamineError> {
    let mut talk = Talk::open(server, host).await?;
    let command = match login {
        (Some(user), Some(password)) => vec!["AUTH", user, password],
        (None, Some(password)) => vec!["AUTH", password],
        (_, None) => vec!["PING"],
    };
    let said = match talk.ask(&command).await {
        // It hangs up on plain words: does it want to hear others?
        Err(ExamineError::Silent { .. }) if !server.tls && speaks_tls(host).await => {
            return Err(ExamineError::WantsTls {
                address: talk.address,
            });
        }
        answered => answered?,
    };
    let Reply::Refusal(said) = said else {
        return Ok(talk);
    };
    let why = match said.split_whitespace().next().unwrap_or_default() {
        "NOAUTH" => Login::Needed,
        "WRONGPASS" => Login::Wrong,
        "ERR" if said.contains("invalid password") => Login::Wrong,
        // A node lives with that.
        "ERR"
            if said.contains("without any password configured")
                || said.contains("no password is set") =>
        {
            talk.needless_password = true;
            return Ok(talk);
        }
        "DENIED" => {
            return Err(ExamineError::Protected {
                address: talk.address,
            });
        }
        // A right that is missing is looked at with all others.
        "NOPERM" => return Ok(talk),
        _ => return Err(ExamineError::refusal(&talk.address, command[0], &said)),
    };
    Err(ExamineError::Login {
        address: talk.address,
        user: login.0.clone(),
        sentinel,
        why,
    })
}

async fn by_sentinel(
    server: &Server,
    host: &(String, u16),
    service: &str,
) -> Result<Talk, ExamineError> {
    let mut sentinel = log_in(server, host, &server.sentinel_login, true).await?;
    match sentinel
        .ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service])
        .await?
    {
        Reply::List(address) => {
            let part = |at: usize| address.get(at).and_then(Reply::text).unwrap_or_default();
            let master = (part(0).to_owned(), part(1).parse().unwrap_or(0));
            enter(server, &master)
                .await
                .map_err(|error| announced(&sentinel.address, &master, error))
        }
        Reply::Refusal(said) if said.starts_with("NOAUTH") => Err(ExamineError::Login {
            address: sentinel.address,
            user: None,
            sentinel: true,
            why: Login::Needed,
        }),
        Reply::Refusal(said) if said.contains("unknown command") => Err(ExamineError::NoSentinel {
            address: sentinel.address,
        }),
        Reply::Refusal(said) => Err(ExamineError::refusal(&sentinel.address, "SENTINEL", &said)),
        _ => {
            let known = masters(&mut sentinel).await;
            Err(ExamineError::NoMaster {
                address: sentinel.address,
                wanted: service.to_owned(),
                known,
            })
        }
    }
}

/// The servers that a Cluster sends its clients to, each once, can be reached.
///
/// # Errors
/// [`ExamineError::Announced`].
pub(super) async fn all_announced(
    server: &Server,
    address: &str,
    slots: &Reply,
) -> Result<(), ExamineError> {
    let mut hosts: Vec<(String, u16)> = Vec::new();
    for range in slots.list() {
        let Some([host, port, ..]) = range.list().get(2).map(Reply::list) else {
            continue;
        };
        let host = (
            host.text().unwrap_or_default().to_owned(),
            port.text().and_then(|port| port.parse().ok()).unwrap_or(0),
        );
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    for host in hosts {
        Talk::open(server, &host)
            .await
            .map_err(|error| announced(address, &host, error))?;
    }
    Ok(())
}

/// Nobody gave this address: `address` did.
fn announced(address: &str, host: &(String, u16), error: ExamineError) -> ExamineError {
    match error {
        ExamineError::Connect { why, .. } => ExamineError::Announced {
            address: address.to_owned(),
            to: name(host),
            why,
        },
        other => other,
    }
}

/// The names of the masters that a Sentinel knows, as far as it tells.
pub async fn masters(sentinel: &mut Talk) -> Vec<String> {
    let Ok(said) = sentinel.ask(&["SENTINEL", "MASTERS"]).await else {
        return Vec::new();
    };
    said.list()
        .iter()
        .filter_map(|master| master.field("name").map(ToOwned::to_owned))
        .collect()
}

/// Host and port of a replica's master, where the replica may be asked.
pub(super) async fn master_of(replica: &mut Talk) -> Option<String> {
    let role = replica.ask(&["ROLE"]).await.ok()?;
    let [_, host, port, ..] = role.list() else {
        return None;
    };
    Some(name(&(host.text()?.to_owned(), port.text()?.parse().ok()?)))
}

/// What [`name`] made.
pub fn host(address: &str) -> (String, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (
        host.trim_matches(['[', ']']).to_owned(),
        port.parse().unwrap_or(0),
    )
}
