//! Alerts: records, cursors, ledger, and how an inbox finds them.
//!
//! # What is kept
//!
//! One record an alert. For each partition and walk a cursor, replaced with
//! every step, and the runs of the ledger, written once with the cursor they
//! belong to (see [`walk`]). For the inbox walk also an index that leads from
//! a citizen's place in the partition to the alerts shown there, the newest
//! first (see [`inbox`]). None of it names a citizen: people are ordinals.
//!
//! # Invariants
//!
//! - The record of an alert, but for its status, never changes. Alerts that
//!   are running or paused, and no others, are in the index of open ones.
//! - A cursor counts in the books exactly what its row says: the difference to
//!   the one before it is added in the same group commit.
//! - Runs of one walk do not overlap, and one in which nobody has a mark is
//!   not stored. The marks of an inbox walk never change, so a row of the index
//!   is as final as the run it was made from.
//!
//! # Erased citizens
//!
//! What a citizen left on an alert (the copy of an inbox row that holds its
//! marks) goes with the citizen. The bits in the ledger stay: they are found
//! by ordinal alone, the way from a fiscal code to its ordinal is gone, and no
//! ordinal is ever used again.
//!
//! # Crash
//!
//! A step of a walk is one group commit: cursor, run, books and index are all
//! there or none is. Repeating a step changes nothing, since the cursor it was
//! made from is no longer the stored one.

use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};

use araldo_actors::domain::alert::{Alert, AlertRecord, AlertStatus, Cursor, Walk};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::ledger::Straggler;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::{AlertAcceptance, AlertProgress, AlertStore, Visit};
use araldo_actors::port::store::{IdempotencyClaim, StoreError};

use super::EmbeddedStore;
use super::writer::{AlertJob, Job};
use crate::store::effect::Cell;
use crate::store::ledger::Piece;

mod closing;
mod inbox;
mod progress;
mod record;
mod row;
mod visit;
mod walk;

pub(super) use closing::Closing;
pub(super) use inbox::{merged, unmarked};
pub(super) use record::Change;
pub(super) use row::walk as stored_walk;
pub(super) use walk::weight;

/// Rows of alerts that the group touched.
#[derive(Default)]
pub(super) struct Overlay {
    /// None: there is no such alert.
    records: HashMap<MessageId, Option<Cell<AlertRecord>>>,
    /// A walk that never stored a step has the cursor it begins with.
    cursors: HashMap<row::CursorKey, Cell<Cursor>>,
    pieces: BTreeMap<row::PieceKey, Cell<Piece>>,
}

#[async_trait]
impl AlertStore for EmbeddedStore {
    async fn accept_alert(
        &self,
        alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError> {
        self.write(|reply| Job::Alert(AlertJob::Accept(Box::new(alert), claim, reply))).await
    }

    async fn claimed_alert(
        &self,
        claim: IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError> {
        self.read(move |shared| shared.tables.view().claimed_alert(&claim)).await
    }

    async fn set_alert_status(
        &self,
        id: MessageId,
        from: &[AlertStatus],
        to: AlertStatus,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let change = Change { id, from: from.to_vec(), to, at };
        let record = self.write(|reply| Job::Alert(AlertJob::Status(change, reply))).await?;
        if record.as_ref().is_some_and(|record| record.status.is_final()) {
            self.closing.forget(id);
        }
        Ok(record)
    }

    async fn cancel_alert(
        &self,
        id: MessageId,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        self.write(|reply| Job::Alert(AlertJob::Cancel(id, at, reply))).await
    }

    async fn close_alert(&self, id: MessageId, partition: PartitionId) -> Result<bool, StoreError> {
        self.check(partition)?;
        let closed = self.closing.close(id, partition);
        // Looked at afterwards: whoever makes it final meanwhile forgets it, or
        // was seen here.
        let record = self.alert(id).await;
        match record {
            Ok(Some(record)) if !record.status.is_final() => {
                Ok(closed == usize::from(self.partitions))
            }
            other => {
                self.closing.forget(id);
                Ok(other?.is_some())
            }
        }
    }

    async fn alert(&self, id: MessageId) -> Result<Option<AlertRecord>, StoreError> {
        self.read(move |shared| shared.tables.view().alert(id)).await
    }

    async fn alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        self.read(move |shared| shared.tables.view().alerts(before, limit)).await
    }

    async fn open_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        self.read(|shared| shared.tables.view().open_alerts()).await
    }

    async fn cursors(
        &self,
        partition: PartitionId,
        alert: MessageId,
    ) -> Result<Vec<(Walk, Cursor)>, StoreError> {
        self.check(partition)?;
        self.read(move |shared| {
            let view = shared.tables.view();
            view.cursors(&view.routes()?, partition.0, alert)
        })
        .await
    }

    async fn alert_progress(&self, alert: MessageId) -> Result<AlertProgress, StoreError> {
        self.read(move |shared| {
            let view = shared.tables.view();
            view.progress(&view.routes()?, alert)
        })
        .await
    }

    async fn visit(
        &self,
        partition: PartitionId,
        from: u32,
        end: u32,
        limit: usize,
        members_of: Option<MessageId>,
    ) -> Result<Visit, StoreError> {
        self.check(partition)?;
        let partition = partition.0;
        self.read(move |shared| {
            shared.tables.view().visit(&visit::Stretch { partition, from, end, limit }, members_of)
        })
        .await
    }

    async fn straggling(
        &self,
        partition: PartitionId,
        stragglers: &[Straggler],
    ) -> Result<Vec<Option<Citizen>>, StoreError> {
        self.check(partition)?;
        let ordinals: Vec<u32> = stragglers.iter().map(|one| one.ordinal).collect();
        self.read(move |shared| {
            let view = shared.tables.view();
            ordinals.into_iter().map(|ordinal| view.numbered(partition.0, ordinal)).collect()
        })
        .await
    }
}
