//! One round of `bench mixed`: emergencies on an idle server, an alert by itself, alerts with emergencies among them, and an
//! alert by itself again, so that what drifts meanwhile meets both alike.
//!
//! Emergencies arrive by the clock, whatever became of those before them, and their latency counts from the moment they were
//! due: one that had to wait for a connection, for its 201 or for a slow server has waited.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use araldo_loadtest::alert_audit::{AlertAudit, audit_alert, devices};
use araldo_loadtest::audit::{AuditReport, Latency, audit};
use araldo_loadtest::driver::{DriveReport, DriverOptions, Schedule, Source, drive_on_schedule};
use araldo_loadtest::population::Population;
use araldo_loadtest::simulator::{Kind, Record};
use araldo_loadtest::stage::{Stage, StageOptions};
use hdrhistogram::Histogram;
use hyper::header::HeaderValue;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::super::Failure;
use super::alert::{self, alert_service};
use super::kit::{as_f64, import, megabytes, settle, source_to};
use super::push_round::{mix, prepare, simulator};

/// Emergencies on an idle server go on for so long.
const IDLE: Duration = Duration::from_secs(10);
/// Connections of the emergencies' sender: more than ever wait at once.
const CONNECTIONS: usize = 64;
/// Citizens the emergencies go to, in turn, spread over the population.
const RECIPIENTS: u64 = 4_096;
/// Nothing may be pending this long after the last alert's end.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct MixedLoad {
    pub(super) citizens: u64,
    pub(super) provider: Kind,
    /// Emergencies a second.
    pub(super) rate: u16,
    /// Emergencies among alerts, at least.
    pub(super) samples: u64,
    pub(super) seed: u64,
}

/// How long emergencies took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Emergencies {
    /// From the moment each was due to the provider's accept.
    pub(super) due_to_provider: Latency,
    /// From the 201 to the provider's accept; one accepted before its 201 was read counts as 0.
    pub(super) accepted_to_provider: Latency,
    /// From the moment each was due to its 201.
    pub(super) due_to_accepted: Latency,
}

/// The numbers of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MixedRound {
    pub(super) idle: Emergencies,
    pub(super) mixed: Emergencies,
    /// Of the alerts by themselves.
    pub(super) alone_per_second: f64,
    /// Of the alerts with emergencies among them.
    pub(super) mixed_per_second: f64,
    /// How many of those it took to have the samples.
    pub(super) alerts: usize,
    pub(super) peak_rss_mb: f64,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    pub(super) at_rest: bool,
    pub(super) messages: AuditReport,
    pub(super) alert_audits: Vec<AlertAudit>,
}

impl MixedRound {
    /// How many times as long an alert takes with emergencies among it.
    pub(super) fn slowed(&self) -> f64 {
        self.alone_per_second / self.mixed_per_second.max(1e-6)
    }

    /// Whether everything arrived once.
    pub(super) fn is_sound(&self) -> bool {
        let exact = |audit: &AlertAudit| audit.is_exact() && audit.duplicates == 0;
        self.refused == 0
            && self.gave_up == 0
            && self.at_rest
            && self.messages.lost == 0
            && self.messages.excess == 0
            && self.messages.duplicates == 0
            && self.messages.phantoms == 0
            && self.alert_audits.iter().all(exact)
    }
}

/// Plays a round in the stage that `options` describes.
pub(super) async fn run(
    mut options: StageOptions,
    load: MixedLoad,
    name: &str,
) -> Result<MixedRound, Failure> {
    prepare(&mut options, load.provider);
    let stage = Stage::start(options).await?;
    let measured = measure(&stage, load, name).await;
    let ended = stage.shutdown().await;
    let round = measured?;
    ended?;
    Ok(round)
}

/// What the parts of a round need.
struct Scene<'a> {
    stage: &'a Stage,
    load: MixedLoad,
    name: &'a str,
    population: Population,
    alerts: HeaderValue,
    emergencies: Source,
}

async fn measure(stage: &Stage, load: MixedLoad, name: &str) -> Result<MixedRound, Failure> {
    let population = Population::new(load.seed, load.citizens, mix(load.provider));
    let alerts = alert_service(stage).await?;
    let fields = json!({"lane": "emergency"});
    let emergency =
        stage.create_service_with("bench-emergency", "Pronto intervento", &fields).await?;
    import(stage, &population, name).await?;
    let recipients = RECIPIENTS.min(population.size());
    let step = population.size() / recipients;
    let codes = (0..recipients).map(|place| population.citizen(place * step).fiscal_code);
    let emergencies = source_to(codes, emergency);
    let scene = Scene { stage, load, name, population, alerts, emergencies };
    settle(stage).await;
    let (idle, first) = scene.idle().await?;
    let mut alone = scene.alone().await?;
    let mixed = scene.mixed(first.accepted.len() as u64).await?;
    let again = scene.alone().await?;
    let peak = stage.server_usage().unwrap_or_default().peak_bytes;
    alone.seconds.extend(again.seconds);
    let mut alert_audits = alone.audits;
    alert_audits.extend(mixed.audits);
    alert_audits.extend(again.audits);
    let rate = |seconds: &[f64]| {
        as_f64(load.citizens * seconds.len() as u64) / seconds.iter().sum::<f64>().max(1e-3)
    };
    Ok(MixedRound {
        idle,
        mixed: mixed.emergencies,
        alone_per_second: rate(&alone.seconds),
        mixed_per_second: rate(&mixed.seconds),
        alerts: mixed.seconds.len(),
        peak_rss_mb: megabytes(peak),
        refused: first.refused + mixed.refused,
        gave_up: first.gave_up + mixed.gave_up,
        at_rest: alone.at_rest && mixed.at_rest && again.at_rest,
        messages: mixed.messages,
        alert_audits,
    })
}

/// What alerts, with or without emergencies, came to.
#[derive(Default)]
struct Bulk {
    seconds: Vec<f64>,
    audits: Vec<AlertAudit>,
    at_rest: bool,
    emergencies: Emergencies,
    messages: AuditReport,
    refused: u64,
    gave_up: u64,
}

impl Scene<'_> {
    /// Emergencies with nothing beside them.
    async fn idle(&self) -> Result<(Emergencies, DriveReport), Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let driven = self.drive(&stop, 0);
        let stopped = async {
            tokio::time::sleep(IDLE).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (report, ()) = tokio::join!(driven, stopped);
        let (report, schedule) = report?;
        self.stage.wait_at_rest(REST_LIMIT, |_| {}).await;
        let records = simulator(self.stage)?.records().await?;
        Ok((latencies(&report, &schedule, &records)?, report))
    }

    /// One alert with nothing beside it.
    async fn alone(&self) -> Result<Bulk, Failure> {
        let simulator = simulator(self.stage)?;
        settle(self.stage).await;
        simulator.order("/reset").await?;
        let (id, seconds) = self.alert().await?;
        let (at_rest, _) = self.stage.wait_at_rest(REST_LIMIT, |_| {}).await;
        let records = simulator.records().await?;
        let audits = self.audit(vec![id], records).await?;
        Ok(Bulk { seconds: vec![seconds], audits, at_rest, ..Bulk::default() })
    }

    /// Emergencies from the start of an alert on; further alerts until there are enough samples, and all of them complete
    /// with emergencies among them.
    async fn mixed(&self, sent_before: u64) -> Result<Bulk, Failure> {
        let simulator = simulator(self.stage)?;
        settle(self.stage).await;
        simulator.order("/reset").await?;
        let stop = Arc::new(AtomicBool::new(false));
        let needed = Duration::from_secs(self.load.samples) / u32::from(self.load.rate.max(1));
        let alerts = async {
            let (mut ids, mut seconds) = (Vec::new(), Vec::new());
            let start = Instant::now();
            while seconds.is_empty() || start.elapsed() < needed {
                let (id, took) = self.alert().await?;
                ids.push(id);
                seconds.push(took);
            }
            stop.store(true, Ordering::Relaxed);
            Ok::<_, Failure>((ids, seconds))
        };
        let (driven, alerts) = tokio::join!(self.drive(&stop, sent_before), alerts);
        let ((report, schedule), (ids, seconds)) = (driven?, alerts?);
        let (at_rest, status) = self.stage.wait_at_rest(REST_LIMIT, |_| {}).await;
        let records = simulator.records().await?;
        let personal: Vec<Record> =
            records.iter().filter(|record| !ids.contains(&record.message)).copied().collect();
        Ok(Bulk {
            seconds,
            emergencies: latencies(&report, &schedule, &personal)?,
            messages: audit(&report.accepted, &personal, |_| Some(1), status.as_ref()),
            audits: self.audit(ids, records).await?,
            at_rest,
            refused: report.refused,
            gave_up: report.gave_up,
        })
    }

    /// Sends an alert and waits for its end; gives its id and how long it took.
    async fn alert(&self) -> Result<(u128, f64), Failure> {
        let citizens = self.population.size();
        let (sent, state) = alert::play(self.stage, &self.alerts, citizens, self.name).await?;
        let seconds = state.seconds().filter(|_| state.status == "completed");
        let seconds = seconds.ok_or_else(|| format!("an alert ended as {}", state.status))?;
        Ok((sent.id, seconds))
    }

    /// Emergencies by the clock, the first under this number, until `stop`.
    async fn drive(
        &self,
        stop: &Arc<AtomicBool>,
        first: u64,
    ) -> Result<(DriveReport, Schedule), Failure> {
        let interval = Duration::from_secs(1) / u32::from(self.load.rate.max(1));
        let schedule = Schedule { interval, stop: Arc::clone(stop) };
        let options = DriverOptions {
            base: self.stage.base_url().to_owned(),
            connections: CONNECTIONS,
            range: 0..u64::from(u32::MAX),
            patience: Duration::from_secs(60),
            on_progress: None,
        };
        let emergencies = Arc::clone(&self.emergencies);
        let source: Source = Arc::new(move |index| emergencies(first + index));
        let report = drive_on_schedule(options, source, schedule.clone()).await?;
        Ok((report, schedule))
    }

    async fn audit(
        &self,
        ids: Vec<u128>,
        records: Vec<Record>,
    ) -> Result<Vec<AlertAudit>, Failure> {
        let population = self.population;
        let audits = tokio::task::spawn_blocking(move || {
            let expected = devices(&population, |_| true);
            ids.into_iter().map(|id| audit_alert(id, expected.clone(), &records)).collect()
        });
        Ok(audits.await?)
    }
}

/// Joins when each was due and accepted with when the provider accepted it.
fn latencies(
    report: &DriveReport,
    schedule: &Schedule,
    records: &[Record],
) -> Result<Emergencies, Failure> {
    let seen: HashMap<u128, u64> =
        records.iter().map(|record| (record.message, record.first_accept_us)).collect();
    let new = || Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3);
    let (mut whole, mut after, mut before) = (new()?, new()?, new()?);
    for message in &report.accepted {
        let due_us = schedule.due_us(report.started_us, message.index);
        before.saturating_record(message.at_us.saturating_sub(due_us));
        // What never arrived is the audit's to say.
        if let Some(at_us) = seen.get(&message.id) {
            whole.saturating_record(at_us.saturating_sub(due_us));
            after.saturating_record(at_us.saturating_sub(message.at_us));
        }
    }
    Ok(Emergencies {
        due_to_provider: Latency::of_us(&whole),
        accepted_to_provider: Latency::of_us(&after),
        due_to_accepted: Latency::of_us(&before),
    })
}
