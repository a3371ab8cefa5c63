//! One round of `bench intake`: a fresh store, every citizen with one device, every message to a simulator.

use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::audit::{AuditReport, Latency, audit};
use araldo_loadtest::driver::{DriverOptions, Outgoing, Progress, Source, drive};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::stage::{Stage, StageOptions, Usage};
use bytes::Bytes;
use hyper::header::HeaderValue;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::super::Failure;

/// Bytes of a request body.
const BODY_BYTES: usize = 1_024;
/// A round that does not come to rest in this time is reported as it stands.
const REST_LIMIT: Duration = Duration::from_secs(300);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) messages: u64,
    pub(super) connections: usize,
    pub(super) citizens: u64,
    pub(super) seed: u64,
}

/// The numbers of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    pub(super) accepted_per_second: f64,
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
    let report = load_it(stage, load, source(&population, key), name).await?;
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

async fn import(stage: &Stage, population: &Population, name: &str) -> Result<f64, Failure> {
    let bar = bar(name, "citizens", population.size());
    let start = tokio::time::Instant::now();
    let report = stage.import(population, |progress| bar.set_position(progress.done)).await?;
    bar.finish_and_clear();
    if report.refused > 0 || report.imported != population.size() {
        return Err(format!(
            "the import took {} of {} citizens; {}",
            report.imported,
            population.size(),
            report.reasons.join("; ")
        )
        .into());
    }
    Ok(as_f64(population.size()) / start.elapsed().as_secs_f64().max(1e-6))
}

async fn load_it(
    stage: &Stage,
    load: Load,
    source: Source,
    name: &str,
) -> Result<araldo_loadtest::driver::DriveReport, Failure> {
    let bar = bar(name, "messages", load.messages);
    let shown = bar.clone();
    let options = DriverOptions {
        base: stage.base_url().to_owned(),
        connections: load.connections,
        range: 0..load.messages,
        patience: Duration::from_secs(60),
        on_progress: Some(Arc::new(move |progress: Progress| shown.set_position(progress.settled))),
    };
    let report = drive(options, source).await?;
    bar.finish_and_clear();
    Ok(report)
}

/// Requests of [`BODY_BYTES`] bytes, recipients in turn. Codici fiscali are worked out beforehand: 16 bytes each.
fn source(population: &Population, key: HeaderValue) -> Source {
    let codes: Vec<String> =
        (0..population.size()).map(|index| population.citizen(index).fiscal_code).collect();
    let (head, tail) = frame();
    let seed = population.size();
    Arc::new(move |index| {
        let position = usize::try_from(index % codes.len() as u64).unwrap_or(0);
        let mut body = String::with_capacity(BODY_BYTES);
        body.push_str(&head);
        body.push_str(&codes[position]);
        body.push_str(&tail);
        Outgoing {
            path: "/api/v1/messages",
            key: key.clone(),
            idempotency_key: HeaderValue::from_str(&format!("bench-{seed}-{index}")).ok(),
            body: Bytes::from(body),
        }
    })
}

/// What stands before and after the codice fiscale in a body.
fn frame() -> (String, String) {
    let head = "{\"fiscal_code\":\"".to_owned();
    let opening = "\",\"content\":{\"subject\":\"Avviso di scadenza\",\"markdown\":\"";
    let closing = "\"}}";
    let fill = BODY_BYTES - head.len() - 16 - opening.len() - closing.len();
    let text =
        "La rata in scadenza si paga da questo messaggio, in pochi tocchi. ".repeat(fill / 60 + 1);
    let tail = format!("{opening}{}{closing}", &text[..fill]);
    (head, tail)
}

fn simulators_cpu(stage: &Stage) -> f64 {
    let usages = stage.simulators().iter().filter_map(|simulator| simulator.usage());
    usages.map(|usage: Usage| usage.cpu_seconds).sum()
}

fn bar(name: &str, what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} {bar:40} {human_pos}/{human_len} {msg} {per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(name.to_owned()).with_message(what)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn megabytes(bytes: u64) -> f64 {
    as_f64(bytes) / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_kilobyte_of_the_contract() {
        let population = Population::new(1, 10, Mix::OneDevice);
        let source = source(&population, HeaderValue::from_static("key"));
        let outgoing = source(13);
        assert_eq!(outgoing.body.len(), BODY_BYTES);
        let body: serde_json::Value = serde_json::from_slice(&outgoing.body).unwrap();
        assert_eq!(body["fiscal_code"], population.citizen(3).fiscal_code);
        assert!(body["content"]["markdown"].as_str().unwrap().len() > 80);
        assert_ne!(source(1).idempotency_key, source(2).idempotency_key);
    }
}
