//! `araldo-loadtest experiment rolling`: planned changes under load.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::rolling::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
Each of three nodes is ended with SIGTERM and started again, one at a time, some times over; then two join, and three leave.
Must be: lost 0, repeated 0, every node ends with exit code 0 within 10 s.")]
pub(crate) struct Arguments {
    /// Messages a second, by the clock, whatever becomes of those before
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// How often every node is restarted
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seconds between two changes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    pause: u64,
    /// Lease of a partition, seconds (node.lease_seconds)
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=300))]
    lease: u32,
    /// Citizens, each with one device
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = Options {
        rate: arguments.rate,
        rounds: arguments.rounds,
        pause: Duration::from_secs(arguments.pause),
        lease_seconds: arguments.lease,
        citizens: arguments.citizens,
        ..Options::full()
    };
    arguments.common.carry_out("rolling", &options, async |lab| experiment(&lab, &options).await)
}
