//! `araldo-loadtest bench intake`: rounds, their median and spread, as a table and as JSON.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::folder::Rounds;
use super::machine::Machine;
use super::round::{Load, Round, run as run_round};
use super::spread::Spread;

#[derive(Args)]
#[command(after_help = "\
Example:
  araldo-loadtest bench intake --araldo target/release/araldo --messages 200000 --citizens 100000 --json intake.json

Each round starts the server on an empty store with an APNs and an FCM simulator over TLS, imports the citizens (one
device each), sends messages of 1 KB over keep-alive connections (a 201 means the message is on disk), waits until
nothing is pending and compares what the simulators saw with what was accepted. The exit code is 1 when anything was
lost, doubled or refused.")]
pub(crate) struct Arguments {
    /// The server's binary
    #[arg(long, value_name = "PATH")]
    araldo: PathBuf,
    /// Messages a round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// HTTP connections, one request at a time on each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Citizens imported before the messages
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    citizens: u64,
    /// Rounds, each on an empty store
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Seed of population and decisions
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cleartext HTTP/2 between server and simulators instead of TLS
    #[arg(long)]
    cleartext: bool,
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
    messages: u64,
    connections: u16,
    citizens: u64,
    body_bytes: u64,
    tls: bool,
    accepted_per_second: Spread,
    delivered_per_second: Spread,
    accept_p50_ms: Spread,
    accept_p99_ms: Spread,
    delivery_p50_ms: Spread,
    delivery_p99_ms: Spread,
    idle_rss_mb: Spread,
    imported_rss_mb: Spread,
    peak_rss_mb: Spread,
    cpu_us_per_message: Spread,
    simulators_cpu_us_per_message: Spread,
    import_per_second: Spread,
    sound: bool,
    rounds: Vec<Round>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rounds = runtime.block_on(all_rounds(arguments))?;
    let report = report(arguments, rounds);
    let mut out = std::io::stdout().lock();
    write_table(&mut out, &report)?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<Vec<Round>, Failure> {
    let folders = Rounds::new(arguments.folder.as_deref(), &arguments.araldo, String::new())?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let round = format!("round-{number}");
        let mut options = folders.stage(&round)?;
        options.tls = !arguments.cleartext;
        let load = Load {
            messages: arguments.messages,
            connections: usize::from(arguments.connections),
            citizens: arguments.citizens,
            seed: arguments.seed,
        };
        let name = format!("round {number}/{}", arguments.rounds);
        rounds.push(run_round(options, load, &name).await?);
        folders.done(&round)?;
    }
    Ok(rounds)
}

fn report(arguments: &Arguments, rounds: Vec<Round>) -> Report {
    let over = |value: fn(&Round) -> f64| Spread::of(rounds.iter().map(value));
    Report {
        machine: Machine::read(),
        messages: arguments.messages,
        connections: arguments.connections,
        citizens: arguments.citizens,
        body_bytes: 1_024,
        tls: !arguments.cleartext,
        accepted_per_second: over(|round| round.accepted_per_second),
        delivered_per_second: over(|round| round.delivered_per_second),
        accept_p50_ms: over(|round| round.accept_latency.p50_ms),
        accept_p99_ms: over(|round| round.accept_latency.p99_ms),
        delivery_p50_ms: over(|round| round.delivery_latency.p50_ms),
        delivery_p99_ms: over(|round| round.delivery_latency.p99_ms),
        idle_rss_mb: over(|round| round.idle_rss_mb),
        imported_rss_mb: over(|round| round.imported_rss_mb),
        peak_rss_mb: over(|round| round.peak_rss_mb),
        cpu_us_per_message: over(|round| round.cpu_us_per_message),
        simulators_cpu_us_per_message: over(|round| round.simulators_cpu_us_per_message),
        import_per_second: over(|round| round.import_per_second),
        sound: rounds.iter().all(Round::is_sound),
        rounds,
    }
}

fn write_table(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "machine: {}", report.machine.line())?;
    writeln!(
        out,
        "{} messages of 1 KB over {} connections, {} citizens, {} rounds, simulators over {}",
        report.messages,
        report.connections,
        report.citizens,
        report.rounds.len(),
        if report.tls { "TLS" } else { "cleartext HTTP/2" }
    )?;
    writeln!(out, "{:<38} {:>12} {:>12} {:>12}", "", "median", "min", "max")?;
    let rows: [(&str, &Spread, usize); 12] = [
        ("accepted (durable) a second", &report.accepted_per_second, 0),
        ("delivered a second", &report.delivered_per_second, 0),
        ("accept latency p50, ms", &report.accept_p50_ms, 2),
        ("accept latency p99, ms", &report.accept_p99_ms, 2),
        ("accepted to provider p50, ms", &report.delivery_p50_ms, 2),
        ("accepted to provider p99, ms", &report.delivery_p99_ms, 2),
        ("server CPU a message, us", &report.cpu_us_per_message, 1),
        ("simulators' CPU a message, us", &report.simulators_cpu_us_per_message, 1),
        ("server RSS idle, MB", &report.idle_rss_mb, 1),
        ("server RSS after import, MB", &report.imported_rss_mb, 1),
        ("server RSS peak, MB", &report.peak_rss_mb, 1),
        ("citizens imported a second", &report.import_per_second, 0),
    ];
    for (name, spread, digits) in rows {
        let (median, min, max) = (spread.median, spread.min, spread.max);
        writeln!(out, "{name:<38} {median:>12.digits$} {min:>12.digits$} {max:>12.digits$}")?;
    }
    for (number, round) in report.rounds.iter().enumerate() {
        let audit = &round.audit;
        writeln!(
            out,
            "round {}: accepted {}, delivered {}, lost {}, duplicates {}, phantoms {}, excess {}, retries {}, refused {}, \
             gave up {}, at rest: {}",
            number + 1,
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
        )?;
    }
    writeln!(
        out,
        "{}",
        if report.sound {
            "sound: every message arrived once"
        } else {
            "NOT SOUND: see the rounds"
        }
    )
}
