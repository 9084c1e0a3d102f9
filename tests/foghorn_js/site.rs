//! A node that serves inboxes in both ways, in clear text or over TLS, and what lies in front of it.

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use crate::common::node::{Node, Plan};
use crate::common::ports::free_port;
use crate::common::process::{command, need};
use crate::common::token;
use crate::relay::Relay;

/// The key of tokens.
const KEY: &str = "testkey-testkey-testkey-testkey-00";
/// Whose inbox it is.
const USER: u64 = 7;

/// A node whose inboxes are reached through relays.
pub struct Site {
    pub node: Node,
    pub streams: Relay,
    pub sockets: Relay,
    pub ports: Ports,
}

/// Where a node's inboxes are.
#[derive(Clone, Copy)]
pub struct Ports {
    pub streams: u16,
    pub sockets: u16,
    pub secure: bool,
}

impl Site {
    /// Starts a node; `secure`: over TLS, and event streams so over HTTP/2.
    pub async fn start(secure: bool, settings: &[(&str, &str)]) -> Self {
        let (node, ports) = node(Plan::new(), secure, settings).await;
        let (streams, sockets) = (
            Relay::to(ports.streams).await,
            Relay::to(ports.sockets).await,
        );
        Self {
            node,
            streams,
            sockets,
            ports,
        }
    }

    /// A snippet of the page with this site in it.
    pub fn fill(&self, snippet: &str) -> String {
        let claims = json!({"sub": USER, "exp": token::now() + 300});
        let socket = format!("ws{}://127.0.0.1:{}", self.s(), self.sockets.port);
        let snippet = snippet.replace("wss://push.example.com", &socket);
        let token = token::sign(KEY, jsonwebtoken::Algorithm::HS256, &claims);
        snippet
            .replace("https://push.example.com", &self.origin())
            .replace("TOKEN", &token)
    }

    /// Where its pages are.
    pub fn origin(&self) -> String {
        format!("http{}://127.0.0.1:{}", self.s(), self.streams.port)
    }

    fn s(&self) -> &'static str {
        if self.ports.secure { "s" } else { "" }
    }

    /// Posts, past the relays.
    pub fn post(&self, data: &str) {
        self.ports.post(data);
    }
}

impl Ports {
    /// Posts JSON for the user.
    pub fn post(self, data: &str) {
        let s = if self.secure { "s" } else { "" };
        let mut curl = command(&need("curl", "curl"));
        curl.args(["--fail", "--silent", "--show-error", "--insecure", "--json"]);
        curl.arg(format!(r#"{{"id":"notify_{USER}","data":{data}}}"#));
        curl.arg(format!(
            "http{s}://127.0.0.1:{}/webNotification",
            self.streams
        ));
        let done = tokio::task::block_in_place(|| curl.output()).expect("curl starts");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// Starts a node from a plan.
pub async fn node(plan: Plan, secure: bool, settings: &[(&str, &str)]) -> (Node, Ports) {
    let ports = Ports {
        streams: free_port(),
        sockets: free_port(),
        secure,
    };
    let mut plan = plan
        .env("FOGHORN_DIALECTS", "inbox")
        .env("FOGHORN_SSE_ADDR", &format!("127.0.0.1:{}", ports.streams))
        .env(
            "FOGHORN_INBOX_ADDR",
            &format!("127.0.0.1:{}", ports.sockets),
        )
        .env("FOGHORN_INBOX_JWT_KEY", KEY)
        // A browser on a busy machine may take long to come back.
        .env("FOGHORN_SSE_REPLAY_SECONDS", "120")
        .env("FOGHORN_REPLAY_SECONDS", "120");
    if secure {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        for (name, text) in [("CERT", cert.pem()), ("KEY", key.serialize_pem())] {
            let file = plan.folder().join(name);
            std::fs::write(&file, text).expect("written");
            for dialect in ["SSE", "INBOX"] {
                plan = plan.env(
                    &format!("FOGHORN_{dialect}_TLS_{name}"),
                    &file.display().to_string(),
                );
            }
        }
    }
    let plan = settings
        .iter()
        .fold(plan, |plan, (name, value)| plan.env(name, value));
    (plan.start().await, ports)
}
