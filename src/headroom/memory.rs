//! How much of the memory that its container allows this process and its neighbours use (cgroup v2).
//!
//! Invariant: where there is no limit nothing is done. What the kernel can give back at once, read files that nobody
//! uses, does not count.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::metrics::gauge;

use super::Headroom;
use crate::drain::Tasks;
use crate::metrics;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Memory is short until so much less is used than when it became so, in percent of the limit.
const RELIEF: f64 = 5.0;

/// The cgroups that limit this process: its own, and those it lies in.
#[derive(Clone, Debug)]
pub struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Looks below `root`, where the hierarchy is mounted. Within a container its own group is the root.
    pub fn find(root: &Path) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .unwrap_or("/");
        Self::at(root, Path::new(own))
    }

    fn at(root: &Path, own: &Path) -> Self {
        let mut folders = vec![root.to_owned()];
        for part in own.components() {
            if let (Component::Normal(name), Some(parent)) = (part, folders.last()) {
                folders.push(parent.join(name));
            }
        }
        Self { folders }
    }

    /// How much of its limit the fullest of the groups uses, in percent; `None`: there is no limit.
    fn used_percent(&self) -> Option<f64> {
        self.folders
            .iter()
            .filter_map(|folder| percent(folder))
            .max_by(f64::total_cmp)
    }
}

fn percent(folder: &Path) -> Option<f64> {
    let number = |name: &str| -> Option<f64> {
        fs::read_to_string(folder.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let limit = number("memory.max").filter(|limit| *limit > 0.0)?;
    let used = number("memory.current")?;
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let files = statistics
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    Some((used - files.unwrap_or(0.0)).max(0.0) * 100.0 / limit)
}

/// Looks at the limit every second until the tasks are stopped. From `threshold` percent on, memory is short.
pub fn watch(cgroup: Cgroup, threshold: f64, headroom: &Arc<Headroom>, tasks: &Tasks) {
    let (headroom, stop) = (Arc::clone(headroom), tasks.clone());
    tasks.spawn("memory", async move {
        let mut second = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = second.tick() => {}
                () = stop.stopped() => return,
            }
            if let Some(used) = cgroup.used_percent() {
                gauge!(metrics::MEMORY_LIMIT_USED).set(used / 100.0);
                judge(&headroom, used, threshold);
            }
        }
    });
}

fn judge(headroom: &Headroom, used: f64, threshold: f64) {
    let percent = used.round();
    match headroom.lacks_memory() {
        false if used >= threshold => {
            headroom.set_memory(true);
            tracing::warn!(
                percent,
                threshold,
                "the container's memory limit is near: new connections are refused (FOGHORN_MEMORY_PERCENT)"
            );
        }
        true if used < threshold - RELIEF => {
            headroom.set_memory(false);
            tracing::info!(percent, "there is memory again: connections are taken");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(folder: &Path, max: &str, current: &str, inactive: &str) {
        fs::create_dir_all(folder).expect("a folder");
        for (name, text) in [
            ("memory.max", format!("{max}\n")),
            ("memory.current", format!("{current}\n")),
            (
                "memory.stat",
                format!("anon 5\ninactive_file {inactive}\nactive_file 7\n"),
            ),
        ] {
            fs::write(folder.join(name), text).expect("written");
        }
    }

    #[test]
    fn the_fullest_group_counts_and_read_files_do_not() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |own: &str| Cgroup::at(root.path(), Path::new(own)).used_percent();
        assert_eq!(at("/"), None);
        group(root.path(), "max", "900", "0");
        assert_eq!(at("/"), None);
        group(&root.path().join("pod"), "1000", "500", "100");
        group(&root.path().join("pod/container"), "1000", "300", "0");
        assert_eq!(at("/"), None);
        assert_eq!(at("/pod/container"), Some(40.0));
        group(&root.path().join("pod/container"), "500", "300", "0");
        assert_eq!(at("/pod/container"), Some(60.0));
        // A path that leads nowhere, as another namespace's does.
        assert_eq!(at("/../../elsewhere"), None);
    }

    #[test]
    fn it_is_short_from_the_threshold_on_until_there_is_relief() {
        let headroom = Headroom::default();
        for (used, short) in [
            (89.9, false),
            (90.0, true),
            (86.0, true),
            (84.9, false),
            (89.0, false),
            (120.0, true),
        ] {
            judge(&headroom, used, 90.0);
            assert_eq!(headroom.lacks_memory(), short, "{used}");
        }
    }
}
