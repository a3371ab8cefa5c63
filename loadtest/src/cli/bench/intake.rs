//! `araldo-loadtest bench intake`: single messages over HTTP against redis-benchmark, as a table and as JSON.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::common::{Common, report, row};
use super::kit::as_f64;
use super::redis;
use super::report::{Report, Row, number};
use super::round::{Load, Round, run as run_round};
use super::run::block_on;
use super::spread::Spread;

#[derive(Debug, Args, Serialize)]
#[command(after_help = "\
Example:
  araldo-loadtest bench intake --araldo target/release/araldo --messages 200000 --citizens 100000 --json intake.json

Each round starts the server on an empty store with an APNs and an FCM simulator over TLS, imports the citizens (one
device each), sends messages of 1 KB over keep-alive connections (a 201 means the message is on disk), waits until
nothing is pending and compares what the simulators saw with what was accepted. Before it, or after it in every second round,
redis-benchmark writes as many values of 1 KB over as many connections into a redis-server of its own that syncs its log
before every answer (-t set -d 1024 -P 1, appendfsync always). The line `ratio` is the median of accepted messages over SETs.
The exit code is 1 when anything was lost, doubled or refused; a missed budget is named and changes no exit code.
redis-server and redis-benchmark come with Debian's packages redis-server and redis-tools.")]
pub(crate) struct Arguments {
    /// Messages a round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    messages: u64,
    /// HTTP connections, one request at a time on each; of the reference too
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Citizens imported before the messages
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    citizens: u64,
    /// Cleartext HTTP/2 between server and simulators instead of TLS
    #[arg(long)]
    cleartext: bool,
    /// Go without redis-benchmark
    #[arg(long)]
    no_reference: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !arguments.no_reference {
        redis::check()?;
    }
    let rounds = block_on(all_rounds(arguments))?;
    let report = fill(arguments, &rounds)?;
    report.publish(arguments.common.json.as_deref())?;
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<Vec<Round>, Failure> {
    let folders = arguments.common.folders()?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.common.rounds {
        let round = format!("round-{number}");
        let mut options = folders.stage(&round)?;
        options.tls = !arguments.cleartext;
        let load = Load {
            messages: arguments.messages,
            connections: usize::from(arguments.connections),
            citizens: arguments.citizens,
            seed: arguments.common.seed,
            reference: !arguments.no_reference,
            server_first: number % 2 == 0,
        };
        rounds.push(run_round(options, load, &arguments.common.name(number)).await?);
        folders.done(&round)?;
    }
    Ok(rounds)
}

fn fill(arguments: &Arguments, rounds: &[Round]) -> Result<Report, Failure> {
    let mut report = report("intake", arguments, rounds)?;
    report.about = format!(
        "{} messages of 1 KB over {} connections to {} citizens, {} rounds; simulators over {}.",
        number(as_f64(arguments.messages), 0),
        arguments.connections,
        number(as_f64(arguments.citizens), 0),
        rounds.len(),
        if arguments.cleartext { "cleartext HTTP/2" } else { "TLS" }
    );
    report.rows = rows(rounds);
    if !arguments.no_reference {
        report.ratio = Some(Spread::of(rounds.iter().filter_map(Round::ratio)).median);
    }
    report.sound = rounds.iter().all(Round::is_sound);
    report.verdict =
        if report.sound { "every message arrived once" } else { "see the rounds" }.to_owned();
    report.remarks = rounds.iter().map(remark).collect();
    Ok(report)
}

fn rows(rounds: &[Round]) -> Vec<Row> {
    let mut rows = vec![
        row(rounds, "accepted (durable) a second", 0, |r| r.accepted_per_second).at_least(8_000.0),
        row(rounds, "delivered a second", 0, |r| r.delivered_per_second).at_least(8_000.0),
    ];
    if rounds.iter().all(|round| round.reference_per_second.is_some()) {
        let sets = |round: &Round| round.reference_per_second.unwrap_or_default();
        rows.push(row(rounds, "redis-benchmark's durable SETs a second", 0, sets));
        let ratio = |round: &Round| round.ratio().unwrap_or_default();
        rows.push(row(rounds, "ratio of a round", 3, ratio).at_least(0.5));
    }
    rows.extend([
        row(rounds, "accept latency p50, ms", 1, |r| r.accept_latency.p50_ms),
        row(rounds, "accept latency p99, ms", 1, |r| r.accept_latency.p99_ms),
        row(rounds, "accepted to provider p50, ms", 1, |r| r.delivery_latency.p50_ms),
        row(rounds, "accepted to provider p99, ms", 1, |r| r.delivery_latency.p99_ms),
        row(rounds, "server CPU a message, µs", 1, |r| r.cpu_us_per_message),
        row(rounds, "simulators' CPU a message, µs", 1, |r| r.simulators_cpu_us_per_message),
        row(rounds, "server memory idle, MB", 1, |r| r.idle_rss_mb).at_most(60.0),
        row(rounds, "server memory after the import, MB", 1, |r| r.imported_rss_mb),
        row(rounds, "server memory at its peak, MB", 1, |r| r.peak_rss_mb).at_most(400.0),
        row(rounds, "citizens imported a second", 0, |r| r.import_per_second),
    ]);
    rows
}

fn remark(round: &Round) -> String {
    let audit = &round.audit;
    format!(
        "accepted {}, delivered {}, lost {}, duplicates {}, phantoms {}, excess {}, retries {}, refused {}, gave up {}, at rest: {}",
        audit.accepted,
        audit.delivered,
        audit.lost,
        audit.duplicates,
        audit.phantoms,
        audit.excess,
        round.retries,
        round.refused,
        round.gave_up,
        if round.at_rest { "yes" } else { "no" }
    )
}
