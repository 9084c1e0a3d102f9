//! What the dialect can be told: the configuration that v1 reads.
//!
//! Invariant: nothing of it is shown.

use std::path::PathBuf;

use super::file::{FileFault, V1};
use crate::config::Values;
use crate::config::parse;

/// What the file and the variables say now.
///
/// # Errors
/// [`FileFault`]
pub fn v1(values: &Values) -> Result<V1, FileFault> {
    V1::load(values.optional(&CONFIG).as_deref(), values.variables())
}

crate::settings! {
    "Centrifugo" {
        CONFIG: PathBuf = "FOGHORN_CENTRIFUGO_CONFIG" [on HUP]
            "", parse::file, "a file that exists",
            "Centrifugo v1's own configuration file, for the dialect `centrifugo`, in JSON, or by its ending in YAML or TOML; `CENTRIFUGO_SECRET` and the like win over what it says. What of it is honoured, and what stands in for settings of this page, says [CENTRIFUGO.md](CENTRIFUGO.md).";
    }
}
