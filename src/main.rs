//! The program: everything is in the crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    foghorn::cli::main()
}
