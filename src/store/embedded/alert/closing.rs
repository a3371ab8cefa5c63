//! Which partitions have nothing left of an alert.
//!
//! Known to this process only: a store that was opened has partitions that are
//! to be opened too, and each is walked again to where it ended and closed
//! then. An alert that is final is not in here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use araldo_actors::domain::id::{MessageId, PartitionId};

/// See the module's text.
#[derive(Default)]
pub(in crate::store::embedded) struct Closing(Mutex<HashMap<MessageId, BTreeSet<PartitionId>>>);

impl Closing {
    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, BTreeSet<PartitionId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one partition; how many there are now.
    pub(super) fn close(&self, alert: MessageId, partition: PartitionId) -> usize {
        let mut alerts = self.lock();
        let closed = alerts.entry(alert).or_default();
        closed.insert(partition);
        closed.len()
    }

    /// Forgets an alert that is final.
    pub(super) fn forget(&self, alert: MessageId) {
        self.lock().remove(&alert);
    }
}
