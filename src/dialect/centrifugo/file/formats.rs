//! The formats of v1's file: JSON, YAML and TOML, told apart by how its name ends.
//!
//! Invariant: all of them become the same object; what a parser says of a fault is not passed on, since it may quote a value.

use std::path::Path;

use serde_json::{Map, Value};

use super::fault::FileFault;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Where the name says nothing else.
    Json,
    /// `.yaml` or `.yml`.
    Yaml,
    /// `.toml`.
    Toml,
}

impl Format {
    /// That of the file of this name.
    pub fn of(path: &Path) -> Self {
        match path
            .extension()
            .and_then(|ending| ending.to_str())
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("yaml" | "yml") => Self::Yaml,
            Some("toml") => Self::Toml,
            _ => Self::Json,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
        }
    }

    /// Reads an object. Keys that have no value are left out.
    ///
    /// # Errors
    /// [`FileFault::Form`]
    pub fn read(self, text: &str) -> Result<Map<String, Value>, FileFault> {
        let fault = |(line, column)| FileFault::Form {
            format: self.name(),
            line,
            column,
        };
        let mut keys: Map<String, Value> = match self {
            Self::Json => {
                serde_json::from_str(text).map_err(|error| fault((error.line(), error.column())))?
            }
            Self::Yaml => serde_saphyr::from_str(text).map_err(|error| {
                let at = error
                    .location()
                    .map(|at| (at.line() as usize, at.column() as usize));
                fault(at.unwrap_or((1, 1)))
            })?,
            Self::Toml => toml::from_str(text)
                .map_err(|error| fault(place(text, error.span().map_or(0, |span| span.start))))?,
        };
        keys.retain(|_, value| !value.is_null());
        Ok(keys)
    }
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"secret": "s", "insecure": true, "connection_lifetime": 30,
        "namespaces": [{"name": "public", "publish": true, "history_size": 10}]}"#;
    const YAML: &str = "secret: s\ninsecure: true\nconnection_lifetime: 30\nnamespaces:\n  - name: public\n    publish: true\n    history_size: 10\n";
    const TOML: &str = "secret = \"s\"\ninsecure = true\nconnection_lifetime = 30\n[[namespaces]]\nname = \"public\"\npublish = true\nhistory_size = 10\n";

    #[test]
    fn each_format_says_the_same() {
        let read = |format: Format, text: &str| {
            format
                .read(text)
                .map_err(|fault| fault.to_string())
                .expect("an object")
        };
        let json = read(Format::Json, JSON);
        assert_eq!(
            (&read(Format::Yaml, YAML), &read(Format::Toml, TOML)),
            (&json, &json)
        );
        for (name, format) in [
            ("c.json", Format::Json),
            ("c", Format::Json),
            ("c.YML", Format::Yaml),
            ("c.yaml", Format::Yaml),
            ("c.toml", Format::Toml),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
        assert!(
            read(Format::Yaml, "secret: s\nnamespaces:\n")
                .get("namespaces")
                .is_none()
        );
    }

    #[test]
    fn a_fault_is_placed_and_no_value_is_told() {
        for (format, text) in [
            (Format::Json, "{\n\"secret\": \"hunter2\" x}"),
            (Format::Yaml, "ok: 1\nsecret: [hunter2"),
            (Format::Toml, "ok = 1\nsecret = hunter2"),
            (Format::Json, "\n\"hunter2\""),
        ] {
            let told = format.read(text).expect_err("a fault").to_string();
            assert!(
                told.contains(format.name()) && told.contains("line ") && !told.contains("hunter2"),
                "{told}"
            );
        }
        assert!(
            Format::Toml
                .read("ok = 1\nsecret = hunter2")
                .expect_err("a fault")
                .to_string()
                .contains("line 2")
        );
    }
}
