//! The runtime of a bench: on Ctrl-C or SIGTERM everything it has started is ended before it says so.
//!
//! Owns the runtime. The work is a future: dropping it drops the stage, whose children are killed with their handles, and the
//! temporary folder after them.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::super::Failure;

/// Runs the work to its end, or until a signal.
pub(in crate::cli) fn block_on<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = work => done,
            _ = interrupt.recv() => Err("interrupted; what it had started is ended".into()),
            _ = terminate.recv() => Err("told to end; what it had started is ended".into()),
        }
    })
}
