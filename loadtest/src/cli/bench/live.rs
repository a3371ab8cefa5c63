//! `araldo-loadtest bench live`: rounds, their median and spread, as a table and as JSON.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::folder::Rounds;
use super::live_round::{LiveLoad, LiveRound, run as run_round};
use super::machine::Machine;
use super::spread::Spread;

#[derive(Args)]
#[command(after_help = "\
Example:
  araldo-loadtest bench live --araldo target/release/araldo --sessions 5000 --messages 20 --json live.json

Each round starts the server on an empty store, imports one citizen for each session, opens the sessions (Server-Sent Events)
and then sends each citizen so many messages over HTTP. Latency is from the 201 to the event, both read by this program.
Memory of an idle session is what the server's resident memory grew by. The exit code is 1 when a session misses a message
or gets one twice.")]
pub(crate) struct Arguments {
    /// The server's binary
    #[arg(long, value_name = "PATH")]
    araldo: PathBuf,
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
    /// Rounds, each on an empty store
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Seed of the population
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write all numbers as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for stores and logs; kept. Without it a temporary one is used and removed
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    sessions: u64,
    messages_each: u64,
    connections: u16,
    kill: bool,
    opened_per_second: Spread,
    bytes_per_session: Spread,
    before_rss_mb: Spread,
    opened_rss_mb: Spread,
    seen_p50_ms: Spread,
    seen_p99_ms: Spread,
    accepted_per_second: Spread,
    events_per_second: Spread,
    server_cpu_us_per_message: Spread,
    sound: bool,
    rounds: Vec<LiveRound>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rounds = runtime.block_on(all_rounds(arguments))?;
    let report = report(arguments, rounds);
    write_table(&mut std::io::stdout().lock(), &report)?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<Vec<LiveRound>, Failure> {
    let folders = Rounds::new(arguments.folder.as_deref(), &arguments.araldo, String::new())?;
    let load = LiveLoad {
        sessions: arguments.sessions,
        messages_each: arguments.messages,
        connections: usize::from(arguments.connections),
        kill: arguments.kill,
        seed: arguments.seed,
    };
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let name = format!("round-{number}");
        let shown = format!("round {number}/{}", arguments.rounds);
        rounds.push(run_round(folders.stage(&name)?, load, &shown).await?);
        folders.done(&name)?;
    }
    Ok(rounds)
}

fn report(arguments: &Arguments, rounds: Vec<LiveRound>) -> Report {
    let over = |value: fn(&LiveRound) -> f64| Spread::of(rounds.iter().map(value));
    Report {
        machine: Machine::read(),
        sessions: arguments.sessions,
        messages_each: arguments.messages,
        connections: arguments.connections,
        kill: arguments.kill,
        opened_per_second: over(|round| round.opened_per_second),
        bytes_per_session: over(|round| round.bytes_per_session),
        before_rss_mb: over(|round| round.before_rss_mb),
        opened_rss_mb: over(|round| round.opened_rss_mb),
        seen_p50_ms: over(|round| round.seen.p50_ms),
        seen_p99_ms: over(|round| round.seen.p99_ms),
        accepted_per_second: over(|round| round.accepted_per_second),
        events_per_second: over(|round| round.events_per_second),
        server_cpu_us_per_message: over(|round| round.server_cpu_us_per_message),
        sound: rounds.iter().all(LiveRound::is_sound),
        rounds,
    }
}

fn write_table(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "machine: {}", report.machine.line())?;
    writeln!(
        out,
        "{} live sessions, {} messages each over {} connections, {} rounds{}",
        report.sessions,
        report.messages_each,
        report.connections,
        report.rounds.len(),
        if report.kill { ", the server killed in the middle" } else { "" }
    )?;
    writeln!(out, "{:<38} {:>12} {:>12} {:>12}", "", "median", "min", "max")?;
    let rows: [(&str, &Spread, usize); 9] = [
        ("sessions opened a second", &report.opened_per_second, 0),
        ("memory of an idle session, bytes", &report.bytes_per_session, 0),
        ("server RSS before, MB", &report.before_rss_mb, 1),
        ("server RSS with all sessions, MB", &report.opened_rss_mb, 1),
        ("accepted to seen p50, ms", &report.seen_p50_ms, 2),
        ("accepted to seen p99, ms", &report.seen_p99_ms, 2),
        ("accepted (durable) a second", &report.accepted_per_second, 0),
        ("events seen a second", &report.events_per_second, 0),
        ("server CPU a message, us", &report.server_cpu_us_per_message, 1),
    ];
    for (name, spread, digits) in rows {
        let (median, min, max) = (spread.median, spread.min, spread.max);
        writeln!(out, "{name:<38} {median:>12.digits$} {min:>12.digits$} {max:>12.digits$}")?;
    }
    for (number, round) in report.rounds.iter().enumerate() {
        let verdict = &round.verdict;
        writeln!(
            out,
            "round {}: expected {}, missing {}, twice {}, unexpected {}, reconnects {}, resets {}, lists read {}, refused {}, \
             gave up {}",
            number + 1,
            verdict.expected,
            verdict.missing,
            verdict.twice,
            verdict.unexpected,
            verdict.reconnects,
            verdict.resets,
            verdict.lists,
            round.refused,
            round.gave_up
        )?;
    }
    let verdict = if report.sound {
        "sound: every session has exactly its messages"
    } else {
        "NOT SOUND: see the rounds"
    };
    writeln!(out, "{verdict}")
}
