//! A page in Chromium that runs a snippet of `docs/FOGHORN-JS.md`, as it is printed.

use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};

use crate::common::browser::Browser;
use crate::site::Site;

const DOCS: &str = include_str!("../../docs/FOGHORN-JS.md");

/// The snippet of this name.
pub fn snippet(name: &str) -> &'static str {
    let begin = format!("<!-- page: {name} -->\n\n```js\n");
    let (_, behind) = DOCS
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no {begin:?}"));
    behind.split_once("```\n").expect("an end").0
}

/// What the snippets call, and what they have done.
const AROUND: &str = "window.shown = []; window.resyncs = 0; window.failed = 0; window.statuses = []; \
    window.show = (what) => shown.push(what); window.loadEverything = () => resyncs++; window.logIn = () => failed++; \
    window.dialled = 0; for (const name of ['WebSocket', 'EventSource']) { const Real = window[name]; \
    window[name] = class extends Real { constructor(...how) { super(...how); dialled += 1; } }; }";

/// See the module.
pub struct Page {
    browser: Browser,
    /// How many connections had been begun when it was open.
    dialled: u64,
}

impl Page {
    /// Runs the snippet `name` in a page of the site, with `more` behind it.
    pub async fn run(site: &Site, name: &str, more: &str) -> Self {
        let mut browser = Browser::start().await;
        browser
            .call(
                "Security.setIgnoreCertificateErrors",
                json!({"ignore": true}),
            )
            .await;
        browser.open(&format!("{}/foghorn.js", site.origin())).await;
        let mut page = Self {
            browser,
            dialled: 0,
        };
        page.add(&format!("{}\n{more}", site.fill(snippet(name))))
            .await;
        page
    }

    /// Runs a module in the page.
    async fn add(&mut self, module: &str) {
        let add = "const s = document.createElement('script'); s.type = 'module'; s.textContent = text; \
            document.head.append(s);";
        self.evaluate(&format!(
            "{AROUND} {{ const text = {}; {add} }}",
            json!(module)
        ))
        .await;
        self.until("window.inbox").await;
    }

    /// Waits until the connection is open.
    pub async fn is_open(&mut self) {
        self.until("inbox.status === 'OPEN'").await;
        self.dialled = self.evaluate("dialled").await.as_u64().expect("a number");
    }

    /// Waits until it is not; it may be again by then, over another connection.
    pub async fn is_not_open(&mut self) {
        let before = self.dialled;
        self.until(&format!("inbox.status !== 'OPEN' || dialled > {before}"))
            .await;
    }

    /// Waits until so many things were shown; gives them.
    pub async fn shown(&mut self, count: usize) -> Vec<Value> {
        self.until(&format!("shown.length >= {count}")).await;
        let shown = self.evaluate("shown").await;
        shown.as_array().expect("a list").clone()
    }

    /// Puts another tab before it, and waits until it knows.
    pub async fn hide(&mut self) -> String {
        let here = self.session();
        self.tab().await;
        self.go_to(here.clone());
        self.until("document.visibilityState === 'hidden'").await;
        here
    }

    /// Puts it before the others again.
    pub async fn appear(&mut self) {
        self.call("Page.bringToFront", json!({})).await;
        self.until("document.visibilityState === 'visible'").await;
    }

    /// `frozen` or `active`.
    pub async fn lifecycle(&mut self, state: &str) {
        self.call("Page.setWebLifecycleState", json!({"state": state}))
            .await;
    }

    /// Goes to another page, does something there, and comes back by the browser's history; the page was kept meanwhile.
    pub async fn leave_and_come_back(&mut self, meanwhile: impl FnOnce()) {
        self.evaluate("window.kept = 1").await;
        let elsewhere = self.evaluate("location.origin + '/FOGHORN.JS'").await;
        self.open(elsewhere.as_str().expect("an address")).await;
        self.until("!window.kept").await;
        meanwhile();
        self.evaluate("history.back()").await;
        self.until("window.kept").await;
    }

    /// No script of the page failed.
    pub fn went_well(&mut self) {
        let failures: Vec<_> = self
            .complaints()
            .into_iter()
            .filter(|said| said.contains("exceptionId"))
            .collect();
        assert_eq!(failures, Vec::<String>::new());
    }
}

impl Deref for Page {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.browser
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut Browser {
        &mut self.browser
    }
}
