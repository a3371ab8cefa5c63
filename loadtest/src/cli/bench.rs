//! `araldo-loadtest bench`: measurements against the real server and the simulators on this machine.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

mod email;
mod folder;
mod intake;
mod kit;
mod live;
mod live_round;
mod machine;
mod mail_round;
mod postfix;
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
    /// Mails a second, against Postfix's smtp-source into smtp-sink
    Email(email::Arguments),
    /// Live sessions: opened a second, memory each, accepted to seen
    Live(live::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Intake(arguments) => intake::run(&arguments),
        Command::Email(arguments) => email::run(&arguments),
        Command::Live(arguments) => live::run(&arguments),
    }
}
