//! What was checked and how it came out, for people and as JSON.
//!
//! Invariant: whatever is wrong is said with what mends it, and nothing secret is ever part of it.

use std::fmt::Write;

use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and yet may be a mistake.
    Warn,
    /// Something does not work.
    Fail,
    /// It could not be looked at.
    Skipped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "-",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it was about, as `public`, `redis` or `mqtt`.
    pub(super) place: &'static str,
    /// Its name.
    pub(super) check: &'static str,
    /// How it came out.
    pub(super) outcome: Outcome,
    /// What was seen.
    pub(super) what: String,
    /// The lines that mend it; empty where nothing has to be.
    pub(super) mend: Vec<String>,
}

impl Check {
    /// It is as it should be.
    pub fn ok(place: &'static str, check: &'static str, what: impl Into<String>) -> Self {
        Self {
            place,
            check,
            outcome: Outcome::Ok,
            what: what.into(),
            mend: Vec::new(),
        }
    }

    /// It may be a mistake.
    pub fn warn(
        place: &'static str,
        check: &'static str,
        what: impl Into<String>,
        mend: Vec<String>,
    ) -> Self {
        debug_assert!(!mend.is_empty(), "{check}: nothing mends it");
        Self {
            place,
            check,
            outcome: Outcome::Warn,
            what: what.into(),
            mend,
        }
    }

    /// It does not work.
    pub fn fail(
        place: &'static str,
        check: &'static str,
        what: impl Into<String>,
        mend: Vec<String>,
    ) -> Self {
        debug_assert!(!mend.is_empty(), "{check}: nothing mends it");
        Self {
            place,
            check,
            outcome: Outcome::Fail,
            what: what.into(),
            mend,
        }
    }

    /// It could not be looked at.
    pub fn skipped(place: &'static str, check: &'static str, why: impl Into<String>) -> Self {
        Self {
            place,
            check,
            outcome: Outcome::Skipped,
            what: why.into(),
            mend: Vec::new(),
        }
    }

    /// For people: a line, and one more for each that mends it.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:4}  {:8}  {:11}  {}\n",
            self.outcome.word(),
            self.place,
            self.check,
            self.what
        );
        for line in &self.mend {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:29}> {line}", "");
        }
        text
    }
}

/// All that was checked.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which it was done.
    pub(super) checks: Vec<Check>,
}

impl Report {
    /// How many came out like this.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    }

    /// Whether nothing failed.
    pub fn healthy(&self) -> bool {
        self.count(Outcome::Fail) == 0
    }

    /// The last line for people.
    pub fn summary(&self) -> String {
        let (failed, warned) = (self.count(Outcome::Fail), self.count(Outcome::Warn));
        match (failed, warned) {
            (0, 0) => "Everything that was checked works.\n".to_owned(),
            (0, 1) => "Everything that was checked works; 1 warning.\n".to_owned(),
            (0, _) => format!("Everything that was checked works; {warned} warnings.\n"),
            _ => format!("{failed} failed, {warned} with a warning.\n"),
        }
    }

    /// For programs.
    pub fn json(&self) -> String {
        let (failed, warned) = (self.count(Outcome::Fail), self.count(Outcome::Warn));
        let report = serde_json::json!({"healthy": self.healthy(), "failed": failed, "warned": warned, "checks": self.checks});
        format!("{report:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_mends_it() {
        let mut report = Report::default();
        report.checks.push(Check::ok("public", "ping", "fine"));
        assert!(report.healthy() && report.summary().contains("works"));
        report.checks.push(Check::fail(
            "public",
            "upgrade",
            "refused",
            vec!["proxy_http_version 1.1;".into()],
        ));
        assert!(!report.healthy());
        assert!(
            report.checks[1].text().contains("FAIL")
                && report.checks[1].text().contains("> proxy_http_version")
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
        assert_eq!(
            (&json["failed"], &json["checks"][1]["outcome"]),
            (&1.into(), &"fail".into())
        );
    }
}
