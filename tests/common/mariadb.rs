//! A MariaDB server of the test's own, with Seafile's group table.

use std::process::Command;

use tempfile::TempDir;
use tokio::net::UnixStream;

use super::eventually;
use super::ports::free_port;
use super::process::{self, Process, need};

/// A running server.
pub struct MariaDb {
    process: Process,
    folder: TempDir,
    port: u16,
}

/// Group 7 with two members, as the conversations expect it.
pub const GROUP_SEVEN: &str = "
    CREATE DATABASE ccnet_db CHARACTER SET utf8mb4;
    CREATE TABLE ccnet_db.GroupUser (id INT AUTO_INCREMENT PRIMARY KEY, group_id INT, user_name VARCHAR(255), is_staff TINYINT);
    INSERT INTO ccnet_db.GroupUser (group_id, user_name, is_staff) VALUES (7, 'a@x', 0), (7, 'b@x', 0);
    CREATE USER 'seafile'@'127.0.0.1' IDENTIFIED BY 'database-secret';
    CREATE USER 'seafile'@'localhost' IDENTIFIED BY 'database-secret';
    GRANT SELECT ON ccnet_db.* TO 'seafile'@'127.0.0.1';
    GRANT SELECT ON ccnet_db.* TO 'seafile'@'localhost';
";

impl MariaDb {
    /// A server with [`GROUP_SEVEN`].
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("foghorn-mariadb")
            .tempdir()
            .expect("a temporary folder");
        let data = folder.path().join("data");
        let mut install = Command::new(need("mariadb-install-db", "mariadb-server-core"));
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--user=root",
        ]);
        // A starting server clears its folder for temporary files of what looks like its own: never share one.
        install
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--tmpdir={}", folder.path().display()));
        process::run("mariadb-install-db", install);
        let port = free_port();
        let process = Self::spawn(&folder, port);
        let mut server = Self {
            process,
            folder,
            port,
        };
        server.up().await;
        server.sql(GROUP_SEVEN);
        server
    }

    fn spawn(folder: &TempDir, port: u16) -> Process {
        let at = folder.path().display();
        let mut command = process::command(&need("mariadbd", "mariadb-server-core"));
        command.args([
            "--no-defaults",
            "--user=root",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
        ]);
        command.args([
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=2",
        ]);
        command
            .arg(format!("--datadir={at}/data"))
            .arg(format!("--socket={at}/socket"))
            .arg(format!("--port={port}"));
        command
            .arg(format!("--pid-file={at}/pid"))
            .arg(format!("--tmpdir={at}"));
        Process::start("mariadbd", command, &folder.path().join("output"))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub fn socket(&self) -> String {
        format!("{}/socket", self.folder.path().display())
    }

    /// What a node needs to know of it.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        self.env_through(self.port)
    }

    /// The same for a node that reaches it through `port`.
    pub fn env_through(&self, port: u16) -> Vec<(&'static str, String)> {
        vec![
            ("SEAFILE_MYSQL_DB_HOST", "127.0.0.1".to_owned()),
            ("SEAFILE_MYSQL_DB_PORT", port.to_string()),
            ("SEAFILE_MYSQL_DB_USER", "seafile".to_owned()),
            ("SEAFILE_MYSQL_DB_PASSWORD", "database-secret".to_owned()),
            ("SEAFILE_MYSQL_DB_CCNET_DB_NAME", "ccnet_db".to_owned()),
        ]
    }

    /// Runs statements as the server's root; gives what they print.
    pub fn sql(&self, statements: &str) -> String {
        let mut client = Command::new(need("mariadb", "mariadb-client-core"));
        client.args([
            "--no-defaults",
            "--batch",
            "--skip-column-names",
            "-u",
            "root",
            "-S",
            &self.socket(),
        ]);
        client.args(["-e", statements]);
        process::run("mariadb", client)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again, with its data, on the same port.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = Self::spawn(&self.folder, self.port);
        self.up().await;
    }

    /// Waits until it can be reached both ways. It opens its port first, and then its Unix socket.
    async fn up(&mut self) {
        self.process.listening(self.port).await;
        let socket = self.socket();
        let process = &mut self.process;
        eventually("the database's socket", || {
            process.must_run();
            let connecting = UnixStream::connect(socket.clone());
            async move { connecting.await.ok().map(drop) }
        })
        .await;
    }
}
