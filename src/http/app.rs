//! What every handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use araldo_actors::engine::Engine;
use araldo_actors::port::store::StoreError;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Http;
use super::problem::Problem;
use crate::config::HttpConfig;

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    http: Http,
    started: Instant,
    imports: Semaphore,
    last_warning: AtomicU64,
}

impl App {
    /// The state of a server that starts now.
    pub fn new(http: Http) -> Self {
        let imports = Semaphore::new(http.options.max_imports);
        let last_warning = AtomicU64::new(u64::MAX);
        Self(Arc::new(Inner { http, started: Instant::now(), imports, last_warning }))
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.0.http.engine
    }

    /// What `/metrics` shows.
    pub fn metrics(&self) -> &PrometheusHandle {
        &self.0.http.metrics
    }

    /// Limits.
    pub fn options(&self) -> &HttpConfig {
        &self.0.http.options
    }

    /// Whole seconds since the start.
    pub fn uptime_seconds(&self) -> u64 {
        self.0.started.elapsed().as_secs()
    }

    /// The right to run a citizen import.
    pub fn imports(&self) -> &Semaphore {
        &self.0.imports
    }

    /// Waits for a read of the store, at most the request timeout.
    pub async fn read<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Problem> {
        self.within(reading).await.unwrap_or_else(|| Err(Problem::unavailable()))
    }

    /// Waits for a write of the store, at most the request timeout; after
    /// that, its fate is unknown.
    pub async fn write<T>(
        &self,
        writing: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Problem> {
        self.within(writing).await.unwrap_or_else(|| Err(Problem::unconfirmed()))
    }

    async fn within<T>(
        &self,
        asking: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<Result<T, Problem>> {
        let answer = tokio::time::timeout(self.options().request_timeout, asking).await.ok()?;
        Some(answer.map_err(|error| {
            self.warn_of_store(&error);
            Problem::of_store(&error)
        }))
    }

    /// Logs a failure of the store, at most once a second: when the store is
    /// gone, every request fails, and the metrics count them.
    pub fn warn_of_store(&self, error: &StoreError) {
        let now = self.uptime_seconds();
        if self.0.last_warning.swap(now, Ordering::Relaxed) != now {
            tracing::warn!(%error, "requests fail: the store does not answer as it should");
        }
    }
}
