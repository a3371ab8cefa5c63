//! `araldo-loadtest bench live`: rounds, their median and spread, as a table and as JSON.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::common::{Common, report, row};
use super::kit::as_f64;
use super::live_round::{LiveLoad, LiveRound, run as run_round};
use super::report::{Report, number};
use super::run::block_on;

#[derive(Debug, Args, Serialize)]
#[command(after_help = "\
Example:
  araldo-loadtest bench live --araldo target/release/araldo --sessions 5000 --messages 20 --json live.json

Each round starts the server on an empty store, imports one citizen for each session, opens the sessions (Server-Sent Events)
and then sends each citizen so many messages over HTTP. Latency is from the 201 to the event, both read by this program.
Memory of an idle session is what the server's resident memory grew by. The exit code is 1 when a session misses a message
or gets one twice.")]
pub(crate) struct Arguments {
    /// Live sessions, one citizen each
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    sessions: u64,
    /// Messages to each citizen
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    messages: u64,
    /// HTTP connections of the senders, one request at a time on each
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Kill the server when half the events were seen, and start it again
    #[arg(long)]
    kill: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let rounds = block_on(all_rounds(arguments))?;
    let report = fill(arguments, &rounds)?;
    report.publish(arguments.common.json.as_deref())?;
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<Vec<LiveRound>, Failure> {
    let folders = arguments.common.folders()?;
    let load = LiveLoad {
        sessions: arguments.sessions,
        messages_each: arguments.messages,
        connections: usize::from(arguments.connections),
        kill: arguments.kill,
        seed: arguments.common.seed,
    };
    let mut rounds = Vec::new();
    for number in 1..=arguments.common.rounds {
        let name = format!("round-{number}");
        let shown = arguments.common.name(number);
        rounds.push(run_round(folders.stage(&name)?, load, &shown).await?);
        folders.done(&name)?;
    }
    Ok(rounds)
}

fn fill(arguments: &Arguments, rounds: &[LiveRound]) -> Result<Report, Failure> {
    let mut report = report("live", arguments, rounds)?;
    report.about = format!(
        "{} live sessions, {} messages each over {} connections, {} rounds{}.",
        number(as_f64(arguments.sessions), 0),
        arguments.messages,
        arguments.connections,
        rounds.len(),
        if arguments.kill { ", the server killed in the middle" } else { "" }
    );
    report.rows = vec![
        row(rounds, "sessions opened a second", 0, |r| r.opened_per_second),
        row(rounds, "server memory an idle session, bytes", 0, |r| r.bytes_per_session)
            .at_most(10_240.0),
        row(rounds, "server memory before, MB", 1, |r| r.before_rss_mb),
        row(rounds, "server memory with all sessions, MB", 1, |r| r.opened_rss_mb),
        row(rounds, "accepted to seen p50, ms", 1, |r| r.seen.p50_ms),
        row(rounds, "accepted to seen p99, ms", 1, |r| r.seen.p99_ms),
        row(rounds, "accepted (durable) a second", 0, |r| r.accepted_per_second),
        row(rounds, "events seen a second", 0, |r| r.events_per_second),
        row(rounds, "server CPU a message, µs", 1, |r| r.server_cpu_us_per_message),
    ];
    report.sound = rounds.iter().all(LiveRound::is_sound);
    let verdict =
        if report.sound { "every session has exactly its messages" } else { "see the rounds" };
    verdict.clone_into(&mut report.verdict);
    report.remarks = rounds.iter().map(remark).collect();
    Ok(report)
}

fn remark(round: &LiveRound) -> String {
    let verdict = &round.verdict;
    format!(
        "expected {}, missing {}, twice {}, unexpected {}, reconnects {}, resets {}, lists read {}, refused {}, gave up {}",
        verdict.expected,
        verdict.missing,
        verdict.twice,
        verdict.unexpected,
        verdict.reconnects,
        verdict.resets,
        verdict.lists,
        round.refused,
        round.gave_up
    )
}
