//! A floor of a test's own.

use crate::report::{LOAD, load_at};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A floor that ends with the test.
pub struct Floor(Child, pub String);

impl Floor {
    pub fn start() -> Self {
        let mut child = Command::new(LOAD)
            .args(["floor", "--port", "0", "--child"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the floor starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it speaks");
        let said: Value = serde_json::from_str(&line).expect(&line);
        Self(
            child,
            said["listening"].as_str().expect("an address").to_owned(),
        )
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a scenario against a floor of its own and gives its JSON.
pub fn load(args: &[&str]) -> Value {
    let floor = Floor::start();
    load_at(&floor.1, args)
}
