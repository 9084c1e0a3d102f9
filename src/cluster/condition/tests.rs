//! What is wrong with clusters that are made up.

use super::super::view::ShardView;
use super::*;

fn node(name: &str, up: bool) -> NodeView {
    let shards = vec![ShardView {
        name: "r:6379".into(),
        up,
        round_trip_seconds: None,
    }];
    NodeView {
        name: name.into(),
        address: "10.0.0.1:8083".into(),
        shards,
        ..NodeView::default()
    }
}

#[test]
fn a_cluster_without_problems_is_well() {
    let mut since = Beginnings::default();
    let condition = since.condition(problems(&[node("a", true)], &[], &[]), 5);
    assert!(condition.is_well() && condition.state == "well" && condition.since_ms.is_none());
}

#[test]
fn redis_away_says_whom_it_hurts_and_what_is_left() {
    let waits = NodeView {
        waiting: 34,
        waiting_left_seconds: Some(48.0),
        ..node("b", false)
    };
    let found = problems(&[node("a", true), waits.clone()], &[], &[]);
    assert_eq!(found.len(), 1);
    let Problem {
        what, whom, mend, ..
    } = &found[0];
    assert!(
        what.contains("r:6379 is away for b")
            && whom.contains("34 events")
            && whom.contains("in 48 s"),
        "{found:?}"
    );
    assert!(mend.contains("doctor` on b"), "{mend}");
    let all = problems(
        &[
            node("a", false),
            NodeView {
                waiting_left_seconds: Some(0.0),
                ..waits
            },
        ],
        &[],
        &[],
    );
    assert!(
        all[0].what.contains("a, b")
            && all[0].whom.contains("given up now")
            && all[0].mend.contains("running?")
    );
}

#[test]
fn a_node_that_does_not_fit_says_what_differs() {
    let other = NodeView {
        misfit: Some("FOGHORN_PARTITIONS is 32 here and 64 on a.".into()),
        ..node("b", false)
    };
    let found = problems(&[node("a", true), other], &[], &[]);
    assert!(
        found.len() == 1
            && found[0]
                .what
                .starts_with("b stays out of the cluster: FOGHORN_PARTITIONS is 32")
    );
}

#[test]
fn a_lost_node_is_told_of_with_its_clients() {
    let lost = NodeView {
        connections: 12,
        lost_ms: Some(7),
        ..node("c", true)
    };
    let found = problems(&[node("a", true)], &[lost], &[]);
    assert!(
        found[0].what.starts_with("c (10.0.0.1:8083)") && found[0].whom.contains("12 clients"),
        "{found:?}"
    );
    assert_eq!(found[0].since_ms, 7);
}

#[test]
fn a_problem_keeps_its_beginning_until_it_is_over() {
    let (mut since, down) = (Beginnings::default(), || {
        problems(&[node("a", false)], &[], &[])
    });
    assert_eq!(since.condition(down(), 100).since_ms, Some(100));
    assert_eq!(since.condition(down(), 200).since_ms, Some(100));
    since.condition(Vec::new(), 300);
    assert_eq!(since.condition(down(), 400).since_ms, Some(400));
}

#[test]
fn each_warning_says_whom_it_hurts() {
    for code in super::super::warnings::CODES {
        let problem = warned(&Warning {
            code: code.to_owned(),
            text: "…".into(),
        });
        assert!(code == "deaf" || !problem.whom.is_empty(), "{code}");
        assert!(!problem.mend.is_empty());
    }
}
