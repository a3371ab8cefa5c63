//! The handle the outside holds: submit, read, and change what the operators
//! and citizens own. Cheap to clone; hides the actors and the store.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

use crate::alert::AlertBoard;
use crate::board::Board;
use crate::cluster::{Gate, Outbox, Peers};
use crate::directory::Directory;
use crate::domain::books::Books;
use crate::domain::citizen::Citizen;
use crate::domain::data_request::Erasure;
use crate::domain::delivery::MessageState;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{AddressId, MessageId, PartitionId};
use crate::domain::inbox::{InboxEntry, InboxEvents, InboxItem, InboxRange, MarkChange};
use crate::domain::lane::Lane;
use crate::domain::message::{Content, FeatureLevel, Message};
use crate::domain::notice::Notice;
use crate::domain::service::{ApiKey, Organization, Service};
use crate::domain::time::Millis;
use crate::erasure::Eraser;
use crate::live::{LiveRefused, LiveSession};
use crate::message::hub::{self, HubHandle, HubMessage};
use crate::message::partition::{self, PartitionHandle};
use crate::pipeline::Membership;
use crate::policy::admission::{Admission, Permit};
use crate::port::clock::Clock;
use crate::port::rng::Rng;
use crate::port::store::{Acceptance, IdempotencyClaim, Store, StoreError, Swap, Upsert, Written};

mod alert;
mod cluster;

pub use alert::{AlertError, AlertSubmission, SubmitAlertError, SubmittedAlert};

/// How often a change is tried again when somebody else wrote in between.
const SWAPS: usize = 16;

/// A message as a sender hands it in, validated.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The sender.
    pub service: Arc<Service>,
    /// The recipient.
    pub recipient: FiscalCode,
    /// Seconds, 3 600 to 604 800.
    pub time_to_live: u32,
    /// Feature level.
    pub feature_level: FeatureLevel,
    /// What the citizen reads.
    pub content: Content,
    /// The claim of an `Idempotency-Key`, if one was sent.
    pub claim: Option<IdempotencyClaim>,
}

/// Why a submission was not accepted, by what the sender does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting; nothing was stored.
    #[error("too many messages are waiting")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The `Idempotency-Key` was used with another body.
    #[error("the Idempotency-Key was used with another request body")]
    KeyReused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a citizen's record was not changed. `E` is the caller's own reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError<E> {
    /// The caller's own reason.
    #[error("{0}")]
    Refused(E),
    /// Another citizen validated the address.
    #[error("the e-mail address belongs to another citizen")]
    AddressTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// No such citizen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such citizen")]
pub struct UnknownCitizen;

/// The engine, seen from outside.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) board: Arc<Board>,
    pub(crate) admission: Admission,
    pub(crate) partitions: Arc<[PartitionHandle]>,
    pub(crate) hubs: Arc<[HubHandle]>,
    pub(crate) alerts: Arc<AlertBoard>,
    pub(crate) eraser: Eraser,
    pub(crate) gate: Arc<Gate>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) membership: Option<Membership>,
}

impl Engine {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Accepts a message: durable when this returns.
    ///
    /// Returns the id, which is the first request's when the same
    /// `Idempotency-Key` comes again.
    ///
    /// # Errors
    /// [`SubmitError`]; after `Store(Unconfirmed)` the message's fate is
    /// unknown and a repetition under the same key settles it.
    pub async fn submit(&self, submission: Submission) -> Result<MessageId, SubmitError> {
        let lane = submission.service.lane;
        let permit = self.admit(lane)?;
        let now = self.0.clock.now();
        let message = Message {
            id: MessageId::new(now, self.0.rng.bits()),
            fiscal_code: submission.recipient,
            service: submission.service.id.clone(),
            accepted_at: now,
            time_to_live: submission.time_to_live,
            lane,
            feature_level: submission.feature_level,
            content: submission.content,
        };
        let acceptance = self.0.store.accept(message, submission.claim).await?;
        drop(permit);
        match acceptance {
            Acceptance::Accepted { id, sequence } => {
                if !self.partition_of(&submission.recipient).appended(lane, sequence + 1) {
                    let partition = self.partition_id(&submission.recipient);
                    self.0.outbox.arrived(partition, lane, sequence + 1);
                }
                Ok(id)
            }
            Acceptance::Replayed { id } => Ok(id),
            Acceptance::KeyReused => Err(SubmitError::KeyReused),
        }
    }

    fn admit(&self, lane: Lane) -> Result<Permit, SubmitError> {
        self.0
            .admission
            .admit(lane, &self.waiting())
            .map_err(|retry_after| SubmitError::Overloaded { retry_after })
    }

    fn partition_of(&self, citizen: &FiscalCode) -> &PartitionHandle {
        partition::home(&self.0.partitions, citizen)
    }

    fn partition_id(&self, citizen: &FiscalCode) -> PartitionId {
        PartitionId::of(citizen, self.count())
    }

    fn count(&self) -> u16 {
        u16::try_from(self.0.partitions.len()).unwrap_or(u16::MAX)
    }

    fn hub_of(&self, citizen: &FiscalCode) -> &HubHandle {
        hub::of(&self.0.hubs, self.partition_id(citizen))
    }

    /// A message with its state, if `recipient` has it.
    ///
    /// # Errors
    /// As [`Store::message`].
    pub async fn message(
        &self,
        recipient: FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError> {
        self.0.store.message(recipient, id).await
    }

    /// Entries of a citizen's inbox; see [`Store::inbox`].
    ///
    /// # Errors
    /// As [`Store::inbox`].
    pub async fn inbox(
        &self,
        citizen: FiscalCode,
        range: InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError> {
        self.0.store.inbox(citizen, range).await
    }

    /// One entry of a citizen's inbox.
    ///
    /// # Errors
    /// As [`Store::inbox_item`].
    pub async fn inbox_item(
        &self,
        citizen: FiscalCode,
        message: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        self.0.store.inbox_item(citizen, message).await
    }

    /// What happened in a citizen's inbox after place `after`.
    ///
    /// # Errors
    /// As [`Store::events`].
    pub async fn events(
        &self,
        citizen: FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError> {
        self.0.store.events(citizen, after, limit).await
    }

    /// Changes the marks of an inbox entry, and wakes the citizen's live
    /// sessions.
    ///
    /// # Errors
    /// As [`Store::mark`].
    pub async fn mark(
        &self,
        citizen: FiscalCode,
        message: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError> {
        let entry = self.0.store.mark(citizen, message, change).await?;
        if entry.is_some() {
            self.hub_of(&citizen).ring(std::iter::once(&citizen));
            let slot = std::iter::once(hub::slot(&citizen));
            self.0.outbox.rung(self.partition_id(&citizen), slot);
        }
        Ok(entry)
    }

    /// Messages addressed to a fiscal code, in the order of their ids.
    ///
    /// # Errors
    /// As [`Store::addressed`].
    pub async fn addressed(
        &self,
        recipient: FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError> {
        self.0.store.addressed(recipient, after, limit).await
    }

    /// Opens a live session on a citizen's inbox. When this returns, every
    /// later change wakes it: so open it first, then read the inbox, and look
    /// at the citizen's record (revoked sessions) after this, too. Activates
    /// no citizen.
    ///
    /// # Errors
    /// [`LiveRefused`].
    pub async fn live(&self, citizen: FiscalCode) -> Result<LiveSession, LiveRefused> {
        let (reply, entered) = oneshot::channel();
        self.hub_of(&citizen).address.cast(HubMessage::Enter { citizen, reply });
        // No answer: no hub lives, or it fell over this.
        entered.await.unwrap_or(Err(LiveRefused::Unavailable))
    }

    /// Who validated an address.
    ///
    /// # Errors
    /// As [`Store::address_owner`].
    pub async fn address_owner(
        &self,
        address: AddressId,
    ) -> Result<Option<FiscalCode>, StoreError> {
        self.0.store.address_owner(address).await
    }

    /// Changes a citizen's record: `change` makes the new record from the
    /// present one (none: no such citizen) and is called again when somebody
    /// else wrote in between. When this returns, no attempt starts against
    /// what the citizen now prefers (promise 3).
    ///
    /// # Errors
    /// [`ChangeError`]; nothing was changed then, but for a store error.
    pub async fn change_citizen<E>(
        &self,
        code: FiscalCode,
        mut change: impl FnMut(Option<Citizen>) -> Result<Citizen, E> + Send,
    ) -> Result<Citizen, ChangeError<E>> {
        for _ in 0..SWAPS {
            let present = self.0.store.citizen(code).await?;
            let expected = present.as_ref().map(|citizen| citizen.revision);
            let citizen = change(present).map_err(ChangeError::Refused)?;
            let changing = self.changing(vec![code]);
            match self.0.store.swap_citizen(citizen, expected).await? {
                Swap::Stored(citizen) => {
                    changing.written(&[code]).await?;
                    return Ok(*citizen);
                }
                Swap::AddressTaken => {
                    changing.nothing();
                    return Err(ChangeError::AddressTaken);
                }
                Swap::Conflict => changing.nothing(),
            }
        }
        Err(StoreError::Unavailable("the record is being written by many at once".into()).into())
    }

    /// Ends every session of a citizen and forgets every device: tokens
    /// issued until now are over, live sessions are closed (a lost phone).
    ///
    /// # Errors
    /// As [`Engine::change_citizen`]; `Refused` when there is no such citizen.
    pub async fn revoke_sessions(
        &self,
        code: FiscalCode,
    ) -> Result<Citizen, ChangeError<UnknownCitizen>> {
        let now = self.now();
        let revoke = |citizen: Option<Citizen>| {
            let mut citizen = citizen.ok_or(UnknownCitizen)?;
            citizen.devices.clear();
            citizen.sessions_revoked_at = now;
            Ok(citizen)
        };
        let citizen = self.change_citizen(code, revoke).await?;
        let (done, closed) = oneshot::channel();
        self.hub_of(&code).address.cast(HubMessage::Revoke { citizen: code, done: Some(done) });
        // No answer: the hub has fallen, and its sessions with it.
        let _ = closed.await;
        self.tell(&[Notice::Revoked { citizen: code }]).await?;
        Ok(citizen)
    }

    /// Removes every row of a citizen, once what is in flight has ended, and
    /// closes their live sessions. From the call on nothing starts that was
    /// waiting; it answers when the provider has answered what had started,
    /// so it may take as long as one attempt. Goes on if the caller gives up.
    /// Returns the number of messages removed; 0 when there is no such citizen.
    ///
    /// # Errors
    /// As [`Store::erase`]; `Unavailable` when too many wait to be erased.
    pub async fn erase(&self, citizen: FiscalCode) -> Result<u64, StoreError> {
        self.0.eraser.erase(citizen, false).await
    }

    /// Citizens whose request to be deleted is due now.
    ///
    /// # Errors
    /// As [`Store::erasures_due`].
    pub async fn erasures_due(&self, limit: usize) -> Result<Vec<FiscalCode>, StoreError> {
        self.0.store.erasures_due(self.now(), limit).await
    }

    /// The newest records of erased citizens.
    ///
    /// # Errors
    /// As [`Store::erasures`].
    pub async fn erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        self.0.store.erasures(limit).await
    }

    /// A citizen as stored.
    ///
    /// # Errors
    /// As [`Store::citizen`].
    pub async fn citizen(&self, fiscal_code: FiscalCode) -> Result<Option<Citizen>, StoreError> {
        self.0.store.citizen(fiscal_code).await
    }

    /// Writes citizens, new or known. When this returns, no attempt starts
    /// against what they now prefer (promise 3).
    ///
    /// # Errors
    /// As [`Store::put_citizens`].
    pub async fn put_citizens(&self, citizens: Vec<Citizen>) -> Result<Vec<Upsert>, StoreError> {
        let codes: Vec<_> = citizens.iter().map(|citizen| citizen.fiscal_code).collect();
        let changing = self.changing(codes.clone());
        let upserts = self.0.store.put_citizens(citizens).await?;
        let updated =
            codes.iter().zip(&upserts).filter(|(_, upsert)| upsert.written == Written::Updated);
        let updated: Vec<_> = updated.map(|(code, _)| *code).collect();
        changing.written(&updated).await?;
        Ok(upserts)
    }

    /// The registry in memory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Writes an organisation, new or known.
    ///
    /// # Errors
    /// As [`Store::put_organization`].
    pub async fn put_organization(&self, organization: Organization) -> Result<(), StoreError> {
        let _turn = self.0.directory.writing().await;
        self.0.store.put_organization(organization.clone()).await?;
        self.0.directory.put_organization(organization);
        self.tell(&[Notice::Registered]).await
    }

    /// Writes a service, new or known. Switching it off stops what is queued.
    ///
    /// # Errors
    /// As [`Store::put_service`].
    pub async fn put_service(&self, service: Service) -> Result<(), StoreError> {
        let _turn = self.0.directory.writing().await;
        self.0.store.put_service(service.clone()).await?;
        self.0.directory.put_service(Arc::new(service));
        self.tell(&[Notice::Registered]).await
    }

    /// Writes a key.
    ///
    /// # Errors
    /// As [`Store::put_key`].
    pub async fn put_key(&self, key: ApiKey) -> Result<(), StoreError> {
        let _turn = self.0.directory.writing().await;
        self.0.store.put_key(key.clone()).await?;
        self.0.directory.put_key(key);
        self.tell(&[Notice::Registered]).await
    }

    /// Removes a key; `false` when there was none.
    ///
    /// # Errors
    /// As [`Store::remove_key`].
    pub async fn remove_key(&self, id: &str) -> Result<bool, StoreError> {
        let _turn = self.0.directory.writing().await;
        let found = self.0.store.remove_key(id).await?;
        self.0.directory.remove_key(id);
        self.tell(&[Notice::Registered]).await?;
        Ok(found)
    }

    /// The books, summed over the partitions.
    ///
    /// # Errors
    /// As [`Store::books`].
    pub async fn books(&self) -> Result<Books, StoreError> {
        let all: Vec<_> = (0..self.count()).map(PartitionId).collect();
        self.0.store.books(&all).await
    }

    /// What the actors show of themselves.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.0.board
    }

    /// The wall clock of the engine.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.0.clock.now()
    }

    /// 128 random bits from the engine's source.
    #[must_use]
    pub fn random_bits(&self) -> u128 {
        self.0.rng.bits()
    }
}
