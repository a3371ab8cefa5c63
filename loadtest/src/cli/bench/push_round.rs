//! One round of `bench push`: a fresh store, the references and an alert, one after the other against the same simulator.
//!
//! The order changes from round to round, so that what drifts on the machine (clock, caches, other guests) meets all alike.

use std::time::Duration;

use araldo_loadtest::alert_audit::{AlertAudit, audit_alert, devices};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{BooksReport, Kind};
use araldo_loadtest::stage::{SimProcess, Stage, StageOptions};
use hyper::header::HeaderValue;
use serde::Serialize;

use super::super::Failure;
use super::alert::{self, alert_service};
use super::kit::{as_f64, import, megabytes, settle};
use super::references::{self, BareLoop, References};

/// Nothing may be pending this long after an alert's end.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct PushLoad {
    pub(super) citizens: u64,
    pub(super) provider: Kind,
    pub(super) seed: u64,
    pub(super) bare: BareLoop,
    pub(super) h2load: bool,
    /// Bytes of the server's request bodies.
    pub(super) body_bytes: usize,
    /// The alert first, then the references.
    pub(super) alert_first: bool,
}

/// The alert of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AlertRun {
    /// From acceptance to the end, by the alert's own status.
    pub(super) per_second: f64,
    /// From acceptance to the last accept, by the simulator's books.
    pub(super) per_second_at_simulator: f64,
    pub(super) server_cpu_us: f64,
    pub(super) simulator_cpu_us: f64,
    pub(super) peak_rss_mb: f64,
    /// What the store's folder grew by, journals and all.
    pub(super) folder_bytes_each: f64,
    pub(super) status: String,
    pub(super) at_rest: bool,
    pub(super) retried: u64,
    pub(super) refused: u64,
    pub(super) audit: AlertAudit,
}

/// The numbers of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PushRound {
    pub(super) import_per_second: f64,
    pub(super) idle_rss_mb: f64,
    pub(super) imported_rss_mb: f64,
    pub(super) alert: AlertRun,
    pub(super) references: References,
    pub(super) ratio: f64,
}

impl PushRound {
    /// Whether every device was reached once and nobody refused anything.
    pub(super) fn is_sound(&self) -> bool {
        self.alert.status == "completed"
            && self.alert.at_rest
            && self.alert.audit.is_exact()
            && self.alert.audit.duplicates == 0
            && self.alert.refused == 0
            && self.references.bare_refused == 0
    }
}

/// The mix whose citizens have one device of this provider.
pub(super) fn mix(provider: Kind) -> Mix {
    match provider {
        Kind::Fcm => Mix::OneFcm,
        Kind::Apns | Kind::Smtp => Mix::OneApns,
    }
}

pub(super) fn simulator(stage: &Stage) -> Result<&SimProcess, Failure> {
    stage.simulators().first().ok_or_else(|| "the stage has no simulator".into())
}

/// What differs from the stage's defaults: one provider; anybody may open streams at once, since h2load does.
pub(super) fn prepare(options: &mut StageOptions, provider: Kind) {
    options.providers = vec![provider];
    options.one_stream_until_authorized = false;
}

/// Bytes of the body the server sends for the bench's alert, found out with one citizen; and the fastest of the bare loops,
/// found out with bodies of that size.
pub(super) async fn prepare_references(
    mut options: StageOptions,
    provider: Kind,
    loops: &[BareLoop],
) -> Result<(usize, BareLoop), Failure> {
    prepare(&mut options, provider);
    let stage = Stage::start(options.clone()).await?;
    let asked = async {
        let key = alert_service(&stage).await?;
        import(&stage, &Population::new(1, 1, mix(provider)), "size of a push").await?;
        alert::play(&stage, &key, 1, "size of a push").await?;
        let books = simulator(&stage)?.books().await?;
        if books.requests != 1 {
            return Err(format!("one citizen's alert made {} requests", books.requests).into());
        }
        let body_bytes = usize::try_from(books.body_bytes)?;
        let bare = references::fastest(&stage, &options, provider, loops, body_bytes).await?;
        Ok::<_, Failure>((body_bytes, bare))
    };
    let found = asked.await;
    let ended = stage.shutdown().await;
    let found = found?;
    ended?;
    Ok(found)
}

/// Plays a round in the stage that `options` describes.
pub(super) async fn run(
    mut options: StageOptions,
    load: &PushLoad,
    name: &str,
) -> Result<PushRound, Failure> {
    prepare(&mut options, load.provider);
    let stage = Stage::start(options.clone()).await?;
    let measured = measure(&stage, &options, load, name).await;
    let ended = stage.shutdown().await;
    let round = measured?;
    ended?;
    Ok(round)
}

async fn measure(
    stage: &Stage,
    options: &StageOptions,
    load: &PushLoad,
    name: &str,
) -> Result<PushRound, Failure> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = stage.server_usage().unwrap_or_default();
    let population = Population::new(load.seed, load.citizens, mix(load.provider));
    let key = alert_service(stage).await?;
    let import_per_second = import(stage, &population, name).await?;
    settle(stage).await;
    let imported = stage.server_usage().unwrap_or_default();
    let (alert, references) = if load.alert_first {
        let alert = run_alert(stage, &population, &key, name).await?;
        (alert, references::run(stage, options, load, name).await?)
    } else {
        let references = references::run(stage, options, load, name).await?;
        (run_alert(stage, &population, &key, name).await?, references)
    };
    Ok(PushRound {
        import_per_second,
        idle_rss_mb: megabytes(idle.resident_bytes),
        imported_rss_mb: megabytes(imported.resident_bytes),
        ratio: alert.per_second / references.bare_per_second.max(1e-6),
        alert,
        references,
    })
}

async fn run_alert(
    stage: &Stage,
    population: &Population,
    key: &HeaderValue,
    name: &str,
) -> Result<AlertRun, Failure> {
    settle(stage).await;
    let simulator = simulator(stage)?;
    simulator.order("/reset").await?;
    let folder_before = super::disk::folder_bytes(&stage.store_folder());
    let before = stage.server_usage().unwrap_or_default();
    let simulator_before = simulator.usage().unwrap_or_default();
    let (sent, state) = alert::play(stage, key, population.size(), name).await?;
    let (at_rest, _) = stage.wait_at_rest(REST_LIMIT, |_| {}).await;
    let after = stage.server_usage().unwrap_or_default();
    let simulator_after = simulator.usage().unwrap_or_default();
    let books = simulator.books().await?;
    let records = simulator.records().await?;
    settle(stage).await;
    let grown = super::disk::folder_bytes(&stage.store_folder()) - folder_before;
    let population = *population;
    let audit = tokio::task::spawn_blocking(move || {
        audit_alert(sent.id, devices(&population, |_| true), &records)
    });
    let audit = audit.await?;
    let each = |seconds: f64| seconds * 1e6 / as_f64(audit.expected).max(1.0);
    Ok(AlertRun {
        per_second: state
            .seconds()
            .map_or(0.0, |seconds| as_f64(audit.reached) / seconds.max(1e-3)),
        per_second_at_simulator: rate_at_simulator(&books, sent.at_us),
        server_cpu_us: each(after.cpu_seconds - before.cpu_seconds),
        simulator_cpu_us: each(simulator_after.cpu_seconds - simulator_before.cpu_seconds),
        peak_rss_mb: megabytes(after.peak_bytes),
        folder_bytes_each: grown / as_f64(audit.expected).max(1.0),
        retried: state.progress.walks.iter().map(|walk| walk.retried).sum(),
        status: state.status,
        at_rest,
        refused: books.refused,
        audit,
    })
}

fn rate_at_simulator(books: &BooksReport, accepted_us: u64) -> f64 {
    let window = as_f64(books.last_accept_us.saturating_sub(accepted_us)) / 1e6;
    if window > 0.0 { as_f64(books.unique_deliveries) / window } else { 0.0 }
}
