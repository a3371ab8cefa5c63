//! `araldo-loadtest experiment power-cut`: power cuts of the whole house.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::power_cut::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::super::bench::program;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
`kill -9` leaves what the system holds in its cache; a power cut does not. Redis runs under strace, which notes every write to
the append-only file and every fdatasync. Redis and all nodes are killed at once, the file is cut to what had been written when
the last completed fdatasync began, and all are started again. Messages accepted in the 3 s before each cut are then asked for.
  appendfsync always (the default): none is lost
  --every-second: appendfsync everysec, which must lose some: else the experiment would prove nothing")]
pub(crate) struct Arguments {
    /// Sync once a second instead of before every answer; then something must be lost
    #[arg(long)]
    every_second: bool,
    /// Nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// Messages a second, by the clock, whatever becomes of those before
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Power cuts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    cuts: u32,
    /// Seconds from one to the next, about
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Citizens, each with one device
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    program::check("strace", "strace")?;
    let options = Options {
        nodes: usize::from(arguments.nodes),
        rate: arguments.rate,
        cuts: arguments.cuts,
        interval: Duration::from_secs(arguments.interval),
        citizens: arguments.citizens,
        ..Options::full(arguments.every_second)
    };
    arguments.common.carry_out("power-cut", &options, async |lab| experiment(&lab, &options).await)
}
