//! What clusters ask of a chart: files and sidecars, OpenShift, a mirror of images, IPv6, a password for the console, and
//! settings that are known by name.

use foghorn::config::Sources;
use foghorn::config::settings::Mask;
use serde_json::{Value, json};

use crate::helm::{check_file, documents, environment, of_kind, render};
use crate::support::read;

/// The manifests of a trial with these values beside.
pub fn trial(more: &[&str]) -> Vec<Value> {
    documents(&render("trial", more))
}

pub fn pod(documents: &[Value]) -> &Value {
    &of_kind(documents, "Deployment", "seafile-foghorn")["spec"]["template"]["spec"]
}

#[test]
fn the_schema_knows_every_setting_by_name() {
    let path = "charts/foghorn/values.schema.json";
    let text = read(path);
    let (before, rest) = text
        .split_once("    \"settings\": {\n")
        .expect("the settings");
    let (_, after) = rest
        .split_once("      \"additionalProperties\": {\n")
        .expect("what their values are");
    let names: Vec<String> = Sources::default()
        .rows()
        .filter(|row| !row.name.starts_with('-'))
        .map(|row| format!("          \"{}\"", row.name))
        .collect();
    let names = names.join(",\n");
    let settings = format!(
        "    \"settings\": {{\n      \"type\": \"object\",\n      \"propertyNames\": {{\n        \"enum\": [\n{names}\n        ]\n      }},\n"
    );
    check_file(
        path,
        &format!("{before}{settings}      \"additionalProperties\": {{\n{after}"),
    );
}

#[test]
fn no_secret_setting_can_become_plain_text() {
    let helpers = read("charts/foghorn/templates/_helpers.tpl");
    let secret = helpers
        .split("define \"foghorn.secretSettings\"")
        .nth(1)
        .and_then(|rest| rest.split("end").next());
    let refused = helpers
        .lines()
        .find(|line| line.contains("if has $name (list \"FOGHORN_OPS_ADDR\""))
        .expect("the list");
    for row in Sources::default()
        .rows()
        .filter(|row| matches!(row.mask, Mask::Secret | Mask::Urls))
    {
        let kept = secret
            .expect("the list")
            .split_whitespace()
            .any(|name| name == row.name);
        assert!(
            kept || refused.contains(&format!("\"{}\"", row.name)),
            "settings.{} would be shown",
            row.name
        );
    }
}

#[test]
#[ignore = "needs helm"]
fn a_password_is_made_or_given_and_never_plain() {
    let made = trial(&[]);
    let secret = &of_kind(&made, "Secret", "seafile-foghorn-ops")["data"]["FOGHORN_OPS_PASSWORD"];
    assert!(
        secret.as_str().is_some_and(|secret| secret.len() > 30),
        "{secret}"
    );
    let given = trial(&["--set", "ops.password=hunter2"]);
    assert_eq!(
        of_kind(&given, "Secret", "seafile-foghorn-ops")["data"]["FOGHORN_OPS_PASSWORD"],
        "aHVudGVyMg=="
    );
    let as_setting = trial(&[
        "--set",
        "settings.FOGHORN_OPS_PASSWORD=hunter2,settings.FOGHORN_OPS_TOKEN=hunter3",
    ]);
    let kept = &of_kind(&as_setting, "Secret", "seafile-foghorn")["stringData"];
    assert_eq!(
        (&kept["FOGHORN_OPS_PASSWORD"], &kept["FOGHORN_OPS_TOKEN"]),
        (&"hunter2".into(), &"hunter3".into())
    );
    let elsewhere = trial(&[
        "--set",
        "ops.existingSecret=mine,ops.existingSecretKey=word",
    ]);
    let from = |documents: &[Value]| {
        let list = pod(documents)["containers"][0]["env"].as_array().unwrap();
        let found: Vec<&Value> = list
            .iter()
            .filter(|entry| entry["name"] == "FOGHORN_OPS_PASSWORD")
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0]["valueFrom"]["secretKeyRef"].clone()
    };
    assert_eq!(
        from(&made),
        json!({"name": "seafile-foghorn-ops", "key": "FOGHORN_OPS_PASSWORD"})
    );
    assert_eq!(
        from(&as_setting),
        json!({"name": "seafile-foghorn", "key": "FOGHORN_OPS_PASSWORD"})
    );
    assert_eq!(from(&elsewhere), json!({"name": "mine", "key": "word"}));
    assert!(elsewhere.iter().all(|document| document["kind"] != "Secret"
        || document["metadata"]["name"] != "seafile-foghorn-ops"));
    let notes = read("charts/foghorn/templates/NOTES.txt");
    assert!(
        notes.contains("kubectl port-forward")
            && notes.contains("foghorn.opsSecret")
            && notes.contains("/console")
    );
}

#[test]
#[ignore = "needs helm"]
fn several_nodes_never_stand_alone() {
    for (set, required) in [
        ("replicaCount=3", "true"),
        ("replicaCount=1", "false"),
        ("autoscaling.enabled=true", "true"),
    ] {
        let documents = trial(&["--set", set]);
        assert_eq!(
            environment(pod(&documents))["FOGHORN_REDIS_REQUIRED"],
            required,
            "{set}"
        );
    }
}

#[test]
#[ignore = "needs helm"]
fn redis_is_named_in_every_way_it_can_be() {
    let off = "redis.bundled.enabled=false";
    for url in [
        "redis-sentinel://a:26379\\,b:26379/m",
        "rediss-sentinel://:p@a\\,b:26379/m",
        "redis-cluster://a:6379\\,b:6379",
        "rediss-cluster://[fd00::1]:6379",
        "rediss://:p@h:6380/1",
    ] {
        let documents = trial(&["--set", &format!("{off},redis.urls={{{url}}}")]);
        let kept =
            &of_kind(&documents, "Secret", "seafile-foghorn")["stringData"]["FOGHORN_REDIS_URLS"];
        assert_eq!(kept.as_str(), Some(url.replace('\\', "").as_str()));
    }
    let documents = trial(&[
        "--set",
        &format!("{off},redis.urls={{rediss://h}},redis.tls.existingSecret=tls"),
    ]);
    assert_eq!(
        environment(pod(&documents))["FOGHORN_REDIS_CA"],
        "/etc/foghorn/redis/ca.crt"
    );
    assert_eq!(pod(&documents)["volumes"][0]["secret"]["secretName"], "tls");
    assert_eq!(
        pod(&documents)["containers"][0]["volumeMounts"][0]["mountPath"],
        "/etc/foghorn/redis"
    );
}

#[test]
#[ignore = "needs helm"]
fn openshift_gives_pods_its_own_users() {
    let users = |more: &[&str]| -> Vec<Value> {
        let documents = trial(more);
        let pods = documents
            .iter()
            .filter_map(|document| match document["kind"].as_str() {
                Some("Deployment") => Some(document["spec"]["template"]["spec"].clone()),
                Some("Pod") => Some(document["spec"].clone()),
                _ => None,
            });
        pods.map(|pod| {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            pod["securityContext"]["runAsUser"].clone()
        })
        .collect()
    };
    assert_eq!(users(&[]), [json!(65532), json!(999), json!(65532)]);
    let none = [Value::Null, Value::Null, Value::Null];
    assert_eq!(users(&["--api-versions", "security.openshift.io/v1"]), none);
    assert_eq!(users(&["--set", "openshift=yes"]), none);
    assert_eq!(
        users(&["--set", "podSecurityContext.runAsUser=1234"])[0],
        1234
    );
}

#[test]
#[ignore = "needs helm"]
fn images_come_from_a_mirror_and_by_digest() {
    let image = |more: &str| {
        pod(&trial(&["--set", more]))["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        image("replicaCount=3"),
        "ghcr.io/foghorn-notify/foghorn:0.1.0"
    );
    assert_eq!(
        image("global.imageRegistry=mirror.example.com"),
        "mirror.example.com/foghorn-notify/foghorn:0.1.0"
    );
    assert_eq!(
        image("image.registry=r.example.com:5000,image.repository=a/foghorn"),
        "r.example.com:5000/a/foghorn:0.1.0"
    );
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        image(&format!("image.digest={digest}")),
        format!("ghcr.io/foghorn-notify/foghorn@{digest}")
    );
    let mirrored = trial(&[
        "--set",
        "global.imageRegistry=mirror.example.com,global.imagePullSecrets={a}",
    ]);
    let redis =
        &of_kind(&mirrored, "Deployment", "seafile-foghorn-redis")["spec"]["template"]["spec"];
    assert_eq!(
        redis["containers"][0]["image"],
        "mirror.example.com/redis:7.2-bookworm"
    );
    assert_eq!(redis["imagePullSecrets"], json!([{"name": "a"}]));
}

#[test]
#[ignore = "needs helm"]
fn pods_with_ipv6_alone_are_listened_on() {
    let documents = trial(&[
        "--set",
        "listen.address=::,listen.ipFamilyPolicy=SingleStack,listen.ipFamilies={IPv6}",
    ]);
    let environment = environment(pod(&documents));
    assert_eq!(
        (
            &environment["NOTIFICATION_SERVER_HOST"],
            &environment["FOGHORN_OPS_ADDR"]
        ),
        (&"::".into(), &"[::]:8084".into())
    );
    for document in documents
        .iter()
        .filter(|document| document["kind"] == "Service")
    {
        assert_eq!(
            document["spec"]["ipFamilies"],
            json!(["IPv6"]),
            "{document}"
        );
    }
}

#[test]
#[ignore = "needs helm"]
fn files_sidecars_labels_and_hosts_are_taken() {
    let documents = documents(&render("everything", &[]));
    let pod = &of_kind(&documents, "Deployment", "notify")["spec"]["template"]["spec"];
    let names = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&pod["volumes"]), ["redis-tls", "database-ca"]);
    assert_eq!(
        names(&pod["containers"][0]["volumeMounts"]),
        ["redis-tls", "database-ca"]
    );
    assert_eq!(
        (names(&pod["containers"]), names(&pod["initContainers"])),
        (vec!["foghorn".into(), "logs".into()], vec!["wait".into()])
    );
    assert_eq!(
        pod["containers"][0]["envFrom"][0]["configMapRef"]["name"],
        "more-settings"
    );
    assert_eq!(pod["securityContext"]["fsGroup"], 65532);
    assert!(
        documents
            .iter()
            .all(|document| document["metadata"]["labels"]["example.com/cost"] == "files")
    );
    let selector = &of_kind(&documents, "Deployment", "notify")["spec"]["selector"]["matchLabels"];
    assert!(
        selector["example.com/cost"].is_null(),
        "a selector cannot change later"
    );
    let endpoint = &of_kind(&documents, "ServiceMonitor", "notify")["spec"]["endpoints"][0];
    assert_eq!(endpoint["relabelings"][0]["targetLabel"], "machine");
    let beside = self::documents(&render("beside-seafile", &[]));
    let ingress = &of_kind(&beside, "Ingress", "seafile-foghorn")["spec"];
    let hosts: Vec<&Value> = ingress["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["host"])
        .collect();
    assert_eq!(
        hosts,
        [
            "seafile.example.com",
            "files.example.com",
            "intranet.example.com"
        ]
    );
    assert_eq!(ingress["tls"].as_array().map(Vec::len), Some(2));
}
