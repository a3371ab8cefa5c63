//! `araldo-loadtest bench email`: the server against smtp-source, in turn, as a table and as JSON.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::common::{Common, report, row};
use super::kit::{Traffic, as_f64};
use super::mail_round::{MailLoad, MailRound, Taker, mail_bytes, run as run_round};
use super::postfix;
use super::report::{Report, Row, number};
use super::run::block_on;
use super::spread::Spread;

#[derive(Debug, Args, Serialize)]
#[command(after_help = "\
Examples:
  araldo-loadtest bench email --araldo target/release/araldo --alert --messages 200000 --json email.json
      One alert to 200,000 citizens by mail.
  araldo-loadtest bench email --araldo target/release/araldo --messages 100000
      Single messages over HTTP, each one mail.

Each round lets Postfix's smtp-source send as many mails of the same size over as many sessions into smtp-sink: the reference,
before the server or, in every second round, after it. The server starts on an empty store and citizens with an address and no
device are imported. With --alert one alert goes to all of them; without, messages of 1 KB are sent over HTTP, and since a 201
means the message is on disk, the rate is at most that of the intake. The line `ratio` is the median of the server's rate over
the reference's. The exit code is 1 when anything was lost or doubled; a missed budget is named and changes no exit code.
smtp-source and smtp-sink come with Debian's package postfix.")]
pub(crate) struct Arguments {
    /// Mails a round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    messages: u64,
    /// One alert to as many citizens as there are to be mails, instead of single messages
    #[arg(long, conflicts_with_all = ["connections", "citizens"])]
    alert: bool,
    /// SMTP sessions, of the server and of the reference
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: u16,
    /// HTTP connections, one request at a time on each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Citizens imported before the messages
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    citizens: u64,
    /// Who takes the server's mails
    #[arg(long, value_enum, default_value = "smtp-sink")]
    into: Taker,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    postfix::check()?;
    let (mail_bytes, rounds) = block_on(all_rounds(arguments))?;
    let report = fill(arguments, mail_bytes, &rounds)?;
    report.publish(arguments.common.json.as_deref())?;
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(arguments: &Arguments) -> Result<(u64, Vec<MailRound>), Failure> {
    let folders = arguments.common.folders()?;
    let mut load = MailLoad {
        traffic: Traffic {
            messages: arguments.messages,
            connections: usize::from(arguments.connections),
        },
        alert: arguments.alert,
        citizens: if arguments.alert { arguments.messages } else { arguments.citizens },
        sessions: arguments.sessions,
        seed: arguments.common.seed,
        into: arguments.into,
        mail_bytes: 0,
        server_first: false,
    };
    load.mail_bytes = mail_bytes(folders.stage("size")?, load).await?;
    folders.done("size")?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.common.rounds {
        let name = format!("round-{number}");
        load.server_first = number % 2 == 0;
        let shown = arguments.common.name(number);
        rounds.push(run_round(folders.stage(&name)?, load, &shown).await?);
        folders.done(&name)?;
    }
    Ok((load.mail_bytes, rounds))
}

fn fill(arguments: &Arguments, mail_bytes: u64, rounds: &[MailRound]) -> Result<Report, Failure> {
    let mut report = report("email", arguments, rounds)?;
    let mails = number(as_f64(arguments.messages), 0);
    let what = if arguments.alert {
        format!("One alert to {mails} citizens")
    } else {
        format!("{mails} messages of 1 KB over {} connections", arguments.connections)
    };
    report.about = format!(
        "{what}, mails of {} bytes over {} sessions into {}, {} rounds.",
        number(as_f64(mail_bytes), 0),
        arguments.sessions,
        match arguments.into {
            Taker::SmtpSink => "smtp-sink",
            Taker::Simulator => "the simulator",
        },
        rounds.len()
    );
    report.rows = rows(arguments, rounds);
    report.ratio = Some(Spread::of(rounds.iter().map(MailRound::ratio)).median);
    report.sound = rounds.iter().all(|round| round.is_sound(arguments.messages));
    let what = if arguments.alert {
        "every citizen got one mail"
    } else {
        "every message became one mail"
    };
    report.verdict = if report.sound { what } else { "see the rounds" }.to_owned();
    report.remarks = rounds.iter().map(remark).collect();
    Ok(report)
}

fn rows(arguments: &Arguments, rounds: &[MailRound]) -> Vec<Row> {
    let ratio = row(rounds, "ratio of a round", 3, MailRound::ratio);
    let mut rows = vec![
        row(rounds, "mails a second", 0, |r| r.mails_per_second),
        row(rounds, "smtp-source into smtp-sink a second", 0, |r| r.reference_per_second),
        // The budget is an alert's: single messages are bound by their intake.
        if arguments.alert { ratio.at_least(0.7) } else { ratio },
    ];
    if !arguments.alert {
        let accepted = |round: &MailRound| round.accepted_per_second.unwrap_or_default();
        rows.push(row(rounds, "accepted (durable) a second", 0, accepted));
    }
    let name = if arguments.alert {
        "server CPU a mail, µs"
    } else {
        "server CPU a mail, intake included, µs"
    };
    rows.push(row(rounds, name, 1, |r| r.server_cpu_us_per_mail));
    // Nobody reads the CPU time of a sink.
    if arguments.into == Taker::Simulator {
        rows.push(row(rounds, "simulator's CPU a mail, µs", 1, |r| r.simulator_cpu_us_per_mail));
    }
    rows.push(row(rounds, "server memory at its peak, MB", 1, |r| r.peak_rss_mb));
    rows
}

fn remark(round: &MailRound) -> String {
    let at_rest = if round.at_rest { "yes" } else { "no" };
    let mut text = format!(
        "delivered {}, failed {}, refused {}, gave up {}, at rest: {at_rest}",
        round.delivered, round.failed, round.refused, round.gave_up
    );
    if let Some(audit) = &round.audit {
        text.push_str(&format!(
            "; at the simulator: {} mails, lost {}, duplicates {}, phantoms {}, excess {}",
            audit.delivered, audit.lost, audit.duplicates, audit.phantoms, audit.excess
        ));
    }
    if let Some(audit) = &round.alert_audit {
        text.push_str(&format!(
            "; at the simulator: addresses reached {} of {}, missing {}, twice {}, strangers {}, duplicates {}",
            audit.reached, audit.expected, audit.missing, audit.excess, audit.strangers, audit.duplicates
        ));
    }
    text
}
