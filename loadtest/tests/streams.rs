//! Event streams: every notification reaches every tab of its user, once, and what a stream cannot do is refused.

mod floor;
mod report;

use floor::{Floor, load};
use report::{LOAD, count, value};
use std::process::Command;

#[test]
fn a_notification_reaches_all_200_tabs() {
    let r = load(&[
        "fanout",
        "--protocol",
        "inbox",
        "-n",
        "200",
        "--events",
        "3",
        "--workers",
        "2",
    ]);
    for system in ["server", "floor"] {
        assert_eq!(count(&r, "from posted to received", system), 600);
        assert!(value(&r, "time to the last, ms", system) > 0.0);
    }
    assert_eq!(r["notes"].as_array().unwrap().len(), 0, "{r:#}");
}

#[test]
fn notifications_at_a_steady_rate_all_come_large_ones_too() {
    // More than one read takes: a block comes in pieces.
    let rate = "rate --protocol inbox -r 100 --channels 10 --subscribers 3 --seconds 1 --payload 100000 --no-floor";
    let r = load(&rate.split(' ').collect::<Vec<_>>());
    assert_eq!(
        (
            value(&r, "lost", "server"),
            value(&r, "not accepted", "server")
        ),
        (0.0, 0.0)
    );
    assert_eq!(count(&r, "from posted to received", "server"), 300);
    assert_eq!(r["notes"].as_array().unwrap().len(), 0, "{r:#}");
}

#[test]
fn idle_streams_stay() {
    let r = load(&["idle", "--protocol", "inbox", "-n", "100", "--seconds", "1"]);
    for system in ["server", "floor"] {
        assert_eq!(value(&r, "still subscribed", system), 100.0);
    }
}

#[test]
fn what_a_stream_cannot_do_is_refused() {
    let floor = Floor::start();
    for (args, why) in [
        ("fanout -n 1 --as desktop", "cannot ping"),
        ("storm -n 1 --bystanders 1", "cannot ping"),
        ("rate --libraries-per-client 2", "cannot have several"),
        ("soak --seconds 1", "not for event streams"),
        ("churn -n 1", "unsubscribe"),
    ] {
        let out = Command::new(LOAD)
            .args(args.split(' '))
            .args(["--protocol", "inbox", "--url", &floor.1])
            .output()
            .unwrap();
        assert!(!out.status.success(), "{args}");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains(why), "{args}: {said}");
    }
}
