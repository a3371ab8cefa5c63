//! What every handler shares.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::engine::{ChangeError, Engine};
use araldo_actors::pipeline::NodeOptions;
use araldo_actors::port::store::StoreError;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::Http;
use super::citizen::Citizens;
use super::citizen::catalogue::Catalogue;
use super::citizen::profile::of_change;
use super::citizen::rate::Rate;
use super::problem::Problem;
use crate::config::HttpConfig;

/// Calls of one citizen at once, and the time in which one more is allowed: a
/// page that loads makes a few dozen.
const CALLS: (u32, Duration) = (300, Duration::from_millis(100));
/// The same for the mails one citizen causes, which may go to anybody.
const MAILS: (u32, Duration) = (5, Duration::from_secs(60));
/// The same for searches and copies of everything, which read much.
const LOOKS: (u32, Duration) = (10, Duration::from_secs(1));
/// The same for links in mails, which act without a token.
const LINKS: (u32, Duration) = (10, Duration::from_secs(6));
/// The same for one service that lists its alerts, found among everybody's.
const LISTS: (u32, Duration) = (20, Duration::from_millis(500));
/// Searches, lists of alerts and parts of copies that are read at one time.
const MOST_LOOKS: usize = 4;

/// Bodies longer than an ordinary one that are held at one time: alerts with
/// many texts or areas.
const MOST_LONG_BODIES: usize = 16;

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    http: Http,
    started: Instant,
    imports: Semaphore,
    long_bodies: Semaphore,
    last_warning: AtomicU64,
    calls: Rate,
    mails: Rate,
    looks: Rate,
    links: Rate,
    lists: Rate,
    looking: Arc<Semaphore>,
    catalogue: Catalogue,
    draining: watch::Sender<bool>,
}

impl App {
    /// The state of a server that starts now.
    pub fn new(http: Http) -> Self {
        let imports = Semaphore::new(http.options.max_imports);
        let last_warning = AtomicU64::new(u64::MAX);
        let rate =
            |(burst, refill)| Rate::new(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN), refill);
        Self(Arc::new(Inner {
            http,
            started: Instant::now(),
            imports,
            long_bodies: Semaphore::new(MOST_LONG_BODIES),
            last_warning,
            calls: rate(CALLS),
            mails: rate(MAILS),
            looks: rate(LOOKS),
            links: rate(LINKS),
            lists: rate(LISTS),
            looking: Arc::new(Semaphore::new(MOST_LOOKS)),
            catalogue: Catalogue::default(),
            draining: watch::Sender::new(false),
        }))
    }

    /// This process as others name it.
    pub fn node(&self) -> &NodeOptions {
        &self.0.http.node
    }

    /// The citizens' side.
    pub fn citizens(&self) -> &Citizens {
        &self.0.http.citizens
    }

    /// How often a citizen may call.
    pub fn calls(&self) -> &Rate {
        &self.0.calls
    }

    /// How many mails a citizen may cause.
    pub fn mails(&self) -> &Rate {
        &self.0.mails
    }

    /// How often a citizen may search, or ask for a copy of everything.
    pub fn looks(&self) -> &Rate {
        &self.0.looks
    }

    /// How often a citizen's links may act.
    pub fn links(&self) -> &Rate {
        &self.0.links
    }

    /// How often a service may list its alerts.
    pub fn lists(&self) -> &Rate {
        &self.0.lists
    }

    /// Waits for the right to read much, at most the request timeout.
    ///
    /// # Errors
    /// 503 when too many are reading all that time.
    pub async fn look(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = Arc::clone(&self.0.looking).acquire_owned();
        let turn = tokio::time::timeout(self.options().request_timeout, turn).await;
        // The semaphore is never closed.
        turn.ok().and_then(Result::ok).ok_or_else(Problem::unavailable)
    }

    /// Institutions and services as citizens see them.
    pub fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    /// Turns true when the server is told to stop: answers without an end
    /// end.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.0.draining.subscribe()
    }

    /// Ends the answers that would not end.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
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

    /// The right to hold a body longer than an ordinary one.
    pub fn long_bodies(&self) -> &Semaphore {
        &self.0.long_bodies
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

    /// Waits for a change of a citizen's record.
    pub async fn change(
        &self,
        changing: impl Future<Output = Result<Citizen, ChangeError<Problem>>>,
    ) -> Result<Citizen, Problem> {
        self.within_write(changing).await?.map_err(|error| {
            if let ChangeError::Store(error) = &error {
                self.warn_of_store(error);
            }
            of_change(error)
        })
    }

    /// Waits for a write at most the request timeout; after that, its fate is
    /// unknown.
    pub async fn within_write<T>(&self, writing: impl Future<Output = T>) -> Result<T, Problem> {
        let limit = self.options().request_timeout;
        tokio::time::timeout(limit, writing).await.map_err(|_| Problem::unconfirmed())
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
