//! Promise: a group's members come from a real MariaDB, over TCP, TLS or a socket; while it is slow or down an event
//! keeps its place in its library's order, and only the group's own events can be lost.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foghorn::broker::Receipt;
use foghorn::dialect::seafile::groups::{Config, GroupError, Groups, Tls};
use foghorn::dialect::seafile::sequencer::{Accepted, Limits, Sequencer};
use foghorn::drain::Tasks;
use foghorn::event::{Channel, Event, Recipients};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use parking_lot::Mutex;

const SETUP: &str = "
    CREATE DATABASE ccnet;
    CREATE TABLE ccnet.GroupUser (id INT AUTO_INCREMENT PRIMARY KEY, group_id INT, user_name VARCHAR(255), is_staff TINYINT);
    INSERT INTO ccnet.GroupUser (group_id, user_name, is_staff) VALUES (7, 'a@x', 0), (7, 'b@x', 0), (7, NULL, 0), (8, 'é@x', 1);
    CREATE USER 'seafile'@'%' IDENTIFIED BY 'it''s secret';
    GRANT SELECT ON ccnet.* TO 'seafile'@'%';
    CREATE USER 'encrypted'@'%' IDENTIFIED BY 'it''s secret' REQUIRE SSL;
    GRANT SELECT ON ccnet.* TO 'encrypted'@'%';
";

/// A database server of our own; ends with the test.
struct MariaDb {
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

impl MariaDb {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = common::ports::free_port();
        let installed = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--user=root",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .arg(format!(
                "--datadir={}",
                folder.path().join("data").display()
            ))
            // A starting server clears its folder for temporary files of what looks like its own: never share one.
            .arg(format!("--tmpdir={}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db, of Debian's mariadb-server");
        assert!(installed.success());
        certificates(folder.path());
        let mut database = Self {
            folder,
            port,
            server: None,
        };
        database.up().await;
        let mut root = database.root().await;
        for statement in SETUP.split(';').filter(|text| !text.trim().is_empty()) {
            root.query_drop(statement)
                .await
                .expect("the set-up to work");
        }
        database
    }

    async fn up(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let server = Command::new("mariadbd")
            .args([
                "--no-defaults",
                "--user=root",
                "--bind-address=127.0.0.1",
                "--innodb-flush-method=fsync",
            ])
            .arg(format!("--datadir={}", path("data")))
            .arg(format!("--socket={}", path("sock")))
            .arg(format!("--pid-file={}", path("pid")))
            .arg(format!("--tmpdir={}", self.folder.path().display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--ssl-ca={}", path("ca.pem")))
            .arg(format!("--ssl-cert={}", path("server.pem")))
            .arg(format!("--ssl-key={}", path("server.key")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd, of Debian's mariadb-server");
        self.server = Some(server);
        let began = Instant::now();
        while Conn::new(self.root_options()).await.is_err() {
            assert!(
                began.elapsed() < common::PATIENCE,
                "mariadbd does not come up"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn root_options(&self) -> OptsBuilder {
        OptsBuilder::default()
            .socket(Some(self.folder.path().join("sock").display().to_string()))
            .user(Some("root"))
    }

    async fn root(&self) -> Conn {
        Conn::new(self.root_options())
            .await
            .expect("root to get in")
    }

    fn config(&self) -> Config {
        Config {
            host: "127.0.0.1".into(),
            port: self.port,
            user: "seafile".into(),
            password: "it's secret".into(),
            database: "ccnet".into(),
            tls: Tls::Off,
            ca: None,
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.down();
    }
}

/// An authority, and a certificate of its for 127.0.0.1 and localhost.
fn certificates(folder: &Path) {
    let openssl = |args: &str| {
        let done = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(folder)
            .stderr(Stdio::null())
            .status();
        assert!(done.expect("openssl").success(), "openssl {args}");
    };
    let key = "-newkey rsa:2048 -nodes -days 2";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Authority"
    ));
    openssl(
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost")
            .replace(" -days 2", ""),
    );
    std::fs::write(
        folder.join("ext"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
    )
    .expect("a file");
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
    );
}

/// An order over the database, and what it published: the text, and how many it is for.
fn order(
    config: &Config,
    patience: Duration,
    tasks: &Tasks,
) -> (Sequencer, Arc<Mutex<Vec<String>>>) {
    let published = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&published);
    let publish = move |event: Event| {
        let to = match &event.recipients {
            Recipients::All => "all".to_owned(),
            Recipients::Users(users) => users.join(","),
        };
        let text = if event.is_loss() {
            "a loss".into()
        } else {
            String::from_utf8_lossy(&event.data)
        };
        seen.lock().push(format!("{text} to {to}"));
        Receipt::pending().1
    };
    let groups = Arc::new(Groups::new(config, tasks.clone()));
    // What stands behind waits as long: here it is the order that counts.
    let limits = Limits {
        patience,
        hold: patience,
        ..Limits::default()
    };
    (
        Sequencer::new(publish, Some(groups), limits, tasks.clone()),
        published,
    )
}

fn event(text: &'static str) -> Event {
    Event::new(Channel::new("repo", "r"), "news", text)
}

async fn wait_for(published: &Mutex<Vec<String>>, count: usize) -> Vec<String> {
    let began = Instant::now();
    while published.lock().len() < count {
        assert!(
            began.elapsed() < common::PATIENCE,
            "published so far: {:?}",
            published.lock()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    published.lock().clone()
}

/// Longer than a test waits for anything, a server's start among it.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
#[ignore = "needs mariadb"]
async fn members_over_tcp_tls_and_a_socket() {
    let database = MariaDb::start().await;
    let tasks = Tasks::new();
    let plain = database.config();
    let socket = Config {
        host: database.folder.path().join("sock").display().to_string(),
        ..plain.clone()
    };
    let ca = Some(database.folder.path().join("ca.pem"));
    // The server lets this one in over TLS only.
    let unencrypted = Config {
        user: "encrypted".into(),
        ..plain.clone()
    };
    let encrypted = Config {
        tls: Tls::On,
        ..unencrypted.clone()
    };
    let verified = Config {
        tls: Tls::Verify,
        ca,
        ..unencrypted.clone()
    };
    let by_name = Config {
        host: "localhost".into(),
        ..verified.clone()
    };
    for config in [&plain, &socket, &encrypted, &verified, &by_name] {
        let groups = Groups::new(config, tasks.clone());
        let asked = (0..20).map(|_| groups.members(7));
        for members in futures_util::future::join_all(asked).await {
            let members = members.expect("members");
            assert_eq!(
                members.iter().map(|name| &**name).collect::<Vec<_>>(),
                ["a@x", "b@x"]
            );
        }
        assert!(groups.cached(7).is_some() && groups.cached(8).is_none());
        assert_eq!(groups.members(8).await.expect("members").join(","), "é@x");
        for nobody in [0, 999, -2, i64::MAX] {
            assert!(groups.members(nobody).await.expect("no members").is_empty());
        }
    }
    let refused = |config: Config| {
        let groups = Groups::new(&config, tasks.clone());
        async move { groups.members(7).await.expect_err("a refusal") }
    };
    let untrusted = Config {
        tls: Tls::Verify,
        ..plain.clone()
    };
    assert_eq!(refused(untrusted).await.label(), "connect");
    assert_eq!(refused(unencrypted).await.label(), "connect");
    assert_eq!(
        refused(Config {
            password: "wrong".into(),
            ..plain.clone()
        })
        .await
        .label(),
        "connect"
    );
    assert_eq!(
        refused(Config {
            database: "nowhere".into(),
            ..plain.clone()
        })
        .await
        .label(),
        "connect"
    );
    assert_eq!(
        refused(Config {
            port: 1,
            ..plain.clone()
        })
        .await
        .label(),
        "connect"
    );
    let mut root = database.root().await;
    root.query_drop("RENAME TABLE ccnet.GroupUser TO ccnet.Other")
        .await
        .expect("renaming");
    assert_eq!(refused(plain).await.label(), "query");
}

#[tokio::test]
#[ignore = "needs mariadb"]
async fn a_slow_database_delays_a_library_and_keeps_its_order() {
    let database = MariaDb::start().await;
    let tasks = Tasks::new();
    let (order, published) = order(&database.config(), LONG, &tasks);
    let mut root = database.root().await;
    root.query_drop("LOCK TABLES ccnet.GroupUser WRITE")
        .await
        .expect("locking");
    assert!(matches!(
        order.accept_for_group(event("1"), 7),
        Accepted::Waiting
    ));
    assert!(matches!(order.accept(event("2")), Accepted::Waiting));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(published.lock().is_empty());
    root.query_drop("UNLOCK TABLES").await.expect("unlocking");
    assert_eq!(wait_for(&published, 2).await, ["1 to a@x,b@x", "2 to all"]);
    // Now that they are known, the next one need not wait.
    assert!(matches!(
        order.accept_for_group(event("3"), 7),
        Accepted::Published(_)
    ));
}

#[tokio::test]
#[ignore = "needs mariadb"]
async fn a_query_without_an_answer_ends_and_spoils_nothing() {
    let database = MariaDb::start().await;
    let groups = Groups::new(&database.config(), Tasks::new());
    let mut root = database.root().await;
    root.query_drop("LOCK TABLES ccnet.GroupUser WRITE")
        .await
        .expect("locking");
    let answers = futures_util::future::join_all((0..20).map(|group| groups.members(group))).await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Err(GroupError::Timeout)),
        "{answers:?}"
    );
    root.query_drop("UNLOCK TABLES").await.expect("unlocking");
    for group in 0..20 {
        let expected = if group == 7 {
            2
        } else {
            usize::from(group == 8)
        };
        assert_eq!(
            groups.members(group).await.expect("members").len(),
            expected
        );
    }
}

#[tokio::test]
#[ignore = "needs mariadb"]
async fn a_database_down_and_back() {
    let mut database = MariaDb::start().await;
    let tasks = Tasks::new();
    let (patient, published) = order(&database.config(), LONG, &tasks);
    let (hasty, published_hastily) = order(&database.config(), Duration::from_secs(2), &tasks);
    // Fills the pool, so that its connections are stale afterwards.
    patient.accept_for_group(event("0"), 8);
    wait_for(&published, 1).await;
    database.down();
    for order in [&patient, &hasty] {
        assert!(matches!(
            order.accept_for_group(event("1"), 7),
            Accepted::Waiting
        ));
        assert!(matches!(order.accept(event("2")), Accepted::Waiting));
    }
    let gone_on = wait_for(&published_hastily, 2).await;
    assert_eq!(
        gone_on,
        ["a loss to all", "2 to all"],
        "it goes to nobody and is declared, what follows goes on"
    );
    assert_eq!(
        (published.lock().len(), patient.waiting(), hasty.waiting()),
        (1, 2, 0)
    );
    database.up().await;
    assert_eq!(
        wait_for(&published, 3).await[1..],
        ["1 to a@x,b@x", "2 to all"]
    );
    // Where the machine stands still for its two seconds, it gives up another one before.
    common::eventually("an event for the group's members", || async {
        let before = published_hastily.lock().len();
        hasty.accept_for_group(event("3"), 7);
        let published = wait_for(&published_hastily, before + 1).await;
        let last = published[before].as_str();
        assert!(["3 to a@x,b@x", "a loss to all"].contains(&last), "{last}");
        (last == "3 to a@x,b@x").then_some(())
    })
    .await;
    tasks.stop();
    assert!(tasks.finish(common::PATIENCE).await);
}
