//! The references of `bench push`: the bare client loop in its fastest form, and h2load, against the simulator of a stage.
//!
//! Owns nothing; their processes end with the futures that wait for them.

use std::time::Duration;

use araldo_loadtest::reference::{Push, ReferenceReport, ReferenceSpec, Target};
use araldo_loadtest::simulator::{Credentials, Kind};
use araldo_loadtest::stage::{SimLauncher, SimProcess, Stage, StageOptions};
use serde::Serialize;

use super::super::Failure;
use super::h2load::Job;
use super::kit::{as_f64, bar, settle};
use super::push_round::{PushLoad, simulator};

/// The loop is given up after this time.
const REFERENCE_LIMIT: Duration = Duration::from_secs(3_600);
/// Requests with which each form of the loop is tried.
const TRIAL: u64 = 100_000;

/// The bare loop.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct BareLoop {
    pub(super) connections: u16,
    pub(super) window: u16,
    pub(super) threads: u16,
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

/// Tries each form of the loop and gives the one that was fastest: the reference should be as good as it can be here.
pub(super) async fn fastest(
    stage: &Stage,
    options: &StageOptions,
    provider: Kind,
    loops: &[BareLoop],
    body_bytes: usize,
) -> Result<BareLoop, Failure> {
    if let [only] = loops {
        return Ok(*only);
    }
    let simulator = simulator(stage)?;
    let mut best: Option<(f64, BareLoop)> = None;
    for bare in loops {
        let spec = specification(simulator, options, provider, body_bytes, *bare, TRIAL).await?;
        let name = format!(
            "trial: {} connections, {} requests each, {} threads",
            bare.connections, bare.window, bare.threads
        );
        let report = run_bare(simulator, options, &spec, &name).await?;
        let seconds = report.seconds;
        tracing::debug!(?bare, seconds, cpu_seconds = report.cpu_seconds, "trial");
        if best.as_ref().is_none_or(|(least, _)| seconds < *least) {
            best = Some((seconds, *bare));
        }
    }
    best.map(|(_, bare)| bare).ok_or_else(|| "no form of the bare loop to try".into())
}

/// What the loop is told.
async fn specification(
    simulator: &SimProcess,
    options: &StageOptions,
    provider: Kind,
    body_bytes: usize,
    bare: BareLoop,
    requests: u64,
) -> Result<ReferenceSpec, Failure> {
    let folder = options.folder.join("credentials");
    let credentials = Credentials::load(&folder)?;
    let ca_file = options.tls.then(|| folder.join("ca.pem"));
    let endpoint = &simulator.endpoint;
    let target = Target::sign_in(provider, endpoint, &credentials, ca_file.as_deref()).await?;
    let message = "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned();
    Ok(ReferenceSpec {
        target,
        push: Push { message, body_bytes },
        ca_file,
        connections: bare.connections,
        window: bare.window,
        requests,
        threads: bare.threads,
    })
}

/// Runs the bare loop, and h2load if it is wanted, one after the other.
pub(super) async fn run(
    stage: &Stage,
    options: &StageOptions,
    load: &PushLoad,
    name: &str,
) -> Result<References, Failure> {
    settle(stage).await;
    let simulator = simulator(stage)?;
    let requests = load.citizens;
    let (provider, size) = (load.provider, load.body_bytes);
    let spec = specification(simulator, options, provider, size, load.bare, requests).await?;
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
    simulator.order("/reset").await?;
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
