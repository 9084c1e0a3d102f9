//! A Kubernetes of the test's own: etcd, the API server and the controllers, real ones, and `kubectl` and `helm` to speak
//! to them. There is no kubelet, so no container runs: what a pod then reports is played by `kube_kubelet.rs`.
//!
//! Invariant: everything listens on 127.0.0.1 only, writes below one temporary folder, and ends with its [`Cluster`].

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::process::command;
use crate::support::{Process, eventually, fetched, free_port, program, root, run};

/// What the chart's objects need done to them.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,serviceaccount-controller,namespace-controller,\
    garbage-collector-controller,disruption-controller,endpointslice-controller,horizontal-pod-autoscaler-controller";

/// A running cluster of no machines.
pub struct Cluster {
    /// Speaks to it; to be cloned by whoever runs beside the test.
    pub shell: Shell,
    // In the order in which they are to end.
    _processes: Vec<Process>,
    folder: TempDir,
}

/// Runs commands as somebody who has set up `kubectl` and `helm` for the cluster.
#[derive(Clone)]
pub struct Shell {
    folder: PathBuf,
}

impl Cluster {
    /// Starts one that has the resource definitions of Gateway API and of the Prometheus operator.
    pub fn start() -> Self {
        let tools = fetched("get-kubernetes.sh", &[]);
        let folder = tempfile::Builder::new()
            .prefix("foghorn-kubernetes")
            .tempdir()
            .expect("a temporary folder");
        let at = folder.path();
        for tool in [tools.join("kubectl"), fetched("get-helm.sh", &[])] {
            let name = if tool.ends_with("kubectl") {
                "kubectl"
            } else {
                "helm"
            };
            std::os::unix::fs::symlink(&tool, at.join(name)).expect("a link");
        }
        let shell = Shell {
            folder: at.to_owned(),
        };
        let (etcd, store) = start_etcd(at);
        let (server, port) = start_server(&tools, at, &store);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "certificate-authority": at.join("certs/apiserver.crt"),
            }}],
            "users": [{"name": "admin", "user": {"token": std::fs::read_to_string(at.join("token")).unwrap()}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        });
        std::fs::write(at.join("kubeconfig"), config.to_string()).unwrap();
        let mut processes = vec![server, etcd];
        eventually("the API server is ready", 300, || {
            processes
                .iter_mut()
                .for_each(|process| assert!(!process.ended(), "{}", process.output()));
            shell.run("kubectl get --raw /readyz").0
        });
        processes.insert(0, start_controllers(&tools, at));
        let crds = fetched("get-crds.sh", &[]);
        shell.must(&format!("kubectl create -f {}", crds.display()));
        shell.must("kubectl wait --for=condition=established crd --all --timeout=180s");
        Self {
            shell,
            _processes: processes,
            folder,
        }
    }

    /// A folder for the test's files, gone with the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Shell {
    /// `script` for `sh -eu`, from the repository's root, ready to be run.
    pub fn command(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = program("sh", "dash");
        command.args(["-euc", script]).current_dir(root());
        command
            .env("PATH", format!("{}:{path}", self.folder.display()))
            .env("KUBECONFIG", self.folder.join("kubeconfig"));
        for home in [
            "HELM_CACHE_HOME",
            "HELM_CONFIG_HOME",
            "HELM_DATA_HOME",
            "HOME",
        ] {
            command.env(home, self.folder.join("home"));
        }
        command
    }

    /// Runs a script: whether it went well, and all it printed.
    pub fn run(&self, script: &str) -> (bool, String) {
        run(&mut self.command(script))
    }

    /// Runs a script that must go well, and without any warning of the server's.
    pub fn must(&self, script: &str) -> String {
        let (good, text) = self.run(script);
        assert!(good && !warned(&text), "{script}\n{text}");
        text
    }

    /// What the server has, as `kubectl get` names it. It is asked again where it does not answer, as after a standstill;
    /// what `kubectl` logs beside the answer is none of it.
    pub fn get(&self, what: &str) -> Value {
        let mut held = Value::Null;
        eventually(&format!("the server shows {what}"), 120, || {
            let done = self
                .command(&format!("kubectl get -o json {what}"))
                .stdin(Stdio::null())
                .output()
                .expect("a shell");
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(!warned(&said), "{what}: {said}");
            if !done.status.success() {
                eprintln!("{what}: {said}");
                return false;
            }
            held = serde_json::from_slice(&done.stdout).expect("JSON");
            true
        });
        held
    }

    /// The same where there are many.
    pub fn list(&self, what: &str) -> Vec<Value> {
        self.get(what)["items"].as_array().expect("a list").clone()
    }

    /// Gives `text` to a command's standard input by way of a file.
    pub fn feed(&self, command: &str, text: &str) -> (bool, String) {
        let file = tempfile::NamedTempFile::new_in(&self.folder).expect("a temporary file");
        std::fs::write(file.path(), text).expect("it can be written");
        self.run(&format!("{command} <{}", file.path().display()))
    }
}

/// Whether `kubectl` or `helm` passed on a warning of the server's: a line that begins so. What they log of a watch that they
/// had to begin anew is none.
pub fn warned(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("Warning: "))
}

/// Starts the store; gives its URL.
fn start_etcd(at: &Path) -> (Process, String) {
    let url = || format!("http://127.0.0.1:{}", free_port());
    let (client, peer) = (url(), url());
    let mut etcd = program("etcd", "etcd-server");
    etcd.arg("--data-dir")
        .arg(at.join("etcd"))
        .args(["--name", "test", "--initial-cluster"])
        .arg(format!("test={peer}"));
    for (name, url) in [("client", &client), ("peer", &peer)] {
        etcd.args([format!("--listen-{name}-urls"), url.clone()]);
    }
    // It gives a request up after 5 s and two of these: 7 s by default, and a busy machine may stand still as long.
    etcd.arg("--election-timeout=5000");
    etcd.args([
        "--advertise-client-urls",
        &client,
        "--initial-advertise-peer-urls",
        &peer,
    ]);
    (Process::start(&mut etcd, &at.join("etcd.log")), client)
}

/// Starts the API server with a certificate that it makes itself and one user, who may do everything.
fn start_server(tools: &Path, at: &Path, store: &str) -> (Process, u16) {
    let token: u128 = rand::random();
    std::fs::write(at.join("token"), format!("{token:x}")).unwrap();
    std::fs::write(
        at.join("users.csv"),
        format!("{token:x},admin,admin,system:masters\n"),
    )
    .unwrap();
    let key = at.join("accounts.key");
    let (good, text) = run(program("openssl", "openssl")
        .args(["genrsa", "-out"])
        .arg(&key)
        .arg("2048"));
    assert!(good, "{text}");
    let port = free_port();
    let mut server = command(&tools.join("kube-apiserver"));
    server.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
    ]);
    server.args([
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--max-requests-inflight=0",
    ]);
    server.args([
        "--service-account-issuer=https://kubernetes.default.svc",
        &format!("--etcd-servers={store}"),
    ]);
    server.arg(format!("--secure-port={port}"));
    for (name, path) in [
        ("cert-dir", at.join("certs")),
        ("token-auth-file", at.join("users.csv")),
        ("service-account-key-file", key.clone()),
        ("service-account-signing-key-file", key),
    ] {
        server.arg(format!("--{name}={}", path.display()));
    }
    (Process::start(&mut server, &at.join("server.log")), port)
}

fn start_controllers(tools: &Path, at: &Path) -> Process {
    let mut controllers = command(&tools.join("kube-controller-manager"));
    controllers.args([
        "--leader-elect=false",
        "--secure-port=0",
        &format!("--controllers={CONTROLLERS}"),
    ]);
    for (name, file) in [
        ("kubeconfig", "kubeconfig"),
        ("service-account-private-key-file", "accounts.key"),
    ] {
        controllers.arg(format!("--{name}={}", at.join(file).display()));
    }
    Process::start(&mut controllers, &at.join("controllers.log"))
}
