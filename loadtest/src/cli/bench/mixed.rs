//! `araldo-loadtest bench mixed`: emergencies among a bulk alert, as a table and as JSON.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::common::{Common, report, row};
use super::kit::as_f64;
use super::mixed_round::{MixedLoad, MixedRound, run as run_round};
use super::push::Provider;
use super::report::{Report, Row, number};
use super::run::block_on;

#[derive(Debug, Args, Serialize)]
#[command(after_help = "\
Example:
  araldo-loadtest bench mixed --araldo target/release/araldo --json mixed.json

Each round starts the server on an empty store with one simulator over TLS and imports the citizens, one device each. Then:
  emergencies alone    personal messages of a service in the lane `emergency`, by the clock, for 10 seconds
  an alert alone       one bulk alert to everyone
  both                 bulk alerts to everyone, one after the other, with emergencies among them until there are enough samples
                       and the alert then under way has ended
  an alert alone       again
Latency is from the moment an emergency was due to the simulator's accept, both by this machine's clock: what a slow answer kept
waiting has waited (no coordinated omission). `slowed` is the alert's rate alone over its rate among emergencies.
The exit code is 1 when anything was lost or doubled; a missed budget is named and changes no exit code.")]
pub(crate) struct Arguments {
    /// Citizens, each with one device
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    /// Whose simulator
    #[arg(long, value_enum, default_value = "apns")]
    provider: Provider,
    /// Emergencies a second
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    rate: u16,
    /// Emergencies among alerts, at least
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    samples: u64,
    /// Connections of the server's route
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let rounds = block_on(all_rounds(arguments))?;
    let report = fill(arguments, &rounds)?;
    report.publish(arguments.common.json.as_deref())?;
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<Vec<MixedRound>, Failure> {
    let folders = arguments.common.folders()?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.common.rounds {
        let name = format!("round-{number}");
        let mut options = folders.stage(&name)?;
        options.connections = u32::from(arguments.connections);
        let load = MixedLoad {
            citizens: arguments.citizens,
            provider: arguments.provider.kind(),
            rate: arguments.rate,
            samples: arguments.samples,
            seed: arguments.common.seed,
        };
        rounds.push(run_round(options, load, &arguments.common.name(number)).await?);
        folders.done(&name)?;
    }
    Ok(rounds)
}

fn fill(arguments: &Arguments, rounds: &[MixedRound]) -> Result<Report, Failure> {
    let mut report = report("mixed", arguments, rounds)?;
    report.about = format!(
        "Bulk alerts to {} citizens by {} over TLS, {} emergencies a second by the clock among them, {} rounds.",
        number(as_f64(arguments.citizens), 0),
        arguments.provider.name(),
        arguments.rate,
        rounds.len()
    );
    report.rows = rows(rounds);
    report.sound = rounds.iter().all(MixedRound::is_sound);
    let verdict = if report.sound { "everything arrived, once" } else { "see the rounds" };
    verdict.clone_into(&mut report.verdict);
    report.remarks = rounds.iter().map(remark).collect();
    Ok(report)
}

fn rows(rounds: &[MixedRound]) -> Vec<Row> {
    let samples = |round: &MixedRound| as_f64(round.mixed.due_to_provider.count);
    vec![
        row(rounds, "emergencies among alerts", 0, samples).at_least(1_000.0),
        row(rounds, "due to provider p50, ms", 1, |r| r.mixed.due_to_provider.p50_ms),
        row(rounds, "due to provider p99, ms", 1, |r| r.mixed.due_to_provider.p99_ms)
            .at_most(250.0),
        row(rounds, "due to provider, longest, ms", 1, |r| r.mixed.due_to_provider.max_ms),
        row(rounds, "due to 201 p99, ms", 1, |r| r.mixed.due_to_accepted.p99_ms),
        row(rounds, "201 to provider p50, ms", 1, |r| r.mixed.accepted_to_provider.p50_ms),
        row(rounds, "201 to provider p99, ms", 1, |r| r.mixed.accepted_to_provider.p99_ms),
        row(rounds, "no alert: due to provider p50, ms", 1, |r| r.idle.due_to_provider.p50_ms),
        row(rounds, "no alert: due to provider p99, ms", 1, |r| r.idle.due_to_provider.p99_ms),
        row(rounds, "alert alone, deliveries a second", 0, |r| r.alone_per_second),
        row(rounds, "among emergencies, deliveries a second", 0, |r| r.mixed_per_second),
        row(rounds, "slowed, times", 3, MixedRound::slowed).at_most(1.25),
        row(rounds, "server memory at its peak, MB", 1, |r| r.peak_rss_mb),
    ]
}

fn remark(round: &MixedRound) -> String {
    let (messages, alerts) = (&round.messages, &round.alert_audits);
    let of = |value: fn(&araldo_loadtest::alert_audit::AlertAudit) -> u64| -> u64 {
        alerts.iter().map(value).sum()
    };
    format!(
        "{} alerts among emergencies; devices reached {} of {}, missing {}, twice {}, strangers {}, duplicates {}; emergencies \
         accepted {}, delivered {}, lost {}, duplicates {}, phantoms {}, refused {}, gave up {}, at rest: {}",
        round.alerts,
        of(|audit| audit.reached),
        of(|audit| audit.expected),
        of(|audit| audit.missing),
        of(|audit| audit.excess),
        of(|audit| audit.strangers),
        of(|audit| audit.duplicates),
        messages.accepted,
        messages.delivered,
        messages.lost,
        messages.duplicates,
        messages.phantoms,
        round.refused,
        round.gave_up,
        if round.at_rest { "yes" } else { "no" }
    )
}
