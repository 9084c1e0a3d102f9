//! `docs/INSTALL-KUBERNETES.md`, followed to the letter in a cluster of three machines: each command of the page is run as
//! it stands there, by the section, but for those that the page itself says need a container engine or a kubelet. The
//! release that is upgraded is an older chart's. The chart's own page is followed in the same way.

use std::path::Path;

use serde_json::Value;

use crate::common::node::Node;
use crate::common::token;
use crate::kube_cluster::{Cluster, Shell, warned};
use crate::kube_kubelet::Kubelet;
use crate::support::{eventually, read, root, run};

/// One section of the page: its heading, and its blocks of commands in their order, each with what it needs that is not here.
struct Section {
    heading: String,
    blocks: Vec<(String, Option<String>)>,
}

fn sections(page: &str) -> Vec<Section> {
    read(page).split("\n## ").skip(1).map(section).collect()
}

fn section(text: &str) -> Section {
    let (heading, rest) = text.split_once('\n').expect("a heading");
    let (mut blocks, mut needs) = (Vec::new(), None);
    for paragraph in rest.split("\n\n").map(|text| text.trim_matches('\n')) {
        if let Some(mark) = paragraph.strip_prefix("<!-- needs a ") {
            needs = Some(mark.trim_end_matches(" -->").to_owned());
        } else if ["helm ", "kubectl ", "docker ", "cat "]
            .iter()
            .any(|word| paragraph.starts_with(&format!("    {word}")))
        {
            let script = paragraph
                .lines()
                .map(|line| line.strip_prefix("    ").expect("a line of the block"));
            blocks.push((script.collect::<Vec<_>>().join("\n"), needs.take()));
        }
    }
    Section {
        heading: heading.to_owned(),
        blocks,
    }
}

/// Puts the chart where the page expects it: as it is, or as an older release of it was.
fn put_chart(folder: &Path, older: bool) {
    let chart = folder.join("charts/foghorn");
    let _ = std::fs::remove_dir_all(&chart);
    std::fs::create_dir_all(folder.join("charts")).unwrap();
    let (good, text) = run(std::process::Command::new("cp")
        .arg("-r")
        .arg(root().join("charts/foghorn"))
        .arg(&chart));
    assert!(good, "{text}");
    if older {
        let about = read("charts/foghorn/Chart.yaml").replace("ersion: 0.1.0\n", "ersion: 0.0.9\n");
        std::fs::write(chart.join("Chart.yaml"), about).unwrap();
    }
}

struct Reader {
    shell: Shell,
    folder: std::path::PathBuf,
}

impl Reader {
    /// Runs a section's commands; gives what they printed.
    fn follow(&self, section: &Section) -> String {
        let mut printed = String::new();
        for (script, needs) in &section.blocks {
            match needs.as_deref() {
                None => {}
                Some("container engine")
                    if script.lines().all(|line| line.starts_with("docker ")) =>
                {
                    continue;
                }
                Some("kubelet") if script.lines().all(|line| line.starts_with("kubectl ")) => {
                    continue;
                }
                Some(other) => panic!("{other} is not among what is missing here, for {script}"),
            }
            let mut command = self.shell.command(script);
            command.current_dir(&self.folder);
            command
                .env("JWT_PRIVATE_KEY", token::KEY)
                .env("SEAFILE_MYSQL_DB_PASSWORD", "secret");
            let (good, text) = run(&mut command);
            // The machines here have no daemon set to ignore, which drain says.
            let text = text.replace("Warning: ignoring DaemonSet-managed Pods", "");
            assert!(good && !warned(&text), "{script}\n{text}");
            printed += &text;
        }
        printed
    }

    fn deployment(&self) -> Value {
        self.shell.get("deployment foghorn --namespace notify")
    }

    /// The machines on which nodes are.
    fn machines(&self) -> Vec<String> {
        let pods = self
            .shell
            .list("pods --namespace notify --selector app.kubernetes.io/component=node");
        pods.iter()
            .map(|pod| {
                pod["spec"]["nodeName"]
                    .as_str()
                    .unwrap_or("none yet")
                    .to_owned()
            })
            .collect()
    }
}

/// What an object is to those who hold on to it.
fn identity(object: &Value) -> (Value, Value, Value) {
    (
        object["metadata"]["uid"].clone(),
        object["spec"]["clusterIP"].clone(),
        object["spec"]["selector"].clone(),
    )
}

/// Gives a reader a cluster, and a folder with an older release of the chart.
async fn with_a_cluster(follow: impl FnOnce(&Reader, &Kubelet) + Send + 'static) {
    let node = Node::start().await;
    let events = format!("http://127.0.0.1:{}", node.port());
    let followed = tokio::task::spawn_blocking(move || {
        let cluster = Cluster::start();
        let kubelet = Kubelet::play(&cluster.shell, &events);
        let reader = Reader {
            shell: cluster.shell.clone(),
            folder: cluster.folder().join("page"),
        };
        put_chart(&reader.folder, true);
        follow(&reader, &kubelet);
    });
    followed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs etcd and kube-apiserver"]
async fn the_page_leads_from_nothing_to_three_nodes_and_back() {
    with_a_cluster(follow_the_page).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs etcd and kube-apiserver"]
async fn the_charts_page_does_what_it_says() {
    with_a_cluster(follow_the_charts_page).await;
}

fn follow_the_charts_page(reader: &Reader, kubelet: &Kubelet) {
    // What Seafile's own chart has made.
    let script = "kubectl create namespace seafile
        kubectl create configmap seafile-env --namespace seafile --from-literal=REDIS_HOST=redis
        kubectl create secret generic seafile-secret --namespace seafile --from-literal=JWT_PRIVATE_KEY=";
    reader.shell.must(&format!("{script}{}", token::KEY));
    let chart = || {
        reader
            .shell
            .must("helm list --namespace seafile --output json")
    };
    for section in sections("charts/foghorn/README.md") {
        let printed = reader.follow(&section);
        match section.heading.as_str() {
            "The console" => assert!(
                printed.trim().len() >= 32,
                "the password is not shown: {printed}"
            ),
            "Beside Seafile's own chart" => {
                assert!(
                    printed.contains("http://foghorn-events.seafile.svc:8083"),
                    "{printed}"
                );
                assert_eq!(kubelet.tested().len(), 1, "{:?}", kubelet.tested());
                test_with_another_key(reader, kubelet);
                assert!(chart().contains("foghorn-0.0.9"), "{}", chart());
                put_chart(&reader.folder, false);
            }
            "To look at it" => assert!(
                printed.contains("The bundled Redis is for trials"),
                "{printed}"
            ),
            "Upgrade, and back" => {
                let revisions = reader
                    .shell
                    .must("helm history foghorn --namespace seafile");
                assert!(
                    revisions.contains("Rollback to 1") && revisions.contains("foghorn-0.1.0"),
                    "{revisions}"
                );
                assert!(chart().contains("foghorn-0.0.9"), "{}", chart());
            }
            _ => assert!(
                section.blocks.is_empty(),
                "nothing checks the section {}",
                section.heading
            ),
        }
    }
}

/// `helm test` where the Secret has been changed and the nodes still have the key from before.
fn test_with_another_key(reader: &Reader, kubelet: &Kubelet) {
    let set = |key: &str| {
        let data = serde_json::json!({"stringData": {"JWT_PRIVATE_KEY": key}});
        reader.shell.must(&format!(
            "kubectl patch secret seafile-secret --namespace seafile --patch '{data}'"
        ));
    };
    set("another-key-of-thirty-two-characters");
    let (good, text) = reader.shell.run("helm test foghorn --namespace seafile");
    assert!(!good && text.contains("pod foghorn-test failed"), "{text}");
    let said = kubelet.tested().pop().expect("a test pod was run");
    assert!(
        said.contains(
            "its JWT_PRIVATE_KEY is another one: give both the same and restart the nodes"
        ),
        "{said}"
    );
    set(token::KEY);
    reader.shell.must("helm test foghorn --namespace seafile");
}

fn follow_the_page(reader: &Reader, kubelet: &Kubelet) {
    let mut followed = Vec::new();
    let mut held = Vec::new();
    for section in sections("docs/INSTALL-KUBERNETES.md") {
        kubelet.fewest_ready();
        let printed = reader.follow(&section);
        let image =
            || reader.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        let service = || reader.shell.get("service foghorn --namespace notify");
        match section.heading.as_str() {
            "The image" => assert_eq!(printed, ""),
            "Three nodes" => {
                // `helm --wait` looks at what the Deployment's own figures follow.
                eventually("three nodes are ready", 180, || {
                    reader.deployment()["status"]["readyReplicas"] == 3
                });
                assert_eq!(image(), "registry.example.com/foghorn:0.0.9");
                held = vec![identity(&reader.deployment()), identity(&service())];
                put_chart(&reader.folder, false);
            }
            "Tell Seafile" => {
                let inner =
                    "INNER_NOTIFICATION_SERVER_URL: \"http://foghorn-events.notify.svc:8083\"";
                let public =
                    "NOTIFICATION_SERVER_URL: \"https://seafile.example.com/notification\"";
                assert!(
                    printed.contains(inner) && printed.contains(public),
                    "{printed}"
                );
            }
            "Does it work?" => {
                assert!(printed.contains("Phase:          Succeeded"), "{printed}");
                assert_eq!(kubelet.tested().len(), 1, "{:?}", kubelet.tested());
            }
            "Upgrade" => {
                assert_eq!(
                    kubelet.fewest_ready(),
                    3,
                    "an upgrade took a node before there was another"
                );
                assert_eq!(image(), "registry.example.com/foghorn:0.1.0");
                assert_eq!(
                    held,
                    [identity(&reader.deployment()), identity(&service())],
                    "made anew, not upgraded"
                );
            }
            "The way back" => {
                assert!(
                    printed.contains("superseded") && printed.contains("foghorn-0.1.0"),
                    "{printed}"
                );
                assert_eq!(
                    kubelet.fewest_ready(),
                    3,
                    "a rollback took a node before there was another"
                );
                assert_eq!(image(), "registry.example.com/foghorn:0.0.9");
            }
            "A machine is emptied" => {
                assert!(printed.contains("node/machine-a drained"), "{printed}");
                assert!(
                    kubelet.fewest_ready() >= 2,
                    "the PodDisruptionBudget let more than one go"
                );
                assert!(
                    !reader.machines().contains(&"machine-a".to_owned()),
                    "{:?}",
                    reader.machines()
                );
            }
            "Remove" => assert!(!reader.shell.run("kubectl get namespace notify").0),
            other => panic!("nothing checks the section {other}"),
        }
        followed.push(section.heading);
    }
    assert_eq!(followed.last().map(String::as_str), Some("Remove"));
}
