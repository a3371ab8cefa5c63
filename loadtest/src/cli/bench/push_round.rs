//! One round of `bench push`: a fresh store, the references and an alert, one after the other against the same simulator.
//!
//! The order changes from round to round, so that what drifts on the machine (clock, caches, other guests) meets all alike.

use std::time::Duration;

use araldo_loadtest::alert_audit::{AlertAudit, audit_alert, devices};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::reference::{Push, ReferenceReport, ReferenceSpec, Target};
use araldo_loadtest::simulator::{BooksReport, Credentials, Kind};
use araldo_loadtest::stage::{SimLauncher, SimProcess, Stage, StageOptions};
use hyper::header::HeaderValue;
use serde::Serialize;

use super::super::Failure;
use super::alert::{self, alert_service};
use super::h2load::Job;
use super::kit::{as_f64, bar, import, megabytes, settle};

/// The reference is given up after this time.
const REFERENCE_LIMIT: Duration = Duration::from_secs(3_600);
/// Nothing may be pending this long after an alert's end.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// The bare loop.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct BareLoop {
    pub(super) connections: u16,
    pub(super) window: u16,
    pub(super) threads: u16,
}

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

/// The references of a round.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct References {
    pub(super) bare_per_second: f64,
    pub(super) bare_cpu_us: f64,
    pub(super) simulator_cpu_us: f64,
    pub(super) bare_refused: u64,
    pub(super) h2load_per_second: Option<f64>,
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

/// Bytes of the body the server sends for the bench's alert, found out with one citizen.
pub(super) async fn body_bytes(
    mut options: StageOptions,
    provider: Kind,
) -> Result<usize, Failure> {
    prepare(&mut options, provider);
    let stage = Stage::start(options).await?;
    let asked = async {
        let key = alert_service(&stage).await?;
        import(&stage, &Population::new(1, 1, mix(provider)), "size of a push").await?;
        alert::play(&stage, &key, 1, "size of a push").await?;
        let books = simulator(&stage)?.books().await?;
        if books.requests != 1 {
            return Err(format!("one citizen's alert made {} requests", books.requests).into());
        }
        Ok::<_, Failure>(usize::try_from(books.body_bytes)?)
    };
    let bytes = asked.await;
    let ended = stage.shutdown().await;
    let bytes = bytes?;
    ended?;
    Ok(bytes)
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
        (alert, run_references(stage, options, load, name).await?)
    } else {
        let references = run_references(stage, options, load, name).await?;
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

async fn run_references(
    stage: &Stage,
    options: &StageOptions,
    load: &PushLoad,
    name: &str,
) -> Result<References, Failure> {
    settle(stage).await;
    let simulator = simulator(stage)?;
    let credentials_folder = options.folder.join("credentials");
    let credentials = Credentials::load(&credentials_folder)?;
    let ca_file = options.tls.then(|| credentials_folder.join("ca.pem"));
    let endpoint = &simulator.endpoint;
    let target = Target::sign_in(load.provider, endpoint, &credentials, ca_file.as_deref()).await?;
    let push =
        Push { message: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), body_bytes: load.body_bytes };
    let spec = ReferenceSpec {
        target,
        push,
        ca_file,
        connections: load.bare.connections,
        window: load.bare.window,
        requests: load.citizens,
        threads: load.bare.threads,
    };
    simulator.order("/reset").await?;
    let before = simulator.usage().unwrap_or_default();
    let report = run_bare(simulator, options, &spec, name).await?;
    let after = simulator.usage().unwrap_or_default();
    let mut references = judge_bare(&report, load.citizens);
    let cpu = after.cpu_seconds - before.cpu_seconds;
    references.simulator_cpu_us = cpu * 1e6 / as_f64(load.citizens);
    if load.h2load {
        simulator.order("/reset").await?;
        let shown = bar(name, "requests of h2load", load.citizens);
        shown.tick();
        let job = Job {
            target: &spec.target,
            push: &spec.push,
            requests: load.citizens,
            connections: load.bare.connections,
            window: load.bare.window,
            folder: &options.folder,
        };
        references.h2load_per_second = Some(job.run().await?);
        shown.finish_and_clear();
    }
    Ok(references)
}

fn judge_bare(report: &ReferenceReport, requests: u64) -> References {
    References {
        bare_per_second: as_f64(report.accepted) / report.seconds.max(1e-6),
        bare_cpu_us: report.cpu_seconds * 1e6 / as_f64(report.accepted).max(1.0),
        bare_refused: requests - report.accepted.min(requests),
        ..References::default()
    }
}

/// The loop runs as a process of its own, this program's hidden command; the simulator's count moves the bar.
async fn run_bare(
    simulator: &SimProcess,
    options: &StageOptions,
    spec: &ReferenceSpec,
    name: &str,
) -> Result<ReferenceReport, Failure> {
    let shown = bar(name, "requests of the bare loop", spec.requests);
    let launcher =
        SimLauncher { program: options.sim.program.clone(), args: vec!["reference".to_owned()] };
    let running = spec.run_process(&launcher, &options.folder, REFERENCE_LIMIT);
    let watching = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if let Ok(books) = simulator.books().await {
                shown.set_position(books.accepted);
            }
        }
    };
    let report = tokio::select! {
        report = running => report?,
        () = watching => return Err("the bar ended before the loop".into()),
    };
    shown.finish_and_clear();
    Ok(report)
}
