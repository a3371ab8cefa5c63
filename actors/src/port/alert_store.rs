//! The part of the store that keeps alerts: their records, how far their
//! walks are, and the ledger of whom they reached.
//!
//! The same two kinds of callers as the rest of the [`store`](super::store):
//! any node accepts an alert and changes its status; the owner of a partition
//! moves its walks, with [`Effect::Walked`](crate::domain::effect::Effect) in
//! the steps it commits.

use async_trait::async_trait;

use crate::domain::alert::{Alert, AlertRecord, AlertStatus, Cursor, Walk};
use crate::domain::citizen::Citizen;
use crate::domain::id::{MessageId, PartitionId};
use crate::domain::ledger::Straggler;
use crate::domain::time::Millis;
use crate::port::store::{IdempotencyClaim, StoreError};

/// What became of a submitted alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertAcceptance {
    /// Durable, and running.
    Accepted(Box<AlertRecord>),
    /// The same request was accepted before: its record as it is now.
    Replayed(Box<AlertRecord>),
    /// The same key was used with another body: nothing written.
    KeyReused,
}

/// Citizens visited by a walk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visit {
    /// Who is there, by ordinal; erased citizens are not.
    pub citizens: Vec<(u32, Citizen)>,
    /// The next ordinal to visit.
    pub next: u32,
}

/// How far an alert is, summed over the partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertProgress {
    /// Each walk's cursors added up: `next` as ordinals visited, `revision`
    /// as steps taken.
    pub walks: Vec<(Walk, WalkTotals)>,
}

/// One walk of an alert, summed over the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkTotals {
    /// Ordinals visited.
    pub visited: u64,
    /// Ordinals to visit in all.
    pub end: u64,
    /// Citizens found in the audience.
    pub recipients: u64,
    /// Deliveries of the walk.
    pub deliveries: crate::domain::books::DeliveryTotals,
    /// Deliveries that wait for another try.
    pub stragglers: u64,
}

/// See the module's text.
#[async_trait]
pub trait AlertStore: Send + Sync + 'static {
    /// Stores an alert as running, once per claim; its walks end at the
    /// ordinals that are highest now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn accept_alert(
        &self,
        alert: Alert,
        claim: Option<IdempotencyClaim>,
    ) -> Result<AlertAcceptance, StoreError>;

    /// What [`accept_alert`](Self::accept_alert) would say of a claim that was
    /// used before; none when it is new.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn claimed_alert(
        &self,
        claim: IdempotencyClaim,
    ) -> Result<Option<AlertAcceptance>, StoreError>;

    /// Changes the status of an alert that is in one of `from`. Returns the
    /// record as it is now, changed or not; none when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn set_alert_status(
        &self,
        id: MessageId,
        from: &[AlertStatus],
        to: AlertStatus,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError>;

    /// Notes that a running or paused alert is to be cancelled, the first time at
    /// `at`; whoever walks it then ends what waits. A final one stays as it is.
    /// Returns the alert as it is afterwards, or none when there is no such alert.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn cancel_alert(
        &self,
        id: MessageId,
        at: Millis,
    ) -> Result<Option<AlertRecord>, StoreError>;

    /// Notes that `partition` has nothing left of an alert. Returns whether that
    /// holds for all of the alert's partitions by now. Kept until the alert's
    /// final status is stored, or as long as this process: whoever takes a
    /// partition over says it again. Of a final alert nothing is left anywhere; of
    /// one that does not exist nothing is noted, and the answer is no.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn close_alert(&self, id: MessageId, partition: PartitionId) -> Result<bool, StoreError>;

    /// One alert.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn alert(&self, id: MessageId) -> Result<Option<AlertRecord>, StoreError>;

    /// Up to `limit` alerts accepted before `before` (none: the newest), the
    /// newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn alerts(
        &self,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, StoreError>;

    /// Alerts that are running or paused: what a start takes up.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn open_alerts(&self) -> Result<Vec<AlertRecord>, StoreError>;

    /// The cursors of an alert in one partition; a walk that never stored a
    /// step has none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn cursors(
        &self,
        partition: PartitionId,
        alert: MessageId,
    ) -> Result<Vec<(Walk, Cursor)>, StoreError>;

    /// How far an alert is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn alert_progress(&self, alert: MessageId) -> Result<AlertProgress, StoreError>;

    /// Citizens of a partition by ordinal, from `from` on and before `end`:
    /// at most `limit` of them, and not more than 16 × `limit` ordinals looked
    /// at. With `members_of`, only those whom the inbox walk of that alert
    /// put into its ledger.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn visit(
        &self,
        partition: PartitionId,
        from: u32,
        end: u32,
        limit: usize,
        members_of: Option<MessageId>,
    ) -> Result<Visit, StoreError>;

    /// The citizens of these stragglers, in the same order; none for who was
    /// erased.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn straggling(
        &self,
        partition: PartitionId,
        stragglers: &[Straggler],
    ) -> Result<Vec<Option<Citizen>>, StoreError>;
}
