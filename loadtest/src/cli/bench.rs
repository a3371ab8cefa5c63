//! `araldo-loadtest bench`: measurements against the real server and the simulators on this machine.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

mod alert;
mod common;
mod disk;
mod email;
pub(super) mod folder;
mod h2load;
mod intake;
mod kit;
mod live;
mod live_round;
pub(super) mod machine;
mod mail_round;
mod mixed;
mod mixed_round;
mod postfix;
pub(super) mod program;
mod push;
mod push_round;
mod redis;
mod references;
pub(super) mod report;
mod round;
pub(super) mod run;
mod spread;
mod table;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One alert to everybody by push, against a bare client loop and h2load
    Push(push::Arguments),
    /// Emergencies among a bulk alert: their latency, and how much it is slowed
    Mixed(mixed::Arguments),
    /// Single messages over HTTP: accepted and delivered a second, latencies, memory, CPU
    Intake(intake::Arguments),
    /// Mails a second, against Postfix's smtp-source into smtp-sink
    Email(email::Arguments),
    /// Live sessions: opened a second, memory each, accepted to seen
    Live(live::Arguments),
    /// Print the Markdown table of docs/benchmarks.md from what --json wrote
    Table(table::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Push(arguments) => push::run(&arguments),
        Command::Mixed(arguments) => mixed::run(&arguments),
        Command::Intake(arguments) => intake::run(&arguments),
        Command::Email(arguments) => email::run(&arguments),
        Command::Live(arguments) => live::run(&arguments),
        Command::Table(arguments) => table::run(&arguments),
    }
}
