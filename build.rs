//! Tells the compiler which commit it compiles, and of which day: `src/version.rs` shows both.
//!
//! Invariant: the same sources give the same answer on every machine and at every time, so that a build can be repeated.

#[path = "build/origin.rs"]
mod origin;

use std::path::PathBuf;

use origin::{Origin, VARIABLES};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // Git is asked for optimised builds alone: a new answer compiles the whole crate and its tests again, and while
    // Foghorn is worked on each commit would be a new answer.
    let with_git = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    for name in VARIABLES {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if with_git {
        for path in origin::watched(&root) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let origin = Origin::find(&root, |name| std::env::var(name).ok(), with_git);
    println!(
        "cargo::rustc-env=FOGHORN_BUILD_COMMIT={}",
        origin.commit_or_unknown()
    );
    println!(
        "cargo::rustc-env=FOGHORN_BUILD_DATE={}",
        origin.date_or_unknown()
    );
}
