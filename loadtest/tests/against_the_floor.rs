//! The generator against its own floor: every event reaches everybody, once, and the report says so.

mod floor;
mod report;

use floor::{Floor, load};
use report::{LOAD, count, value};
use std::process::Command;

#[test]
fn fanout_reaches_all_200() {
    let r = load(&["fanout", "-n", "200", "--events", "3", "--workers", "2"]);
    for system in ["server", "floor"] {
        assert_eq!(count(&r, "from posted to received", system), 600);
        assert!(value(&r, "time to the last, ms", system) > 0.0);
    }
    assert_eq!(r["notes"].as_array().unwrap().len(), 0, "{r:#}");
}

#[test]
fn a_steady_rate_loses_nothing() {
    let r = load(&[
        "rate",
        "-r",
        "200",
        "--channels",
        "10",
        "--subscribers",
        "4",
        "--libraries-per-client",
        "2",
        "--seconds",
        "1",
        "--as",
        "desktop",
        "--no-floor",
    ]);
    assert_eq!(
        (
            value(&r, "lost", "server"),
            value(&r, "not accepted", "server")
        ),
        (0.0, 0.0)
    );
    assert_eq!(count(&r, "from posted to received", "server"), 800);
    assert_eq!(r["notes"].as_array().unwrap().len(), 0, "{r:#}");
}

#[test]
fn a_storm_is_taken_in() {
    let r = load(&["storm", "-n", "300", "--no-floor"]);
    assert_eq!(value(&r, "given up", "server"), 0.0);
    assert_eq!(count(&r, "from connecting to subscribed", "server"), 300);
}

#[test]
fn bystanders_of_a_storm_get_their_pongs() {
    let r = load(&["storm", "-n", "100", "--bystanders", "20"]);
    for system in ["server", "floor"] {
        assert!(count(&r, "pong of bystanders", system) > 0);
        assert_eq!(count(&r, "from connecting to subscribed", system), 100);
    }
    assert_eq!(r["notes"].as_array().unwrap().len(), 0, "{r:#}");
}

#[test]
fn wrong_tokens_that_pass_are_seen() {
    // The floor looks at no token.
    let r = load(&[
        "storm",
        "-n",
        "50",
        "--libraries-per-client",
        "2",
        "--wrong-tokens",
        "--no-floor",
    ]);
    assert_eq!(value(&r, "wrong tokens not refused", "server"), 100.0);
    assert!(value(&r, "CPU, wrong ÷ good tokens", "server") > 0.0);
}

#[test]
fn stuck_readers_are_not_owed_and_not_waited_for() {
    let r = load(&[
        "stuck",
        "-n",
        "100",
        "--share",
        "10",
        "-r",
        "20",
        "--seconds",
        "1",
    ]);
    for system in ["server", "floor"] {
        assert_eq!(count(&r, "without stuck readers", system), 2000);
        assert_eq!(count(&r, "with stuck readers", system), 1800);
        assert_eq!(value(&r, "lost by those that read", system), 0.0);
        assert_eq!(value(&r, "stuck readers", system), 10.0);
        // The floor keeps whatever a client does not take.
        assert_eq!(value(&r, "of these, cut off by the server", system), 0.0);
    }
}

#[test]
fn churn_ends() {
    let r = load(&[
        "churn",
        "--pairs",
        "5000",
        "-n",
        "10",
        "--rest",
        "0",
        "--no-floor",
    ]);
    assert!(value(&r, "pairs/s", "server") > 0.0);
}

#[test]
fn a_soaks_ledger_balances() {
    // The floor replays nothing, and nobody hangs up.
    let r = load(&[
        "soak",
        "--seconds",
        "2",
        "-r",
        "100",
        "-n",
        "30",
        "--channels",
        "10",
        "--posters-per-channel",
        "4",
        "--settle",
        "1",
        "--answer-within",
        "60",
        "--replay",
        "0",
        "--hang-up-rate",
        "0",
        "--fault",
        "nothing=true",
        "--fault-every",
        "1",
    ]);
    assert_eq!(value(&r, "events accepted", "server"), 200.0);
    assert_eq!(
        (
            value(&r, "deliveries owed", "server"),
            value(&r, "deliveries made", "server")
        ),
        (1200.0, 1200.0)
    );
}

#[test]
fn a_soak_sees_what_is_lost() {
    // Clients that hang up lose what a server without a memory does not tell them again.
    let floor = Floor::start();
    let args = "soak --rounds 1 --seconds 3 -r 200 -n 20 --channels 5 --settle 2 --hang-up-rate 20 --back-after 500";
    let out = Command::new(LOAD)
        .args(args.split(' '))
        .args(["--url", &floor.1])
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("does not balance"),
        "{out:?}"
    );
}

#[test]
fn another_host_is_refused() {
    let out = Command::new(LOAD)
        .args(["fanout", "--url", "http://192.0.2.1:80"])
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("--i-own-this-host"));
}
