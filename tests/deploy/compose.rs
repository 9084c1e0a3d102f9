//! The compose files, without an engine: they resolve, pass every setting on, and name only what exists.

use std::path::Path;

use foghorn::dialect::centrifugo::honoured;
use serde_json::Value;
use tempfile::TempDir;

use crate::helm::check_file;
use crate::support::{program, read, root, yaml};

/// A compose file, resolved, as JSON; `env` is the text of an `.env`.
fn resolved(files: &[&Path], env: &str) -> Value {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("env"), env).unwrap();
    let mut compose = program("docker-compose", "docker-compose");
    compose
        .args(["--project-directory"])
        .arg(root())
        .arg("--env-file")
        .arg(dir.path().join("env"));
    for file in files {
        compose.arg("-f").arg(file);
    }
    let done = compose
        .env_remove("JWT_PRIVATE_KEY")
        .arg("config")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    yaml(&String::from_utf8_lossy(&done.stdout)).remove(0)
}

/// The example with what must be filled in.
fn env() -> String {
    let filled = read(".env.example").replace("\nJWT_PRIVATE_KEY=\n", "\nJWT_PRIVATE_KEY=key\n");
    filled.replace("\nGRAFANA_PASSWORD=\n", "\nGRAFANA_PASSWORD=password\n")
}

/// Variables that have a value; the others are passed on where somebody sets them.
pub fn without_null(environment: &serde_json::Map<String, Value>) -> Vec<(&str, &str)> {
    environment
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect()
}

/// A compose file with a line for each setting that it does not set itself, written as `line` says.
fn with_all_settings(text: &str, line: impl Fn(&str) -> String) -> String {
    let (before, rest) = text.split_once("      # settings\n").expect("the mark");
    let (_, after) = rest
        .split_once("      # end of settings\n")
        .expect("the end");
    let names = foghorn::config::Sources::default()
        .rows()
        .map(|row| row.name)
        .filter(|name| !name.starts_with('-'));
    let own = |name: &str| {
        let sets = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ");
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['=', ':']))
        };
        before
            .lines()
            .chain(after.lines())
            .any(|line| line.starts_with("      ") && sets(line))
    };
    let lines: String = names.filter(|name| !own(name)).map(line).collect();
    format!("{before}      # settings\n{lines}      # end of settings\n{after}")
}

/// The keys of v1 that a variable can say.
fn centrifugos_variables() -> impl Iterator<Item = String> {
    // A list is said in a file alone.
    let keys = honoured::KEYS
        .iter()
        .filter(|(key, ..)| *key != "namespaces");
    keys.map(|(key, ..)| format!("CENTRIFUGO_{}", key.to_ascii_uppercase()))
}

/// A compose file with a line for each key of Centrifugo's.
fn with_centrifugos_keys(text: &str) -> String {
    let (begin, end) = (
        "      # Centrifugo's keys\n",
        "      # end of Centrifugo's keys\n",
    );
    let (before, rest) = text.split_once(begin).expect("the mark");
    let (_, after) = rest.split_once(end).expect("the end");
    let lines: String = centrifugos_variables()
        .map(|name| format!("      {name}:\n"))
        .collect();
    format!("{before}{begin}{lines}{end}{after}")
}

#[test]
fn the_compose_files_pass_every_setting_on() {
    let stack = with_all_settings(&read("docker-compose.yml"), |name| {
        format!("      {name}:\n")
    });
    check_file("docker-compose.yml", &with_centrifugos_keys(&stack));
    let path = "deploy/seafile/notification-server.yml";
    check_file(
        path,
        &with_all_settings(&read(path), |name| format!("      - {name}\n")),
    );
}

#[test]
fn posts_are_taken_from_every_network_that_docker_hands_out() {
    // Docker's default address pools lie in these.
    for file in ["docker-compose.yml", ".env.example"] {
        let text = read(file);
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with("EVENT_POSTERS"))
            .expect("the setting");
        for network in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] {
            assert!(line.contains(network), "{file}: {line}");
        }
    }
}

#[test]
#[ignore = "needs docker-compose"]
fn the_compose_file_takes_centrifugos_file_and_variables() {
    let file = root().join("docker-compose.yml");
    let volume = |env: &str| resolved(&[&file], env)["services"]["foghorn"]["volumes"][0].clone();
    assert_eq!(volume(&env()), "/dev/null:/etc/foghorn/centrifugo.json:ro");
    let given = format!(
        "{}FOGHORN_DIALECTS=seafile,centrifugo\nFOGHORN_CENTRIFUGO_FILE=./v1.yaml\n\
         FOGHORN_CENTRIFUGO_CONFIG=/etc/foghorn/v1.yaml\nCENTRIFUGO_SECRET=hunter2\n",
        env()
    );
    let file_here = root().join("v1.yaml");
    assert_eq!(
        volume(&given),
        format!("{}:/etc/foghorn/v1.yaml:ro", file_here.display())
    );
    let environment = &resolved(&[&file], &given)["services"]["foghorn"]["environment"];
    assert_eq!(environment["CENTRIFUGO_SECRET"], "hunter2");
    assert_eq!(
        environment["FOGHORN_CENTRIFUGO_CONFIG"],
        "/etc/foghorn/v1.yaml"
    );
}

/// What is an argument is seen by everybody on the machine.
#[test]
#[ignore = "needs docker-compose"]
fn no_secret_is_an_argument() {
    let env = format!(
        "{}FOGHORN_REDIS_PASSWORD=hunter2\nFOGHORN_OPS_PASSWORD=hunter2\n",
        env()
    );
    let config = resolved(&[&root().join("docker-compose.yml")], &env);
    for (name, service) in config["services"].as_object().unwrap() {
        let words = format!(
            "{}{}{}",
            service["command"], service["entrypoint"], service["healthcheck"]
        );
        assert!(
            !words.contains("hunter2") && !words.contains("--requirepass"),
            "{name}: {words}"
        );
    }
}

/// Everything a node's environment names is a setting, or stands in for one.
fn check_environment(service: &Value) {
    let settings = read("docs/CONFIGURATION.md");
    for name in service["environment"]
        .as_object()
        .expect("an environment")
        .keys()
    {
        assert!(
            settings.contains(&format!("| `{name}`"))
                || settings.contains(&format!("<br>variable: `{name}`"))
                || centrifugos_variables().any(|known| known == *name),
            "{name} is no setting"
        );
    }
    assert!(
        service["environment"].get("FOGHORN_OPS_PASSWORD").is_some(),
        "no password reaches the console"
    );
}

#[test]
#[ignore = "needs docker-compose"]
fn the_compose_file_resolves_and_names_only_what_exists() {
    let file = root().join("docker-compose.yml");
    let config = resolved(&[&file], &env());
    let node = &config["services"]["foghorn"];
    check_environment(node);
    assert_eq!(node["deploy"]["replicas"], 3);
    let text = node["stop_grace_period"].as_str().unwrap();
    assert_eq!(text, "45s", "above the default settle (5) and drain (30)");
    assert_eq!(
        node["healthcheck"]["test"],
        serde_json::json!(["CMD", "/usr/bin/foghorn", "status", "--local"])
    );
    let haproxy = read("haproxy/haproxy.cfg");
    for name in config["services"]["haproxy"]["environment"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(haproxy.contains(name.as_str()), "haproxy.cfg has no {name}");
    }
    for (name, service) in config["services"].as_object().unwrap() {
        assert!(
            service["healthcheck"].is_object(),
            "{name} has no health check"
        );
        assert!(
            service["deploy"]["resources"]["limits"]["memory"].is_string(),
            "{name} has no limits"
        );
        assert_eq!(
            (&service["read_only"], &service["cap_drop"][0]),
            (&true.into(), &"ALL".into()),
            "{name}"
        );
        for volume in service["volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let source = volume.split(':').next().unwrap();
            assert!(
                !source.starts_with('/') || Path::new(source).exists(),
                "{name}: {source} does not exist"
            );
        }
    }
}

#[test]
#[ignore = "needs docker-compose"]
fn seafiles_own_compose_file_can_be_replaced() {
    // What Seafile's seafile-server.yml brings, as far as the notification server looks at it.
    let seafile = TempDir::new().unwrap();
    let stub = "services:\n  db:\n    image: mariadb:10.11\n    healthcheck: {test: [CMD, healthcheck.sh]}\n    networks: [seafile-net]\n  redis:\n    image: redis\n    networks: [seafile-net]\nnetworks:\n  seafile-net:\n    name: seafile-net\n";
    std::fs::write(seafile.path().join("seafile-server.yml"), stub).unwrap();
    let env = "JWT_PRIVATE_KEY=key\nSEAFILE_SERVER_HOSTNAME=seafile.example.com\nSEAFILE_MYSQL_DB_PASSWORD=secret\nREDIS_HOST=redis\n";
    let config = resolved(
        &[
            &seafile.path().join("seafile-server.yml"),
            &root().join("deploy/seafile/notification-server.yml"),
        ],
        env,
    );
    let node = &config["services"]["notification-server"];
    check_environment(node);
    assert_eq!(node["environment"]["SEAFILE_MYSQL_DB_HOST"], "db");
    assert_eq!(node["labels"]["caddy"], "http://seafile.example.com");
    assert_eq!(node["deploy"]["replicas"], 1);
}
