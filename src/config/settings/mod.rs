//! What a setting is made of, and the [`table`] of the core's own: parsing, `check-config` and `docs/CONFIGURATION.md` all
//! come from it. Dialects say theirs in the same way ([`settings!`](crate::settings)), in their own folders.
//!
//! Invariant: a setting that is not in [`TABLE`] or in a dialect's does not exist, and each one is read exactly once.

mod table;

use super::parse::Wrong;

pub use table::*;

/// What of a setting's value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of it.
    Open,
    /// Nothing.
    Secret,
    /// All but the passwords in its URLs.
    Urls,
    /// It names a file with a secret: shown where it leads to a file, since the secret itself may have been put here.
    File,
}

/// One setting, without its type.
#[derive(Debug)]
pub struct Row {
    /// The part of the program it belongs to, as the documentation groups them.
    pub area: &'static str,
    /// The environment variable, or the flag where there is no variable.
    pub name: &'static str,
    /// What holds where nobody sets it; empty: nothing.
    pub default: &'static str,
    /// What a value looks like, as the end of "should be …".
    pub shape: &'static str,
    /// What of it may be shown.
    pub mask: Mask,
    /// Whether SIGHUP puts it into force; everything else needs a restart.
    pub live: bool,
    /// Whether it differs between nodes by its nature, as names, addresses and files do.
    pub per_node: bool,
    /// What it does.
    pub help: &'static str,
    /// Whether a value can be read.
    pub check: fn(&str) -> Result<(), Wrong>,
}

/// One setting whose values are of type `T`.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    /// What it is called and means.
    pub row: Row,
    /// Reads a value.
    pub parse: fn(&str) -> Result<T, Wrong>,
}

/// Says settings, each once: a [`Setting`] for each, and `TABLE`, in which all of them stand in their order. An entry is
/// `NAME: Type = "VARIABLE" "default", parser, "shape", "help";`, and before the default there may stand `[mask Secret]` (or `Urls`, `File`: see [`Mask`]) and `[on HUP]` (SIGHUP puts it into force),
/// `[per node]` (it differs between nodes by its nature).
/// The default may be `const NAME` too, the text that has this name.
#[macro_export]
macro_rules! settings {
    (@mask $mask:ident) => { $crate::config::settings::Mask::$mask };
    (@mask) => { $crate::config::settings::Mask::Open };
    (@per node) => { true };
    (@per) => { false };
    (@live HUP) => { true };
    (@live) => { false };
    ($($area:literal { $(
        $id:ident: $type:ty = $name:literal $([mask $mask:ident])? $([on $signal:ident])? $([per $scope:ident])?
            $($default:literal)? $(const $named:ident)?, $parse:expr, $shape:literal, $help:literal;
    )* })*) => {
        $($(
            #[doc = $help]
            pub static $id: $crate::config::settings::Setting<$type> = $crate::config::settings::Setting {
                row: $crate::config::settings::Row {
                    area: $area,
                    name: $name,
                    default: $($default)? $($named)?,
                    shape: $shape,
                    mask: $crate::settings!(@mask $($mask)?),
                    live: $crate::settings!(@live $($signal)?),
                    per_node: $crate::settings!(@per $($scope)?),
                    help: $help,
                    check: |text| ($parse)(text).map(drop),
                },
                parse: $parse,
            };
        )*)*
        /// All of them, in the order in which they are read and shown.
        pub static TABLE: &[&$crate::config::settings::Row] = &[$($(&$id.row,)*)*];
    };
}

#[cfg(test)]
mod tests {
    use crate::config::Sources;

    #[test]
    fn names_are_unique_and_sentences_end() {
        let mut seen = std::collections::HashSet::new();
        for row in Sources::default().rows() {
            assert!(seen.insert(row.name), "{} twice", row.name);
            assert!(
                row.help.ends_with('.') && !row.shape.ends_with('.'),
                "{}",
                row.name
            );
            assert!(
                row.default.is_empty() || (row.check)(row.default).is_ok(),
                "{}: a test reads every default",
                row.name
            );
        }
    }
}
