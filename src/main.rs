//! The `araldo` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    araldo::cli::run()
}
