//! Faults at random: shell commands that hurt something, one at a time, while a soak runs.
//!
//! Invariant: each command ends before the next begins, and all are over before the ledger is settled.

use crate::progress;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A command and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    name: String,
    command: String,
}

/// Reads `NAME=COMMAND`.
///
/// # Errors
/// When there is no name or no command.
pub fn parse(text: &str) -> Result<Fault, String> {
    match text.split_once('=') {
        Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
            Ok(Fault {
                name: name.trim().into(),
                command: command.into(),
            })
        }
        _ => {
            Err("expected NAME=COMMAND, as pause='kill -STOP 123; sleep 5; kill -CONT 123'".into())
        }
    }
}

/// A small generator whose seed is printed, so that a run's order of faults can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}

/// Runs faults until `stop`, with half to one and a half times `every` between them. How often each ran; failed ones apart.
pub fn run(
    faults: &[Fault],
    every: Duration,
    longest: Duration,
    seed: u64,
    stop: &AtomicBool,
) -> BTreeMap<String, u64> {
    let mut done = BTreeMap::new();
    let mut dice = Dice(seed | 1);
    while !faults.is_empty() {
        let pause = every / 2 + Duration::from_millis(dice.below(every.as_millis() as u64));
        let next = Instant::now() + pause;
        while Instant::now() < next {
            if stop.load(Ordering::Relaxed) {
                return done;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let fault = &faults[dice.below(faults.len() as u64) as usize];
        progress::step(&format!("fault: {}", fault.name));
        let name = match execute(&fault.command, longest) {
            Ok(()) => fault.name.clone(),
            Err(why) => {
                progress::step(&format!("fault: {}: {why}", fault.name));
                format!("{} ({why})", fault.name)
            }
        };
        *done.entry(name).or_default() += 1;
    }
    done
}

fn execute(command: &str, longest: Duration) -> Result<(), String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("does not start: {e}"))?;
    let until = Instant::now() + longest;
    loop {
        match child.try_wait() {
            Ok(Some(s)) if s.success() => return Ok(()),
            Ok(Some(s)) => return Err(format!("ended with {s}")),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("took too long".into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_name_and_a_command() {
        assert_eq!(
            parse("a=b=c").unwrap(),
            Fault {
                name: "a".into(),
                command: "b=c".into()
            }
        );
        assert!(parse("a=").is_err() && parse("=b").is_err() && parse("ab").is_err());
    }

    #[test]
    fn commands_are_run_and_cut_off() {
        let long = Duration::from_secs(60);
        assert_eq!(execute("true", long), Ok(()));
        assert!(execute("exit 3", long).unwrap_err().contains('3'));
        assert_eq!(
            execute("exec sleep 60", Duration::from_millis(100)),
            Err("took too long".into())
        );
    }

    #[test]
    fn faults_stop_when_told() {
        let stop = AtomicBool::new(false);
        let note = std::env::temp_dir().join(format!("fault-{}", std::process::id()));
        let faults = [parse(&format!("note=echo >>'{}'", note.display())).unwrap()];
        let until = Instant::now() + Duration::from_secs(60);
        let done = std::thread::scope(|s| {
            let running = s.spawn(|| {
                run(
                    &faults,
                    Duration::from_millis(20),
                    Duration::from_secs(60),
                    7,
                    &stop,
                )
            });
            let twice = || std::fs::read(&note).is_ok_and(|lines| lines.len() > 1);
            while !twice() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            stop.store(true, Ordering::Relaxed);
            running.join().unwrap()
        });
        let _ = std::fs::remove_file(&note);
        assert!(done["note"] > 1, "{done:?}");
    }
}
