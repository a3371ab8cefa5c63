//! The `araldo` binary.

use std::process::ExitCode;

/// Measured against the system's allocator in docs/benchmarks.md.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    araldo::cli::run()
}
