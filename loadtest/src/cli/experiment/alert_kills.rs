//! `araldo-loadtest experiment alert-kills`: nodes killed during alerts.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::alert_kills::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
Alerts to everybody are sent one after the other; every so often a node is killed with SIGKILL and started again, until so many
were. Each alert must be completed, every device reached, under one id, no stranger; repeated at a provider: at most the
windows of each kill (promise 2) and one in a thousand. A node that goes at full speed has every stream in use, and repeats that
many for each kill: so many streams are more than these providers, which answer after 10 ms, need.")]
pub(crate) struct Arguments {
    /// Nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// Citizens, each with one device
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    /// Nodes killed, one at a time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// Lease of a partition, seconds (node.lease_seconds)
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=300))]
    lease: u32,
    /// Seconds from one kill to the next, about
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Seconds from a kill to the node's next start
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    down: u64,
    /// Streams of each connection to a provider: what is under way when a node dies is repeated
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    streams: u32,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = Options {
        nodes: usize::from(arguments.nodes),
        citizens: arguments.citizens,
        kills: arguments.kills,
        lease_seconds: arguments.lease,
        interval: Duration::from_secs(arguments.interval),
        down: Duration::from_secs(arguments.down),
        max_streams: arguments.streams,
        ..Options::full()
    };
    arguments
        .common
        .carry_out("alert-kills", &options, async |lab| experiment(&lab, &options).await)
}
