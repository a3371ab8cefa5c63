//! Alerts: records, cursors, ledger, and how an inbox finds them.
//!
//! # What is kept
//!
//! One record an alert, where it stands included, in a hash that all partitions
//! share, with the ids in order beside it. For each partition and alert a hash of
//! cursors, for each walk a sorted set of runs by first ordinal, and for the
//! inbox a sorted set of publications for each block of ordinals, by place.
//! None of it names a citizen: people are ordinals.
//!
//! # Cost
//!
//! A walk's step is one script, whatever the number of citizens in it, and a
//! visit is one read of many rows.

use async_trait::async_trait;

use araldo_actors::domain::alert::{Alert, AlertRecord, AlertStatus, Cursor, Walk};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::ledger::Straggler;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::{AlertAcceptance, AlertProgress, AlertStore, Visit};
use araldo_actors::port::store::{IdempotencyClaim, StoreError};

use super::RedisStore;

mod inbox;
mod progress;
mod record;
mod visit;

/// The inbox walk's name among the walks; no route has it.
const INBOX: &str = "";

/// A walk's name in keys and fields.
pub(super) fn walk_name(walk: &Walk) -> &str {
    match walk {
        Walk::Inbox => INBOX,
        Walk::Route(route) => route.as_str(),
    }
}

#[async_trait]
impl AlertStore for RedisStore {
    async fn accept_alert(
        &self,
        alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError> {
        self.in_time(self.accept_one(alert, claim)).await
    }

    async fn claimed_alert(
        &self,
        claim: IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError> {
        self.in_time(self.claimed_before(&claim)).await
    }

    async fn set_alert_status(
        &self,
        id: MessageId,
        from: &[AlertStatus],
        to: AlertStatus,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        self.in_time(self.change_status(id, from, to, at)).await
    }

    async fn cancel_alert(
        &self,
        id: MessageId,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError> {
        self.in_time(self.note_cancel(id, at)).await
    }

    async fn close_alert(&self, id: MessageId, partition: PartitionId) -> Result<bool, StoreError> {
        self.check(partition)?;
        self.in_time(self.close_partition(id, partition)).await
    }

    async fn alert(&self, id: MessageId) -> Result<Option<AlertRecord>, StoreError> {
        self.in_time(self.alert_record(id)).await
    }

    async fn alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        self.newest_alerts(before, limit).await
    }

    async fn open_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        self.all_open_alerts().await
    }

    async fn cursors(
        &self,
        partition: PartitionId,
        alert: MessageId,
    ) -> Result<Vec<(Walk, Cursor)>, StoreError> {
        self.check(partition)?;
        self.read_cursors(partition.0, alert).await
    }

    async fn alert_progress(&self, alert: MessageId) -> Result<AlertProgress, StoreError> {
        self.progress_of(alert).await
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
        self.visit_stretch(partition.0, (from, end), limit, members_of).await
    }

    async fn straggling(
        &self,
        partition: PartitionId,
        stragglers: &[Straggler],
    ) -> Result<Vec<Option<Citizen>>, StoreError> {
        self.check(partition)?;
        let ordinals: Vec<u32> = stragglers.iter().map(|one| one.ordinal).collect();
        self.by_ordinal(partition.0, &ordinals).await
    }
}
