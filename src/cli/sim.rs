//! `araldo sim FILE`: a simulator as a process of its own, for the demo.
//! Hidden: people use `araldo-loadtest sim`.

use std::path::PathBuf;

use araldo_loadtest::simulator::{LaunchSpec, SimulatorError};
use clap::Args;

/// Arguments of `araldo sim`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// JSON file with a launch specification
    file: PathBuf,
}

/// Runs until it is told to stop.
///
/// # Errors
/// The file cannot be read, or the simulator cannot start.
pub fn run(arguments: &Arguments) -> Result<(), SimulatorError> {
    LaunchSpec::run_file(&arguments.file)
}
