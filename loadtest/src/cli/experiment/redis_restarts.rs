//! `araldo-loadtest experiment redis-restarts`: Redis killed and restarted under load.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::redis_restarts::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
One Redis with appendfsync always is killed with SIGKILL and started again after some seconds. Must be: lost 0; while it is away
every request answered, with 503, within a second; once it answers again, acceptance and delivery are back at the rate within
5 s.")]
pub(crate) struct Arguments {
    /// Nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// Messages a second, by the clock, whatever becomes of those before
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Times Redis is killed
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// Seconds from its restart to the next kill, about
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Seconds from a kill to the restart
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    down: u64,
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
        down: Duration::from_secs(arguments.down),
        lease_seconds: arguments.lease,
        citizens: arguments.citizens,
        ..Options::full()
    };
    arguments
        .common
        .carry_out("redis-restarts", &options, async |lab| experiment(&lab, &options).await)
}
