//! MQTT brokers from Debian's packages, each on a free port and with nothing in it.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::common::ports::free_port;
use crate::common::process::{self, Process, need};

/// Who may log in.
const USER: &str = "guest";
/// With what password.
const PASSWORD: &str = "guest";
/// How long one may take to start: RabbitMQ takes a minute on a machine that is busy with others of its kind.
const SLOW: Duration = Duration::from_secs(180);

/// A running broker.
pub struct Broker {
    process: Process,
    /// What else has to run, and where all of it lies.
    _beside: Option<Process>,
    folder: TempDir,
    start: fn(&TempDir, u16) -> Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("foghorn-mqtt")
        .tempdir()
        .expect("a temporary folder")
}

fn encrypted(port: u16) -> String {
    format!("mqtts://{USER}:{PASSWORD}@127.0.0.1:{port}")
}

impl Broker {
    /// Mosquitto, which keeps what it has when it is asked to end.
    pub async fn mosquitto() -> Self {
        Self::mosquitto_with("").await
    }

    /// The same, with another port for TLS, with the certificate in `certificates`; its URL there.
    pub async fn mosquitto_over_tls(certificates: &Path) -> (Self, String) {
        let (port, at) = (free_port(), certificates.display());
        let more =
            format!("listener {port} 127.0.0.1\ncertfile {at}/cert.pem\nkeyfile {at}/key.pem\n");
        (Self::mosquitto_with(&more).await, encrypted(port))
    }

    /// The same, with these lines more in its configuration.
    pub async fn mosquitto_with(more: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let at = folder.path().display();
        let passwords = folder.path().join("passwords");
        let mut made = process::command(&need("mosquitto_passwd", "mosquitto"));
        made.args(["-b", "-c"])
            .arg(&passwords)
            .args([USER, PASSWORD]);
        assert!(made.status().expect("mosquitto_passwd starts").success());
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {at}/passwords\n\
             persistence true\npersistence_location {at}/\nmax_queued_messages 100000\n{more}"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config)
            .expect("the folder can be written");
        Self::start(folder, port, None, |folder, _| {
            let mut command = process::command(&need("mosquitto", "mosquitto"));
            command.arg("-c").arg(folder.path().join("mosquitto.conf"));
            Process::start("mosquitto", command, &folder.path().join("output"))
        })
        .await
    }

    /// RabbitMQ with its MQTT plugin.
    pub async fn rabbitmq() -> Self {
        Self::rabbitmq_with("").await
    }

    /// The same, with another port for TLS, with the certificate in `certificates`; its URL there.
    pub async fn rabbitmq_over_tls(certificates: &Path) -> (Self, String) {
        let (port, at) = (free_port(), certificates.display());
        let more = format!(
            "mqtt.listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.certfile = {at}/cert.pem\n\
             ssl_options.keyfile = {at}/key.pem\nssl_options.cacertfile = {at}/ca.pem\n"
        );
        (Self::rabbitmq_with(&more).await, encrypted(port))
    }

    async fn rabbitmq_with(more: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let names = free_port();
        let config = format!(
            "listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = false\nlog.console = true\n{more}"
        );
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("it can be written")
        };
        write("rabbitmq.conf", &config);
        write("plugins", "[rabbitmq_mqtt].\n");
        write("names", &names.to_string());
        // It would start this by itself, and leave it behind.
        let mut epmd = process::command(&need("epmd", "erlang-base"));
        epmd.args(["-port", &names.to_string(), "-address", "127.0.0.1"]);
        let mut beside = Process::start("epmd", epmd, &folder.path().join("epmd"));
        beside.listening(names).await;
        Self::start(folder, port, Some(beside), |folder, port| {
            let path = |name: &str| folder.path().join(name);
            let names = std::fs::read_to_string(path("names")).expect("it was written");
            let mut command = process::command("/usr/lib/rabbitmq/bin/rabbitmq-server".as_ref());
            command
                .env("HOME", folder.path())
                .env("RABBITMQ_NODENAME", format!("mqtt{port}@localhost"))
                .env("RABBITMQ_MNESIA_BASE", path("data"))
                .env("RABBITMQ_LOG_BASE", path("log"))
                .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
                .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
                .env("RABBITMQ_DIST_PORT", free_port().to_string())
                .env("ERL_EPMD_PORT", names)
                .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none")
                // Else a shell stands between, which a signal would end instead.
                .env("RABBITMQ_ALLOW_INPUT", "1")
                .arg("-noinput");
            Process::start("rabbitmq-server", command, &path("output"))
        })
        .await
    }

    async fn start(
        folder: TempDir,
        port: u16,
        beside: Option<Process>,
        start: fn(&TempDir, u16) -> Process,
    ) -> Self {
        let mut process = start(&folder, port);
        process.listening_within(port, SLOW).await;
        Self {
            process,
            _beside: beside,
            folder,
            start,
            port,
        }
    }

    /// Its URL, with the login.
    pub fn url(&self) -> String {
        format!("mqtt://{USER}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Tells RabbitMQ something, as its administrator.
    pub fn rabbitmqctl(&self, words: &[&str]) {
        let names = std::fs::read_to_string(self.folder.path().join("names"));
        let mut command = process::command("/usr/lib/rabbitmq/bin/rabbitmqctl".as_ref());
        command
            .env("HOME", self.folder.path())
            .env("RABBITMQ_NODENAME", format!("mqtt{}@localhost", self.port))
            .env("ERL_EPMD_PORT", names.expect("it was written"))
            .args(words);
        let done = command.output().expect("it starts");
        assert!(
            done.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Asks it to end, and starts it again with what it kept.
    pub async fn restart(&mut self) {
        self.process.signal("TERM");
        self.process.end().await;
        self.process = (self.start)(&self.folder, self.port);
        self.process.listening_within(self.port, SLOW).await;
    }

    /// Kills it, takes away what it kept, and starts it again.
    pub async fn restart_empty(&mut self) {
        self.process.kill();
        for kept in ["mosquitto.db", "data"] {
            let path = self.folder.path().join(kept);
            // Only one of them is there.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
        }
        self.process = (self.start)(&self.folder, self.port);
        self.process.listening_within(self.port, SLOW).await;
    }

    /// What a tool needs to publish there.
    pub fn arguments(&self) -> Vec<String> {
        let broker = format!("127.0.0.1:{}", self.port);
        ["--broker", &broker, "--user", USER, "--password", PASSWORD]
            .map(str::to_owned)
            .to_vec()
    }
}
