//! The command line: one binary, one file per command.
//!
//! `araldo serve` is the server; every other command is an HTTP client of a
//! running one, or looks at configuration only. Exit codes: 0 done, 1 failed
//! (refused by the server, not reachable, some lines refused), 2 wrong usage
//! or configuration. Results go to standard output, everything else to
//! standard error; a reader that goes away early (`| head`) is no failure.

mod alert;
mod check_config;
mod citizens;
mod client;
mod cluster;
mod demo;
mod duration;
mod error;
mod global;
mod keys;
mod migrate;
mod openapi;
mod organizations;
mod output;
mod send;
mod serve;
mod services;
mod sim;
mod status;
mod token;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;
use global::Global;

/// The notification engine of a state.
#[derive(Debug, Parser)]
#[command(
    name = "araldo",
    version,
    about = "The notification engine of a state",
    long_about = "Araldo takes messages from public bodies over HTTP and brings them to citizens: \
        into the inbox of the app and, as each citizen chose, by push and e-mail. A message is for \
        one citizen, an alert for everybody or for who lives in some areas.",
    after_help = "First steps:\n  \
        araldo check-config --config araldo.toml      what would be in force, and what is wrong\n  \
        araldo serve --config araldo.toml             start; writes <store.path>/admin.key once\n  \
        araldo organizations put 00000000001 --name \"Comune di Prova\"\n  \
        araldo services put anagrafe --name Anagrafe --organization 00000000001\n  \
        araldo keys create --name gestionale --role sender --service anagrafe --save sender.key\n  \
        araldo citizens import citizens.ndjson\n  \
        araldo send --key-file sender.key --to RSSMRA85T10A562S --subject \"Carta d'identità\" \\\n    \
            --markdown-file text.md\n  \
        araldo services put allerte --name Allerte --organization 00000000001 --group ApiAlertWrite\n  \
        araldo keys create --name sala --role sender --service allerte --save alert.key\n  \
        araldo alert send --key-file alert.key --everyone --subject \"Allerta meteo rossa\" \\\n    \
            --markdown-file text.md --follow\n  \
        araldo status\n\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    Serve(serve::Serve),
    /// Bring citizens in.
    #[command(subcommand)]
    Citizens(citizens::Citizens),
    /// Public bodies: list, put.
    #[command(subcommand)]
    Organizations(organizations::Organizations),
    /// Services of public bodies: list, show, put.
    #[command(subcommand)]
    Services(services::Services),
    /// Keys of senders and operators: list, create, revoke.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Send one message, as a service.
    Send(send::Send),
    /// One set of texts to many citizens: send, list, show, pause, resume, cancel, report.
    #[command(subcommand)]
    Alert(alert::Alert),
    /// Where one message, or everything, stands.
    Status(status::Status),
    /// Nodes that share a store, and who has which partition.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Mint a citizen's token for development.
    Token(token::Token),
    /// Show the configuration in force, or everything that is wrong with it.
    CheckConfig(check_config::CheckConfig),
    /// Move an embedded store into an empty store in Redis, for many nodes.
    Migrate(migrate::Migrate),
    /// Play a morning of messages to synthetic citizens, and prove that none was lost.
    Demo(demo::Arguments),
    /// A simulator process of the demo.
    #[command(hide = true)]
    Sim(sim::Arguments),
    /// Write the description of the HTTP API.
    #[command(hide = true)]
    Openapi(openapi::Openapi),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => {
            // Help and version come this way too, and are no failure.
            let _ = refused.print();
            return ExitCode::from(u8::try_from(refused.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(text) = error.message() {
                // Nothing can be done about a standard error that is closed.
                let _ = writeln!(std::io::stderr(), "araldo: {text}");
            }
            error.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<(), CliError> {
    let global = &arguments.global;
    match arguments.command {
        Command::Serve(command) => command.run(global),
        Command::Citizens(command) => command.run(global),
        Command::Organizations(command) => command.run(global),
        Command::Services(command) => command.run(global),
        Command::Keys(command) => command.run(global),
        Command::Send(command) => command.run(global),
        Command::Alert(command) => command.run(global),
        Command::Status(command) => command.run(global),
        Command::Cluster(command) => command.run(global),
        Command::Token(command) => command.run(global),
        Command::CheckConfig(command) => command.run(global),
        Command::Migrate(command) => command.run(global),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Sim(arguments) => {
            sim::run(&arguments).map_err(|error| CliError::Failed(error.to_string()))
        }
        Command::Openapi(command) => command.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_commands_are_consistent() {
        Arguments::command().debug_assert();
    }
}
