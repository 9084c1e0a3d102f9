//! A headless Chromium, driven over its DevTools protocol.
//!
//! Invariant: it reaches nothing but this machine, and keeps its profile in a folder of its own.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::eventually_within;
use super::process::{self, Process, need};
use super::socket::{Handshake, Socket};

/// A browser with one page.
pub struct Browser {
    socket: Socket,
    session: String,
    last_id: u64,
    complaints: Vec<String>,
    process: Process,
    _folder: TempDir,
}

/// How long it may take to start, and for a page to answer: several of them on a small machine take turns.
const SLOW: Duration = Duration::from_secs(180);

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Containers give shared memory sparingly.
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
];

impl Browser {
    /// Starts one, with an empty page.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("foghorn-browser")
            .tempdir()
            .expect("a temporary folder");
        let profile = folder.path().join("profile");
        let mut command = process::command(&need("chromium", "chromium"));
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank");
        command
            .env("HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path());
        let mut process = Process::start("chromium", command, &folder.path().join("output"));
        let (port, path) = eventually_within(SLOW, "Chromium's debugging port", || {
            process.must_run();
            // Its first line is the port, its second the path.
            let text =
                std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            let found = text
                .split_once('\n')
                .and_then(|(port, path)| Some((port.parse().ok()?, path.trim().to_owned())));
            async move { found.filter(|(_, path)| !path.is_empty()) }
        })
        .await;
        let host = format!("127.0.0.1:{port}");
        let mut socket = Handshake::new(port)
            .path(&path)
            .header("Host", &host)
            .open()
            .await;
        socket.patience = SLOW;
        let (session, complaints) = (String::new(), Vec::new());
        let mut browser = Self {
            socket,
            session,
            last_id: 0,
            complaints,
            process,
            _folder: folder,
        };
        browser.tab().await;
        browser
    }

    /// Goes on in a new, empty tab, beside those there are.
    pub async fn tab(&mut self) {
        self.session.clear();
        let target = self
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await["targetId"]
            .clone();
        let attached = self
            .call(
                "Target.attachToTarget",
                json!({"targetId": target, "flatten": true}),
            )
            .await;
        self.session = attached["sessionId"]
            .as_str()
            .expect("a session has an id")
            .to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({})).await;
        }
    }

    /// The tab in which it is, for [`Browser::go_to`].
    pub fn session(&self) -> String {
        self.session.clone()
    }

    /// Goes on in another tab. It is not brought to the front.
    pub fn go_to(&mut self, session: String) {
        self.session = session;
    }

    /// Sends a DevTools command; gives its result.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Sends a DevTools command; gives the answer, which may be an error.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send_json(&message).await;
        loop {
            self.process.must_run();
            let answer = self.socket.recv().await;
            if answer["id"] == json!(self.last_id) {
                return answer;
            }
            self.note(&answer);
        }
    }

    /// Keeps what the page complains about.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(params["exceptionDetails"].to_string())
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.complaints.push(params["entry"].to_string());
            }
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                self.complaints.push(params["args"].to_string());
            }
            _ => {}
        }
    }

    /// Uncaught exceptions, errors in the console and failed requests so far, which this forgets.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url})).await;
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")
            .await;
    }

    /// Loads the page again and waits until it is there.
    pub async fn reload(&mut self) {
        self.evaluate("window.former = true; location.reload()")
            .await;
        self.until("!window.former && document.readyState === 'complete'")
            .await;
    }

    /// The value of a JavaScript expression; promises are awaited.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        self.value(expression)
            .await
            .unwrap_or_else(|| panic!("{expression}: the page went away meanwhile"))
    }

    /// The same; nothing if the page is replaced by another one meanwhile.
    async fn value(&mut self, expression: &str) -> Option<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.ask("Runtime.evaluate", params).await;
        if answer["error"]["message"] == json!("Inspected target navigated or closed") {
            return None;
        }
        let result = &answer["result"];
        assert!(
            answer.get("error").is_none() && result.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        Some(result["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, expression: &str) {
        let truth = format!("Boolean({expression})");
        let started = std::time::Instant::now();
        while self.value(&truth).await != Some(json!(true)) {
            if started.elapsed() > super::PATIENCE {
                let page = self.evaluate("document.body.innerText").await;
                panic!(
                    "still waiting for {expression}; complaints: {:?}; the page:\n{page}",
                    self.complaints
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Clicks on `selector`, leaves the dialog `id` that this opens, and clicks again, in one moment: the dialog's end is told
    /// when it is open again.
    pub async fn leave_and_ask_again(&mut self, selector: &str, id: &str) {
        let selector = json!(selector);
        let steps = format!(
            "(() => {{ const button = document.querySelector({selector}); \
             button.click(); document.getElementById('{id}').close(); button.click(); }})()"
        );
        self.evaluate(&steps).await;
        // It has been told.
        self.evaluate("new Promise((done) => setTimeout(done))")
            .await;
    }

    /// Waits until there is an element `selector` that can be seen, and clicks in its middle as a mouse does.
    pub async fn click(&mut self, selector: &str) {
        let element = format!("document.querySelector({})", json!(selector));
        self.until(&format!("{element} && {element}.getClientRects().length"))
            .await;
        let place = format!(
            "(() => {{ const e = {element}; e.scrollIntoView({{block: 'center', behavior: 'instant'}}); \
             const r = e.getBoundingClientRect(); return {{x: r.x + r.width / 2, y: r.y + r.height / 2}}; }})()"
        );
        let at = self.evaluate(&place).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params).await;
        }
    }

    /// Puts `text` into an input in place of what is there, as typing does.
    pub async fn fill(&mut self, selector: &str, text: &str) {
        let element = format!("document.querySelector({})", json!(selector));
        self.until(&element).await;
        self.evaluate(&format!("{element}.focus(); {element}.select?.()"))
            .await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key, as `Tab` or `Enter`.
    pub async fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            " " => 32,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Sets the size of the window in CSS pixels.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", params)
            .await;
    }

    /// `light` or `dark`, as the reader's system asks for.
    pub async fn theme(&mut self, theme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// Writes what can be seen to a PNG file.
    pub async fn screenshot(&mut self, file: &Path) {
        let answer = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let data = answer["data"].as_str().expect("a screenshot has data");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("it is Base64");
        std::fs::write(file, bytes).expect("the file can be written");
    }
}
