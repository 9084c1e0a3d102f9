//! What the chart does where other dialects than Seafile's are switched on: inboxes, and Centrifugo's pages and backends.

use serde_json::{Value, json};

use crate::common::node::foghorn;
use crate::helm::{documents, environment, of_kind, render};
use crate::helm_values::{pod, trial};
use crate::support::{read, run};

#[test]
#[ignore = "needs helm"]
fn inboxes_have_ports_and_a_service_where_they_are_switched_on() {
    let dialects = "settings.FOGHORN_DIALECTS=seafile\\,inbox";
    let on = trial(&[
        "--set",
        dialects,
        "--set",
        "settings.FOGHORN_SSE_ADDR=0.0.0.0:3100,networkPolicy.enabled=true",
    ]);
    let ports = json!([
        {"name": "streams", "port": 3100, "targetPort": "streams", "appProtocol": "http"},
        {"name": "sockets", "port": 3030, "targetPort": "sockets"},
    ]);
    assert_eq!(
        of_kind(&on, "Service", "seafile-foghorn-inbox")["spec"]["ports"],
        ports
    );
    let container = pod(&on)["containers"][0]["ports"]
        .as_array()
        .expect("ports");
    for port in [
        json!({"name": "streams", "containerPort": 3100}),
        json!({"name": "sockets", "containerPort": 3030}),
    ] {
        assert!(container.contains(&port), "{port} in {container:?}");
    }
    let policy = &of_kind(&on, "NetworkPolicy", "seafile-foghorn")["spec"]["ingress"][0]["ports"];
    assert_eq!(policy.as_array().map(Vec::len), Some(3), "{policy}");
    let off = trial(&[]);
    assert!(
        off.iter()
            .all(|document| document["metadata"]["name"] != "seafile-foghorn-inbox")
    );
    let public = [
        "--set",
        dialects,
        "--set",
        "ingress.enabled=true,ingress.host=push.example.com,gateway.enabled=true,gateway.parentRefs[0].name=web",
    ];
    let public = trial(&public);
    let ingress = of_kind(&public, "Ingress", "seafile-foghorn");
    let leads = |path: &str| {
        let paths = ingress["spec"]["rules"][0]["http"]["paths"].as_array();
        let found = paths
            .expect("paths")
            .iter()
            .find(|entry| entry["path"] == path);
        found.map(|entry| entry["backend"]["service"].clone())
    };
    for (path, port) in [
        ("/sse", "streams"),
        ("/foghorn.js", "streams"),
        ("/api/v1/notification/ws", "sockets"),
    ] {
        let service = json!({"name": "seafile-foghorn-inbox", "port": {"name": port}});
        assert_eq!(leads(path), Some(service), "{path}");
    }
    assert_eq!(leads("/webNotification"), None, "backends post inside");
    let route = &of_kind(&public, "HTTPRoute", "seafile-foghorn")["spec"]["rules"];
    let ports = |paths: &[&str]| {
        let paths: Vec<Value> = paths
            .iter()
            .map(|path| json!({"path": {"type": "PathPrefix", "value": path}}))
            .collect();
        let rules = route.as_array().expect("rules").iter();
        let rule = rules.clone().find(|rule| rule["matches"] == json!(paths));
        rule.map(|rule| rule["backendRefs"][0]["port"].clone())
    };
    assert_eq!(ports(&["/sse", "/foghorn.js"]), Some(json!(3000)));
    assert_eq!(ports(&["/api/v1/notification/ws"]), Some(json!(3030)));
    assert_eq!(
        pod(&off)["containers"][0]["ports"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
#[ignore = "needs helm"]
fn only_what_is_spoken_is_public() {
    let routed = |dialects: &str, more: &str| {
        let dialects = format!("settings.FOGHORN_DIALECTS={dialects}");
        let routes = "ingress.enabled=true,gateway.enabled=true,gateway.parentRefs[0].name=web";
        trial(&["--set", &dialects, "--set", &format!("{routes}{more}")])
    };
    let paths = |documents: &[Value]| {
        let ingress = &of_kind(documents, "Ingress", "seafile-foghorn")["spec"]["rules"][0];
        let of_ingress = ingress["http"]["paths"].as_array().expect("paths");
        let route = &of_kind(documents, "HTTPRoute", "seafile-foghorn")["spec"]["rules"];
        let matches = route.as_array().expect("rules").iter();
        let matches = matches.flat_map(|rule| rule["matches"].as_array().expect("matches"));
        let mut all: [Vec<String>; 2] = [
            of_ingress
                .iter()
                .map(|path| path["path"].to_string())
                .collect(),
            matches
                .map(|path| path["path"]["value"].to_string())
                .collect(),
        ];
        all.iter_mut().for_each(|paths| paths.sort());
        let [ingress, route] = all;
        assert_eq!(ingress, route);
        ingress.join(" ").replace('"', "")
    };
    let inbox = "/api/v1/notification/ws /foghorn.js /sse";
    assert_eq!(paths(&routed("inbox", "")), inbox);
    assert_eq!(
        paths(&routed("inbox", ",inbox.streamPaths={/sse,/SSE}")),
        "/SSE /api/v1/notification/ws /sse"
    );
    assert_eq!(paths(&routed("centrifugo", "")), "/connection");
    let seafile = "/notification /notification/ /notification/events /notification/ping";
    assert_eq!(paths(&routed("seafile", "")), seafile);
    let both = paths(&routed("seafile\\,inbox", ""));
    for path in seafile.split(' ').chain(inbox.split(' ')) {
        assert!(both.split(' ').any(|found| found == path), "{path}: {both}");
    }
}

#[test]
#[ignore = "needs helm"]
fn nodes_may_connect_to_what_they_are_told_of() {
    let ports = |settings: &[&str]| {
        let on = ["--set", "networkPolicy.enabled=true"];
        let documents = trial(&[&on[..], settings].concat());
        let egress = &of_kind(&documents, "NetworkPolicy", "seafile-foghorn")["spec"]["egress"];
        let ports = egress[1]["ports"].as_array().expect("ports").iter();
        ports
            .map(|port| port["port"].as_u64().expect("a number"))
            .collect::<Vec<_>>()
    };
    let usual = [6379, 26379, 3306];
    assert_eq!(ports(&[]), usual);
    for (value, more) in [
        (
            "settings.FOGHORN_INBOX_BROKER_URL=mqtts://u:p%2F1@a\\,mqtt://b:1999",
            &[8883, 1999][..],
        ),
        (
            "settings.FOGHORN_INBOX_SESSION_REDIS_URL=redis://:9:9@backend:6380/0",
            &[6380],
        ),
        (
            "settings.FOGHORN_OTLP_ENDPOINT=http://collector:4318",
            &[4318],
        ),
        ("settings.FOGHORN_OTLP_ENDPOINT=https://[::1]/x:1", &[443]),
        (
            "database.host=db,database.password=x,database.port=3307",
            &[3307],
        ),
        (
            "redis.bundled.enabled=false,redis.urls[0]=rediss-sentinel://u:p@a:26380\\,b:26381/m?sentinelPassword=x:1",
            &[26380, 26381],
        ),
    ] {
        let found = ports(&["--set", value]);
        assert_eq!(found, [&usual[..], more].concat(), "{value}");
    }
    // What is named is all there is where nothing else is known.
    let named = "networkPolicy.egressPorts={7000}";
    let alone = "redis.bundled.enabled=false,replicaCount=1";
    assert_eq!(ports(&["--set", named, "--set", alone]), [7000]);
    assert_eq!(
        ports(&["--set", named]),
        [7000, 6379],
        "the chart's own Redis"
    );
}

/// The values that the chart's page has for Centrifugo's pages alone.
pub fn centrifugo(more: &[&str]) -> Vec<Value> {
    let page = read("charts/foghorn/README.md");
    let (_, behind) = page
        .split_once("## Centrifugo's pages and backends\n")
        .expect("the section");
    let (_, block) = behind.split_once("```yaml\n").expect("the values");
    let (block, _) = block.split_once("```\n").expect("their end");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), block).unwrap();
    let path = file.path().to_str().unwrap();
    let off = ["--set", "redis.bundled.enabled=false,key.value="];
    documents(&render("trial", &[&["-f", path][..], &off, more].concat()))
}

#[test]
#[ignore = "needs helm"]
fn centrifugos_configuration_is_read_from_a_secret_and_its_paths_are_public_but_for_the_api() {
    let documents = centrifugo(&[]);
    let pod = pod(&documents);
    assert_eq!(
        environment(pod)["FOGHORN_CENTRIFUGO_CONFIG"],
        "/etc/foghorn/centrifugo/config.json"
    );
    assert_eq!(
        (
            &pod["volumes"][0]["secret"],
            &pod["containers"][0]["volumeMounts"][0]["mountPath"]
        ),
        (
            &json!({"secretName": "centrifugo", "items": [{"key": "config.json", "path": "config.json"}]}),
            &json!("/etc/foghorn/centrifugo")
        )
    );
    let paths =
        &of_kind(&documents, "Ingress", "seafile-foghorn")["spec"]["rules"][0]["http"]["paths"];
    let paths: Vec<_> = paths
        .as_array()
        .expect("paths")
        .iter()
        .map(|path| (&path["path"], &path["pathType"]))
        .collect();
    assert!(
        paths.contains(&(&json!("/connection"), &json!("Prefix"))),
        "{paths:?}"
    );
    assert!(
        paths
            .iter()
            .all(|(path, _)| **path != json!("/") && **path != json!("/api"))
    );
    // No key is asked for where nobody has one.
    assert!(environment(pod).get("JWT_PRIVATE_KEY").is_none());
    assert!(documents.iter().all(|document| document["kind"] != "Pod"));
    let routed = centrifugo(&[
        "--set",
        "gateway.enabled=true,gateway.parentRefs[0].name=public,centrifugo.path=/push/connection",
    ]);
    let route = &of_kind(&routed, "HTTPRoute", "seafile-foghorn")["spec"]["rules"][0]["matches"];
    assert!(
        route
            .to_string()
            .contains(r#"{"path":{"type":"PathPrefix","value":"/push/connection"}}"#),
        "{route}"
    );
}

#[test]
#[ignore = "needs helm"]
fn centrifugos_keys_may_stand_in_the_values_and_nodes_understand_them() {
    let given = "centrifugo.existingSecret=,centrifugo.config.port=8000,centrifugo.config.client_queue_max_size=10485760,\
        centrifugo.config.namespaces[0].name=news,centrifugo.env.CENTRIFUGO_SECRET=hunter2-0123456789,centrifugo.env.CENTRIFUGO_WATCH=true";
    let documents = centrifugo(&["--set", given]);
    let kept = &of_kind(&documents, "Secret", "seafile-foghorn-centrifugo")["stringData"];
    assert_eq!(kept["CENTRIFUGO_SECRET"], "hunter2-0123456789");
    let deployment = of_kind(&documents, "Deployment", "seafile-foghorn").to_string();
    assert!(!deployment.contains("hunter2"), "{deployment}");
    let other = centrifugo(&["--set", &given.replace("hunter2", "hunter3")]);
    assert_ne!(
        of_kind(&other, "Deployment", "seafile-foghorn").to_string(),
        deployment,
        "a change replaces the nodes"
    );
    let environment = environment(pod(&documents));
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, kept["config.json"].as_str().expect("a file")).unwrap();
    let mut check = foghorn(&["check-config"]);
    for (name, value) in &environment {
        match (name.as_str(), value.as_str().expect("text")) {
            ("FOGHORN_CENTRIFUGO_CONFIG", _) => check.env(name, &file),
            ("FOGHORN_REDIS_URLS", _) => check.env(name, "redis://redis:6379"),
            (name, "<ref>") if name.starts_with("CENTRIFUGO_") => {
                check.env(name, kept[name].as_str().expect("text"))
            }
            (name, "<ref>") => check.env(name, "some-text-0123456789-0123456789"),
            (name, text) => check.env(name, text),
        };
    }
    let (good, text) = run(&mut check);
    assert!(good, "{text}");
    // The Services' port, and not the file's.
    assert!(
        text.contains("`port` of Centrifugo's configuration is not used, since NOTIFICATION_SERVER_PORT is set"),
        "{text}"
    );
}
