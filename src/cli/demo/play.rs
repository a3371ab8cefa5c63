//! The play: citizens move in, the morning is sent, everything comes to rest.

use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::audit::audit;
use araldo_loadtest::catalogue::catalogue;
use araldo_loadtest::driver::{DriveReport, DriverOptions, Progress, drive};
use araldo_loadtest::morning::Morning;
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{Behaviour, BooksReport, Failure as Refusal, Kind};
use araldo_loadtest::stage::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::Failure;
use super::report::{Report, Timing};

/// Connections of the senders.
const CONNECTIONS: usize = 64;
/// How long a sender tries one message.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the last retries may take.
const REST: Duration = Duration::from_secs(600);

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) citizens: u64,
    pub(super) messages: u64,
    pub(super) seed: u64,
}

impl Plan {
    /// What a provider does on an ordinary morning: a few overloads, answered
    /// with and without a wish for when to come back. First attempts only, so
    /// that every push can arrive; and no device is gone, since what is planned
    /// for one depends on when that is heard, and the same seed plans the same.
    fn behaviour(self, provider: Kind) -> Behaviour {
        let refusal = |reason: &str, share, retry_after_seconds| Refusal {
            reason: reason.to_owned(),
            status: None,
            share,
            retry_after_seconds,
            first_attempts: Some(1),
        };
        let failures = match provider {
            Kind::Apns => vec![
                refusal("InternalServerError", 0.002, None),
                refusal("TooManyRequests", 0.001, Some(2)),
            ],
            Kind::Fcm => vec![refusal("INTERNAL", 0.002, None)],
        };
        Behaviour { seed: self.seed, latency_ms: 2, jitter_ms: 8, failures, ..Behaviour::default() }
    }
}

/// Plays `plan` on the stage and judges it.
pub(super) async fn play(stage: &Stage, plan: Plan) -> Result<Report, Failure> {
    let population = Population::new(plan.seed, plan.citizens, Mix::Real);
    let keys = stage.create_catalogue().await?;
    let keys = keys.in_order(catalogue()).ok_or("a service of the catalogue has no key")?;
    for simulator in stage.simulators() {
        simulator.set_behaviour(&plan.behaviour(simulator.kind)).await?;
    }
    let imported = import(stage, &population).await?;
    let morning = Morning::new(plan.seed, population, jiff::Zoned::now().date());
    let driven = send(stage, plan, morning, keys).await?;
    let (at_rest, status) = rest(stage).await;
    let status = status.ok_or("the server does not answer")?;
    let books = simulators(stage).await?;
    let records = stage.records().await?;
    let all_alive = Behaviour::default();
    let expected = |index| {
        let message = morning.message(index);
        Some(morning.expected_pushes(&message, &all_alive))
    };
    let audit = audit(&driven.accepted, &records, expected, Some(&status));
    let last_arrival = records.iter().map(|record| record.first_accept_us).max();
    let usage = stage.server_usage().unwrap_or_default();
    let timing = Timing::new(&driven, imported, last_arrival, usage);
    Ok(Report::new(plan, at_rest, &driven, &status, &books, audit, timing))
}

async fn import(stage: &Stage, population: &Population) -> Result<f64, Failure> {
    let bar = bar("citizens move in ", population.size());
    let start = Instant::now();
    let report = stage.import(population, |progress| bar.set_position(progress.done)).await?;
    bar.finish();
    if report.refused > 0 || report.imported != population.size() {
        let reasons = report.reasons.join("; ");
        let total = population.size();
        return Err(format!("{} of {total} citizens imported: {reasons}", report.imported).into());
    }
    Ok(start.elapsed().as_secs_f64())
}

async fn send(
    stage: &Stage,
    plan: Plan,
    morning: Morning,
    keys: Vec<hyper::header::HeaderValue>,
) -> Result<DriveReport, Failure> {
    let bar = bar("messages accepted", plan.messages);
    let shown = bar.clone();
    let options = DriverOptions {
        base: stage.base_url().to_owned(),
        connections: CONNECTIONS,
        range: 0..plan.messages,
        patience: PATIENCE,
        on_progress: Some(Arc::new(move |progress: Progress| shown.set_position(progress.settled))),
    };
    let report = drive(options, morning.source(keys)).await?;
    bar.finish();
    Ok(report)
}

/// Waits for the last deliveries and retries.
async fn rest(stage: &Stage) -> (bool, Option<Value>) {
    let bar = bar("deliveries ended ", 0);
    let show = |status: &Value| {
        let count = |name: &str| status["deliveries"][name].as_u64().unwrap_or(0);
        bar.set_length(count("planned"));
        bar.set_position(count("planned") - count("pending").min(count("planned")));
    };
    let (at_rest, status) = stage.wait_at_rest(REST, show).await;
    bar.finish();
    (at_rest, status)
}

async fn simulators(stage: &Stage) -> Result<Vec<(&'static str, BooksReport)>, Failure> {
    let mut books = Vec::new();
    for simulator in stage.simulators() {
        books.push((simulator.kind.name(), simulator.books().await?));
    }
    Ok(books)
}

fn bar(what: &'static str, length: u64) -> ProgressBar {
    const TEMPLATE: &str =
        "{prefix} {bar:36} {human_pos:>9}/{human_len} {per_sec:>12} {elapsed_precise}";
    let style =
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(what)
}
