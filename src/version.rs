//! Which Foghorn this is: version, commit, and the commit's day, for `--version` and the metric `foghorn_build_info`.
//!
//! Invariant: `build.rs` found them in the sources, so two builds of the same sources say the same.

/// As in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first 12 digits of the commit, with `-modified` behind them where files differed from it; `unknown` where nothing
/// told the build, and in debug builds.
pub const COMMIT: &str = env!("FOGHORN_BUILD_COMMIT");

/// The commit's day in UTC, or that of `SOURCE_DATE_EPOCH`, as `2026-11-21`; or `unknown`.
pub const DATE: &str = env!("FOGHORN_BUILD_DATE");

/// All three, as `0.1.0 (commit ff166541577d of 2026-11-21)`.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("FOGHORN_BUILD_COMMIT"),
    " of ",
    env!("FOGHORN_BUILD_DATE"),
    ")"
);
