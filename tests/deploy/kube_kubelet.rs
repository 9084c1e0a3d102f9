//! The scheduler and the kubelets of three machines, played for a cluster that has neither: a pod gets a machine, becomes
//! ready, and goes when it is told to. No container runs, but for the one of `helm test`: its command is run here, with
//! the environment that its Secrets give it, against a node that the test has started.
//!
//! Invariant: only pods' own status is written, as a kubelet may; everything else is the controllers' doing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::common::node::foghorn;
use crate::kube_cluster::Shell;
use crate::support::run;

/// The machines there are.
const MACHINES: [&str; 3] = ["machine-a", "machine-b", "machine-c"];

/// The thread that plays them, until dropped.
pub struct Kubelet {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// Fewest nodes that were ready at once.
    fewest: AtomicUsize,
    /// What was run for `helm test`, and what it printed.
    tested: Mutex<Vec<String>>,
}

impl Kubelet {
    /// Begins. The test pod's command posts to `events`, a URL, instead of the Service.
    pub fn play(shell: &Shell, events: &str) -> Self {
        let machines = MACHINES
            .map(|name| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": machines});
        let (good, text) = shell.feed("kubectl create -f -", &list.to_string());
        assert!(good, "{text}");
        let seen = Arc::<Seen>::default();
        let player = Player {
            shell: shell.clone(),
            events: events.to_owned(),
            seen: seen.clone(),
            next: 0,
        };
        let thread = Some(std::thread::spawn(|| player.run()));
        Self { seen, thread }
    }

    /// Fewest nodes that were ready at once since this was last asked.
    pub fn fewest_ready(&self) -> usize {
        self.seen.fewest.swap(usize::MAX, Ordering::SeqCst)
    }

    /// The commands of test pods that were run, each with its output.
    pub fn tested(&self) -> Vec<String> {
        self.seen
            .tested
            .lock()
            .expect("no panic while it is held")
            .clone()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Player {
    shell: Shell,
    events: String,
    seen: Arc<Seen>,
    next: usize,
}

impl Player {
    fn run(mut self) {
        while !self.seen.over.load(Ordering::SeqCst) {
            let pods = self.shell.list("pods --all-namespaces");
            let ready = pods
                .iter()
                .filter(|pod| is_node(pod) && is_ready(pod) && !is_told_to_end(pod))
                .count();
            self.seen.fewest.fetch_min(ready, Ordering::SeqCst);
            for pod in pods {
                // A pod may be gone by now: what is refused is tried anew, if there still is something to do.
                let (good, text) = self.serve(&pod);
                if !good {
                    eprintln!("{}: {text}", pod["metadata"]["name"]);
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Does the next thing that there is to do for a pod.
    fn serve(&mut self, pod: &Value) -> (bool, String) {
        let name = |what: &str| pod["metadata"][what].as_str().expect("a name").to_owned();
        let (namespace, pod_name) = (name("namespace"), name("name"));
        let named = format!("--namespace {namespace} {pod_name}");
        if is_told_to_end(pod) {
            return self.shell.run(&format!(
                "kubectl delete pod {named} --grace-period=0 --force --wait=false"
            ));
        }
        if pod["spec"]["nodeName"].is_null() {
            let Some(machine) = self.machine() else {
                return (false, "no machine takes pods".to_owned());
            };
            let target = json!({"apiVersion": "v1", "kind": "Node", "name": machine});
            let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod_name}, "target": target});
            let to = format!("/api/v1/namespaces/{namespace}/pods/{pod_name}/binding");
            return self.shell.feed(
                &format!("kubectl create --raw {to} -f -"),
                &binding.to_string(),
            );
        }
        let phase = pod["status"]["phase"].as_str().expect("a phase");
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test" {
            if phase != "Pending" {
                return (true, String::new());
            }
            let (passed, text) = self.test(pod);
            self.seen
                .tested
                .lock()
                .expect("no panic while it is held")
                .push(text);
            return self.report(&named, if passed { "Succeeded" } else { "Failed" }, false);
        }
        if is_ready(pod) {
            (true, String::new())
        } else {
            self.report(&named, "Running", true)
        }
    }

    /// The next machine that is not closed to new pods.
    fn machine(&mut self) -> Option<String> {
        let machines = self.shell.list("nodes");
        let open: Vec<_> = machines
            .iter()
            .filter(|machine| machine["spec"]["unschedulable"] != true)
            .collect();
        self.next += 1;
        let machine = open.get(self.next % open.len().max(1))?;
        machine["metadata"]["name"].as_str().map(str::to_owned)
    }

    fn report(&self, pod: &str, phase: &str, ready: bool) -> (bool, String) {
        let status = if ready { "True" } else { "False" };
        let script = format!(
            r#"now=$(date -u +%FT%TZ)
            kubectl patch pod {pod} --subresource=status --patch "{{\"status\": {{\"phase\": \"{phase}\", \"conditions\":
              [{{\"type\": \"Ready\", \"status\": \"{status}\", \"lastTransitionTime\": \"$now\"}}]}}}}""#
        );
        self.shell.run(&script)
    }

    /// Runs a test pod's command: whether it passed, and the command and its output.
    fn test(&self, pod: &Value) -> (bool, String) {
        let container = &pod["spec"]["containers"][0];
        let words = container["args"]
            .as_array()
            .expect("arguments")
            .iter()
            .map(|word| word.as_str().expect("text"));
        let words: Vec<_> = words
            .map(|word| {
                if word.starts_with("http://") {
                    &self.events
                } else {
                    word
                }
            })
            .collect();
        let mut command = foghorn(&words);
        for entry in container["env"].as_array().expect("an environment") {
            let from = &entry["valueFrom"]["secretKeyRef"];
            let (secret, key) = (
                from["name"].as_str().expect("a Secret"),
                from["key"].as_str().expect("its entry"),
            );
            let namespace = pod["metadata"]["namespace"].as_str().expect("a namespace");
            let template =
                format!("{{{{with index .data \"{key}\"}}}}{{{{. | base64decode}}}}{{{{end}}}}");
            let get = format!(
                "kubectl get secret {secret} --namespace {namespace} --output 'go-template={template}'"
            );
            let value = self.shell.must(&get);
            if !(value.is_empty() && from["optional"] == true) {
                command.env(entry["name"].as_str().expect("a name"), value);
            }
        }
        let (passed, text) = run(&mut command);
        (passed, format!("{}: {text}", container["args"]))
    }
}

fn is_node(pod: &Value) -> bool {
    pod["metadata"]["labels"]["app.kubernetes.io/component"] == "node"
}

fn is_told_to_end(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
}
