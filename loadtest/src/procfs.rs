//! What a server's process costs, asked of the kernel.
//!
//! Invariant: a process is read with all its children, so that nginx's workers or a wrapper's child are not forgotten.

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;
use std::fs;
use std::net::SocketAddr;
use std::ops::Sub;

/// CPU and memory of some processes at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// CPU seconds used since they started, system time included.
    pub cpu_s: f64,
    /// Resident bytes, pages shared between them counted in each.
    pub rss: f64,
    /// Resident bytes, shared pages split between their sharers.
    pub pss: f64,
    /// Pages the kernel holds for all TCP sockets of the machine, in bytes.
    pub tcp_mem: f64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, o: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - o.cpu_s,
            rss: self.rss - o.rss,
            pss: self.pss - o.pss,
            tcp_mem: self.tcp_mem - o.tcp_mem,
        }
    }
}

/// Where the machine's CPU time has gone since it started, in clock ticks of all its CPUs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    all: f64,
    idle: f64,
    stolen: f64,
}

impl Machine {
    /// As of now.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in user already.
        let ticks: Vec<f64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .take(8)
            .flat_map(str::parse)
            .collect();
        let at = |n: usize| ticks.get(n).copied().unwrap_or(0.0);
        Self {
            all: ticks.iter().sum(),
            idle: at(3) + at(4),
            stolen: at(7),
        }
    }

    /// What of it was used here, and what the machine's host kept for others (steal), since `before`; in percent.
    pub fn used_and_stolen(self, before: Self) -> (f64, f64) {
        let share = |part: f64| part * 100.0 / (self.all - before.all).max(1.0);
        let (idle, stolen) = (
            share(self.idle - before.idle),
            share(self.stolen - before.stolen),
        );
        (100.0 - idle - stolen, stolen)
    }
}

fn field_kib(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|l| l.strip_prefix(name))?;
    rest.trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse::<f64>()
        .ok()
        .map(|k| k * 1024.0)
}

/// The process and its children and theirs.
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    // Bounded: a process tree of more than this is no server of ours.
    while at < all.len() && all.len() < 1000 {
        let tasks = fs::read_dir(format!("/proc/{}/task", all[at]))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(
                text.split_whitespace()
                    .filter_map(|p| p.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    all
}

/// From the process's own CPU clock, which counts nanoseconds and threads that are gone; /proc counts hundredths.
fn cpu_s(pid: u32) -> Option<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    let t = clock_gettime(clock).ok()?;
    Some(t.tv_sec() as f64 + t.tv_nsec() as f64 / 1e9)
}

/// Reads all of `pids` with their children. A process that is gone counts as nothing.
pub fn usage(pids: &[u32]) -> Usage {
    let mut u = Usage::default();
    for pid in pids.iter().flat_map(|p| family(*p)) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let rss = field_kib(&status, "VmRSS").unwrap_or(0.0);
        u.rss += rss;
        u.pss += field_kib(&rollup, "Pss").unwrap_or(rss);
        u.cpu_s += cpu_s(pid).unwrap_or(0.0);
    }
    u.tcp_mem = tcp_mem();
    u
}

fn tcp_mem() -> f64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let pages = text
        .lines()
        .find(|l| l.starts_with("TCP:"))
        .and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * rustix::param::page_size() as f64
}

/// How often a listening socket of this machine had no room for a connection since it started.
pub fn listen_overflows() -> u64 {
    let text = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut lines = text.lines().filter(|l| l.starts_with("TcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs
        .find(|(n, _)| *n == "ListenOverflows")
        .and_then(|(_, v)| v.parse().ok())
        .unwrap_or(0)
}

/// The process that listens at this address, if we may see it.
pub fn listener(at: SocketAddr) -> Option<u32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|f| listening_inode(f, at.port()))?;
    let want = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    // The parent of a family of workers has the lowest number.
    let holds = |pid: &u32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        fds.filter_map(|e| fs::read_link(e.path()).ok())
            .any(|l| l.to_str() == Some(&want))
    };
    pids.filter(holds).min()
}

fn listening_inode(file: &str, port: u16) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().skip(1).find_map(|line| {
        let f: Vec<&str> = line.split_whitespace().collect();
        // Column 1: local address, column 3: state (0A: listening), column 9: inode.
        let here = u16::from_str_radix(f.get(1)?.rsplit(':').next()?, 16).ok()?;
        (here == port && *f.get(3)? == "0A").then(|| f.get(9).map(|s| (*s).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let me = std::process::id();
        let before = usage(&[me]);
        let mut x = 1u64;
        // Other processes may have the cores; what counts is that our time passes.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while (usage(&[me]) - before).cpu_s < 0.03 && std::time::Instant::now() < until {
            (0..1_000_000u64).for_each(|_| x = std::hint::black_box(x.wrapping_mul(31)));
        }
        let used = usage(&[me]) - before;
        assert!(before.rss > 1e5 && before.pss > 1e5, "{before:?}");
        assert!((0.03..10.0).contains(&used.cpu_s), "{used:?}");
    }

    #[test]
    fn the_machines_time_is_idle_used_or_stolen() {
        let (before, busy) = (
            Machine {
                all: 1000.0,
                idle: 400.0,
                stolen: 10.0,
            },
            Machine {
                all: 1200.0,
                idle: 430.0,
                stolen: 30.0,
            },
        );
        assert_eq!(busy.used_and_stolen(before), (75.0, 10.0));
        let now = Machine::now();
        assert!(now.all > now.idle + now.stolen && now.idle > 0.0, "{now:?}");
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = l.local_addr().unwrap();
        assert_eq!(listener(at), Some(std::process::id()));
        drop(l);
        // A process that another test is just starting may have it for a moment.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while listener(at).is_some() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(listener(at), None);
    }

    #[test]
    fn nobody_uses_nothing() {
        let u = usage(&[u32::MAX]);
        assert_eq!((u.cpu_s, u.rss, u.pss), (0.0, 0.0, 0.0));
    }
}
