//! The recorded conversations of `tests/conformance`, by what they were recorded of, and the tools that replay them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::PATIENCE;
use super::process::{command, need};

/// Those of one server.
pub struct Recorded {
    folder: PathBuf,
    /// The file of settings that conversations need which name none.
    default: &'static str,
}

impl Recorded {
    /// Those in `tests/conformance/{server}/cases`; `default` is the file of settings that holds where they name none.
    pub fn of(server: &str, default: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conformance")
            .join(server)
            .join("cases");
        Self { folder, default }
    }

    /// One of the files.
    pub fn read(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.folder.join(name)).expect("the file is there");
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// The conversations by the file of settings that they need.
    pub fn by_settings(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).expect("the conversations are there") {
            let name = entry
                .expect("a folder can be listed")
                .file_name()
                .into_string()
                .expect("a plain name");
            let file = self.read(&name);
            if file.get("steps").is_some() {
                let config = file
                    .get("config")
                    .and_then(Value::as_str)
                    .unwrap_or(self.default);
                found.entry(config.to_owned()).or_default().push(name);
            }
        }
        found.values_mut().for_each(|names| names.sort());
        found
    }

    /// How many conversations there are.
    pub fn count(&self) -> usize {
        self.by_settings().values().map(Vec::len).sum()
    }

    /// The variables that a file of settings asks for.
    pub fn variables(&self, config: &str) -> Vec<(String, String)> {
        if config.is_empty() {
            return Vec::new();
        }
        let file = self.read(config);
        let env = file["env"]
            .as_object()
            .expect("a file of settings has them");
        env.iter()
            .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
            .collect()
    }

    /// Replays `names` with a tool, named from their folder, that is told `arguments`; what it says. The waits in them suit
    /// an idle machine, so they are `patience` times as long, and what must come is waited for as long as in any test.
    pub async fn replay(
        &self,
        tool: &str,
        arguments: impl IntoIterator<Item = String>,
        (config, names): (&str, &[String]),
        patience: u32,
    ) -> String {
        let mut play = command(&need("python3", "python3"));
        play.arg(self.folder.join(tool)).args(arguments);
        if !config.is_empty() {
            play.args(["--config", config]);
        }
        play.args(["--patience", &patience.to_string()])
            .args(["--at-least", &PATIENCE.as_secs().to_string()])
            .args(names.iter().map(|name| self.folder.join(name)));
        play.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || play.output())
            .await
            .expect("no panic")
            .expect("python3 starts");
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }
}

/// How many of them went well, as a tool says it.
pub fn good(report: &str) -> usize {
    report
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count()
}
