//! One round of `bench intake`: redis-benchmark and the server on a fresh store, in changing order; every citizen has one
//! device, every message goes to a simulator.

use std::time::Duration;

use araldo_loadtest::audit::{AuditReport, Latency, audit};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::stage::{Stage, StageOptions};
use serde::Serialize;

use super::super::Failure;
use super::kit::{Traffic, as_f64, bar, import, megabytes, send, simulators_cpu, source};
use super::redis;

/// A round that does not come to rest in this time is reported as it stands.
const REST_LIMIT: Duration = Duration::from_secs(300);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) messages: u64,
    pub(super) connections: usize,
    pub(super) citizens: u64,
    pub(super) seed: u64,
    /// Run redis-benchmark too.
    pub(super) reference: bool,
    /// The server first, then the reference.
    pub(super) server_first: bool,
}

/// The numbers of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    pub(super) accepted_per_second: f64,
    /// redis-benchmark's SETs.
    pub(super) reference_per_second: Option<f64>,
    pub(super) delivered_per_second: f64,
    pub(super) accept_latency: Latency,
    pub(super) delivery_latency: Latency,
    pub(super) idle_rss_mb: f64,
    pub(super) imported_rss_mb: f64,
    pub(super) peak_rss_mb: f64,
    pub(super) cpu_us_per_message: f64,
    pub(super) simulators_cpu_us_per_message: f64,
    pub(super) import_per_second: f64,
    pub(super) retries: u64,
    pub(super) network_errors: u64,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    pub(super) at_rest: bool,
    pub(super) audit: AuditReport,
}

impl Round {
    /// Over redis-benchmark's rate.
    pub(super) fn ratio(&self) -> Option<f64> {
        Some(self.accepted_per_second / self.reference_per_second?.max(1e-6))
    }

    /// Whether the numbers are those of a complete, correct run.
    pub(super) fn is_sound(&self) -> bool {
        self.at_rest
            && self.refused == 0
            && self.gave_up == 0
            && self.audit.is_clean()
            && self.audit.duplicates == 0
    }
}

pub(super) async fn run(options: StageOptions, load: Load, name: &str) -> Result<Round, Failure> {
    let folder = options.folder.join("redis");
    let reference = async {
        if !load.reference {
            return Ok::<_, Failure>(None);
        }
        let shown = bar(name, "SETs of redis-benchmark", load.messages);
        shown.tick();
        let connections = u16::try_from(load.connections).unwrap_or(u16::MAX);
        let rate = redis::durable_sets(&folder, load.messages, connections).await?;
        shown.finish_and_clear();
        Ok(Some(rate))
    };
    if load.server_first {
        let mut round = run_server(options, load, name).await?;
        round.reference_per_second = reference.await?;
        return Ok(round);
    }
    let rate = reference.await?;
    let round = run_server(options, load, name).await?;
    Ok(Round { reference_per_second: rate, ..round })
}

async fn run_server(options: StageOptions, load: Load, name: &str) -> Result<Round, Failure> {
    let stage = Stage::start(options).await?;
    let measured = measure(&stage, load, name).await;
    let ended = stage.shutdown().await;
    let round = measured?;
    ended?;
    Ok(round)
}

async fn measure(stage: &Stage, load: Load, name: &str) -> Result<Round, Failure> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = stage.server_usage().unwrap_or_default();
    let population = Population::new(load.seed, load.citizens, Mix::OneDevice);
    let key = stage.create_service("bench-intake", "Prova di carico").await?;
    let import_per_second = import(stage, &population, name).await?;
    let before = stage.server_usage().unwrap_or_default();
    let simulators_before = simulators_cpu(stage);
    let traffic = Traffic { messages: load.messages, connections: load.connections };
    let report = send(stage, traffic, source(&population, key), name).await?;
    let resting = bar(name, "deliveries", load.messages);
    let (at_rest, status) = stage
        .wait_at_rest(REST_LIMIT, |status| {
            let delivered =
                status.pointer("/deliveries/delivered").and_then(serde_json::Value::as_u64);
            resting.set_position(delivered.unwrap_or(0));
        })
        .await;
    resting.finish_and_clear();
    let after = stage.server_usage().unwrap_or_default();
    let simulators_after = simulators_cpu(stage);
    let records = stage.records().await?;
    let last_us = records.iter().map(|record| record.first_accept_us).max().unwrap_or(0);
    let audit = audit(&report.accepted, &records, |_| Some(1), status.as_ref());
    let messages = as_f64(report.accepted.len() as u64).max(1.0);
    let window = as_f64(last_us.saturating_sub(report.started_us)) / 1e6;
    Ok(Round {
        accepted_per_second: report.accepted_per_second(),
        reference_per_second: None,
        delivered_per_second: if window > 0.0 { as_f64(audit.delivered) / window } else { 0.0 },
        accept_latency: Latency::of_us(&report.latency_us),
        delivery_latency: audit.latency,
        idle_rss_mb: megabytes(idle.resident_bytes),
        imported_rss_mb: megabytes(before.resident_bytes),
        peak_rss_mb: megabytes(after.peak_bytes),
        cpu_us_per_message: (after.cpu_seconds - before.cpu_seconds) * 1e6 / messages,
        simulators_cpu_us_per_message: (simulators_after - simulators_before) * 1e6 / messages,
        import_per_second,
        retries: report.retries,
        network_errors: report.network_errors,
        refused: report.refused,
        gave_up: report.gave_up,
        at_rest,
        audit,
    })
}
