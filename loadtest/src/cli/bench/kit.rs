//! What the benches share: citizens in, messages of a fixed size out, progress bars, numbers.

use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::driver::{DriveReport, DriverOptions, Outgoing, Progress, Source, drive};
use araldo_loadtest::population::Population;
use araldo_loadtest::stage::{Stage, Usage};
use bytes::Bytes;
use hyper::header::HeaderValue;
use indicatif::{ProgressBar, ProgressStyle};

use super::super::Failure;

/// Bytes of a request body.
pub(super) const BODY_BYTES: usize = 1_024;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    pub(super) messages: u64,
    pub(super) connections: usize,
}

/// Imports a population, all of it; gives citizens a second.
pub(super) async fn import(
    stage: &Stage,
    population: &Population,
    name: &str,
) -> Result<f64, Failure> {
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

/// Sends every message and waits for their answers.
pub(super) async fn send(
    stage: &Stage,
    traffic: Traffic,
    source: Source,
    name: &str,
) -> Result<DriveReport, Failure> {
    send_to(stage.base_url(), traffic, source, name).await
}

/// The same without the stage in hand, which somebody else may restart meanwhile.
pub(super) async fn send_to(
    base: &str,
    traffic: Traffic,
    source: Source,
    name: &str,
) -> Result<DriveReport, Failure> {
    let bar = bar(name, "messages", traffic.messages);
    let shown = bar.clone();
    let options = DriverOptions {
        base: base.to_owned(),
        connections: traffic.connections,
        range: 0..traffic.messages,
        patience: Duration::from_secs(60),
        on_progress: Some(Arc::new(move |progress: Progress| shown.set_position(progress.settled))),
    };
    let report = drive(options, source).await?;
    bar.finish_and_clear();
    Ok(report)
}

/// Requests of [`BODY_BYTES`] bytes, recipients in turn. Codici fiscali are worked out beforehand: 16 bytes each.
pub(super) fn source(population: &Population, key: HeaderValue) -> Source {
    source_to((0..population.size()).map(|index| population.citizen(index).fiscal_code), key)
}

/// The same to these citizens only.
pub(super) fn source_to(codes: impl Iterator<Item = String>, key: HeaderValue) -> Source {
    let codes: Vec<String> = codes.collect();
    let (head, tail) = frame();
    let seed = codes.len();
    Arc::new(move |index| {
        let position = usize::try_from(index % codes.len().max(1) as u64).unwrap_or(0);
        let mut body = String::with_capacity(BODY_BYTES);
        body.push_str(&head);
        body.push_str(codes.get(position).map_or("", String::as_str));
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

/// Waits until the server has nothing to do any more: less than a hundredth of a core over half a second. Compaction after an
/// import would be measured otherwise.
pub(super) async fn settle(stage: &Stage) {
    const LOOK: Duration = Duration::from_millis(500);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let cpu = || stage.server_usage().map_or(0.0, |usage| usage.cpu_seconds);
    let mut quiet = 0;
    while quiet < 2 && tokio::time::Instant::now() < deadline {
        let before = cpu();
        tokio::time::sleep(LOOK).await;
        quiet = if cpu() - before <= 0.01 { quiet + 1 } else { 0 };
    }
}

pub(super) fn simulators_cpu(stage: &Stage) -> f64 {
    let usages = stage.simulators().iter().filter_map(|simulator| simulator.usage());
    usages.map(|usage: Usage| usage.cpu_seconds).sum()
}

pub(super) fn bar(name: &str, what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} {bar:40} {human_pos}/{human_len} {msg} {per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(name.to_owned()).with_message(what)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

pub(super) fn megabytes(bytes: u64) -> f64 {
    as_f64(bytes) / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use araldo_loadtest::population::Mix;

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
