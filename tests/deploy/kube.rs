//! The chart in a real cluster: the API server takes every object as it is written, the controllers make pods of it under
//! the strictest pod security, and a removed release leaves nothing behind.

use serde_json::Value;

use crate::helm::documents;
use crate::kube_cluster::{Cluster, Shell, warned};
use crate::kube_kubelet::Kubelet;
use crate::support::eventually;

/// Release, values, further arguments, and how many nodes its controllers must make.
const RELEASES: [(&str, &str, &str, usize); 7] = [
    ("trial", "trial", "", 3),
    ("single", "single", "", 1),
    ("beside", "beside-seafile", "", 3),
    ("beside12", "beside-seafile-12", "", 3),
    (
        "elsewhere",
        "trial",
        "--set redis.bundled.enabled=false --set-json 'redis.urls=[\"rediss://:secret@a:6380\", \"redis-cluster://:secret@b:6379\", \
         \"redis-sentinel://:secret@c:26379?node=d:26379&sentinelServiceName=main\"]'",
        3,
    ),
    ("every", "everything", "", 3),
    // What the matrix cannot have at once: an Ingress, the bundled Redis and a made Secret beside everything else.
    (
        "more",
        "everything",
        "--set fullnameOverride=,redis.existingSecret=,redis.bundled.enabled=true,ingress.enabled=true \
         --set key.existingSecret=,key.value=a-key-for-trials-only-0123456789,key.previous=another-for-trials-0123456789",
        3,
    ),
];

/// A namespace in which only pods of the strictest kind are let in, and the server warns of whatever would make others.
fn restricted(shell: &Shell, namespace: &str) {
    shell.must(&format!("kubectl create namespace {namespace}"));
    let modes = ["enforce", "warn", "audit"]
        .map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    shell.must(&format!(
        "kubectl label namespace {namespace} {}",
        modes.join(" ")
    ));
    let ordinary = |what: &str| {
        shell.run(&format!(
            "kubectl {what} wrong --namespace {namespace} --image=x --dry-run=server"
        ))
    };
    eventually(
        "ordinary pods are refused, and what would make them is warned of",
        180,
        || {
            let (good, text) = ordinary("run");
            !good
                && text.contains("violates PodSecurity \"restricted")
                && warned(&ordinary("create deployment").1)
        },
    );
}

/// Whether `held` has everything that `sent` says.
fn holds(sent: &Value, held: &Value) -> bool {
    match (sent, held) {
        (Value::Object(sent), Value::Object(held)) => sent.iter().all(|(name, value)| {
            value.is_null() || held.get(name).is_some_and(|held| holds(value, held))
        }),
        (Value::Array(sent), Value::Array(held)) => {
            sent.len() == held.len() && sent.iter().zip(held).all(|(sent, held)| holds(sent, held))
        }
        _ => sent == held || amount(sent).is_some_and(|sent| Some(sent) == amount(held)),
    }
}

/// A quantity, which the server may write in another way: `20000` as `20k`.
fn amount(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    match text.strip_suffix('k') {
        Some(thousands) => Some(thousands.parse::<u64>().ok()? * 1000),
        None => text.parse().ok(),
    }
}

/// Everything in a namespace but what Kubernetes itself puts into each.
fn contents(shell: &Shell, namespace: &str) -> Vec<String> {
    let kinds = shell
        .must("kubectl api-resources --namespaced --verbs=list,delete --output name 2>/dev/null");
    let kinds = kinds
        .split_whitespace()
        .filter(|kind| !kind.starts_with("events"))
        .collect::<Vec<_>>()
        .join(",");
    let found = shell.run(&format!(
        "kubectl get {kinds} --namespace {namespace} --output name 2>/dev/null"
    ));
    if !found.0 {
        return vec![format!("what could not be asked for: {}", found.1)];
    }
    let left: Vec<_> = found
        .1
        .lines()
        .filter(|name| *name != "serviceaccount/default")
        .map(str::to_owned)
        .collect();
    println!("in {namespace}: {left:?}");
    left
}

/// What the manifest says is what the server has.
fn check_objects(shell: &Shell, release: &str) {
    let manifest = shell.must(&format!(
        "helm get manifest {release} --namespace {release}"
    ));
    // Fields that the server does not know are dropped in silence otherwise.
    let strict = format!(
        "kubectl apply --namespace {release} --server-side --force-conflicts --dry-run=server --validate=strict -f -"
    );
    let (good, text) = shell.feed(&strict, &manifest);
    assert!(good && !warned(&text), "{release}: {text}");
    let sent = documents(&manifest);
    for mut object in sent {
        let (kind, name) = (object["kind"].clone(), object["metadata"]["name"].clone());
        let group = object["apiVersion"]
            .as_str()
            .expect("a version")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let kind_name = kind.as_str().expect("a kind");
        let what = format!(
            "{kind_name}.{group} {} --namespace {release}",
            name.as_str().expect("a name")
        );
        let held = shell.get(&what.replacen(". ", " ", 1));
        // Text that was sent is kept as base64.
        object
            .as_object_mut()
            .expect("an object")
            .remove("stringData");
        assert!(
            holds(&object, &held),
            "{release}: the server changed {kind} {name}:\n{object}\n{held}"
        );
    }
}

#[test]
#[ignore = "needs etcd and kube-apiserver"]
fn every_case_is_taken_as_it_is_written_and_leaves_nothing_behind() {
    let cluster = Cluster::start();
    let shell = &cluster.shell;
    shell.must("kubectl create priorityclass high --value=1000");
    for (release, values, more, nodes) in RELEASES {
        restricted(shell, release);
        let values = format!("-f tests/helm/values/{values}.yaml {more}");
        let notes = shell.must(&format!(
            "helm install {release} charts/foghorn --namespace {release} {values}"
        ));
        check_objects(shell, release);
        check_notes(shell, release, &notes);
        let deployments = format!("deployments --namespace {release}");
        eventually(
            &format!("{release} has {nodes} nodes, and all pods are let in"),
            180,
            || {
                let all = shell.list(&deployments);
                let node = all.iter().find(|one| {
                    one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] == "node"
                });
                node.is_some_and(|node| node["spec"]["replicas"] == nodes)
                    && all
                        .iter()
                        .all(|one| one["status"]["replicas"] == one["spec"]["replicas"])
            },
        );
        let addresses = format!("endpointslices --namespace {release}");
        eventually("the Services select them", 180, || {
            !shell.list(&addresses).is_empty()
        });
        shell.must(&format!(
            "helm uninstall {release} --namespace {release} --wait"
        ));
        eventually(&format!("nothing is left of {release}"), 180, || {
            contents(shell, release).is_empty()
        });
    }
}

/// The notes name the Service that is there for Seafile to post to.
fn check_notes(shell: &Shell, release: &str, notes: &str) {
    let url = notes.lines().find_map(|line| {
        line.trim()
            .strip_prefix("INNER_NOTIFICATION_SERVER_URL: \"http://")
    });
    let url = url
        .unwrap_or_else(|| panic!("{notes}"))
        .trim_end_matches('"');
    let (host, port) = url.split_once(':').expect("a port");
    let service = host
        .strip_suffix(&format!(".{release}.svc"))
        .expect("this namespace");
    let service = shell.get(&format!("service {service} --namespace {release}"));
    assert_eq!(service["spec"]["ports"][0]["port"].to_string(), port);
    assert_eq!(
        service["spec"]["selector"]["app.kubernetes.io/component"],
        "node"
    );
}

#[test]
#[ignore = "needs etcd and kube-apiserver"]
fn what_the_server_refuses_harms_nothing() {
    let cluster = Cluster::start();
    let shell = &cluster.shell;
    let _kubelet = Kubelet::play(shell, "http://127.0.0.1:9");
    restricted(shell, "files");
    let install =
        "helm install seafile charts/foghorn --namespace files -f tests/helm/values/trial.yaml";
    for (wrong, reason) in [
        (
            "--set ingress.enabled=true,ingress.host=Not_A_Host",
            "RFC 1123",
        ),
        ("--set-string resources.limits.memory=much", "quantities"),
        (
            "--set serviceAccount.annotations.not/a/name=x",
            "annotations",
        ),
    ] {
        let (good, text) = shell.run(&format!("{install} {wrong}"));
        assert!(!good && text.contains(reason), "{wrong}: {text}");
        shell.must("helm uninstall seafile --namespace files --wait");
        eventually("nothing is left", 180, || {
            contents(shell, "files").is_empty()
        });
    }

    shell.must(&format!("{install} --wait"));
    let upgrade = install.replace("helm install", "helm upgrade");
    let held = || {
        let kinds = "deployments,services,ingresses,poddisruptionbudgets";
        let objects = shell.list(&format!("{kinds} --namespace files"));
        objects
            .iter()
            .map(|object| (object["metadata"]["name"].clone(), object["spec"].clone()))
            .collect::<Vec<_>>()
    };
    let before = held();
    // The chart itself refuses what the server would only refuse for a part.
    let (good, text) = shell.run(&format!(
        "{upgrade} --set nameOverride=other,fullnameOverride=seafile-foghorn"
    ));
    assert!(
        !good && text.contains("nameOverride cannot change"),
        "{text}"
    );
    assert_eq!(held(), before);
    // All but the Ingress is taken; the command of the page takes it back.
    let wrong = "--set log.level=debug,ingress.enabled=true,ingress.host=Not_A_Host";
    let (good, text) = shell.run(&format!("{upgrade} {wrong} --atomic"));
    assert!(
        !good && text.contains("RFC 1123") && text.contains("rolled back"),
        "{text}"
    );
    assert_eq!(held(), before);
    // The surplus one of the release that was taken back may not be gone yet.
    eventually("three nodes are ready", 180, || {
        let nodes = shell.get("deployment seafile-foghorn --namespace files");
        nodes["status"]["readyReplicas"] == 3
    });
}
