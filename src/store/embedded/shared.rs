//! What the writer, the readers and the watch share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use araldo_actors::domain::books::Books;
use araldo_actors::domain::id::PartitionId;
use araldo_actors::port::store::StoreError;

use super::floor::Floors;
use super::group::Published;
use super::route::Routes;
use super::row::PartitionRow;
use super::table::Tables;

/// Shared state; all of it as of the last durable group.
pub(super) struct Shared {
    pub(super) tables: Arc<Tables>,
    pub(super) routes: Arc<Routes>,
    pub(super) floors: Floors,
    partitions: RwLock<Vec<PartitionRow>>,
    failure: watch::Sender<Option<Arc<str>>>,
    started: Instant,
    /// Milliseconds after `started`, plus one, when the writer took up its
    /// group; 0 while it waits for jobs.
    busy_since: AtomicU64,
}

impl Shared {
    #[expect(
        clippy::disallowed_methods,
        reason = "the writer and the watch are threads outside any runtime"
    )]
    pub(super) fn new(
        tables: Arc<Tables>,
        routes: Arc<Routes>,
        partitions: Vec<PartitionRow>,
    ) -> Self {
        Self {
            tables,
            routes,
            floors: Floors::default(),
            partitions: RwLock::new(partitions),
            failure: watch::Sender::new(None),
            started: Instant::now(),
            busy_since: AtomicU64::new(0),
        }
    }

    /// Makes a durable group's counters visible: before its jobs are answered.
    pub(super) fn publish(&self, published: Published) {
        self.routes.add(published.routes);
        for (place, due) in published.due {
            self.floors.lower(place, due);
        }
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        for (partition, row) in published.partitions {
            partitions[usize::from(partition)] = row;
        }
    }

    /// The books of these partitions, summed; those there are none of count
    /// nothing.
    pub(super) fn books(&self, of: &[PartitionId]) -> Books {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Books::default();
        for row in of.iter().filter_map(|id| partitions.get(usize::from(id.0))) {
            sum += row.books;
        }
        sum
    }

    /// Marks the store as failed, for good; the first reason stays.
    pub(super) fn fail(&self, reason: &str) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                tracing::error!(reason, "the store failed and takes no more writes");
                *failure = Some(reason.into());
            }
            first
        });
    }

    /// Why the store failed, if it did.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.failure.borrow().clone()
    }

    /// Follows [`Shared::failure`].
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure.subscribe()
    }

    /// The error for writes that are not tried any more.
    pub(super) fn refusal(&self) -> StoreError {
        let reason = self.failure().unwrap_or_else(|| "it is being closed".into());
        StoreError::Unavailable(format!("the store takes no more writes: {reason}"))
    }

    pub(super) fn set_busy(&self, busy: bool) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy_since.store(if busy { now + 1 } else { 0 }, Ordering::Relaxed);
    }

    /// How long the writer has been at its present group.
    pub(super) fn busy_for(&self) -> Option<Duration> {
        let since = self.busy_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}
