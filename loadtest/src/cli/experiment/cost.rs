//! `araldo-loadtest experiment cost`: the same alert on either store.

use std::process::ExitCode;

use araldo_loadtest::experiment::cost::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
One node; the same alert on the embedded store and on a Redis of its own (appendfsync always), in turn. Must be: the rate on
Redis at least 0.6 of that on the embedded store in the same round; less than 0.1 Redis operations a delivery, where every
command within a script counts, and the script too. What an alert puts into an inbox is a delivery, what it pushes is another.")]
pub(crate) struct Arguments {
    /// Citizens, each with one device
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    /// Alerts on each store
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options =
        Options { citizens: arguments.citizens, rounds: arguments.rounds, ..Options::full() };
    arguments.common.carry_out("cost", &options, async |lab| experiment(&lab, &options).await)
}
