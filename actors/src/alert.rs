//! Alerts under way: what all partitions share of each, and the board they
//! are found on.
//!
//! The board holds every alert that is running or paused, and one that was
//! stopped until nothing of it waits any more. The store is the truth; a
//! partition that is restarted finds its walks here and its cursors there.
//!
//! Order of a stop: no attempt starts from the moment the status in memory
//! changes; the partitions then end what waits; the last one stores the final
//! status, which is when whoever asked is answered. So no alert is final in the
//! store while the books still hold deliveries of it that wait, and a crash in
//! between leaves it running or paused: nobody was told otherwise.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cluster::Outbox;
use crate::directory::Directory;
use crate::domain::alert::{AlertRecord, AlertStatus};
use crate::domain::id::{MessageId, PartitionId};
use crate::domain::time::Millis;
use crate::message::partition::PartitionHandle;
use crate::metric::AlertMetrics;
use crate::port::store::{Store, StoreError};

mod running;

pub use running::RunningAlert;

/// Alerts under way at one time; more are refused. Each has a cursor for every
/// partition and route in memory.
pub const MAX_OPEN: usize = 1_000;
/// Alerts that ended last and are remembered, so that nobody takes one up
/// again who read its record before: more than end while a record is carried
/// from the store to the board.
const ENDED: usize = MAX_OPEN;

/// What is on the board.
#[derive(Default)]
struct List {
    /// By lane, then by age: the order in which partitions serve them.
    open: Vec<Arc<RunningAlert>>,
    /// The newest last.
    ended: VecDeque<MessageId>,
}

impl List {
    fn end(&mut self, id: MessageId) {
        self.open.retain(|one| one.alert.id != id);
        if self.ended.len() == ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }
}

/// See the module's text.
pub struct AlertBoard {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    partitions: Arc<[PartitionHandle]>,
    outbox: Arc<Outbox>,
    list: Mutex<List>,
    /// Raised with each change of the list.
    version: AtomicU64,
    metrics: AlertMetrics,
}

impl AlertBoard {
    /// A board holding what the store has open.
    ///
    /// # Errors
    /// As [`AlertStore::open_alerts`](crate::port::alert_store::AlertStore).
    pub async fn open(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        partitions: Arc<[PartitionHandle]>,
    ) -> Result<Self, StoreError> {
        let board = Self {
            store,
            directory,
            partitions,
            outbox: Arc::default(),
            list: Mutex::default(),
            version: AtomicU64::new(0),
            metrics: AlertMetrics::new(),
        };
        for record in board.store.open_alerts().await? {
            board.add(record);
        }
        board.show();
        Ok(board)
    }

    /// The same, telling other nodes of what ends here.
    pub(crate) fn telling(self, outbox: Arc<Outbox>) -> Self {
        Self { outbox, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // No step of a change can fail: never half done.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which list this is: another number means another list.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The alerts under way, in the order in which they are served.
    pub fn all(&self) -> Vec<Arc<RunningAlert>> {
        self.lock().open.clone()
    }

    /// The alert called `id`, while it is under way.
    pub fn get(&self, id: MessageId) -> Option<Arc<RunningAlert>> {
        self.lock().open.iter().find(|one| one.alert.id == id).cloned()
    }

    /// Whether no further alert may be accepted.
    pub fn is_full(&self) -> bool {
        self.lock().open.len() >= MAX_OPEN
    }

    fn add(&self, record: AlertRecord) -> Option<Arc<RunningAlert>> {
        let service = self.directory.service(&record.alert.service);
        let cancelling = record.cancelling_since;
        let made = Arc::new(RunningAlert::new(record, service.as_deref()));
        if let Some(at) = cancelling {
            // Nobody else knows it yet.
            let _ = made.stop(AlertStatus::Cancelled, at);
        }
        let mut list = self.lock();
        if let Some(known) = list.open.iter().find(|one| one.alert.id == made.alert.id) {
            return Some(Arc::clone(known));
        }
        if list.ended.contains(&made.alert.id) {
            return None;
        }
        let rank = |one: &RunningAlert| (one.alert.lane, one.alert.id);
        let place = list.open.partition_point(|one| rank(one) < rank(&made));
        list.open.insert(place, Arc::clone(&made));
        self.version.fetch_add(1, Ordering::AcqRel);
        Some(made)
    }

    /// Takes up an alert that was open in the store when `record` was read;
    /// harmless when it is on the board. None when it has ended since: its
    /// record in the store says how.
    pub fn adopt(&self, record: AlertRecord) -> Option<Arc<RunningAlert>> {
        let adopted = self.add(record);
        self.show();
        self.poke();
        adopted
    }

    /// Tells every partition to look at its walks.
    pub fn poke(&self) {
        for partition in &*self.partitions {
            partition.walk();
        }
    }

    /// Takes up what the store has and the board has not: whoever submitted or
    /// changed an alert hung up in the middle, or is another node.
    ///
    /// # Errors
    /// As [`AlertStore::open_alerts`](crate::port::alert_store::AlertStore).
    pub async fn reconcile(&self) -> Result<(), StoreError> {
        let before = self.all();
        let open = self.store.open_alerts().await?;
        for known in before {
            let record = open.iter().find(|record| record.alert.id == known.alert.id);
            if record.is_none_or(|record| known.differs(record)) {
                self.follow(&known).await?;
            }
        }
        for record in open {
            if self.get(record.alert.id).is_none() {
                drop(self.adopt(record));
            }
        }
        self.show();
        Ok(())
    }

    /// Takes an alert up as the store has it: another node accepted or changed
    /// it.
    ///
    /// # Errors
    /// As [`AlertStore::alert`](crate::port::alert_store::AlertStore::alert).
    pub async fn look(&self, id: MessageId) -> Result<(), StoreError> {
        if let Some(known) = self.get(id) {
            return self.follow(&known).await;
        }
        match self.store.alert(id).await? {
            // Whoever read an earlier record must not take it up any more.
            Some(record) if record.status.is_final() => self.lock().end(id),
            Some(record) => drop(self.adopt(record)),
            None => {}
        }
        Ok(())
    }

    /// Takes over from the store where an alert stands.
    pub(crate) async fn follow(&self, alert: &RunningAlert) -> Result<(), StoreError> {
        let _turn = alert.changing.lock().await;
        let Some(record) = self.store.alert(alert.alert.id).await? else { return Ok(()) };
        if record.status.is_final() {
            self.end(alert, record.status);
        } else {
            alert.follow(record.status);
            if let Some(at) = record.cancelling_since {
                // It may be stopped already.
                let _ = alert.stop(AlertStatus::Cancelled, at);
            }
        }
        self.show();
        self.poke();
        Ok(())
    }

    /// Takes an alert off whose final status is stored.
    fn end(&self, alert: &RunningAlert, status: AlertStatus) {
        alert.settle(status);
        self.lock().end(alert.alert.id);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Pauses an alert, or lets it go on. Durable when this returns, and no
    /// attempt starts against it.
    ///
    /// # Errors
    /// The status that does not allow it, if the store did not fail.
    pub async fn switch(
        &self,
        alert: &RunningAlert,
        from: AlertStatus,
        to: AlertStatus,
        now: Millis,
    ) -> Result<Result<AlertRecord, AlertStatus>, StoreError> {
        let _turn = alert.changing.lock().await;
        let present = alert.status();
        if present != from {
            return Ok(Err(present));
        }
        let stored = self.store.set_alert_status(alert.alert.id, &[from], to, now).await?;
        let Some(record) = stored else { return Ok(Err(present)) };
        alert.follow(record.status);
        self.show();
        self.poke();
        Ok(if record.status == to { Ok(record) } else { Err(record.status) })
    }

    /// Stops an alert for good. From here on no attempt starts; the last
    /// partition to end what waits stores it.
    ///
    /// # Errors
    /// The final status it has already.
    pub fn stop(
        &self,
        alert: &RunningAlert,
        to: AlertStatus,
        now: Millis,
    ) -> Result<(), AlertStatus> {
        alert.stop(to, now)?;
        self.show();
        self.poke();
        Ok(())
    }

    /// `partition` has nothing left of an alert. The last one to say so
    /// stores the end.
    ///
    /// # Errors
    /// As [`AlertStore::set_alert_status`](crate::port::alert_store::AlertStore).
    pub async fn close(
        &self,
        alert: &RunningAlert,
        partition: PartitionId,
        now: Millis,
    ) -> Result<(), StoreError> {
        if !self.store.close_alert(alert.alert.id, partition).await? {
            return Ok(());
        }
        let _turn = alert.changing.lock().await;
        let to = self.end_of(alert, now).await?;
        let open = [AlertStatus::Running, AlertStatus::Paused];
        let stored = self.store.set_alert_status(alert.alert.id, &open, to, now).await?;
        self.end(alert, stored.map_or(to, |record| record.status));
        self.outbox.alert(alert.alert.id);
        self.show();
        self.poke();
        tracing::info!(alert = %alert.alert.id, status = ?alert.status(), "alert ended");
        Ok(())
    }

    /// How an alert ends of which nothing is left anywhere. Another node may have
    /// stopped it, and this one not have heard of it yet.
    async fn end_of(&self, alert: &RunningAlert, now: Millis) -> Result<AlertStatus, StoreError> {
        let status = alert.status();
        if status.is_final() {
            return Ok(status);
        }
        let record = self.store.alert(alert.alert.id).await?;
        Ok(if record.is_some_and(|record| record.cancelling_since.is_some()) {
            AlertStatus::Cancelled
        } else if now >= alert.alert.expires_at {
            AlertStatus::Expired
        } else {
            AlertStatus::Completed
        })
    }

    fn show(&self) {
        let list = self.lock();
        let count = |status| list.open.iter().filter(|one| one.status() == status).count();
        let oldest = list.open.iter().map(|one| one.alert.accepted_at).min();
        self.metrics.open(count(AlertStatus::Running), count(AlertStatus::Paused), oldest);
    }
}
