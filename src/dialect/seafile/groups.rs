//! Who is in a group: the `GroupUser` table of Seafile's ccnet database (MySQL or MariaDB).
//!
//! Invariant: one look-up at a time for each group, however many ask; an answer is at most a few seconds old; nothing
//! here waits without an end. A look-up tries once: whoever holds an event decides how long to try again.

mod login;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Pool, Row};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::group_cache::{Cache, MemberList};
use crate::drain::Tasks;
use crate::fault::quoted;
pub use login::{Config, Tls};
use login::{MAX_CONNECTIONS, options};
use standing::Standing;

/// How often the database is looked at while it is well.
const LOOK_EVERY: Duration = Duration::from_secs(120);
/// The same while it is not.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A group that does not exist: Seafile's ids begin at 1.
const NOBODYS: i64 = -2;
/// How long one look-up may take, connecting included.
const ONE_TRY: Duration = Duration::from_secs(12);

/// Why a group's members are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum GroupError {
    /// No connection.
    #[error("cannot connect to the ccnet database: {}", quoted(.0))]
    Connect(String),
    /// The database refused the query.
    #[error("the ccnet database refused the query for group members: {}", quoted(.0))]
    Query(String),
    /// No answer in time.
    #[error("the ccnet database did not answer within {} s", ONE_TRY.as_secs())]
    Timeout,
    /// The node is ending.
    #[error("the node is ending")]
    Stopped,
}

impl GroupError {
    /// For metrics.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

type Found = Result<MemberList, GroupError>;

/// Looks group members up. Clones share connections and memory.
#[derive(Clone)]
pub struct Groups(Arc<Inner>);

struct Inner {
    /// How to connect, and the connections that were made so.
    login: Mutex<(Config, Pool)>,
    tasks: Tasks,
    standing: Standing,
    cache: Mutex<Cache<watch::Receiver<Option<Found>>>>,
}

impl Groups {
    /// Makes ready to look up; connects when first asked. Must be called within the runtime.
    pub fn new(config: &Config, tasks: Tasks) -> Self {
        let login = Mutex::new((config.clone(), Pool::new(options(config))));
        let Config {
            user,
            host,
            port,
            database,
            ..
        } = config;
        let standing = Standing::new(format!("{user}@{host}:{port}/{database}"));
        Self(Arc::new(Inner {
            login,
            tasks,
            standing,
            cache: Mutex::default(),
        }))
    }

    /// Connects with this password from now on. Look-ups under way end as they began. Must be called within the runtime.
    pub(super) fn log_in_with(&self, password: &str) {
        let mut login = self.0.login.lock();
        if login.0.password != password {
            let config = Config {
                password: password.to_owned(),
                ..login.0.clone()
            };
            let pool = Pool::new(options(&config));
            *login = (config, pool);
        }
    }

    /// Looks whether members can be looked up, at once and then now and then, until the tasks are stopped.
    pub fn watch(&self) {
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn("group-database", async move {
            loop {
                let seen = inner.try_out().await;
                inner.standing.saw(seen.as_ref().map(drop));
                let pause = if seen.is_ok() { LOOK_EVERY } else { LOOK_AGAIN };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = inner.tasks.stopped() => return,
                }
            }
        });
    }

    /// Whether members can be looked up, as far as is known, in words.
    pub fn standing(&self) -> String {
        self.0.standing.words()
    }

    /// The members, if they were looked up a few seconds ago at most.
    pub fn cached(&self, group: i64) -> Option<MemberList> {
        let found = self.0.cache.lock().fresh(group, Instant::now())?;
        count("cached");
        Some(found)
    }

    /// The members of `group`, none if there is no such group: from memory, from a look-up under way, or from a new one.
    ///
    /// # Errors
    /// What went wrong with the one try, after 12 s at most.
    pub async fn members(&self, group: i64) -> Found {
        if let Some(found) = self.cached(group) {
            return Ok(found);
        }
        let mut answer = self.join_or_start(group);
        answer
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|found| found.clone())
            .unwrap_or(Err(GroupError::Stopped))
    }

    fn join_or_start(&self, group: i64) -> watch::Receiver<Option<Found>> {
        let mut cache = self.0.cache.lock();
        // A closed one belongs to a task that was cut off.
        if let Some(running) = cache
            .running
            .get(&group)
            .filter(|running| running.has_changed().is_ok())
        {
            return running.clone();
        }
        let (done, answer) = watch::channel(None);
        cache.running.insert(group, answer.clone());
        let inner = Arc::clone(&self.0);
        // A task of its own: whoever gives up waiting must not cut a query off, since that spoils its connection.
        self.0.tasks.spawn("group-lookup", async move {
            let found = inner.look_up(group).await;
            inner.standing.saw(found.as_ref().map(drop));
            count(found.as_ref().map_or_else(GroupError::label, |_| "ok"));
            inner
                .cache
                .lock()
                .finished(group, found.as_ref().ok(), Instant::now());
            // Nobody may be waiting any more.
            let _ = done.send(Some(found));
        });
        answer
    }
}

impl Inner {
    /// A look-up of a group that nobody is in: whether it can be done at all.
    async fn try_out(&self) -> Result<(), GroupError> {
        tokio::select! {
            found = self.look_up(NOBODYS) => found.map(drop),
            () = self.tasks.stopped() => Err(GroupError::Stopped),
        }
    }

    async fn look_up(&self, group: i64) -> Found {
        let deadline = Instant::now() + ONE_TRY;
        let mut stale = 0;
        let pool = self.login.lock().1.clone();
        loop {
            let mut conn = match timeout_at(deadline, pool.get_conn()).await {
                Ok(conn) => conn.map_err(|error| GroupError::Connect(error.to_string()))?,
                Err(_) => return Err(GroupError::Timeout),
            };
            let error = match timeout_at(deadline, query(&mut conn, group)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(mysql_async::Error::Server(error))) => {
                    return Err(GroupError::Query(error.to_string()));
                }
                Ok(Err(error)) => GroupError::Query(error.to_string()),
                Err(_) => GroupError::Timeout,
            };
            // It may still be busy with the query: closed, never used again. It closes without waiting.
            let _ = timeout_at(Instant::now() + Duration::from_secs(1), conn.disconnect()).await;
            stale += 1;
            if error == GroupError::Timeout || stale > MAX_CONNECTIONS {
                return Err(error);
            }
            // The database may have been restarted, and the pool full of connections to what it was.
        }
    }
}

/// Looks whether members could be looked up at all: the number of rows in the table, over a connection of its own.
///
/// # Errors
/// What went wrong, after 12 s at most.
pub async fn examine(config: &Config) -> Result<u64, GroupError> {
    let look = async {
        let connected = Conn::new(options(config)).await;
        let mut conn = connected.map_err(|error| GroupError::Connect(error.to_string()))?;
        let counted = conn
            .query_first("SELECT COUNT(group_id) FROM GroupUser WHERE user_name IS NOT NULL")
            .await;
        let rows = counted.map_err(|error| GroupError::Query(error.to_string()))?;
        // It has said what was asked; how it says goodbye does not matter.
        let _ = conn.disconnect().await;
        Ok(rows.unwrap_or(0))
    };
    timeout_at(Instant::now() + ONE_TRY, look)
        .await
        .unwrap_or(Err(GroupError::Timeout))
}

async fn query(conn: &mut Conn, group: i64) -> Result<MemberList, mysql_async::Error> {
    let rows: Vec<Row> = conn
        .exec(
            "SELECT user_name FROM GroupUser WHERE group_id = ?",
            (group,),
        )
        .await?;
    let name = |mut row: Row| row.take_opt::<Option<String>, _>(0)?.ok()?;
    let mut members: Vec<Arc<str>> = rows.into_iter().filter_map(name).map(Arc::from).collect();
    members.sort_unstable();
    members.dedup();
    Ok(members.into())
}

fn count(result: &'static str) {
    ::metrics::counter!(super::figures::GROUP_LOOKUPS, "result" => result).increment(1);
}
