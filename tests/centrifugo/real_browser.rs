//! The original clients in a page in Chromium: every transport that there is in a browser of today.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::json;

use crate::common::browser::Browser;
use crate::real::{folder, installed};
use crate::sockjs::open_node;

/// As the client names them. Those in an iframe run in the page that the node serves.
const TRANSPORTS: [&str; 8] = [
    "websocket",
    "xhr-streaming",
    "eventsource",
    "xhr-polling",
    "jsonp-polling",
    "iframe-eventsource",
    "iframe-htmlfile",
    "iframe-xhr-polling",
];

/// Serves the page and its scripts, from an origin that is not the node's; its port.
async fn site() -> u16 {
    let modules = installed("get-npm.sh", &[folder().to_str().expect("a path")]);
    let read = |file| std::fs::read_to_string(file).expect("it is installed");
    let files = [
        ("/", "text/html", read(folder().join("page.html"))),
        (
            "/centrifuge.js",
            "text/javascript",
            read(modules.join("centrifuge/centrifuge.js")),
        ),
        (
            "/sockjs.js",
            "text/javascript",
            read(modules.join("sockjs-client/dist/sockjs.min.js")),
        ),
    ];
    let mut router = Router::new();
    for (path, kind, text) in files {
        router = router.route(path, get(async move || ([(CONTENT_TYPE, kind)], text)));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium, node, npm and a registry"]
async fn a_page_in_chromium_subscribes_publishes_and_hears_itself_by_every_transport() {
    let site = site().await;
    let node = open_node(json!({"sockjs_url": format!("http://127.0.0.1:{site}/sockjs.js")})).await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{site}/")).await;
    browser.until("typeof go === 'function'").await;
    for transport in TRANSPORTS {
        browser
            .evaluate(&format!(
                "go('http://127.0.0.1:{}', '{transport}')",
                node.port()
            ))
            .await;
        browser
            .until(&format!("had['{transport}'] === '{transport}'"))
            .await;
    }
}
