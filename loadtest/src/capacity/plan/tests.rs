//! The plan against what any site must have: more never needs less, and what runs out first is what is full first.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    site: Site,
}

fn site(options: &str) -> Result<Site, String> {
    let line = Line::try_parse_from(["plan"].into_iter().chain(options.split_whitespace()));
    line.map(|l| l.site).map_err(|e| e.to_string())
}

fn coefficients() -> Coefficients {
    serde_json::from_str(include_str!("../../../../docs/capacity/coefficients.json")).unwrap()
}

fn solved(options: &str) -> (u32, u32) {
    site(options).unwrap().solve(&coefficients()).unwrap()
}

fn first(options: &str) -> &'static str {
    let (s, c) = (site(options).unwrap(), coefficients());
    let (nodes, shards) = s.solve(&c).unwrap();
    let load = s.load(nodes, shards);
    let uses = s.node(&c, &load).into_iter().chain(s.shard(&c, &load));
    uses.max_by(|a, b| a.share().total_cmp(&b.share()))
        .unwrap()
        .what
}

#[test]
fn every_formula_has_its_costs() {
    let c = coefficients();
    for (resource, drivers) in super::super::model::FORMULAE {
        let all: Vec<f64> = drivers.iter().map(|d| c.cost(*resource, *d)).collect();
        assert!(
            all.iter().all(|x| *x >= 0.0) && all.iter().any(|x| *x > 0.0),
            "{resource:?} {all:?}"
        );
        assert_eq!(c.0[resource].len(), drivers.len(), "{resource:?}");
    }
}

#[test]
fn more_of_anything_needs_no_less() {
    let base = [
        "--connections 2e5",
        "--events 500",
        "--libraries-per-client 20",
        "--subscribers-per-library 10",
    ];
    let more = [
        "--connections 4e5",
        "--events 1000",
        "--libraries-per-client 200",
        "--subscribers-per-library 100",
    ];
    let (nodes, shards) = solved(&base.join(" "));
    for i in 0..base.len() {
        let mut options = base;
        options[i] = more[i];
        let (n, s) = solved(&options.join(" "));
        assert!(
            n >= nodes && s >= shards,
            "{options:?}: {n} nodes, {s} shards; before {nodes}, {shards}"
        );
    }
    assert!(solved("--connections 4e5 --events 500").0 > nodes);
}

#[test]
fn better_machines_need_no_more() {
    let base = "--connections 1e6 --events 1000";
    let (nodes, _) = solved(base);
    for more in [
        "--cores-per-node 64",
        "--memory-per-node 64GiB",
        "--network 1e10",
        "--proxy-addresses 50",
        "--fill 0.9",
    ] {
        assert!(solved(&format!("{base} {more}")).0 <= nodes, "{more}");
    }
}

#[test]
fn what_is_scarce_runs_out_first() {
    let rich = "--connections 1e6 --events 100 --cores-per-node 64 --memory-per-node 256GiB --network 1e11 \
                --descriptors-per-node 1e8 --proxy-addresses 1e4";
    for (scarce, what) in [
        ("--cores-per-node 1", "CPU of a node, cores"),
        (
            "--memory-per-node 256MiB",
            "memory of a node, the kernel's included",
        ),
        ("--network 4e7", "network of a node, Mbit/s"),
        ("--descriptors-per-node 2000", "open files of a node"),
        (
            "--proxy-addresses 1 --ports 1000",
            "ports of the proxies towards a node",
        ),
    ] {
        // The scarce one stands in the place of the plenty.
        let name = scarce.split(' ').next().unwrap();
        let words: Vec<&str> = rich.split_whitespace().collect();
        let kept = words
            .chunks(2)
            .filter(|pair| pair[0] != name)
            .map(|pair| pair.join(" "));
        let options = kept
            .chain([scarce.to_owned()])
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(first(&options), what, "{options}");
    }
}

#[test]
fn one_node_alone_needs_no_redis() {
    assert_eq!(solved("--connections 100 --events 1 --spare 0"), (1, 0));
    assert_eq!(solved("--connections 100 --events 1"), (1, 1));
}

#[test]
fn clients_of_other_dialects_count_by_what_the_page_says_of_them() {
    let c = coefficients();
    let uses = |options: &str| {
        let s = site(options).unwrap();
        s.node(&c, &s.load(2, 1))
    };
    let alone = uses("--connections 1e4 --events 1");
    let page = include_str!("../../../../docs/CAPACITY.md");
    for (option, begin, count) in [
        ("--streams", "| an idle event stream over HTTP/1.1 |", 1e5),
        (
            "--v1-connections",
            "| an idle connection of Centrifugo v1's |",
            1e5,
        ),
    ] {
        let row = page.lines().find(|line| line.starts_with(begin)).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let kib: f64 = cells[2].parse().unwrap();
        let micros: f64 = cells[3].split(' ').next().unwrap().parse().unwrap();
        let both = uses(&format!("--connections 1e4 --events 1 {option} {count}"));
        let more = |at: usize| (both[at].used - alone[at].used) * 2.0 / count;
        assert!((more(0) * 1e6 - micros).abs() < 1e-6, "{option}: CPU");
        let kernel = c.cost(Resource::KernelMemory, Driver::Connection);
        // Ten share a channel, which is counted on each node that has one of them.
        let channel = c.cost(Resource::NodeMemory, Driver::Channel)
            * site("--connections 1e4 --events 1")
                .unwrap()
                .nodes_with_subscribers(2.0)
            / 10.0;
        assert!(
            (more(1) - kernel - channel - kib * 1_024.0).abs() < 1e-3,
            "{option}: memory"
        );
        // Descriptors, and ports of the proxy.
        assert!((more(3) - 1.0).abs() < 1e-9 && (more(4) - 1.0).abs() < 1e-9);
        let alone = solved(&format!(
            "{option} {count} --events 10 --subscribers-per-library 1"
        ));
        assert!(alone.0 <= solved("--connections 1e5 --events 10").0);
    }
}

#[test]
fn the_impossible_is_said() {
    for (options, want) in [
        (
            "--connections 1e4 --events 1e7 --network 1e12 --partitions 4000",
            "each hears every event",
        ),
        (
            "--connections 1e4 --events 1e6 --partitions 1",
            "--partitions",
        ),
        (
            "--connections 5 --events 1 --subscribers-per-library 10",
            "more subscribers than",
        ),
    ] {
        let e = site(options)
            .unwrap()
            .solve(&coefficients())
            .unwrap_err()
            .to_string();
        assert!(e.contains(want), "{options}: {e}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    for (options, want) in [
        ("--events 5", "--connections"),
        ("--connections=-1 --events 5", "not a number above 0"),
        ("--connections many --events 5", "not a number above 0"),
        ("--connections inf --events 5", "not a number above 0"),
        ("--connections 5 --events 5 --fill 1.5", "at most 1"),
        (
            "--connections 5 --events 5 --memory-per-node 8GB",
            "such as 8GiB",
        ),
    ] {
        let e = site(options).unwrap_err();
        assert!(e.contains(want), "{options}: {e}");
    }
}

/// What follows `name` in the text, up to a comma, a brace or the line's end.
fn after<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name}"));
    rest.split([',', '}', '\n']).next().unwrap().trim()
}

#[test]
fn the_charts_nodes_have_what_their_clients_need() {
    let values = include_str!("../../../../charts/foghorn/values.yaml");
    let clients: f64 = after(values, "connectionsPerNode:").parse().unwrap();
    let nodes = after(values, "replicaCount:").parse::<u32>().unwrap();
    let (_, resources) = values.split_once("\nresources:").unwrap();
    let cpu = after(resources, "cpu:")
        .strip_suffix('m')
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1000.0;
    let mib = |text: &str| size(&text.replace("Mi", "MiB")).unwrap();
    let request = mib(after(resources, "memory:"));
    let limit = mib(after(after_limits(resources), "memory:"));

    let events = 100;
    let s = site(&format!(
        "--connections {} --events {events}",
        clients * f64::from(nodes)
    ))
    .unwrap();
    let uses = s.node(&coefficients(), &s.load(nodes, 1));
    assert!(
        uses[0].used <= cpu && uses[0].used > cpu / 2.0,
        "{} cores for {cpu}",
        uses[0].used
    );
    assert!(
        uses[1].used <= request && uses[1].used > request / 2.0,
        "{} for {request}",
        bytes(uses[1].used)
    );
    // Those of a lost node come too, and slow readers leave something lying about.
    assert!(
        limit >= 2.0 * uses[1].used,
        "{} for {limit}",
        bytes(uses[1].used)
    );
    let told = format!("{} clients", thousands(clients as u64));
    assert!(
        values.contains(&told) && values.contains(&format!("{events} events/s")),
        "{told}"
    );
}

fn after_limits(text: &str) -> &str {
    text.split_once("limits:").unwrap().1
}
