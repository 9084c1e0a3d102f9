//! What pages have people change in `haproxy/haproxy.cfg` works: more ports to the nodes, no DNS, and an old server beside.

use std::process::Command;

use tempfile::TempDir;

use crate::haproxy_site::{SEAFILE, STRANGER, Site, loopback};
use crate::stubs::Stub;
use crate::support::{read, run};

/// The configuration with `server` lines where it asks DNS.
fn without_dns(config: &str, servers: &[String]) -> String {
    let replaced = config
        .lines()
        .map(|line| match line.trim_start().split(' ').next() {
            Some("server-template") => servers.join("\n"),
            Some("default-server") => {
                line.replace(" resolvers site resolve-prefer ipv4 init-addr none", "")
            }
            _ => line.to_owned(),
        });
    replaced.collect::<Vec<_>>().join("\n") + "\n"
}

fn owned((left, right): (&str, &str)) -> (String, String) {
    (left.to_owned(), right.to_owned())
}

#[test]
#[ignore = "needs haproxy"]
fn the_pages_source_pools_give_each_address_its_own_ports() {
    let page = read("haproxy/README.md");
    let block = page
        .split("<!-- test: source pools -->")
        .nth(1)
        .expect("the block of the page");
    let lines: Vec<_> = block
        .lines()
        .filter(|line| line.starts_with("    server foghorn"))
        .collect();
    assert_eq!(lines.len(), 6);
    let local = |line: &&str| {
        line.replace("10.0.0.1", "127.0.7.")
            .replace(":8083", ":\"${FOGHORN_PORT}\"")
    };
    let lines: Vec<_> = lines
        .iter()
        .map(|line| local(line).replace("source 10.0.0.", "source 127.0.0."))
        .collect();
    let (before, clients) = read("haproxy/haproxy.cfg")
        .split_once("\nbackend foghorn_clients")
        .map(owned)
        .unwrap();
    let (clients, after) = clients
        .split_once("\nbackend foghorn_events")
        .map(owned)
        .unwrap();
    let config = [
        before,
        "\nbackend foghorn_clients\n".into(),
        without_dns(&clients, &lines),
        "backend foghorn_events\n".into(),
        after,
    ];
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("haproxy.cfg");
    std::fs::write(&path, config.concat()).unwrap();
    let site = Site::start(&path, &[], &[1, 1, 2, 2, 3, 3]);
    let peers: Vec<String> = (0..24)
        .map(|_| {
            let answer = site.get(STRANGER, "GET /notification/ping");
            answer
                .body
                .lines()
                .find_map(|line| line.strip_prefix("peer: "))
                .unwrap()
                .to_owned()
        })
        .collect();
    for source in ["127.0.0.5:", "127.0.0.6:"] {
        assert!(
            peers.iter().any(|peer| peer.starts_with(source)),
            "{source} unused: {peers:?}"
        );
    }
}

#[test]
#[ignore = "needs haproxy"]
fn the_pages_lines_without_dns_work() {
    let page = read("haproxy/README.md");
    let block = page
        .split("## Without DNS")
        .nth(1)
        .and_then(|rest| rest.split("## ").next())
        .expect("the section");
    let lines: Vec<_> = block
        .lines()
        .filter(|line| line.starts_with("    server foghorn"))
        .collect();
    assert_eq!(lines.len(), 3);
    let lines: Vec<_> = lines.into_iter().map(str::to_owned).collect();
    let config = without_dns(&read("haproxy/haproxy.cfg"), &lines);
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("haproxy.cfg"), config).unwrap();
    let (good, text) = run(Command::new("haproxy")
        .arg("-c")
        .arg("-f")
        .arg(dir.path().join("haproxy.cfg")));
    assert!(good && !text.contains("WARNING"), "{text}");
}

/// The lines of a page that follow a mark, without their indentation on the page.
fn marked(page: &str, mark: &str) -> String {
    let text = page
        .split(&format!("<!-- test: {mark} -->\n\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("no {mark} in the page"));
    let lines = text.lines().take_while(|line| line.starts_with("       "));
    lines.map(|line| format!("{}\n", &line[7..])).collect()
}

#[test]
#[ignore = "needs haproxy"]
fn the_old_server_can_keep_a_share_of_the_clients() {
    let page = read("docs/MIGRATE.md");
    let old = Stub::start(loopback(), "old");
    let share = format!("    {}", marked(&page, "a share for the old server"));
    let backend = marked(&page, "the old server").replace("10.0.0.31:8083", &old.addr.to_string());
    let before = "    use_backend foghorn_clients";
    let config = read("haproxy/haproxy.cfg").replacen(
        before,
        &format!("{}{before}", share.replace("90", "50")),
        1,
    );
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("haproxy.cfg");
    std::fs::write(&path, format!("{config}\n{backend}")).unwrap();
    let site = Site::start(&path, &[], &[1, 2, 3]);
    let seen = site.nodes_of(40);
    assert!(
        seen.contains(&"old".to_owned()) && seen.contains(&"node1".to_owned()),
        "{seen:?}"
    );
    assert!(site.get(SEAFILE, "POST /notification/events").headers["x-node"].starts_with("node"));
}
