//! The store: everything durable.
//!
//! Two kinds of callers. *Any node* accepts messages, writes citizens and
//! registry entries, and reads; those steps are made safe by idempotency and
//! versions. The *owner* of a partition advances it, and each of its writes
//! carries the epoch it owns the partition under: a store refuses all but the
//! newest ([`StoreError::Fenced`]).
//!
//! An `Ok` means durable: fsynced (embedded), or applied, fsynced and
//! replicated as configured (Redis).

use async_trait::async_trait;

use crate::domain::books::Books;
use crate::domain::citizen::Citizen;
use crate::domain::data_request::Erasure;
use crate::domain::delivery::{Endpoint, MessageState};
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{AddressId, Epoch, MessageId, PartitionId, RouteId};
use crate::domain::inbox::{InboxEntry, InboxEvents, InboxItem, InboxRange, MarkChange};
use crate::domain::lane::{ByLane, Lane};
use crate::domain::message::Message;
use crate::domain::service::{ApiKey, Organization, Registry, Service};
use crate::domain::time::Millis;
use crate::port::alert_store::AlertStore;

/// A failed store operation, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; try again later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The write's fate is unknown: repeat it under the same identity.
    #[error("the write could not be confirmed: {0}")]
    Unconfirmed(String),
    /// Somebody newer owns the partition: drop everything and stop.
    #[error("partition {0} has a newer owner")]
    Fenced(PartitionId),
    /// The lease of another node on the partition has not lapsed: nothing was
    /// taken over.
    #[error("partition {0} is leased to another node")]
    Leased(PartitionId),
    /// What is stored cannot be right; the text names the place.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// The claim of an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// Hash of (service, method and path, key).
    pub scope: [u8; 32],
    /// Hash of the request body.
    pub body: [u8; 32],
}

/// What became of a submitted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Durable in the intake journal of its partition and lane.
    Accepted {
        /// The message.
        id: MessageId,
        /// Its place in that journal.
        sequence: u64,
    },
    /// The same request was accepted before: its id again, nothing written.
    Replayed {
        /// The message of the first request.
        id: MessageId,
    },
    /// The same key was used with another body: nothing written.
    KeyReused,
}

/// A journal entry waiting for its citizen's turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Place in the journal of its lane; contiguous within a partition.
    pub sequence: u64,
    /// The message.
    pub message: Message,
    /// Its recipient as now stored.
    pub citizen: Option<Citizen>,
    /// The turn was already taken: the entry only awaits the checkpoint.
    pub done: bool,
}

/// A delivery whose next attempt is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueDelivery {
    /// When it was due.
    pub due: Millis,
    /// Its message.
    pub message: Message,
    /// All the message's deliveries.
    pub state: MessageState,
    /// Which of them is due.
    pub endpoint: Endpoint,
    /// Its recipient as now stored.
    pub citizen: Option<Citizen>,
}

/// Waiting deliveries of one route in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The route; it may no longer be configured.
    pub route: RouteId,
    /// How many wait.
    pub pending: u64,
}

/// An intake journal as found when its partition is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// Entries below this are done with.
    pub checkpoint: u64,
    /// The next entry to be written.
    pub tail: u64,
    /// Entries from the checkpoint on whose turn is not yet taken, counted
    /// from the messages' states.
    pub unprocessed: u64,
}

/// A partition taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// To be passed with each of the owner's writes.
    pub epoch: Epoch,
    /// Its intake journals.
    pub journals: ByLane<Journal>,
    /// Waiting deliveries, counted from the due entries.
    pub backlogs: Vec<Backlog>,
}

/// One atomic step of a partition's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The changes, applied in order.
    pub effects: Vec<Effect>,
    /// Entries of each journal below this are done with and may be removed;
    /// one that is not beyond the stored checkpoint changes nothing.
    pub checkpoints: ByLane<u64>,
    /// Time recorded with the changes.
    pub at: Millis,
}

/// Whether a citizen was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// New, with the partition's next ordinal.
    Inserted,
    /// Replaced; the ordinal stays, the version rises.
    Updated,
}

/// What became of each citizen written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsert {
    /// Whether it was known.
    pub written: Written,
    /// Its address is validated by another citizen: stored as not validated.
    pub address_taken: bool,
}

/// What became of a citizen to be replaced.
#[derive(Clone, Debug, PartialEq)]
pub enum Swap {
    /// Written; the record as stored, with its new revision.
    Stored(Box<Citizen>),
    /// The record is not the one expected any more: read again.
    Conflict,
    /// The address is validated by another citizen; nothing was written.
    AddressTaken,
}

/// A citizen's rows were removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Messages removed.
    pub messages: u64,
    /// Deliveries that were still waiting and are now cancelled, by route.
    pub cancelled: Vec<Backlog>,
}

/// Everything durable.
#[async_trait]
pub trait Store: AlertStore {
    /// Appends a message to the intake journal of its partition and lane, once
    /// per claim: each lane has its own, so that none waits for another's turn.
    /// Messages accepted at the same time share one fsync.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn accept(
        &self,
        message: Message,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Acceptance, StoreError>;

    /// A message with its state, if `recipient` has it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn message(
        &self,
        recipient: FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError>;

    /// Entries of a citizen's inbox with their messages, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn inbox(
        &self,
        citizen: FiscalCode,
        range: InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError>;

    /// One entry of a citizen's inbox.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn inbox_item(
        &self,
        citizen: FiscalCode,
        message: MessageId,
    ) -> Result<Option<InboxItem>, StoreError>;

    /// The first `limit` events of a citizen's inbox after place `after`;
    /// none: no events, only the newest place.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn events(
        &self,
        citizen: FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError>;

    /// Changes the marks of an inbox entry; a change that changes something
    /// takes the next place in the order of the partition. Returns the entry
    /// as it is now, or none when the inbox has no such message.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn mark(
        &self,
        citizen: FiscalCode,
        message: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError>;

    /// Up to `limit` messages addressed to a fiscal code after message
    /// `after`, in the order of their ids: those in the inbox and those that
    /// never got there, whether or not such a citizen is known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn addressed(
        &self,
        recipient: FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError>;

    /// A citizen as stored.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn citizen(&self, fiscal_code: FiscalCode) -> Result<Option<Citizen>, StoreError>;

    /// Who validated an address.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn address_owner(&self, address: AddressId) -> Result<Option<FiscalCode>, StoreError>;

    /// Writes citizens, new or known, without looking at what is replaced
    /// but for this: versions and revisions are assigned here, a device
    /// already registered keeps its time of registration and installation,
    /// and what only the citizen can set (sessions, data requests, terms of
    /// service) stays as stored.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]; then any
    /// of them may or may not have been written, and repeating is harmless.
    async fn put_citizens(&self, citizens: Vec<Citizen>) -> Result<Vec<Upsert>, StoreError>;

    /// Replaces a citizen's record if it still has revision `expected` (none:
    /// if there is no record). Everything but the revision is stored as given.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn swap_citizen(
        &self,
        citizen: Citizen,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError>;

    /// Takes partition `id` over: raises its epoch, so that every earlier
    /// owner is fenced, checks its journals and counts what waits. Where nodes
    /// share the store this process holds the partition's lease from then on
    /// (see [`Cluster`](super::cluster::Cluster)).
    ///
    /// # Errors
    /// [`StoreError::Leased`] while another process holds its lease;
    /// [`StoreError::Damaged`] when a journal has a gap or a record that
    /// does not match its checksum.
    async fn open_partition(&self, id: PartitionId) -> Result<Opened, StoreError>;

    /// Up to `limit` entries of the journal of `lane` from `from` on, in order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn arrivals(
        &self,
        partition: PartitionId,
        lane: Lane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError>;

    /// Up to `limit` deliveries of `route` in `lane` that are due at `until` or
    /// earlier, the oldest first and those of one instant in the order of
    /// publication, but for those in `except`; and when the first one after
    /// them is due.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn due(
        &self,
        partition: PartitionId,
        route: &RouteId,
        lane: Lane,
        until: Millis,
        limit: usize,
        except: &[(MessageId, Endpoint)],
    ) -> Result<(Vec<DueDelivery>, Option<Millis>), StoreError>;

    /// Commits a step of the partition's owner.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when `epoch` is not the newest; nothing is
    /// written then.
    async fn commit(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError>;

    /// Removes every row of a citizen: the record, the inbox and its marks,
    /// every message addressed to them with its state, what is due, the
    /// indexes. Waiting deliveries end as cancelled in the books first, and
    /// `record` is kept, with the number of messages filled in. In the same
    /// atomic step journal entries below `checkpoints` are removed, all of
    /// them. The caller has stored the turn of every message accepted so far:
    /// a message whose turn is not taken is left.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when `epoch` is not the newest; nothing is
    /// removed then.
    async fn erase(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        citizen: FiscalCode,
        checkpoints: ByLane<u64>,
        record: Erasure,
    ) -> Result<Erased, StoreError>;

    /// Up to `limit` citizens with a pending request to be deleted that is
    /// due at `until` or earlier, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn erasures_due(
        &self,
        until: Millis,
        limit: usize,
    ) -> Result<Vec<FiscalCode>, StoreError>;

    /// The newest `limit` records of erased citizens, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError>;

    /// The books of these partitions, summed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn books(&self, partitions: &[PartitionId]) -> Result<Books, StoreError>;

    /// All organisations, services and keys.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    async fn registry(&self) -> Result<Registry, StoreError>;

    /// Writes an organisation, new or known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn put_organization(&self, organization: Organization) -> Result<(), StoreError>;

    /// Writes a service, new or known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn put_service(&self, service: Service) -> Result<(), StoreError>;

    /// Writes a key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn put_key(&self, key: ApiKey) -> Result<(), StoreError>;

    /// Removes a key; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`].
    async fn remove_key(&self, id: &str) -> Result<bool, StoreError>;

    /// Removes idempotency claims made before `before`; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn forget_claims(&self, before: Millis) -> Result<u64, StoreError>;
}
