//! Nodes that speak Centrifugo's protocol, with a configuration as v1 reads it, and one way in to several of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::common::http::{self, Answer};
use crate::common::node::{Node, Plan};
use crate::common::socket::{Handshake, Socket, TEXT};

/// The secret that everything is signed with.
pub const SECRET: &str = "secret";

/// A plan with this configuration.
pub fn plan(plan: Plan, config: &Value) -> Plan {
    let file = plan.folder().join("config.json");
    std::fs::write(&file, config.to_string()).expect("the folder can be written");
    plan.env("FOGHORN_DIALECTS", "centrifugo")
        .env("FOGHORN_CENTRIFUGO_CONFIG", file.to_str().expect("a path"))
}

/// A node with this configuration.
pub async fn node(config: &Value) -> Node {
    plan(Plan::new(), config).start().await
}

/// HMAC-SHA256 under the secret, in hex.
pub fn sign(text: &str) -> String {
    sign_with(SECRET, text)
}

/// The same under another secret.
pub fn sign_with(secret: &str, text: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let sign = jsonwebtoken::crypto::sign(text.as_bytes(), &key, jsonwebtoken::Algorithm::HS256)
        .expect("a sign");
    URL_SAFE_NO_PAD
        .decode(sign)
        .expect("base64")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Posts a signed command to a node's API.
pub async fn call(port: u16, method: &str, params: Value) -> Value {
    let body = json!({"method": method, "params": params}).to_string();
    let answer = post(port, &body, &sign(&body)).await.expect(200);
    serde_json::from_str::<Value>(&answer.body).expect("JSON")[0].take()
}

/// Posts a body to a node's API.
pub async fn post(port: u16, body: &str, sign: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("X-API-Sign", sign)];
    http::try_request(port, "POST", "/api/", &headers, Some(body.as_bytes()))
        .await
        .expect("an answer")
}

/// A client's WebSocket.
pub struct Page(Socket);

impl Page {
    /// One that has not said anything.
    pub async fn open(port: u16) -> Self {
        Self(
            Handshake::new(port)
                .path("/connection/websocket")
                .open()
                .await,
        )
    }

    /// One that is connected as `user`, whatever proof that takes: the node must be insecure.
    pub async fn connect(port: u16, user: &str) -> Self {
        let mut page = Self::open(port).await;
        page.ask("connect", json!({"user": user})).await;
        page
    }

    /// Says a command.
    pub async fn say(&mut self, method: &str, params: Value) {
        let text = json!({"uid": "1", "method": method, "params": params}).to_string();
        self.0.send(TEXT, text.as_bytes()).await;
    }

    /// Says several commands in one message.
    pub async fn say_all(&mut self, commands: &[Value]) {
        self.0
            .send(TEXT, json!(commands).to_string().as_bytes())
            .await;
    }

    /// Says a command; its answer's body, whatever messages come before it.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.say(method, params).await;
        loop {
            let mut said = self.next().await.expect("an answer");
            if said.get("uid").is_some() {
                assert_eq!(said.get("error"), None, "{said}");
                return said["body"].take();
            }
        }
    }

    /// The next message; `Err`: the connection ends, with this reason.
    pub async fn next(&mut self) -> Result<Value, String> {
        loop {
            let Some(frame) = self.0.frame().await else {
                return Err(String::new());
            };
            match frame.opcode {
                TEXT => return Ok(serde_json::from_str(&frame.text()).expect("JSON")),
                8 => {
                    return Err(String::from_utf8_lossy(
                        frame.payload.get(2..).unwrap_or_default(),
                    )
                    .into_owned());
                }
                _ => {}
            }
        }
    }
}

/// A port whose connections go to several nodes, one after another.
pub async fn alternating(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let turn = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let to = ports[turn.fetch_add(1, Ordering::Relaxed) % ports.len()];
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.expect("a node");
                // However it ends, both ends are gone then.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}
