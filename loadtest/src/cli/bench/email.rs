//! `araldo-loadtest bench email`: the server against smtp-source, in turn, as a table and as JSON.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::folder::Rounds;
use super::kit::{BODY_BYTES, Traffic};
use super::machine::Machine;
use super::mail_round::{MailLoad, MailRound, Taker, mail_bytes, run as run_round};
use super::spread::Spread;

#[derive(Args)]
#[command(after_help = "\
Example:
  araldo-loadtest bench email --araldo target/release/araldo --messages 100000 --json email.json

Each round first lets Postfix's smtp-source send as many mails of the same size over as many sessions into smtp-sink: the
reference. Then the server starts on an empty store, citizens with an address and no device are imported, and messages of 1 KB
are sent over HTTP; each becomes one mail. A 201 means the message is on disk, so the rate is at most that of the intake. The
line `ratio` is the median of the server's rate over the reference's. The exit code is 1 when anything was lost or doubled.
smtp-source and smtp-sink come with Debian's package postfix.")]
pub(crate) struct Arguments {
    /// The server's binary
    #[arg(long, value_name = "PATH")]
    araldo: PathBuf,
    /// Messages a round, each one mail
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// SMTP sessions, of the server and of the reference
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: u16,
    /// HTTP connections, one request at a time on each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Citizens imported before the messages
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    citizens: u64,
    /// Rounds, each on an empty store
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Who takes the server's mails
    #[arg(long, value_enum, default_value = "smtp-sink")]
    into: Taker,
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
    messages: u64,
    sessions: u16,
    connections: u16,
    citizens: u64,
    into: Taker,
    body_bytes: usize,
    mail_bytes: u64,
    mails_per_second: Spread,
    reference_per_second: Spread,
    ratio: Spread,
    accepted_per_second: Spread,
    server_cpu_us_per_mail: Spread,
    simulator_cpu_us_per_mail: Spread,
    peak_rss_mb: Spread,
    sound: bool,
    rounds: Vec<MailRound>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(all_rounds(arguments))?;
    write_table(&mut std::io::stdout().lock(), &report)?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<Report, Failure> {
    let folders = Rounds::new(arguments.folder.as_deref(), &arguments.araldo, String::new())?;
    let mail_bytes = mail_bytes(folders.stage("size")?, arguments.seed).await?;
    folders.done("size")?;
    let load = MailLoad {
        traffic: Traffic {
            messages: arguments.messages,
            connections: usize::from(arguments.connections),
        },
        citizens: arguments.citizens,
        sessions: arguments.sessions,
        seed: arguments.seed,
        into: arguments.into,
        mail_bytes,
    };
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let name = format!("round-{number}");
        let shown = format!("round {number}/{}", arguments.rounds);
        rounds.push(run_round(folders.stage(&name)?, load, &shown).await?);
        folders.done(&name)?;
    }
    Ok(report(arguments, mail_bytes, rounds))
}

fn report(arguments: &Arguments, mail_bytes: u64, rounds: Vec<MailRound>) -> Report {
    let over = |value: fn(&MailRound) -> f64| Spread::of(rounds.iter().map(value));
    Report {
        machine: Machine::read(),
        messages: arguments.messages,
        sessions: arguments.sessions,
        connections: arguments.connections,
        citizens: arguments.citizens,
        into: arguments.into,
        body_bytes: BODY_BYTES,
        mail_bytes,
        mails_per_second: over(|round| round.mails_per_second),
        reference_per_second: over(|round| round.reference_per_second),
        ratio: over(|round| round.ratio),
        accepted_per_second: over(|round| round.accepted_per_second),
        server_cpu_us_per_mail: over(|round| round.server_cpu_us_per_mail),
        simulator_cpu_us_per_mail: over(|round| round.simulator_cpu_us_per_mail),
        peak_rss_mb: over(|round| round.peak_rss_mb),
        sound: rounds.iter().all(|round| round.is_sound(arguments.messages)),
        rounds,
    }
}

fn write_table(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "machine: {}", report.machine.line())?;
    writeln!(
        out,
        "{} messages of 1 KB over {} connections, mails of {} bytes over {} sessions into {}, {} rounds",
        report.messages,
        report.connections,
        report.mail_bytes,
        report.sessions,
        match report.into {
            Taker::SmtpSink => "smtp-sink",
            Taker::Simulator => "the simulator",
        },
        report.rounds.len()
    )?;
    writeln!(out, "{:<38} {:>12} {:>12} {:>12}", "", "median", "min", "max")?;
    let rows: [(&str, &Spread, usize); 7] = [
        ("mails a second", &report.mails_per_second, 0),
        ("smtp-source into smtp-sink a second", &report.reference_per_second, 0),
        ("ratio of a round", &report.ratio, 3),
        ("accepted (durable) a second", &report.accepted_per_second, 0),
        ("server CPU a mail, us", &report.server_cpu_us_per_mail, 1),
        ("simulator's CPU a mail, us", &report.simulator_cpu_us_per_mail, 1),
        ("server RSS peak, MB", &report.peak_rss_mb, 1),
    ];
    // Nobody reads the CPU time of a sink.
    let shown =
        rows.iter().filter(|row| report.into == Taker::Simulator || !row.0.starts_with("sim"));
    for (name, spread, digits) in shown {
        let digits = *digits;
        let (median, min, max) = (spread.median, spread.min, spread.max);
        writeln!(out, "{name:<38} {median:>12.digits$} {min:>12.digits$} {max:>12.digits$}")?;
    }
    for (number, round) in report.rounds.iter().enumerate() {
        write_round(out, number + 1, round)?;
    }
    writeln!(out, "ratio {:.3}", report.ratio.median)?;
    let verdict = if report.sound {
        "sound: every message became one mail"
    } else {
        "NOT SOUND: see the rounds"
    };
    writeln!(out, "{verdict}")
}

fn write_round(out: &mut impl Write, number: usize, round: &MailRound) -> std::io::Result<()> {
    let at_rest = if round.at_rest { "yes" } else { "no" };
    write!(
        out,
        "round {number}: delivered {}, failed {}, refused {}, gave up {}, at rest: {at_rest}",
        round.delivered, round.failed, round.refused, round.gave_up
    )?;
    match &round.audit {
        Some(audit) => writeln!(
            out,
            "; at the simulator: {} mails, lost {}, duplicates {}, phantoms {}, excess {}",
            audit.delivered, audit.lost, audit.duplicates, audit.phantoms, audit.excess
        ),
        None => writeln!(out),
    }
}
