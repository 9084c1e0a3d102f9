//! `serve`: one node, until it is told to end.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Sources, load};
use crate::{app, ops};

/// Serves until SIGTERM or SIGINT, then drains.
pub fn run(sources: &Sources) -> ExitCode {
    let report = load(sources);
    let config = match report.into_config() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("foghorn: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let recorder = ops::install_recorder().expect("first recorder");
        let running = match app::start(&config, None, recorder).await {
            Ok(running) => running,
            Err(error) => {
                eprintln!("foghorn: {error}");
                return ExitCode::FAILURE;
            }
        };
        let mut term = signal(SignalKind::terminate()).expect("signals");
        let mut int = signal(SignalKind::interrupt()).expect("signals");
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        if running.drain().await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}
