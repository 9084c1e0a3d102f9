//! After the log file is moved away, SIGUSR1 makes the process write to a new one of the same name.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use foghorn::config::{Log, LogFormat, LogLevel};
use foghorn::drain::Tasks;

/// Asks until `done` says so; a test's runner ends one that waits for ever.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn sigusr1_reopens_the_log_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (path, moved) = (
        dir.path().join("foghorn.log"),
        dir.path().join("foghorn.log.1"),
    );
    let log = Log {
        level: LogLevel::Info,
        format: LogFormat::Json,
        file: Some(path.clone()),
    };
    let (logging, tasks) = (foghorn::logging::start(&log).expect("a log"), Tasks::new());
    logging.spawn(&tasks).expect("a signal handler");
    assert!(foghorn::logging::start(&log).is_err());

    tracing::info!(target: "foghorn", answer = 42, "before");
    assert!(
        logging.flush(Duration::from_secs(60)),
        "the log was not written"
    );
    std::fs::rename(&path, &moved).expect("renaming");
    tracing::info!(target: "foghorn", "still in the old one");
    let kill = format!("kill -USR1 {}", std::process::id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("sh")
            .success()
    );
    until(|| text(&path).contains("reopened")).await;
    tracing::info!(target: "foghorn", "after");
    assert!(
        logging.flush(Duration::from_secs(60)),
        "the log was not written"
    );

    let (old, new) = (text(&moved), text(&path));
    assert!(
        old.contains("before") && old.contains("still in the old one") && !old.contains("after"),
        "{old}"
    );
    assert!(new.contains("after") && !new.contains("before"), "{new}");
    let first: serde_json::Value =
        serde_json::from_str(old.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&first["level"], &first["answer"], &first["message"]),
        (&"INFO".into(), &42.into(), &"before".into())
    );

    tasks.stop();
    assert!(tasks.finish(Duration::from_secs(60)).await);
}
