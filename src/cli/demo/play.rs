//! The play: citizens move in, the morning is sent, an alert goes to everyone,
//! everything comes to rest.

use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::audit::audit;
use araldo_loadtest::catalogue::catalogue;
use araldo_loadtest::driver::{DriveReport, DriverOptions, Progress, drive};
use araldo_loadtest::live::LiveCrowd;
use araldo_loadtest::morning::{Expected, Morning};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{
    Behaviour, BooksReport, Failure as Refusal, Kind, Record, SmtpBehaviour, SmtpFailure, SmtpStage,
};
use araldo_loadtest::stage::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::Failure;
use super::alert;
use super::report::{Found, Report, Timing};

/// Connections of the senders.
const CONNECTIONS: usize = 64;
/// How long a sender tries one message.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the last retries may take.
const REST: Duration = Duration::from_secs(600);

/// Citizens who keep the app open.
pub(super) const LIVE: u64 = 200;
/// How long their sessions may take to open, and the last event to come.
const OPEN: Duration = Duration::from_secs(30);
const SEEN: Duration = Duration::from_secs(30);

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
    /// that every push and mail can arrive; and no device is gone, since what is planned
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
            Kind::Smtp => return self.relay(),
        };
        Behaviour { seed: self.seed, latency_ms: 2, jitter_ms: 8, failures, ..Behaviour::default() }
    }

    /// A relay that now and then puts a mail off.
    fn relay(self) -> Behaviour {
        let put_off = |at, reply: &str, share| SmtpFailure {
            share,
            first_attempts: Some(1),
            ..SmtpFailure::always(at, reply)
        };
        let failures = vec![
            put_off(SmtpStage::Rcpt, "450 4.2.1 Mailbox busy", 0.001),
            put_off(SmtpStage::End, "451 4.3.0 Queue full, try again", 0.002),
        ];
        let smtp = SmtpBehaviour { failures, ..SmtpBehaviour::default() };
        Behaviour { seed: self.seed, latency_ms: 1, jitter_ms: 2, smtp, ..Behaviour::default() }
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
    let crowd = live(stage, &population).await?;
    let morning = Morning::new(plan.seed, population, jiff::Zoned::now().date());
    let driven = send(stage, plan, morning, keys).await?;
    rest(stage).await;
    let played = alert::play(stage, &population, &crowd).await?;
    let (at_rest, status) = rest(stage).await;
    let status = status.ok_or("the server does not answer")?;
    let calls = Calls::of(&morning, plan, &driven, &crowd);
    let seen_all = crowd.wait_complete(SEEN).await;
    let of_alert = |records: Vec<Record>| -> (Vec<_>, Vec<_>) {
        records.into_iter().partition(|record| played.owns(record))
    };
    let (alert_pushes, pushes) = of_alert(stage.records().await?);
    let (alert_mails, mails) = of_alert(stage.mail_records().await?);
    let timing = Timing::new(&driven, imported, [&pushes, &mails].map(|r| last_arrival(r)));
    let usage = stage.server_usage().unwrap_or_default();
    Ok(Report::new(
        plan,
        &driven,
        Found {
            at_rest,
            push: audit(&driven.accepted, &pushes, |index| calls.pushes(index), Some(&status)),
            mail: audit(&driven.accepted, &mails, |index| calls.mails(index), Some(&status)),
            alert: played.judge(&alert_pushes, &alert_mails),
            live: crowd.report(),
            seen_all,
            simulators: simulators(stage).await?,
            channels: stage.channels().await?,
            status,
        },
        timing.with_usage(usage),
    ))
}

/// The first citizens open the app and keep it open.
async fn live(stage: &Stage, population: &Population) -> Result<LiveCrowd, Failure> {
    let tokens = (0..population.size().min(LIVE))
        .map(|index| stage.tokens().of(&population.citizen(index)))
        .collect::<Result<Vec<_>, _>>()?;
    let crowd = LiveCrowd::start(stage.base_url(), tokens)?;
    if crowd.wait_ready(OPEN).await {
        return Ok(crowd);
    }
    let report = crowd.report();
    Err(format!("{} of {} live sessions opened", report.ready, report.sessions).into())
}

/// What the plan calls for, message by message: two bytes each.
struct Calls(Vec<(u8, u8)>);

impl Calls {
    /// Works out each message once, and tells the live citizens what they must see.
    fn of(morning: &Morning, plan: Plan, driven: &DriveReport, crowd: &LiveCrowd) -> Self {
        let all_alive = Behaviour::default();
        let count = usize::try_from(plan.messages).unwrap_or_default();
        let mut calls = vec![(0, 0); count];
        for accepted in &driven.accepted {
            let message = morning.message(accepted.index);
            let pushes = morning.expected_pushes(&message, &all_alive);
            let call = usize::try_from(accepted.index).ok().and_then(|place| calls.get_mut(place));
            if let Some(call) = call {
                let mails = morning.expected_mails(&message);
                *call = (u8::try_from(pushes).unwrap_or(u8::MAX), u8::from(mails > 0));
            }
            if matches!(message.expected, Expected::Processed { .. })
                && message.recipient < plan.citizens
            {
                let citizen = usize::try_from(message.recipient).unwrap_or(usize::MAX);
                crowd.expect(citizen, [accepted.id]);
            }
        }
        Self(calls)
    }

    fn get(&self, index: u64) -> Option<(u8, u8)> {
        self.0.get(usize::try_from(index).ok()?).copied()
    }

    fn pushes(&self, index: u64) -> Option<u32> {
        self.get(index).map(|call| u32::from(call.0))
    }

    fn mails(&self, index: u64) -> Option<u32> {
        self.get(index).map(|call| u32::from(call.1))
    }
}

fn last_arrival(records: &[Record]) -> Option<u64> {
    records.iter().map(|record| record.first_accept_us).max()
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

pub(super) fn bar(what: &'static str, length: u64) -> ProgressBar {
    const TEMPLATE: &str =
        "{prefix} {bar:36} {human_pos:>9}/{human_len} {per_sec:>12} {elapsed_precise}";
    let style =
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(what)
}
