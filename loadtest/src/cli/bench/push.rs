//! `araldo-loadtest bench push`: one alert to everybody, against a bare client loop and h2load, as a table and as JSON.

use std::process::ExitCode;

use araldo_loadtest::simulator::Kind;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::Failure;
use super::common::{Common, report, row};
use super::disk::{self, Difference};
use super::h2load;
use super::push_round::{PushLoad, PushRound, prepare_references, run as run_round};
use super::references::BareLoop;
use super::report::{Report, Row, number};
use super::run::block_on;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Provider {
    /// Apple Push Notification service
    Apns,
    /// Firebase Cloud Messaging
    Fcm,
}

impl Provider {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Apns => Kind::Apns,
            Self::Fcm => Kind::Fcm,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Apns => "APNs",
            Self::Fcm => "FCM",
        }
    }
}

#[derive(Debug, Args, Serialize)]
#[command(after_help = "\
Examples:
  araldo-loadtest bench push --araldo target/release/araldo --json push.json
      One alert to 1,000,000 citizens by APNs, three rounds.
  araldo-loadtest bench push --araldo target/release/araldo --provider fcm
  araldo-loadtest bench push --araldo target/release/araldo --citizens 100000 --rounds 1 --no-h2load --no-disk
      A quick look.

In each round, against the same simulator (a process of its own, TLS, every check of the provider, books of every delivery) and
in changing order:
  the alert      POST /api/v1/alerts to everyone; each citizen has one device. From the acceptance to `completed`.
  the bare loop  a hyper HTTP/2 client without anything around it, in a process of its own: as many requests with the same headers
                 and bodies of the same size, several connections, windows kept full. It stores nothing and knows nobody.
                 How many connections, requests at once and threads is found out in a trial before the first round: the fastest.
  h2load         one request over and over: what the wire and the simulator can take.
The line `ratio` is the median over the rounds of the alert's rate over the bare loop's. CPU time is that of the process, user and
kernel. The disk row is apart: the stores of the same citizens with and without the alert, both flushed and compacted, compared
by their files; what the folder grew by while running, journals included, is in the JSON as folder_bytes_each.
The exit code is 1 when a device was missed, reached twice, or a stranger was; a missed budget is named and changes no exit code.
h2load comes with Debian's package nghttp2-client.")]
pub(crate) struct Arguments {
    /// Citizens, each with one device
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    citizens: u64,
    /// Whose simulator
    #[arg(long, value_enum, default_value = "apns")]
    provider: Provider,
    /// Connections of the server's route
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Connections of the bare loop, instead of the best number found in a trial
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    bare_connections: Option<u16>,
    /// Requests open at once on each of them, instead of the best number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    bare_window: Option<u16>,
    /// Worker threads of the bare loop, instead of the best number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    bare_threads: Option<u16>,
    /// Go without h2load
    #[arg(long)]
    no_h2load: bool,
    /// Go without the comparison of stores
    #[arg(long)]
    no_disk: bool,
    /// Cleartext HTTP/2 between clients and simulator instead of TLS
    #[arg(long)]
    cleartext: bool,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    /// The forms of the bare loop to choose from.
    fn loops(&self) -> Vec<BareLoop> {
        let choose =
            |given: Option<u16>, usual: &[u16]| given.map_or(usual.to_vec(), |one| vec![one]);
        let mut loops = Vec::new();
        for connections in choose(self.bare_connections, &[2, 4, 8]) {
            for window in choose(self.bare_window, &[100, 400]) {
                for threads in choose(self.bare_threads, &[1, 2]) {
                    loops.push(BareLoop { connections, window, threads });
                }
            }
        }
        loops
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !arguments.no_h2load {
        h2load::check()?;
    }
    let (rounds, load, disk) = block_on(all_rounds(arguments))?;
    let report = fill(arguments, &load, &rounds, disk.as_ref())?;
    report.publish(arguments.common.json.as_deref())?;
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all_rounds(
    arguments: &Arguments,
) -> Result<(Vec<PushRound>, PushLoad, Option<Difference>), Failure> {
    let folders = arguments.common.folders()?;
    let kind = arguments.provider.kind();
    let stage = |name: &str| {
        folders.stage(name).map(|mut options| {
            options.tls = !arguments.cleartext;
            options.connections = u32::from(arguments.connections);
            options
        })
    };
    let loops = arguments.loops();
    let (body_bytes, bare) = prepare_references(stage("size")?, kind, &loops).await?;
    let mut load = PushLoad {
        citizens: arguments.citizens,
        provider: kind,
        seed: arguments.common.seed,
        bare,
        h2load: !arguments.no_h2load,
        body_bytes,
        alert_first: false,
    };
    folders.done("size")?;
    let mut rounds = Vec::new();
    let mut disk = None;
    for number in 1..=arguments.common.rounds {
        let name = format!("round-{number}");
        load.alert_first = number % 2 == 0;
        let options = stage(&name)?;
        let shown = arguments.common.name(number);
        rounds.push(run_round(options.clone(), &load, &shown).await?);
        if number == arguments.common.rounds && !arguments.no_disk {
            let without = stage("without")?;
            disk = Some(disk::compare(&options, without, &load).await?);
            folders.done("without")?;
        }
        folders.done(&name)?;
    }
    Ok((rounds, load, disk))
}

fn fill(
    arguments: &Arguments,
    load: &PushLoad,
    rounds: &[PushRound],
    disk: Option<&Difference>,
) -> Result<Report, Failure> {
    let mut report = report("push", arguments, rounds)?;
    let provider = arguments.provider.name();
    let wire = if arguments.cleartext { "in cleartext" } else { "over TLS" };
    report.about = format!(
        "One alert to {} citizens by {provider} {wire}, bodies of {} bytes, {} rounds; the server with {} connections, the bare \
         loop with {} of {} requests each on {} threads.",
        number(super::kit::as_f64(load.citizens), 0),
        load.body_bytes,
        rounds.len(),
        arguments.connections,
        load.bare.connections,
        load.bare.window,
        load.bare.threads,
    );
    report.rows = rows(rounds, disk);
    report.ratio = Some(super::spread::Spread::of(rounds.iter().map(|round| round.ratio)).median);
    report.sound = rounds.iter().all(PushRound::is_sound);
    report.verdict = if report.sound {
        "every device was reached once, nobody else, nothing twice".to_owned()
    } else {
        "see the rounds".to_owned()
    };
    report.remarks = rounds.iter().map(remark).collect();
    if let Some(disk) = disk {
        let of = |(name, bytes): (&String, &f64)| format!("{name} {bytes:.2}");
        let tables: Vec<String> = disk.by_table.iter().map(of).collect();
        report.notes.push(format!("disk a recipient by table: {}", tables.join(", ")));
    }
    Ok(report)
}

fn rows(rounds: &[PushRound], disk: Option<&Difference>) -> Vec<Row> {
    let mut rows = vec![
        row(rounds, "deliveries a second, by the alert's status", 0, |r| r.alert.per_second)
            .at_least(40_000.0),
        row(rounds, "deliveries a second, by the simulator's books", 0, |r| {
            r.alert.per_second_at_simulator
        }),
        row(rounds, "bare loop, requests a second", 0, |r| r.references.bare_per_second),
        row(rounds, "ratio of a round", 3, |r| r.ratio).at_least(0.5),
    ];
    if rounds.iter().all(|round| round.references.h2load_per_second.is_some()) {
        let rate = |round: &PushRound| round.references.h2load_per_second.unwrap_or_default();
        rows.push(row(rounds, "h2load, requests a second", 0, rate));
        let share = move |round: &PushRound| round.references.bare_per_second / rate(round);
        rows.push(row(rounds, "bare loop over h2load", 3, share).at_least(0.15));
    }
    rows.extend([
        row(rounds, "server CPU a delivery, µs", 1, |r| r.alert.server_cpu_us),
        row(rounds, "simulator's CPU a delivery, µs", 1, |r| r.alert.simulator_cpu_us),
        row(rounds, "bare loop's CPU a request, µs", 1, |r| r.references.bare_cpu_us),
        row(rounds, "simulator's CPU a request of it, µs", 1, |r| r.references.simulator_cpu_us),
        row(rounds, "server memory idle, MB", 1, |r| r.idle_rss_mb),
        row(rounds, "server memory after the import, MB", 1, |r| r.imported_rss_mb),
        row(rounds, "server memory at its peak, MB", 1, |r| r.alert.peak_rss_mb).at_most(500.0),
        row(rounds, "citizens imported a second", 0, |r| r.import_per_second).at_least(50_000.0),
    ]);
    if let Some(disk) = disk {
        rows.push(Row::new("disk a recipient, bytes", 1, [disk.bytes_each]).at_most(8.0));
    }
    rows
}

fn remark(round: &PushRound) -> String {
    let alert = &round.alert;
    let audit = &alert.audit;
    format!(
        "{}, at rest: {}; devices reached {} of {}, missing {}, twice {}, strangers {}; duplicates {}, refused {}, retried {}; \
         bare loop refused {}",
        alert.status,
        if alert.at_rest { "yes" } else { "no" },
        audit.reached,
        audit.expected,
        audit.missing,
        audit.excess,
        audit.strangers,
        audit.duplicates,
        alert.refused,
        alert.retried,
        round.references.bare_refused,
    )
}
