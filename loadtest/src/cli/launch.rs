//! `araldo-loadtest launch FILE`: a simulator process as the stage starts it. Hidden: people use `sim`.

use std::path::PathBuf;
use std::process::ExitCode;

use araldo_loadtest::simulator::LaunchSpec;
use clap::Args;

use super::Failure;

#[derive(Args)]
pub(crate) struct Arguments {
    /// JSON file with a launch specification
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    LaunchSpec::run_file(&arguments.file)?;
    Ok(ExitCode::SUCCESS)
}
