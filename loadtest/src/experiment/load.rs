//! The load of an experiment: an open loop that sends by the clock to whichever node lives, until it is told to end.
//!
//! Owns the task that drives; it ends with this value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::ExperimentError;
use super::house::House;
use crate::driver::{DriveError, DriveReport, NodesOptions, Progress, Schedule, drive_nodes};

/// Longer than any outage of an experiment: no message is given up.
const PATIENCE: Duration = Duration::from_secs(180);
/// A node that takes longer is taken for gone: five times what it may wait for Redis.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Most requests at one time.
const CONNECTIONS: usize = 192;

pub(super) struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    driving: JoinSet<Result<DriveReport, DriveError>>,
}

impl Load {
    /// Starts to send so many messages a second.
    pub(super) fn start(house: &House, per_second: u32) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let shown = Arc::clone(&accepted);
        let options = NodesOptions {
            bases: house.stage.bases(),
            connections: CONNECTIONS,
            // Until it is stopped; the clock of a schedule counts so far.
            range: 0..u64::from(u32::MAX),
            patience: PATIENCE,
            attempt_limit: ATTEMPT_LIMIT,
            schedule: Some(Schedule {
                interval: Duration::from_secs(1) / per_second.max(1),
                stop: Arc::clone(&stop),
            }),
            on_progress: Some(Arc::new(move |progress: Progress| {
                shown.store(progress.accepted, Ordering::Relaxed);
            })),
        };
        let mut driving = JoinSet::new();
        driving.spawn(drive_nodes(options, house.source()));
        Self { stop, accepted, driving }
    }

    /// Messages accepted so far.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until so many are accepted.
    pub(super) async fn reaches(&self, accepted: u64) {
        while self.accepted() < accepted && !self.driving.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends no more and waits until the fate of each is known.
    pub(super) async fn end(mut self) -> Result<DriveReport, ExperimentError> {
        self.stop.store(true, Ordering::Relaxed);
        match self.driving.join_next().await {
            Some(Ok(report)) => Ok(report?),
            Some(Err(error)) => Err(ExperimentError::Other(format!("the load: {error}"))),
            None => Err(ExperimentError::Other("the load has ended before".to_owned())),
        }
    }
}
