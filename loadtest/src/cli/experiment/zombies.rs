//! `araldo-loadtest experiment zombies`: owners stopped for twice their lease.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::zombies::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
Every so often a node is stopped with SIGSTOP for twice its lease, while others take its partitions over, and continued with
SIGCONT. A stale write that was accepted would lose a message, double it or unbalance the books: all must be as without it.
Repeated at a provider may be what was under way at a stop. Leases are short here, so that twenty stops end in minutes.")]
pub(crate) struct Arguments {
    /// Nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// Messages a second, by the clock, whatever becomes of those before
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Nodes stopped, one at a time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    stops: u32,
    /// Lease of a partition, seconds (node.lease_seconds)
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..=300))]
    lease: u32,
    /// Seconds from SIGCONT to the next SIGSTOP, about
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Citizens, each with one device
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = Options {
        nodes: usize::from(arguments.nodes),
        rate: arguments.rate,
        stops: arguments.stops,
        lease_seconds: arguments.lease,
        interval: Duration::from_secs(arguments.interval),
        citizens: arguments.citizens,
        ..Options::full()
    };
    arguments.common.carry_out("zombies", &options, async |lab| experiment(&lab, &options).await)
}
