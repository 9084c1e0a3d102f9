//! A look at one shard from outside, for administrators: does what a node does there, and says what hinders it.
//!
//! Invariant: it leaves nothing behind, is heard by no node (its channel is its own), and ends within half a minute.

mod error;
mod route;
mod talk;

use std::time::{Duration, Instant};

use super::client;
use super::config::{Layout, Server};
pub use error::{ExamineError, Login, Right};
use talk::{Reply, Talk};

/// What was published is heard within this time, or not at all.
const HEARING: Duration = Duration::from_secs(3);
/// Servers of a Cluster that may send on to another before the first is believed.
const MOVES: usize = 3;

/// A shard that carries events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Host and port of the server that carried this look's message.
    pub address: String,
    /// From publishing to hearing it.
    pub round_trip: Duration,
    /// What it calls itself, as `Redis 7.0.15`; empty where it does not tell.
    pub version: String,
    /// What works and yet may be a mistake.
    pub notes: Vec<Note>,
}

/// Something that works and yet may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// One of the hosts given cannot be used: why, with its address.
    Host(ExamineError),
    /// A password is given to a server that has none.
    NeedlessPassword,
    /// A server of a Redis Cluster is used as if it stood alone.
    ClusterServer,
}

/// What a server says of itself.
#[derive(Default)]
struct Hello {
    mode: String,
    role: String,
    version: String,
}

/// Subscribes to a channel of its own on `server`, publishes there and waits to hear it, as a node does with its channels;
/// all channels begin with `prefix`.
///
/// # Errors
/// [`ExamineError`]: what hinders a node.
pub async fn examine(server: &Server, prefix: &str) -> Result<Examined, ExamineError> {
    let mut visit = Visit {
        server,
        channel: format!("{prefix}:examine:{:032x}", rand::random::<u128>()),
        missing: Vec::new(),
    };
    let (mut talk, mut notes) = route::carrier(server).await?;
    if talk.needless_password {
        notes.push(Note::NeedlessPassword);
    }
    let hello = visit.greet(&mut talk).await?;
    visit.fits(&mut talk, &hello, &mut notes).await?;
    let (mut ear, mut mouth) = visit.subscribe(talk).await?;
    let published = Instant::now();
    let command = if server.layout == Layout::Cluster {
        "SPUBLISH"
    } else {
        "PUBLISH"
    };
    let channel = visit.channel.clone();
    visit.may(&mut mouth, &[command, &channel, "hello"]).await?;
    if !visit.missing.is_empty() {
        return Err(visit.lacks(mouth.address, prefix));
    }
    if !heard(&mut ear).await? {
        return Err(ExamineError::Deaf {
            address: mouth.address,
            seconds: HEARING.as_secs(),
        });
    }
    let round_trip = published.elapsed();
    // Last, the very client that a node has: nothing else may stand in its way.
    client::connect(server, true)
        .await
        .map_err(|error| ExamineError::client(&mouth.address, &error))?;
    Ok(Examined {
        address: mouth.address,
        round_trip,
        version: hello.version,
        notes,
    })
}

/// Asks `server` for the value of `key`, as who looks up single values there does. Returns host and port of who answered.
///
/// # Errors
/// [`ExamineError`]: what hinders a node.
pub async fn examine_values(server: &Server, key: &str) -> Result<String, ExamineError> {
    let mut visit = Visit {
        server,
        channel: String::new(),
        missing: Vec::new(),
    };
    let (mut talk, _) = route::carrier(server).await?;
    if server.database != 0 {
        let database = server.database.to_string();
        visit.may(&mut talk, &["SELECT", &database]).await?;
    }
    visit.may(&mut talk, &["GET", key]).await?;
    if !visit.missing.is_empty() {
        return Err(visit.lacks(talk.address, ""));
    }
    client::connect_for_keys(server)
        .await
        .map_err(|error| ExamineError::client(&talk.address, &error))?;
    Ok(talk.address)
}

/// Waits for the message that was published.
async fn heard(ear: &mut Talk) -> Result<bool, ExamineError> {
    let by = Instant::now() + HEARING;
    while let Some(reply) = ear
        .next(by.saturating_duration_since(Instant::now()))
        .await?
    {
        if matches!(
            reply.list().first().and_then(Reply::text),
            Some("message" | "smessage")
        ) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One look.
struct Visit<'a> {
    server: &'a Server,
    /// Nobody else's.
    channel: String,
    /// What the user may not do.
    missing: Vec<Right>,
}

impl Visit<'_> {
    /// What the user may not do at `address`, where names begin with `prefix`.
    fn lacks(self, address: String, prefix: &str) -> ExamineError {
        let user = self.server.user.clone();
        ExamineError::Rights {
            address,
            user: user.unwrap_or_else(|| "default".to_owned()),
            missing: self.missing,
            prefix: prefix.to_owned(),
        }
    }

    /// A command that a node gives. A right that is missing is noted, and the look goes on.
    async fn may(&mut self, talk: &mut Talk, command: &[&str]) -> Result<Reply, ExamineError> {
        let reply = talk.ask(command).await?;
        let Reply::Refusal(said) = &reply else {
            return Ok(reply);
        };
        match Right::missing(said, command) {
            Some(right) => {
                if !self.missing.contains(&right) {
                    self.missing.push(right);
                }
                Ok(Reply::Nothing)
            }
            None if said.starts_with("MOVED ") => Ok(reply),
            None => Err(ExamineError::refusal(&talk.address, command[0], said)),
        }
    }

    /// PING, and what the server says of itself. A server that does not say it is none the worse.
    async fn greet(&mut self, talk: &mut Talk) -> Result<Hello, ExamineError> {
        self.may(talk, &["PING"]).await?;
        let said = talk.ask(&["HELLO"]).await?;
        let field = |name| said.field(name).unwrap_or_default().to_owned();
        let server = field("server");
        let name = if server == "valkey" {
            "Valkey"
        } else {
            "Redis"
        };
        let version = field("version");
        let version = if version.is_empty() {
            version
        } else {
            format!("{name} {version}")
        };
        Ok(Hello {
            mode: field("mode"),
            role: field("role"),
            version,
        })
    }

    /// Whether the server is what the URL takes it for, and does what fred asks of one like that.
    async fn fits(
        &mut self,
        talk: &mut Talk,
        hello: &Hello,
        notes: &mut Vec<Note>,
    ) -> Result<(), ExamineError> {
        match (hello.mode.as_str(), &self.server.layout) {
            ("sentinel", _) => {
                let masters = route::masters(talk).await;
                return Err(ExamineError::Sentinel {
                    address: talk.address.clone(),
                    masters,
                });
            }
            ("standalone", Layout::Cluster) => {
                return Err(ExamineError::NoCluster {
                    address: talk.address.clone(),
                });
            }
            ("cluster", Layout::Single) => notes.push(Note::ClusterServer),
            _ => {}
        }
        if hello.role == "replica" && self.server.layout != Layout::Cluster {
            let master = route::master_of(talk).await;
            return Err(ExamineError::Replica {
                address: talk.address.clone(),
                master,
            });
        }
        match self.server.layout {
            Layout::Single => {}
            Layout::Sentinel { .. } => drop(self.may(talk, &["ROLE"]).await?),
            Layout::Cluster => {
                let slots = self.may(talk, &["CLUSTER", "SLOTS"]).await?;
                let info = self.may(talk, &["CLUSTER", "INFO"]).await?;
                let state = info.text().and_then(|info| {
                    info.lines()
                        .find_map(|line| line.strip_prefix("cluster_state:"))
                });
                if state.is_some_and(|state| state != "ok") {
                    return Err(ExamineError::ClusterDown {
                        address: talk.address.clone(),
                    });
                }
                route::all_announced(self.server, &talk.address, &slots).await?;
            }
        }
        Ok(())
    }

    /// A connection that hears the channel, and one that speaks, to the same server: in a Cluster, the one that has the
    /// channel's slot.
    async fn subscribe(&mut self, mut mouth: Talk) -> Result<(Talk, Talk), ExamineError> {
        let command = if self.server.layout == Layout::Cluster {
            "SSUBSCRIBE"
        } else {
            "SUBSCRIBE"
        };
        let channel = self.channel.clone();
        for _ in 0..MOVES {
            let mut ear = route::enter(self.server, &route::host(&mouth.address)).await?;
            match self.may(&mut ear, &[command, &channel]).await? {
                Reply::Refusal(moved) => {
                    let to = moved.rsplit(' ').next().unwrap_or_default();
                    mouth = route::enter(self.server, &route::host(to)).await?;
                }
                _ => return Ok((ear, mouth)),
            }
        }
        Err(ExamineError::ClusterDown {
            address: mouth.address,
        })
    }
}
