//! `araldo-loadtest reference FILE`: the bare client loop as a bench starts it. Hidden: people use `bench push`.

use std::path::PathBuf;
use std::process::ExitCode;

use araldo_loadtest::reference::ReferenceSpec;
use clap::Args;

use super::Failure;

#[derive(Args)]
pub(crate) struct Arguments {
    /// JSON file with a specification of the loop
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    ReferenceSpec::run_file(&arguments.file)?;
    Ok(ExitCode::SUCCESS)
}
