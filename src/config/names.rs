//! Names that look like settings and are none.
//!
//! Invariant: a name that is nearly a setting's is a fault, since a setting that is not read fails in silence; a name that is
//! far from all of them is noted where it begins as ours do, and any other name is nobody's business here.

use strsim::{damerau_levenshtein, jaro_winkler};

use super::predecessor::Predecessor;
use super::reader::Sources;

/// Names of the shipped compose files, which stand in the same `.env`.
const COMPOSE: &[&str] = &[
    "FOGHORN_REPLICAS",
    "FOGHORN_NOFILE",
    "FOGHORN_CPUS",
    "FOGHORN_MEMORY",
    "FOGHORN_STOP_GRACE",
    "FOGHORN_PUBLISH",
    "FOGHORN_PUBLISH_OPS",
    "FOGHORN_REDIS_PASSWORD",
];

/// What a name is taken for.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nearly a setting's.
    Wrong(String),
    /// None of ours, or perhaps meant for another program.
    Doubtful(String),
}

/// The names of the variables that are read, and the programs whose variables may stand beside them.
pub struct Names {
    read: Vec<&'static str>,
    beside: Vec<&'static Predecessor>,
}

impl Names {
    /// Those that `sources` may have.
    pub fn of(sources: &Sources) -> Self {
        Self {
            read: sources.names().collect(),
            beside: sources.predecessors().map(|(_, one)| one).collect(),
        }
    }

    /// Looks at a name that is set. `in_file`: in a file that Compose may read too. `is_set` tells of other names.
    pub fn judge(
        &self,
        name: &str,
        value: &str,
        in_file: bool,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Option<Verdict> {
        if self.known(name) || made_by_kubernetes(name, value) {
            return None;
        }
        let plain: String = name
            .trim()
            .chars()
            .map(|c| {
                if "-. ".contains(c) {
                    '_'
                } else {
                    c.to_ascii_uppercase()
                }
            })
            .collect();
        if plain != name && self.known(&plain) {
            return verdict(
                &plain,
                is_set,
                "in exactly these letters, with no blank around it",
            );
        }
        let Some(own) = plain.strip_prefix("FOGHORN_") else {
            return self.beside(&plain, is_set);
        };
        let of_compose = COMPOSE.contains(&plain.as_str())
            || plain.ends_with("_IMAGE")
            || self.beside.iter().any(|one| one.unread.contains(&&*plain));
        if in_file && of_compose {
            return None;
        }
        if self.known(own) {
            return verdict(own, is_set, "without FOGHORN_ before it");
        }
        let ours = || {
            self.all()
                .filter_map(|name| Some((name, name.strip_prefix("FOGHORN_")?)))
        };
        if let Some((name, _)) = ours().find(|(_, theirs)| near(own, theirs)) {
            return Some(Verdict::Wrong(format!(
                "is no setting: {name} is meant, it seems"
            )));
        }
        let likeness = |theirs: &str| jaro_winkler(own, theirs);
        let closest = ours().max_by(|(_, a), (_, b)| likeness(a).total_cmp(&likeness(b)));
        let hint = closest
            .filter(|(_, theirs)| likeness(theirs) > 0.85)
            .map(|(name, _)| format!("; is it {name}?"));
        Some(Verdict::Doubtful(format!(
            "is set, but there is no such setting{}",
            hint.unwrap_or_default()
        )))
    }

    fn all(&self) -> impl Iterator<Item = &'static str> {
        self.read.iter().copied()
    }

    fn known(&self, name: &str) -> bool {
        self.all().any(|known| known == name)
    }

    /// A name that does not begin as ours do: a setting that has its name from elsewhere, misspelled, or ours without its beginning.
    fn beside(&self, plain: &str, is_set: &dyn Fn(&str) -> bool) -> Option<Verdict> {
        let others = self.all().filter(|name| !name.starts_with("FOGHORN_"));
        let near =
            |name: &&str| damerau_levenshtein(plain, name) <= if name.len() < 12 { 1 } else { 2 };
        if let Some(right) = others.filter(|name| name.len() > 7).find(near) {
            return verdict(right, is_set, "it seems");
        }
        let kin = |one: &&&Predecessor| {
            !one.family.is_empty() && plain.starts_with(one.family) && !one.unread.contains(&plain)
        };
        if let Some(program) = self.beside.iter().find(kin) {
            let likeness = |name: &str| jaro_winkler(plain, name);
            let ours = self.all().filter(|name| name.starts_with(program.family));
            let closest = ours
                .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
                .unwrap_or_default();
            return Some(Verdict::Doubtful(format!(
                "is set, and neither {} nor Foghorn reads it; is it {closest}?",
                program.name
            )));
        }
        let own = self
            .all()
            .filter_map(|name| name.strip_prefix("FOGHORN_"))
            .find(|own| {
                plain.contains('_')
                    && (plain == *own
                        || (own.starts_with("REDIS_URLS") && damerau_levenshtein(plain, own) == 1))
            });
        own.map(|own| {
            Verdict::Doubtful(format!(
                "is set, and is not read: Foghorn's setting is FOGHORN_{own}"
            ))
        })
    }
}

/// A fault where the right name is not set: then its value is missing.
fn verdict(right: &str, is_set: &dyn Fn(&str) -> bool, how: &str) -> Option<Verdict> {
    if is_set(right) && !right.starts_with("FOGHORN_") {
        return Some(Verdict::Doubtful(format!(
            "is set beside {right}, and is not read"
        )));
    }
    Some(Verdict::Wrong(format!(
        "is no setting: it is {right}, {how}"
    )))
}

/// A slip of the fingers, or the same words in another order or number.
fn near(one: &str, other: &str) -> bool {
    let words = |name: &str| {
        let mut words: Vec<String> = name
            .split('_')
            .map(|word| word.trim_end_matches('S').to_owned())
            .collect();
        words.retain(|word| !word.is_empty());
        words.sort_unstable();
        words
    };
    let slips = if other.len() < 6 { 1 } else { 2 };
    words(one) == words(other) || damerau_levenshtein(one, other) <= slips
}

/// What Kubernetes sets for a Service called foghorn or foghorn-….
pub fn made_by_kubernetes(name: &str, value: &str) -> bool {
    let address = value.starts_with("tcp://") || value.starts_with("udp://");
    let port = name
        .split("_PORT_")
        .nth(1)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || port
        || (name.ends_with("_PORT") && address)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn judge(
        name: &str,
        value: &str,
        in_file: bool,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Option<Verdict> {
        let names = Names::of(&Sources::default());
        names.judge(name, value, in_file, is_set)
    }

    fn judged(name: &str) -> Option<Verdict> {
        judge(name, "x", false, &|_| false)
    }

    #[test]
    fn near_misses_are_faults_that_name_the_setting() {
        for (name, right) in [
            ("FOGHORN_REDIS_URL", "FOGHORN_REDIS_URLS"),
            ("foghorn_redis_urls", "FOGHORN_REDIS_URLS"),
            ("FOGHORN_REDIS_URLS ", "FOGHORN_REDIS_URLS"),
            ("FOGHORN-REDIS-URLS", "FOGHORN_REDIS_URLS"),
            ("FOGHORN_URLS_REDIS", "FOGHORN_REDIS_URLS"),
            ("FOGHORN_REDIS_URL_FILE", "FOGHORN_REDIS_URLS_FILE"),
            ("FOGHORN_PARTITION", "FOGHORN_PARTITIONS"),
            ("FOGHORN_DRAIN_SECOND", "FOGHORN_DRAIN_SECONDS"),
            ("FOGHORN_OPS_ADRR", "FOGHORN_OPS_ADDR"),
            ("FOGHORN_REDIS_HOST", "REDIS_HOST"),
            ("FOGHORN_JWT_PRIVATE_KEY", "JWT_PRIVATE_KEY"),
            ("redis_host", "REDIS_HOST"),
            ("REDIS_HOSTS", "REDIS_HOST"),
            ("REDIS_HOST ", "REDIS_HOST"),
            ("JWT_PRIVAT_KEY", "JWT_PRIVATE_KEY"),
        ] {
            match judged(name) {
                Some(Verdict::Wrong(message)) => {
                    assert!(message.contains(right), "{name}: {message}")
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn others_are_noted_or_left_alone() {
        assert!(matches!(
            judged("FOGHORN_WHATEVER"),
            Some(Verdict::Doubtful(_))
        ));
        assert!(
            matches!(judged("REDIS_URL"), Some(Verdict::Doubtful(m)) if m.contains("FOGHORN_REDIS_URLS"))
        );
        let beside = judge("redis_host", "x", false, &|name| name == "REDIS_HOST");
        assert!(matches!(beside, Some(Verdict::Doubtful(_))));
        for name in [
            "PATH",
            "REDIS_HOST",
            "FOGHORN_SERVICE_HOST",
            "FOGHORN_EVENTS_SERVICE_PORT_EVENTS",
            "FOGHORN_PORT_8083_TCP_ADDR",
            "NOTIFICATION_SERVER_URL",
            "INNER_NOTIFICATION_SERVER_URL",
            "MEMCACHED_HOST",
            "REDIS_DB",
        ] {
            assert_eq!(judged(name), None, "{name}");
        }
        assert_eq!(
            judge("FOGHORN_PORT", "tcp://10.0.0.1:8083", false, &|_| false),
            None
        );
        assert_eq!(judge("FOGHORN_REPLICAS", "3", true, &|_| false), None);
    }

    #[test]
    fn the_compose_files_own_variables_are_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = |path: PathBuf| {
            std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        };
        let deployed = listed(root.join("deploy"))
            .filter(|path| path.is_dir())
            .flat_map(listed)
            .filter(|path| path.extension().is_some_and(|end| end == "yml"));
        let all: Vec<PathBuf> = deployed.chain([root.join("docker-compose.yml")]).collect();
        assert!(all.len() > 1, "{all:?}");
        for path in all {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.display();
            for used in text
                .split("${")
                .skip(1)
                .map(|rest| rest.split([':', '}']).next().unwrap_or_default())
            {
                let verdict = judge(used, "x", true, &|_| false);
                assert!(
                    !used.starts_with("FOGHORN_") || verdict.is_none(),
                    "{path}: {used}: {verdict:?}"
                );
            }
        }
    }
}
