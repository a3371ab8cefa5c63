//! The load: a closed loop over HTTP/1.1 keep-alive connections that sends each message until it knows its fate; or an open
//! one, which sends by the clock ([`drive_on_schedule`]). Over several nodes ([`drive_nodes`]) each try goes to a node that
//! seems to live, the next one to another.
//!
//! Owns its connections, one task each in a `JoinSet`. A message is tried again after 429 and 503 (honouring
//! Retry-After) and after a broken connection, always with the same Idempotency-Key, until it is accepted, refused or
//! given up. Memory: 40 bytes an accepted message and a histogram a connection, nothing else grows.
//! When the server dies in the middle the driver waits for it to come back, up to `patience`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use hyper::header::HeaderValue;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::ClientError;
use crate::simulator::clock::unix_us;
use target::Targets;
use worker::Worker;

mod target;
mod worker;

/// One attempt takes at most this long, unless told otherwise.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// One request to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Path, for example `/api/v1/messages`.
    pub path: &'static str,
    /// Sender key, the value of `Ocp-Apim-Subscription-Key`.
    pub key: HeaderValue,
    /// Value of `Idempotency-Key`; none sends no such header (and a retry may then duplicate).
    pub idempotency_key: Option<HeaderValue>,
    /// JSON body.
    pub body: Bytes,
}

/// Makes the request of an index; called once a message, retries send the same bytes.
pub type Source = Arc<dyn Fn(u64) -> Outgoing + Send + Sync>;

/// Where the driver stands; given to the progress callback about ten times a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Messages whose fate is known.
    pub settled: u64,
    /// Those accepted.
    pub accepted: u64,
}

/// Called while driving.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How to drive.
#[derive(Clone)]
pub struct DriverOptions {
    /// Base URL of the server, `http://host:port`.
    pub base: String,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Indices to send.
    pub range: std::ops::Range<u64>,
    /// How long one message is tried before it is given up.
    pub patience: Duration,
    /// Told about the progress.
    pub on_progress: Option<OnProgress>,
}

/// A message the server has answered 201 for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Index in the plan.
    pub index: u64,
    /// The message's ULID as a number.
    pub id: u128,
    /// Unix microseconds when the answer was read.
    pub at_us: u64,
}

/// What came out of a drive.
#[derive(Debug, Clone)]
pub struct DriveReport {
    /// Every accepted message, in no order.
    pub accepted: Vec<Accepted>,
    /// Answers by status, retries included.
    pub statuses: BTreeMap<u16, u64>,
    /// Broken connections and timeouts.
    pub network_errors: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Messages finally refused with 4xx.
    pub refused: u64,
    /// Messages whose fate stayed unknown within the patience.
    pub gave_up: u64,
    /// Microseconds from sending to the 201, of the attempt that brought it.
    pub latency_us: Histogram<u64>,
    /// Microseconds from sending to a refusal (429, 5xx): how long one waits to be told so.
    pub refused_us: Histogram<u64>,
    /// Attempts without an answer within their limit; also in `network_errors`.
    pub timeouts: u64,
    /// Unix microseconds of the first request.
    pub started_us: u64,
    /// Unix microseconds after the last answer.
    pub finished_us: u64,
}

impl DriveReport {
    fn new() -> Result<Self, DriveError> {
        Ok(Self {
            accepted: Vec::new(),
            statuses: BTreeMap::new(),
            network_errors: 0,
            retries: 0,
            refused: 0,
            gave_up: 0,
            latency_us: new_histogram()?,
            refused_us: new_histogram()?,
            timeouts: 0,
            started_us: 0,
            finished_us: 0,
        })
    }

    /// Seconds from the first request to the last answer.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a duration in microseconds")]
    pub fn seconds(&self) -> f64 {
        self.finished_us.saturating_sub(self.started_us) as f64 / 1e6
    }

    /// Messages accepted a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of messages")]
    pub fn accepted_per_second(&self) -> f64 {
        self.accepted.len() as f64 / self.seconds().max(1e-6)
    }

    fn merge(&mut self, part: Self) -> Result<(), DriveError> {
        self.accepted.extend(part.accepted);
        for (status, count) in part.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.network_errors += part.network_errors;
        self.retries += part.retries;
        self.refused += part.refused;
        self.gave_up += part.gave_up;
        self.timeouts += part.timeouts;
        self.latency_us
            .add(&part.latency_us)
            .and_then(|()| self.refused_us.add(&part.refused_us))
            .map_err(|error| DriveError::Internal(error.to_string()))
    }
}

/// Why a drive could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The base URL is unusable.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A worker failed, which is a fault of this program.
    #[error("driver: {0}")]
    Internal(String),
}

/// Microseconds from 1 to 10 minutes with three digits.
fn new_histogram() -> Result<Histogram<u64>, DriveError> {
    Histogram::new_with_bounds(1, 600_000_000, 3)
        .map_err(|error| DriveError::Internal(error.to_string()))
}

/// When messages are sent, whatever became of those before them: what a slow answer keeps waiting is counted as waiting.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Between two messages.
    pub interval: Duration,
    /// Set from outside: no further message is sent.
    pub stop: Arc<AtomicBool>,
}

impl Schedule {
    /// Unix microseconds at which the message of this index was due, in a drive that started at `started_us`.
    #[must_use]
    pub fn due_us(&self, started_us: u64, index: u64) -> u64 {
        let passed = self.interval.as_nanos().saturating_mul(u128::from(index)) / 1_000;
        started_us.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

/// How to drive several nodes that serve the same API.
#[derive(Clone)]
pub struct NodesOptions {
    /// Their base URLs, living or not.
    pub bases: Vec<String>,
    /// Connections to each of them, at most, each with one request at a time.
    pub connections: usize,
    /// Indices to send.
    pub range: std::ops::Range<u64>,
    /// How long one message is tried before it is given up.
    pub patience: Duration,
    /// One attempt takes at most this long; then another node is tried.
    pub attempt_limit: Duration,
    /// By the clock, or as fast as answers come.
    pub schedule: Option<Schedule>,
    /// Told about the progress.
    pub on_progress: Option<OnProgress>,
}

/// What the workers share.
struct Shared {
    targets: Targets,
    patience: Duration,
    attempt_limit: Duration,
    /// When the drive started, and its schedule.
    schedule: Option<(Instant, Schedule)>,
    next: AtomicU64,
    end: u64,
    settled: AtomicU64,
    accepted: AtomicU64,
}

/// Sends every index of the range and returns when all are settled. Dropping the future stops all connections.
///
/// # Errors
/// [`DriveError`]; messages refused or given up are no error but counted.
pub async fn drive(options: DriverOptions, source: Source) -> Result<DriveReport, DriveError> {
    run(options.into(), source).await
}

/// As [`drive`], each index at its time after the start, until the range ends or the schedule is stopped. A message that finds
/// no connection free is sent late, and late for good: compare with [`Schedule::due_us`].
///
/// # Errors
/// As [`drive`].
pub async fn drive_on_schedule(
    options: DriverOptions,
    source: Source,
    schedule: Schedule,
) -> Result<DriveReport, DriveError> {
    run(NodesOptions { schedule: Some(schedule), ..options.into() }, source).await
}

/// As [`drive`], over nodes that die and come back: a message refused, unanswered or cut off goes to another node under the
/// same Idempotency-Key until it is accepted. A node that did not answer is left alone for a while, as a load balancer does.
///
/// # Errors
/// As [`drive`].
pub async fn drive_nodes(options: NodesOptions, source: Source) -> Result<DriveReport, DriveError> {
    run(options, source).await
}

impl From<DriverOptions> for NodesOptions {
    fn from(options: DriverOptions) -> Self {
        Self {
            bases: vec![options.base],
            connections: options.connections,
            range: options.range,
            patience: options.patience,
            attempt_limit: ATTEMPT_LIMIT,
            schedule: None,
            on_progress: options.on_progress,
        }
    }
}

async fn run(options: NodesOptions, source: Source) -> Result<DriveReport, DriveError> {
    let started_us = unix_us();
    let shared = Arc::new(Shared {
        targets: Targets::new(&options.bases)?,
        patience: options.patience,
        attempt_limit: options.attempt_limit,
        schedule: options.schedule.map(|schedule| (Instant::now(), schedule)),
        next: AtomicU64::new(options.range.start),
        end: options.range.end,
        settled: AtomicU64::new(0),
        accepted: AtomicU64::new(0),
    });
    let mut report = DriveReport::new()?;
    report.started_us = started_us;
    let mut workers = JoinSet::new();
    for number in 0..options.connections.max(1) {
        let (shared, source) = (Arc::clone(&shared), Arc::clone(&source));
        workers.spawn(Worker::new(number, shared, source, DriveReport::new()?).run());
    }
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            part = workers.join_next() => match part {
                Some(Ok(part)) => report.merge(part)?,
                Some(Err(error)) => return Err(DriveError::Internal(error.to_string())),
                None => break,
            },
            _ = tick.tick() => tell(options.on_progress.as_ref(), &shared),
        }
    }
    tell(options.on_progress.as_ref(), &shared);
    report.finished_us = unix_us();
    Ok(report)
}

fn tell(on_progress: Option<&OnProgress>, shared: &Shared) {
    if let Some(on_progress) = on_progress {
        on_progress(Progress {
            settled: shared.settled.load(Ordering::Relaxed),
            accepted: shared.accepted.load(Ordering::Relaxed),
        });
    }
}

/// The moment after which a message is given up.
fn deadline(patience: Duration) -> Instant {
    Instant::now() + patience
}
