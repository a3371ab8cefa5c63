//! The keys an issuer publishes: fetched at the start, by time, and when a
//! token names one that is not known, but never more often than every
//! [`LEAST`], whoever asks.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::Uri;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::fetch;
use super::key::{self, Key};
use crate::telemetry::metric;

/// Between two questions to the issuer.
const LEAST: Duration = Duration::from_secs(10);
/// Longest that a request waits for the issuer.
const WAIT: Duration = Duration::from_secs(5);

/// See the module's text.
pub(super) struct Remote {
    url: String,
    every: Duration,
    least: Duration,
    keys: RwLock<Arc<Vec<Key>>>,
    wanted: Notify,
    round: watch::Sender<Round>,
}

/// The last question to the issuer.
#[derive(Clone, Copy, Default)]
struct Round {
    started: Option<Instant>,
    /// Answers and failures so far.
    ended: u64,
    running: bool,
}

impl Remote {
    pub(super) fn new(url: &str, every: Duration) -> Self {
        Self {
            url: url.to_owned(),
            every,
            least: LEAST.min(every),
            keys: RwLock::default(),
            wanted: Notify::new(),
            round: watch::Sender::new(Round::default()),
        }
    }

    pub(super) fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.keys().is_empty()
    }

    /// Waits until the issuer has been asked anew; false when it was asked
    /// just now, or does not answer in time.
    pub(super) async fn asked(&self) -> bool {
        let mut rounds = self.round.subscribe();
        let before = *rounds.borrow_and_update();
        let is_early = before.started.is_some_and(|started| started.elapsed() < self.least);
        // Kept until the time has come, should it be too early now.
        self.wanted.notify_one();
        if is_early && !before.running {
            return false;
        }
        let ended = rounds.wait_for(|round| round.ended > before.ended);
        timeout(WAIT, ended).await.is_ok_and(|round| round.is_ok())
    }

    /// Asks the issuer again and again.
    pub(super) async fn keep_fresh(&self) {
        loop {
            let started = Instant::now();
            self.round.send_modify(|round| {
                round.started = Some(started);
                round.running = true;
            });
            self.refresh().await;
            self.round.send_modify(|round| {
                round.running = false;
                round.ended += 1;
            });
            let every = if self.has_keys() { self.every } else { self.least };
            tokio::select! {
                () = sleep_until(started + every) => {}
                () = self.wanted.notified() => {}
            }
            sleep_until(started + self.least).await;
        }
    }

    async fn refresh(&self) {
        let fetched = fetch::get(&self.url).await;
        match fetched.and_then(|body| key::of_jwks(&body)) {
            Ok(keys) => {
                metric::issuer_keys("ok").increment(1);
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(reason) => {
                metric::issuer_keys("failed").increment(1);
                let kept = self.keys().len();
                // The host only: an address may hold more than that.
                let uri = self.url.parse::<Uri>();
                let host = uri.as_ref().ok().and_then(Uri::host).unwrap_or_default();
                tracing::warn!(
                    host, %reason, kept,
                    "the keys of the citizens' issuer cannot be fetched; those there are stay"
                );
            }
        }
    }
}
