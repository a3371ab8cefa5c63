//! `araldo-loadtest experiment scaling`: what more nodes bring.

use std::process::ExitCode;

use araldo_loadtest::experiment::scaling::{Options, run as experiment};
use clap::Args;

use super::super::Failure;
use super::common::Common;

#[derive(Debug, Args)]
#[command(after_help = "\
An alert to everybody over 1, 2 and 4 nodes, on an empty store each. Every node has one connection to the provider with so many
streams, each answered after 50 ms: 100 streams make 2,000 a second. Must be: the rate in the middle of the alert, when all
nodes are at work, grows with the nodes at 0.9 of linear or better. The rate over the whole alert, in which nodes with fewer
citizens wait at the end for those with more, is shown beside it.")]
pub(crate) struct Arguments {
    /// Citizens for each node, each with one device
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    citizens_each: u64,
    /// Streams of each node's connection
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    streams: u32,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = Options {
        citizens_each: arguments.citizens_each,
        max_streams: arguments.streams,
        ..Options::full()
    };
    arguments.common.carry_out("scaling", &options, async |lab| experiment(&lab, &options).await)
}
