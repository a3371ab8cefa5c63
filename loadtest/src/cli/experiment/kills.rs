//! `araldo-loadtest experiment kills`: nodes killed under load.

use std::process::ExitCode;
use std::time::Duration;

use araldo_loadtest::experiment::kills::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
Messages are sent by the clock to any living node; one that is refused, cut off or not answered goes to another node under the
same Idempotency-Key until it is accepted. Every so often a node is killed with SIGKILL and started again. Must be:
  lost 0, delivered under a second id 0, invented 0, all books balanced
  repeated at a provider: at most the windows of each kill (promise 2) and one in a thousand
  the longest wait of any message from its acceptance to a provider: at most the lease and 5 s
The kills alone take kills times interval; the load goes on until enough messages are accepted.")]
pub(crate) struct Arguments {
    /// Nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// Messages a second, by the clock, whatever becomes of those before
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Messages accepted in all, at least
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Nodes killed, one at a time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// Lease of a partition, seconds (node.lease_seconds)
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=300))]
    lease: u32,
    /// Seconds from one kill to the next, about; longer than the lease and 5 s
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Seconds from a kill to the node's next start
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    down: u64,
    /// Citizens, each with one device
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = Options {
        nodes: usize::from(arguments.nodes),
        rate: arguments.rate,
        messages: arguments.messages,
        kills: arguments.kills,
        lease_seconds: arguments.lease,
        interval: Duration::from_secs(arguments.interval),
        down: Duration::from_secs(arguments.down),
        citizens: arguments.citizens,
        ..Options::full()
    };
    arguments.common.carry_out("kills", &options, async |lab| experiment(&lab, &options).await)
}
