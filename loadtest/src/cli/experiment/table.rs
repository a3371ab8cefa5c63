//! `araldo-loadtest experiment table`: what --json wrote, as Markdown.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::Failure;
use super::report::Report;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Files written by --json of any experiment
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    for (number, file) in arguments.files.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        Report::load(file)?.write_markdown(&mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}
