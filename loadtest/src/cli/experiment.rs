//! `araldo-loadtest experiment`: fault experiments with several nodes over real Redis servers, at full size.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

mod alert_kills;
mod common;
mod cost;
mod failover;
mod kills;
mod power_cut;
mod redis_restarts;
mod report;
mod rolling;
mod scaling;
mod table;
mod zombies;

#[derive(Args)]
#[command(after_help = "\
Example:
  araldo-loadtest experiment kills --araldo target/release/araldo --json kills.json

Each starts the real server as several processes, simulators of the providers and Redis servers of its own on free ports of
loopback, in a temporary folder; nothing has to be configured or running. redis-server, redis-cli and (for power-cut) strace
come with Debian's packages redis-server, redis-tools and strace.
It prints every number it found and what it must be. The exit code is 0 when all are so, 1 when one is not.
`make experiments` runs all of them, one after the other.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Nodes killed (SIGKILL) under load: nothing lost, little repeated, taken over in time
    Kills(kills::Arguments),
    /// Nodes killed during alerts to everybody
    AlertKills(alert_kills::Arguments),
    /// Owners stopped (SIGSTOP) for twice their lease and continued: no stale write
    Zombies(zombies::Arguments),
    /// Redis killed and restarted under load: nothing lost, refusals told at once
    RedisRestarts(redis_restarts::Arguments),
    /// The primary killed and replaced by Sentinels, with WAIT 1: nothing lost
    Failover(failover::Arguments),
    /// Power cut of the whole house: what was not on disk is gone, what was answered is not
    PowerCut(power_cut::Arguments),
    /// Every node restarted under load, then 3, 5 and 2 nodes: nothing lost, nothing repeated
    Rolling(rolling::Arguments),
    /// An alert over 1, 2 and 4 nodes, held back by their providers
    Scaling(scaling::Arguments),
    /// The same alert on the embedded store and on Redis
    Cost(cost::Arguments),
    /// Print the Markdown table of docs/benchmarks.md from what --json wrote
    Table(table::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Kills(arguments) => kills::run(arguments),
        Command::AlertKills(arguments) => alert_kills::run(arguments),
        Command::Zombies(arguments) => zombies::run(arguments),
        Command::RedisRestarts(arguments) => redis_restarts::run(arguments),
        Command::Failover(arguments) => failover::run(arguments),
        Command::PowerCut(arguments) => power_cut::run(arguments),
        Command::Rolling(arguments) => rolling::run(arguments),
        Command::Scaling(arguments) => scaling::run(arguments),
        Command::Cost(arguments) => cost::run(arguments),
        Command::Table(arguments) => table::run(arguments),
    }
}
