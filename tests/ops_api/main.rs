//! The API for operators does what its description says, on every route, and is refused without the password.

#[path = "../common/mod.rs"]
mod common;
mod tail;

use std::collections::BTreeSet;

use common::http::{self, Answer};
use common::node::{Node, Plan};
use common::socket::{End, Handshake};
use common::{eventually, library, schema, token};
use serde_json::{Value, json};

const DESCRIPTION: &str = include_str!("../../src/ops/openapi.json");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn description() -> Value {
    serde_json::from_str(DESCRIPTION).expect("the description is JSON")
}

/// Checks an answer against the description.
fn check(method: &str, path: &str, answer: &Answer) {
    let document = description();
    let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
    assert!(
        response.is_object(),
        "{method} {path} is not described to answer {}",
        answer.status
    );
    let schema = &response["content"]["application/json"]["schema"];
    assert_eq!(answer.headers["content-type"], "application/json", "{path}");
    let faults = schema::faults(&document, schema, &answer.json(), path);
    // The description of itself is any object.
    assert!(
        faults.is_empty() || path.ends_with("openapi.json"),
        "{faults:#?}"
    );
}

async fn get(node: &Node, path: &str) -> Value {
    let answer = http::get(node.ops(), path).await;
    check("get", path.split('?').next().expect("a path"), &answer);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn post(node: &Node, path: &str, body: &Value) -> Answer {
    let answer = http::request(
        node.ops(),
        "POST",
        path,
        &[JSON],
        Some(body.to_string().as_bytes()),
    )
    .await;
    check("post", path, &answer);
    answer
}

#[test]
fn every_route_is_described_and_every_description_is_of_a_route() {
    let source = include_str!("../../src/ops/api.rs");
    let routes: BTreeSet<(String, String)> = source
        .lines()
        .filter_map(|line| {
            let (path, rest) = line.trim().strip_prefix(".route(\"")?.split_once("\", ")?;
            Some((path.to_owned(), rest.split('(').next()?.to_owned()))
        })
        .collect();
    let document = description();
    let paths = document["paths"].as_object().expect("paths");
    let described = paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .expect("methods")
            .keys()
            .map(move |method| (path.clone(), method.clone()))
    });
    assert_eq!(routes, described.collect());
    assert!(routes.len() >= 9);
}

#[tokio::test]
async fn the_cluster_at_a_glance() {
    let node = Plan::new().env("FOGHORN_NODE_NAME", "one").start().await;
    let library = library();
    let _web = node.subscriber(&library, "a@x").await;
    for n in 0..20 {
        node.post_update(&library, &n.to_string()).await;
    }
    let overview = eventually("figures that move", || async {
        // They are of the last seconds, so they move only while something happens.
        node.post_update(&library, "another").await;
        Some(get(&node, "/api/v1/overview").await).filter(|overview| {
            let rate = |name: &str| {
                overview["totals"][name]
                    .as_f64()
                    .is_some_and(|rate| rate > 0.0)
            };
            rate("events_per_second")
                && rate("deliveries_per_second")
                && overview["latency"]["p99"].is_number()
        })
    })
    .await;
    assert_eq!(
        (&overview["node"], &overview["nodes"][0]["name"]),
        (&json!("one"), &json!("one"))
    );
    assert_eq!(
        (
            &overview["totals"]["connections"],
            &overview["totals"]["subscriptions"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&overview["warnings"], &overview["nodes"][0]["phase"]),
        (&json!([]), &json!("running"))
    );
    for path in ["/nodes", "/api/v1/nodes"] {
        assert_eq!(
            get(&node, path).await["nodes"][0]["address"],
            json!(format!("127.0.0.1:{}", node.port()))
        );
    }
    assert_eq!(get(&node, "/api/v1/openapi.json").await, description());
    let history = eventually("a moment that remembers the client", || async {
        let history = get(&node, "/api/v1/history").await;
        let seen = history["moments"]
            .as_array()?
            .iter()
            .any(|moment| moment["totals"]["connections"] == 1);
        seen.then_some(history)
    })
    .await;
    let at = |n: usize| history["moments"][n]["at_ms"].as_u64();
    assert!(
        at(0).is_some_and(|first| at(1).is_none_or(|second| first < second)),
        "{history}"
    );
    let used = overview["nodes"][0]["memory_bytes"]
        .as_u64()
        .zip(overview["nodes"][0]["cpu_cores"].as_f64());
    assert!(
        used.is_some_and(|(memory, cores)| memory > 1 << 20 && cores >= 0.0),
        "{overview}"
    );
    // A post that is refused, and a handshake that is none, count once each; what goes well counts nowhere.
    http::request(node.port(), "POST", "/events", &[], Some(b"{}"))
        .await
        .expect(400);
    let mangled = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    http::request(node.port(), "GET", "/", &mangled, None)
        .await
        .expect(400);
    let seen = eventually("both refusals", || async {
        let nodes = get(&node, "/api/v1/nodes").await;
        let lately = nodes["nodes"][0]["lately"].clone();
        (lately["refusals"].as_u64() >= Some(2)).then_some(lately)
    })
    .await;
    assert_eq!(seen, json!({"drops": 0, "refusals": 2, "resyncs": 0}));
}

#[tokio::test]
async fn who_holds_a_library_or_is_a_user_until_when() {
    let node = Plan::new().env("FOGHORN_NODE_NAME", "one").start().await;
    let (first, second) = (library(), library());
    let exp = token::now() + 1_000;
    let mut desktop = Handshake::new(node.port())
        .desktop()
        .header("X-Forwarded-For", "203.0.113.7")
        .open()
        .await;
    for library in [&first, &second] {
        let token = token::subscription_until(library, "a@x", exp);
        desktop.send_subscribe(&[(library, &token)]).await;
    }
    desktop.settle().await;
    let _web = node.subscriber(&first, "b@x").await;

    // A session that has not said in half a second when a subscription ends is shown without.
    let found = eventually("who holds it, and until when", || async {
        let found = get(&node, &format!("/api/v1/lookup?channel={first}")).await;
        let clients = found["nodes"][0]["clients"].as_array()?;
        let said = clients
            .iter()
            .all(|client| client["expires_ms"].is_number());
        said.then_some(found)
    })
    .await;
    assert_eq!(
        (&found["total"], &found["truncated"]),
        (&json!(2), &json!(false))
    );
    let clients = found["nodes"][0]["clients"]
        .as_array()
        .expect("clients")
        .clone();
    let of = |user: &str| {
        clients
            .iter()
            .find(|client| client["user"] == user)
            .expect("the user's client")
    };
    let (a, b) = (of("a@x"), of("b@x"));
    assert_eq!(
        (&a["kind"], &a["address"], &a["channel"]),
        (
            &json!("desktop"),
            &json!("203.0.113.7"),
            &json!(format!("repo/{first}"))
        )
    );
    let expires = a["expires_ms"].as_i64().expect("an end");
    assert!(
        (exp * 1000..exp * 1000 + 8_000).contains(&expires),
        "{expires} is not about {exp} s"
    );
    assert!(b["expires_ms"].is_number() && b["id"] != a["id"]);

    let found = get(&node, "/api/v1/lookup?user=a@x").await;
    assert_eq!(
        (&found["total"], &found["nodes"][0]["clients"][1]["id"]),
        (&json!(2), &a["id"])
    );
    assert_eq!(
        get(&node, "/api/v1/lookup?user=nobody").await["total"],
        json!(0)
    );
    for wrong in [
        "/api/v1/lookup",
        "/api/v1/lookup?user=",
        "/api/v1/lookup?user=a&channel=b",
        // Its name before this version.
        "/api/v1/lookup?library=b",
        "/api/v1/tail?library=b",
    ] {
        check(
            "get",
            "/api/v1/lookup",
            &http::get(node.ops(), wrong).await.expect(400),
        );
    }
}

#[tokio::test]
async fn clients_and_users_can_be_disconnected() {
    let node = Plan::new().env("FOGHORN_NODE_NAME", "one").start().await;
    let library = library();
    let mut one = node.subscriber(&library, "a@x").await;
    let mut two = node.subscriber(&library, "b@x").await;
    let mut three = node.subscriber(&library, "b@x").await;
    let found = get(&node, "/api/v1/lookup?user=a@x").await;
    let id = &found["nodes"][0]["clients"][0]["id"];
    let disconnect = async |body: Value| post(&node, "/api/v1/disconnect", &body).await;
    assert_eq!(
        disconnect(json!({"node": "another", "id": id}))
            .await
            .expect(200)
            .json(),
        json!({"disconnected": 0})
    );
    assert_eq!(
        disconnect(json!({"node": "one", "id": id}))
            .await
            .expect(200)
            .json(),
        json!({"disconnected": 1})
    );
    let goodbye = End::Closed(1008, "disconnected by an administrator".into());
    assert_eq!(one.ended().await, goodbye);
    assert_eq!(
        disconnect(json!({"user": "b@x"})).await.expect(200).json(),
        json!({"disconnected": 2})
    );
    assert_eq!(
        (two.ended().await, three.ended().await),
        (goodbye.clone(), goodbye)
    );
    node.counted("foghorn_closes_total", "reason=\"admin\"", 3.0)
        .await;
    for wrong in [
        json!({}),
        json!({"user": ""}),
        json!({"id": 1}),
        json!({"user": "a", "id": 1}),
        json!([]),
    ] {
        disconnect(wrong).await.expect(400);
    }
}

#[tokio::test]
async fn a_token_is_explained_and_not_logged() {
    let node = Node::start().await;
    let library = library();
    let good = token::subscription(&library, "a@x");
    let explain = async |token: &str| {
        post(&node, "/api/v1/token", &json!({"token": token}))
            .await
            .expect(200)
            .json()
    };
    let said = explain(&good).await;
    assert_eq!(
        (&said["valid"], &said["uses"]),
        (&json!(true), &json!({"subscribe": true, "events": false}))
    );
    assert_eq!(
        (&said["claims"]["repo_id"], &said["header"]["alg"]),
        (&json!(library), &json!("HS256"))
    );
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    let forged = format!("{signed}.{}", "A".repeat(43));
    assert_eq!(explain(&forged).await["cause"], "signature");
    assert_eq!(explain("nonsense").await["cause"], "malformed");
    assert_eq!(
        explain(&token::subscription_until(&library, "a@x", 1)).await["cause"],
        "expired"
    );
    let bad = post(&node, "/api/v1/token", &json!({"token": 1, "x": good}))
        .await
        .expect(400);
    assert!(!bad.body.contains(&good) && !node.log_so_far().await.contains(&good[20..]));
}
