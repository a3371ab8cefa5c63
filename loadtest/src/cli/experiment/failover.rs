//! `araldo-loadtest experiment failover`: the primary killed and replaced by Sentinels.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::failover::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
A master, two replicas and three Sentinels; every write is confirmed by one replica before it is answered (redis_replicas = 1).
The master is killed with SIGKILL, a replica takes its place, the old one comes back as a replica; again and again. Must be:
lost 0.")]
pub(crate) struct Arguments {
    /// Nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// Messages a second, by the clock, whatever becomes of those before
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Primaries killed, one at a time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// Seconds from health to the next kill, about
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
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
        nodes: usize::from(arguments.nodes),
        rate: arguments.rate,
        kills: arguments.kills,
        interval: Duration::from_secs(arguments.interval),
        lease_seconds: arguments.lease,
        citizens: arguments.citizens,
        ..Options::full()
    };
    arguments.common.carry_out("failover", &options, async |lab| experiment(&lab, &options).await)
}
