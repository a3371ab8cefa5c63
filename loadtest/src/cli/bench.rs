//! `araldo-loadtest bench`: measurements against the real server and the simulators on this machine.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

mod intake;
mod kit;
mod machine;
mod round;
mod spread;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Single messages over HTTP: accepted and delivered a second, latencies, memory, CPU
    Intake(intake::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Intake(arguments) => intake::run(&arguments),
    }
}
