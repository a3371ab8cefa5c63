//! One round of `bench live`: citizens who have nothing but their inbox, each with a session, each getting the same number of
//! messages; on request the server is killed in the middle.

use std::collections::HashMap;
use std::time::Duration;

use araldo_loadtest::audit::Latency;
use araldo_loadtest::driver::DriveReport;
use araldo_loadtest::live::{LiveCrowd, LiveReport, raise_open_files};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::stage::{Stage, StageOptions};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use super::super::Failure;
use super::kit::{Traffic, as_f64, import, megabytes, send, source};

/// All sessions must be open within this time.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
/// The last event must come within this time after the last answer.
const SEEN_LIMIT: Duration = Duration::from_secs(120);
/// Between the last session opened and the look at memory: the server's buffers of the opening are gone by then.
const SETTLE: Duration = Duration::from_secs(2);
/// After the last expected event: what comes twice comes soon.
const LINGER: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveLoad {
    pub(super) sessions: u64,
    pub(super) messages_each: u64,
    pub(super) connections: usize,
    pub(super) kill: bool,
    pub(super) seed: u64,
}

/// The numbers of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LiveRound {
    pub(super) opened_per_second: f64,
    pub(super) before_rss_mb: f64,
    pub(super) opened_rss_mb: f64,
    pub(super) bytes_per_session: f64,
    pub(super) accepted_per_second: f64,
    pub(super) events_per_second: f64,
    pub(super) server_cpu_us_per_message: f64,
    /// From the 201 read to the event read.
    pub(super) seen: Latency,
    /// Events that came before the sender had read its 201; they count as 0 in `seen`.
    pub(super) seen_before_answer: u64,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    pub(super) all_ready: bool,
    pub(super) complete: bool,
    pub(super) verdict: LiveReport,
}

impl LiveRound {
    /// Whether every session has exactly its messages.
    pub(super) const fn is_sound(&self) -> bool {
        self.all_ready
            && self.complete
            && self.refused == 0
            && self.gave_up == 0
            && self.verdict.is_exact()
    }
}

/// Plays a round in the stage that `options` describes.
pub(super) async fn run(
    mut options: StageOptions,
    load: LiveLoad,
    name: &str,
) -> Result<LiveRound, Failure> {
    // The server inherits the limit: it needs a socket for each session as well.
    raise_open_files(load.sessions + 1_000)?;
    options.providers = Vec::new();
    options.extra_config.push_str(&format!("\n[live]\nmax_sessions = {}\n", load.sessions + 100));
    let mut stage = Stage::start(options).await?;
    let measured = measure(&mut stage, load, name).await;
    let ended = stage.shutdown().await;
    let round = measured?;
    ended?;
    Ok(round)
}

async fn measure(stage: &mut Stage, load: LiveLoad, name: &str) -> Result<LiveRound, Failure> {
    let population = Population::new(load.seed, load.sessions, Mix::InboxOnly);
    let key = stage.create_service("bench-live", "Prova di carico").await?;
    import(stage, &population, name).await?;
    let tokens = (0..population.size())
        .map(|index| stage.tokens().of(&population.citizen(index)))
        .collect::<Result<Vec<_>, _>>()?;
    tokio::time::sleep(SETTLE).await;
    let before = stage.server_usage().unwrap_or_default();
    let start = Instant::now();
    let crowd = LiveCrowd::start(stage.base_url(), tokens)?;
    let all_ready = crowd.wait_ready(OPEN_LIMIT).await;
    let opening = start.elapsed().as_secs_f64();
    if !all_ready {
        return Err(format!("not all sessions were opened: {:?}", crowd.report()).into());
    }
    tokio::time::sleep(SETTLE).await;
    let opened = stage.server_usage().unwrap_or_default();
    let total = load.sessions * load.messages_each;
    let traffic = Traffic { messages: total, connections: load.connections };
    let start = Instant::now();
    let source = source(&population, key);
    let mut cpu_of_killed = -opened.cpu_seconds;
    let report = if load.kill {
        let watched = &crowd;
        let killed = async move {
            while watched.events() < total / 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (report, cpu) = send_with_a_kill(stage, traffic, source, name, killed).await?;
        cpu_of_killed += cpu;
        report
    } else {
        send(stage, traffic, source, name).await?
    };
    for accepted in &report.accepted {
        crowd.expect(session_of(accepted.index, load.sessions), [accepted.id]);
    }
    let complete = crowd.wait_complete(SEEN_LIMIT).await;
    let seconds = start.elapsed().as_secs_f64();
    let after = stage.server_usage().unwrap_or_default();
    tokio::time::sleep(LINGER).await;
    let (seen, seen_before_answer) = seen(&crowd, &report)?;
    let verdict = crowd.report();
    let cpu = after.cpu_seconds + cpu_of_killed;
    let grown = opened.resident_bytes.saturating_sub(before.resident_bytes);
    Ok(LiveRound {
        opened_per_second: as_f64(load.sessions) / opening.max(1e-6),
        before_rss_mb: megabytes(before.resident_bytes),
        opened_rss_mb: megabytes(opened.resident_bytes),
        bytes_per_session: as_f64(grown) / as_f64(load.sessions).max(1.0),
        accepted_per_second: report.accepted_per_second(),
        events_per_second: as_f64(verdict.events) / seconds.max(1e-6),
        server_cpu_us_per_message: cpu * 1e6 / as_f64(total).max(1.0),
        seen,
        seen_before_answer,
        refused: report.refused,
        gave_up: report.gave_up,
        all_ready,
        complete,
        verdict,
    })
}

/// Message `index` goes to citizen `index`, in turn.
fn session_of(index: u64, sessions: u64) -> usize {
    usize::try_from(index % sessions.max(1)).unwrap_or(usize::MAX)
}

/// Sends while the server is killed once `half` is over, and started again; gives the CPU time of the killed one too.
async fn send_with_a_kill(
    stage: &mut Stage,
    traffic: Traffic,
    source: araldo_loadtest::driver::Source,
    name: &str,
    half: impl Future<Output = ()>,
) -> Result<(DriveReport, f64), Failure> {
    let base = stage.base_url().to_owned();
    let killed = async {
        // Without events there is no half; the round then ends as incomplete.
        let _ = tokio::time::timeout(SEEN_LIMIT, half).await;
        let cpu = stage.server_usage().unwrap_or_default().cpu_seconds;
        stage.kill_server().await?;
        stage.restart_server().await?;
        Ok::<_, Failure>(cpu)
    };
    let (report, killed) = tokio::join!(super::kit::send_to(&base, traffic, source, name), killed);
    Ok((report?, killed?))
}

/// From the answer to the event, over all sessions.
fn seen(crowd: &LiveCrowd, report: &DriveReport) -> Result<(Latency, u64), Failure> {
    let answered: HashMap<u128, u64> =
        report.accepted.iter().map(|accepted| (accepted.id, accepted.at_us)).collect();
    let mut latency = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3)?;
    let mut before = 0;
    for index in 0..crowd.len() {
        for arrival in crowd.arrivals(index) {
            if let Some(at_us) = answered.get(&arrival.message) {
                before += u64::from(arrival.at_us < *at_us);
                latency.saturating_record(arrival.at_us.saturating_sub(*at_us));
            }
        }
    }
    Ok((Latency::of_us(&latency), before))
}
