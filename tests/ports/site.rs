//! A dialect that has ports to itself, and a node that runs it in this process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Version;
use axum::routing::{get, post};
use foghorn::app::{self, Running};
use foghorn::config::{Config, Sources, load, parse};
use foghorn::dialect::{Certificate, Descriptor, Dialect, Port};
use foghorn::ops::recorder::Recorder;
use futures_util::stream;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

foghorn::settings! {
    "Ticker" {
        PLAIN: SocketAddr = "FOGHORN_TICKER_ADDR"
            "127.0.0.1:0", parse::address, "an IP address and a port",
            "Where it answers in clear text.";
        ENCRYPTED: SocketAddr = "FOGHORN_TICKER_TLS_ADDR"
            "127.0.0.1:0", parse::address, "an IP address and a port",
            "Where it answers over TLS, if there is a certificate.";
        CERT: PathBuf = "FOGHORN_TICKER_TLS_CERT"
            "", parse::file, "a PEM file that exists",
            "Its certificate.";
        KEY: PathBuf = "FOGHORN_TICKER_TLS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its private key.";
    }
}

/// Says which version of HTTP it was asked by, counts for as long as somebody reads, and measures bodies.
pub static TICKER: Descriptor = Descriptor {
    name: "ticker",
    about: "counts",
    settings: TABLE,
    predecessor: None,
    check: |_, _| {},
    metrics: &[],
    ports: |values| {
        let port = |name, setting, address: SocketAddr, tls| Port {
            name,
            setting,
            host: address.ip().to_string(),
            port: address.port(),
            tls,
        };
        let mut ports = vec![port("plain", PLAIN.row.name, values.get(&PLAIN), None)];
        if let Some(pair) = values.optional(&CERT).zip(values.optional(&KEY)) {
            ports.push(port(
                "encrypted",
                ENCRYPTED.row.name,
                values.get(&ENCRYPTED),
                Some(Certificate::Files(pair.0, pair.1)),
            ));
        }
        ports
    },
    start: |_, _| Ok(Arc::new(Ticker)),
};

struct Ticker;

impl Dialect for Ticker {
    fn name(&self) -> &'static str {
        TICKER.name
    }

    fn router(self: Arc<Self>, port: &'static str) -> Router {
        Router::new()
            .route(
                "/version",
                get(async move |version: Version| format!("{port} {version:?}\n")),
            )
            .route("/ticks", get(async || Body::from_stream(ticks())))
            .route("/length", post(async |body: Bytes| body.len().to_string()))
    }
}

fn ticks() -> impl futures_util::Stream<Item = Result<String, Infallible>> {
    stream::unfold(0_u64, async |n| {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Some((Ok(format!("{n}\n")), n + 1))
    })
}

/// A node with that dialect, and the folder that its certificate lies in.
pub struct Site {
    pub running: Running,
    pub folder: TempDir,
}

fn recorder() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER
        .get_or_init(|| Recorder::install(&[&TICKER]).expect("the first"))
        .clone()
}

/// The configuration of such a node.
pub fn config(folder: &Path, settings: &[(&str, &str)]) -> Config {
    let mut env = vec![
        (
            "JWT_PRIVATE_KEY",
            "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A".to_owned(),
        ),
        ("NOTIFICATION_SERVER_HOST", "127.0.0.1".to_owned()),
        ("NOTIFICATION_SERVER_PORT", "0".to_owned()),
        ("FOGHORN_OPS_ADDR", "127.0.0.1:0".to_owned()),
        ("FOGHORN_DIALECTS", "seafile,ticker".to_owned()),
        (
            "FOGHORN_TICKER_TLS_CERT",
            folder.join("cert.pem").display().to_string(),
        ),
        (
            "FOGHORN_TICKER_TLS_KEY",
            folder.join("key.pem").display().to_string(),
        ),
    ];
    env.extend(
        settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let mut sources = Sources {
        env: env.into_iter().map(|(n, v)| (n.into(), v.into())).collect(),
        ..Sources::default()
    };
    sources.dialects.push(&TICKER);
    load(&sources).into_config().expect("a configuration")
}

impl Site {
    /// Starts it with these settings beside.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        certify(folder.path());
        let running = app::start(&config(folder.path(), settings), None, recorder())
            .await
            .expect("a node");
        Self { running, folder }
    }

    /// The address of one of its ports.
    pub fn at(&self, name: &str) -> SocketAddr {
        let port = self.running.ports.iter().find(|port| port.name == name);
        port.unwrap_or_else(|| panic!("no port {name}")).address
    }

    /// A counter of this process, summed up over labels that have `label` in them.
    pub fn counted(&self, name: &str, label: &str) -> f64 {
        let page = recorder().render();
        let of = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        };
        page.lines()
            .filter(of)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

/// Puts a new certificate and its key into `folder`. Returns the certificate, as DER.
pub fn certify(folder: &Path) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .expect("names")
        .self_signed(&key)
        .expect("a certificate");
    // Each is there as a whole or not at all, as whoever renews certificates does it.
    for (name, text) in [
        ("key.pem", key.serialize_pem()),
        ("cert.pem", certificate.pem()),
    ] {
        std::fs::write(folder.join("new"), text).expect("written");
        std::fs::rename(folder.join("new"), folder.join(name)).expect("renamed");
    }
    certificate.der().to_vec()
}
