//! Logs and metrics of the process.
//!
//! Owns: the global subscriber and the global metrics recorder, each
//! installed once, and the names in [`metric`]. Logs go to standard error;
//! `ractor` is held at `warn`, since it opens a span per actor at `info`.
//!
//! The recorder keeps what is recorded until it is tended: [`Metrics::tend`]
//! must run for as long as the process does, or its memory grows.

pub mod metric;

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogConfig, LogFormat};

/// How often the recorder is tended.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why telemetry could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.filter` is not a list of directives.
    #[error("log.filter: {0}")]
    Filter(#[from] ParseError),
    /// Something else in the process logs already.
    #[error("logs: {0}")]
    Logs(#[from] TryInitError),
    /// Something else in the process records metrics already.
    #[error("metrics: {0}")]
    Metrics(#[from] BuildError),
}

/// The metrics recorder of the process.
#[derive(Clone)]
pub struct Metrics {
    /// Renders what `/metrics` shows.
    pub handle: PrometheusHandle,
}

impl Metrics {
    /// Tends the recorder for ever; to be run in a task with an owner.
    pub async fn tend(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

/// Installs logs and metrics for the process.
///
/// # Errors
/// [`TelemetryError`]; the second call in a process always fails.
pub fn install(log: &LogConfig) -> Result<Metrics, TelemetryError> {
    install_logs(log)?;
    install_metrics()
}

/// From here on a panic is logged by its place alone: its text may quote what
/// it was working on, which may be somebody's.
pub fn hide_panic_texts() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
}

/// Installs only the logs, for commands that record no metrics.
///
/// # Errors
/// As [`install`].
pub fn install_logs(log: &LogConfig) -> Result<(), TelemetryError> {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let filter = filter(&log.filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let ansi = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    match log.format {
        LogFormat::Text => registry.with(lines).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// The directives of the configuration, with ours over them.
fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::builder().parse(directives)?;
    Ok(filter.add_directive("ractor=warn".parse()?))
}

fn install_metrics() -> Result<Metrics, TelemetryError> {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in metric::BUCKETS {
        builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)?;
    }
    // Histograms nobody gave buckets would become summaries, which cannot be
    // added up over nodes.
    let handle = builder.set_buckets(&metric::SECONDS)?.install_recorder()?;
    metric::describe();
    Ok(Metrics { handle })
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn ractor_is_held_at_warn_whatever_the_configuration_says() {
        for directives in ["info", "debug,ractor=trace", ""] {
            let filter = filter(directives).expect("directives").to_string();
            assert!(filter.contains("ractor=warn"), "{filter}");
            assert!(!filter.contains("ractor=trace"), "{filter}");
        }
    }
}
