//! What the actors show of themselves: live counts and route states, written
//! by their owners, read by metrics, readiness and the operator API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::id::PartitionId;
use crate::domain::lane::ByLane;

pub use crate::domain::route::{RouteState, RouteView};

/// Live counts of one partition.
#[derive(Debug, Default)]
pub struct PartitionGauges {
    /// Journal entries whose turn is not yet recorded, by lane.
    pub messages: ByLane<AtomicU64>,
    /// Deliveries without an outcome.
    pub deliveries: AtomicU64,
    /// Citizen actors alive.
    pub active: AtomicU64,
    /// Set once the partition has been taken over and checked.
    pub open: std::sync::atomic::AtomicBool,
}

impl PartitionGauges {
    /// Journal entries whose turn is not yet recorded, of all lanes.
    pub(crate) fn waiting(&self) -> u64 {
        self.messages.values().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The partition is not this process' any more.
    pub(crate) fn clear(&self) {
        self.open.store(false, Ordering::Release);
        self.messages.values().for_each(|count| count.store(0, Ordering::Relaxed));
        self.deliveries.store(0, Ordering::Relaxed);
        self.active.store(0, Ordering::Relaxed);
    }
}

/// Everything the actors show.
#[derive(Debug)]
pub struct Board {
    partitions: Vec<PartitionGauges>,
    routes: Mutex<Vec<RouteView>>,
}

impl Board {
    /// A board for `partitions` partitions, all counts zero.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        Self {
            partitions: (0..partitions).map(|_| PartitionGauges::default()).collect(),
            routes: Mutex::default(),
        }
    }

    /// The gauges of partition `index`.
    pub(crate) fn partition(&self, index: u16) -> &PartitionGauges {
        &self.partitions[usize::from(index)]
    }

    /// Whether a partition is this process' and has been taken over.
    pub(crate) fn is_open(&self, partition: PartitionId) -> bool {
        self.partition(partition.0).open.load(Ordering::Acquire)
    }

    /// Messages whose turn is not yet recorded.
    #[must_use]
    pub fn pending_messages(&self) -> u64 {
        self.waiting().values().sum()
    }

    /// The same, by lane.
    #[must_use]
    pub fn waiting(&self) -> ByLane<u64> {
        ByLane::from_fn(|lane| self.sum(|gauges| &gauges.messages[lane]))
    }

    /// Deliveries without an outcome.
    #[must_use]
    pub fn pending_deliveries(&self) -> u64 {
        self.sum(|gauges| &gauges.deliveries)
    }

    /// Citizen actors alive.
    #[must_use]
    pub fn active_citizens(&self) -> u64 {
        self.sum(|gauges| &gauges.active)
    }

    /// Whether every partition has been taken over.
    #[must_use]
    pub fn all_open(&self) -> bool {
        self.partitions.iter().all(|gauges| gauges.open.load(Ordering::Acquire))
    }

    fn sum(&self, gauge: impl Fn(&PartitionGauges) -> &AtomicU64) -> u64 {
        self.partitions.iter().map(|gauges| gauge(gauges).load(Ordering::Relaxed)).sum()
    }

    /// The routes as last shown, in the order of configuration.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn show_route(&self, view: RouteView) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        match routes.iter_mut().find(|known| known.id == view.id) {
            Some(known) => *known = view,
            None => routes.push(view),
        }
    }
}
