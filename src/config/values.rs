//! What the settings of dialects are set to. Each dialect says its settings in its own folder, and takes their values here.
//!
//! Invariant: every value was read once, and could be; nothing that is not shown to everybody is in `Debug` output.

use std::collections::BTreeMap;
use std::fmt;

use super::reader::Reader;
use super::secrets::nearer;
use super::settings::{Mask, Row, Setting};

/// See the module's description.
#[derive(Clone, Default)]
pub struct Values {
    settings: BTreeMap<&'static str, (&'static Row, String)>,
    variables: BTreeMap<String, String>,
}

impl Values {
    /// The value of a setting that has a default.
    ///
    /// # Panics
    /// The setting has none, or a wrong one.
    pub fn get<T>(&self, setting: &'static Setting<T>) -> T {
        let row = &setting.row;
        self.optional(setting)
            .or_else(|| (setting.parse)(row.default).ok())
            .unwrap_or_else(|| {
                unreachable!(
                    "{} has no default, so it has to be taken by `optional`",
                    row.name
                )
            })
    }

    /// The value of a setting, where it has one. A secret's is there too where a file was named that holds it.
    pub fn optional<T>(&self, setting: &'static Setting<T>) -> Option<T> {
        let (_, text) = self.settings.get(setting.row.name)?;
        // It was checked when it was read.
        (setting.parse)(text).ok()
    }

    /// Only what nodes that are set up alike have in common: nothing secret, nothing of one node, and none of `apart`.
    pub(super) fn alike(&self, apart: &[&str]) -> Self {
        let alike =
            |row: &Row| row.mask == Mask::Open && !row.per_node && !apart.contains(&row.name);
        let settings = self.settings.iter().filter(|(_, (row, _))| alike(row));
        Self {
            settings: settings
                .map(|(name, value)| (*name, value.clone()))
                .collect(),
            ..Self::default()
        }
    }

    /// Reads `rows`.
    pub(super) fn read(r: &mut Reader, rows: &[&'static Row]) -> Self {
        let mut values = Self::default();
        for row in rows {
            if let Some(text) = r.text(row) {
                values.settings.insert(row.name, (row, text));
            }
        }
        for file in rows.iter().filter(|row| row.mask == Mask::File) {
            let plain = rows
                .iter()
                .find(|row| file.name.strip_suffix("_FILE") == Some(row.name));
            let (Some(plain), Some((_, path))) = (plain, values.settings.remove(file.name)) else {
                continue;
            };
            let given = values.settings.remove(plain.name).map(|(_, text)| text);
            let contents = r.text_in(file, path.as_ref());
            if let Some(secret) = nearer(r, (plain, given), (file, contents)) {
                match (plain.check)(&secret) {
                    Ok(()) => drop(values.settings.insert(plain.name, (plain, secret))),
                    Err(_) if secret.is_empty() => {
                        r.fault(file.name, "is a file with nothing in it")
                    }
                    Err(_) => {
                        r.fault(
                            file.name,
                            format!(
                                "holds what cannot be used; in it there should be {}",
                                plain.shape
                            ),
                        );
                    }
                }
            }
        }
        values
    }

    /// The same, and the keys of another program's configuration that were given by variables.
    pub(super) fn beside(self, variables: BTreeMap<String, String>) -> Self {
        Self { variables, ..self }
    }

    /// The keys of another program's configuration that were given by variables.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// All values of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.settings.extend(other.settings);
        self.variables.extend(other.variables);
        self
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        let texts = |values: &Self| {
            values
                .settings
                .iter()
                .map(|(name, (_, text))| (*name, text.clone()))
                .collect::<Vec<_>>()
        };
        texts(self) == texts(other) && self.variables == other.variables
    }
}

impl Eq for Values {}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(row, text): &(&'static Row, String)| {
            if row.mask == Mask::Open {
                text.clone()
            } else {
                "***".into()
            }
        };
        f.debug_map()
            .entries(
                self.settings
                    .iter()
                    .map(|(name, value)| (name, shown(value))),
            )
            .finish()
    }
}
