//! The command line: one file per command, this one only names them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod experiment;
mod launch;
mod reference;
mod sim;
mod store_size;

/// Any failure of a command, already worded for the person at the keyboard.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(
    name = "araldo-loadtest",
    version,
    about = "Provider simulators and load tester of Araldo",
    long_about = "Provider simulators and load tester of Araldo.\n\n\
        The simulators are real HTTP/2 servers that obey Apple's and Google's rules, refuse what those would refuse, \
        and keep their own books of what arrived. Nothing here sends a notification to a real device.",
    after_help = "Log level: ARALDO_LOG (for example ARALDO_LOG=debug)."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a provider simulator until SIGTERM, Ctrl-C or end of standard input
    Sim(sim::Arguments),
    /// Measure the real server against the simulators
    Bench(bench::Arguments),
    /// Make several nodes over Redis fail on purpose, and audit what came of it
    Experiment(experiment::Arguments),
    /// Run a simulator process described by a file
    #[command(hide = true)]
    Launch(launch::Arguments),
    /// Run the bare client loop described by a file
    #[command(hide = true)]
    Reference(reference::Arguments),
    /// Flush, merge and measure a store nobody has open
    #[command(hide = true)]
    StoreSize(store_size::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Sim(arguments) => sim::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Experiment(arguments) => experiment::run(&arguments),
        Command::Launch(arguments) => launch::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
        Command::StoreSize(arguments) => store_size::run(&arguments),
    }
}
