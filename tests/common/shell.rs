//! Commands of a page, run as they are printed.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::{Process, command, need};

/// What stands in `page` between `begin` and the end of its code.
pub fn code(page: &str, begin: &str) -> String {
    let (_, behind) = page
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin:?}"));
    behind.split_once("```\n").expect("an end").0.to_owned()
}

/// One terminal, in which the commands of a page's block are run.
pub struct Shell {
    process: Process,
    _folder: TempDir,
}

impl Shell {
    /// Runs the block that is named in a comment before it, as `<!-- run: name -->`.
    pub fn start(page: &str, name: &str, env: &[(&str, &str)]) -> Self {
        let mut bash: Command = command(&need("bash", "bash"));
        let commands = code(page, &format!("<!-- run: {name} -->\n\n```bash\n"));
        bash.args(["-e", "-c", &commands]);
        let program = Path::new(env!("CARGO_BIN_EXE_foghorn"));
        let programs = program.parent().expect("a folder").display();
        let path = std::env::var("PATH").unwrap_or_default();
        bash.env("PATH", format!("{programs}:{path}"))
            .envs(env.iter().copied());
        let folder = tempfile::Builder::new()
            .prefix("foghorn-shell-")
            .tempdir()
            .expect("a folder");
        Self {
            process: Process::start(name, bash, &folder.path().join("log")),
            _folder: folder,
        }
    }

    /// Waits until `text` is shown; gives all that is.
    pub async fn shows(&mut self, text: &str) -> String {
        self.process.logged(text).await
    }

    /// Waits until all commands are done, which must succeed; gives all that was shown.
    pub async fn done(mut self) -> String {
        let status = self.process.end().await;
        let shown = self.process.log();
        assert!(status.success(), "{status}: {shown}");
        shown
    }
}
