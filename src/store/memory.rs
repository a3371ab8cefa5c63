//! The reference store: all in memory, nothing kept when the process ends.
//!
//! Owns nothing but maps behind one lock; each operation holds the lock from
//! beginning to end, so all of them are atomic. It is written to be compared
//! with, not to be fast: what can be counted is counted when asked (the books
//! from the states, what is due by looking at every message), so that no
//! running total can be wrong in the same way as another store's. Running
//! totals are kept only of what is gone: the retries, which states do not keep,
//! and the totals of erased messages.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use araldo_actors::domain::alert::{Alert, AlertRecord, Walk};
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::inbox::{InboxEntry, InboxEvents, InboxItem, InboxRange, MarkChange};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::{Message, MessageStatus};
use araldo_actors::domain::outcome::DeliveryStatus;
use araldo_actors::domain::service::{ApiKey, Organization, Registry, Service};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{
    Acceptance, Arrival, Backlog, DueDelivery, Erased, IdempotencyClaim, Journal, Opened, Step,
    Store, StoreError, Swap, Upsert,
};

use super::{check_walk, claimed_id};

mod alert;
mod citizen;
mod effect;
mod inbox;

/// One slice of the citizens.
#[derive(Default)]
struct Partition {
    epoch: u64,
    checkpoints: ByLane<u64>,
    journals: ByLane<Vec<MessageId>>,
    messages: BTreeMap<MessageId, (Message, MessageState)>,
    /// By ordinal; none: erased.
    citizens: Vec<Option<Citizen>>,
    ordinals: HashMap<FiscalCode, usize>,
    /// In the order of publication.
    inbox: Vec<(FiscalCode, InboxEntry)>,
    /// Publications and changes of marks so far.
    events: u64,
    alerts: BTreeMap<MessageId, Alert>,
    walks: BTreeMap<(MessageId, Walk), alert::Walked>,
    retried: [u64; 3],
    /// Totals of the messages erased.
    erased: Books,
}

struct Claimed {
    message: MessageId,
    body: [u8; 32],
    at: Millis,
}

#[derive(Default)]
struct State {
    partitions: Vec<Partition>,
    claims: HashMap<[u8; 32], Claimed>,
    alerts: BTreeMap<MessageId, AlertRecord>,
    /// Partitions that have nothing left of an alert that is not final.
    closed: BTreeMap<MessageId, BTreeSet<PartitionId>>,
    /// Who last validated an address. Holds only as long as the record says so
    /// too: see [`State::address_owner`].
    addresses: BTreeMap<AddressId, FiscalCode>,
    /// By when it was done, and of whom.
    erasures: BTreeMap<(Millis, [u8; 32]), Erasure>,
    organizations: BTreeMap<String, Organization>,
    services: BTreeMap<String, Service>,
    keys: BTreeMap<String, ApiKey>,
}

/// The reference store.
pub struct MemoryStore(Mutex<State>);

impl MemoryStore {
    /// An empty store of `partitions` slices.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        let partitions = (0..partitions.max(1)).map(|_| Partition::default()).collect();
        Self(Mutex::new(State { partitions, ..State::default() }))
    }

    /// A panic while the lock was held would have been a bug here; going on
    /// with what is there shows it in the tests that compare.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn home(&mut self, citizen: &FiscalCode) -> &mut Partition {
        let count = u16::try_from(self.partitions.len()).unwrap_or(u16::MAX);
        &mut self.partitions[usize::from(PartitionId::of(citizen, count).0)]
    }

    fn partition(&mut self, id: PartitionId) -> Result<&mut Partition, StoreError> {
        self.partitions
            .get_mut(usize::from(id.0))
            .ok_or_else(|| StoreError::Unavailable(format!("there is no partition {id}")))
    }

    fn accept(&mut self, mut message: Message, claim: Option<IdempotencyClaim>) -> Acceptance {
        if let Some(claim) = &claim {
            if let Some(held) = self.claims.get(&claim.scope) {
                return if held.body == claim.body {
                    Acceptance::Replayed { id: held.message }
                } else {
                    Acceptance::KeyReused
                };
            }
            message.id = claimed_id(message.accepted_at, claim);
        }
        let (id, at, lane) = (message.id, message.accepted_at, message.lane);
        let partition = self.home(&message.fiscal_code);
        if partition.messages.contains_key(&id) {
            return Acceptance::Replayed { id };
        }
        let sequence = partition.journals[lane].len() as u64;
        partition.journals[lane].push(id);
        partition.messages.insert(id, (message, MessageState::accepted(at)));
        if let Some(claim) = claim {
            self.claims.insert(claim.scope, Claimed { message: id, body: claim.body, at });
        }
        Acceptance::Accepted { id, sequence }
    }
}

impl Partition {
    fn citizen(&self, code: &FiscalCode) -> Option<&Citizen> {
        self.ordinals.get(code).and_then(|&ordinal| self.citizens[ordinal].as_ref())
    }

    /// Pending deliveries, lane by lane, in the order in which they fall due.
    fn pending(&self) -> Vec<(Lane, Millis, MessageId, Endpoint, RouteId)> {
        let mut all = Vec::new();
        for (id, (_, state)) in &self.messages {
            for delivery in &state.deliveries {
                if let (Some(due), Some(route)) = (delivery.status.due(), &delivery.route) {
                    let (lane, endpoint) = (state.lane, delivery.endpoint);
                    let rank = (lane, due, state.published, endpoint_rank(endpoint));
                    all.push((rank, (lane, due, *id, endpoint, route.clone())));
                }
            }
        }
        all.sort_by_key(|(rank, _)| *rank);
        all.into_iter().map(|(_, delivery)| delivery).collect()
    }

    fn books(&self) -> Books {
        let mut books = self.erased;
        for (_, state) in self.messages.values() {
            count(&mut books, state);
        }
        for (totals, retried) in books.deliveries.iter_mut().zip(self.retried) {
            totals.retried = retried;
        }
        for walked in self.walks.values() {
            *books.channel(walked.channel) += walked.cursor.totals;
        }
        books
    }

    fn opened(&self) -> Opened {
        let mut pending: BTreeMap<RouteId, u64> = BTreeMap::new();
        for (_, _, _, _, route) in self.pending() {
            *pending.entry(route).or_default() += 1;
        }
        Opened {
            epoch: Epoch(self.epoch),
            journals: ByLane::from_fn(|lane| self.journal(lane)),
            backlogs: pending
                .into_iter()
                .map(|(route, pending)| Backlog { route, pending })
                .collect(),
        }
    }

    fn journal(&self, lane: Lane) -> Journal {
        let waiting = self.arrivals(lane, 0, usize::MAX);
        Journal {
            checkpoint: self.checkpoints[lane],
            tail: self.journals[lane].len() as u64,
            unprocessed: waiting.iter().filter(|arrival| !arrival.done).count() as u64,
        }
    }

    /// Where each checkpoint is once it was asked to be at `checkpoints`.
    fn reached(&self, checkpoints: &ByLane<u64>) -> ByLane<u64> {
        ByLane::from_fn(|lane| {
            let most = self.journals[lane].len() as u64;
            checkpoints[lane].min(most).max(self.checkpoints[lane])
        })
    }

    fn arrivals(&self, lane: Lane, from: u64, limit: usize) -> Vec<Arrival> {
        let from = from.max(self.checkpoints[lane]);
        let journal = self.journals[lane].iter().zip(0_u64..);
        let waiting = journal.filter(|(_, sequence)| *sequence >= from);
        waiting
            .take(limit)
            .filter_map(|(id, sequence)| {
                let (message, state) = self.messages.get(id)?;
                Some(Arrival {
                    sequence,
                    message: message.clone(),
                    citizen: self.citizen(&message.fiscal_code).cloned(),
                    done: state.status != MessageStatus::Accepted,
                })
            })
            .collect()
    }
}

/// Counts a message and its deliveries.
fn count(books: &mut Books, state: &MessageState) {
    books.messages.accepted += 1;
    match &state.status {
        MessageStatus::Accepted => {}
        MessageStatus::Processed => books.messages.processed += 1,
        MessageStatus::Rejected(reason) => books.messages.reject(*reason),
        MessageStatus::Expired => books.messages.expired += 1,
        MessageStatus::Recalled => books.messages.recalled += 1,
        MessageStatus::Quarantined(_) => books.messages.quarantined += 1,
    }
    for delivery in &state.deliveries {
        let totals = books.channel(delivery.endpoint.channel());
        totals.planned += 1;
        if let DeliveryStatus::Ended { outcome, .. } = delivery.status {
            totals.end(outcome);
        }
    }
}

/// Order among deliveries of one message due at the same instant.
const fn endpoint_rank(endpoint: Endpoint) -> (u8, u64) {
    match endpoint {
        Endpoint::Inbox => (0, 0),
        Endpoint::Device(device) => (1, device.0),
        Endpoint::Mailbox => (2, 0),
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(
        &self,
        message: Message,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Acceptance, StoreError> {
        Ok(self.lock().accept(message, claim))
    }

    async fn message(
        &self,
        recipient: FiscalCode,
        id: MessageId,
    ) -> Result<Option<(Message, MessageState)>, StoreError> {
        let mut state = self.lock();
        let home = state.home(&recipient);
        Ok(match home.messages.get(&id) {
            Some(found) => Some(found).filter(|one| one.0.fiscal_code == recipient).cloned(),
            None => home.alert_for(&recipient, id),
        })
    }

    async fn inbox(
        &self,
        citizen: FiscalCode,
        range: InboxRange,
    ) -> Result<Vec<InboxItem>, StoreError> {
        Ok(self.lock().home(&citizen).inbox(&citizen, &range))
    }

    async fn inbox_item(
        &self,
        citizen: FiscalCode,
        message: MessageId,
    ) -> Result<Option<InboxItem>, StoreError> {
        Ok(self.lock().home(&citizen).inbox_item(&citizen, message))
    }

    async fn events(
        &self,
        citizen: FiscalCode,
        after: Option<u64>,
        limit: usize,
    ) -> Result<InboxEvents, StoreError> {
        Ok(self.lock().home(&citizen).events(&citizen, after, limit))
    }

    async fn mark(
        &self,
        citizen: FiscalCode,
        message: MessageId,
        change: MarkChange,
    ) -> Result<Option<InboxEntry>, StoreError> {
        Ok(self.lock().home(&citizen).mark(&citizen, message, change))
    }

    async fn addressed(
        &self,
        recipient: FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<(Message, MessageState)>, StoreError> {
        Ok(self.lock().home(&recipient).addressed(&recipient, after, limit))
    }

    async fn citizen(&self, fiscal_code: FiscalCode) -> Result<Option<Citizen>, StoreError> {
        Ok(self.lock().home(&fiscal_code).citizen(&fiscal_code).cloned())
    }

    async fn address_owner(&self, address: AddressId) -> Result<Option<FiscalCode>, StoreError> {
        Ok(self.lock().address_owner(address))
    }

    async fn put_citizens(&self, citizens: Vec<Citizen>) -> Result<Vec<Upsert>, StoreError> {
        let mut state = self.lock();
        Ok(citizens.into_iter().map(|citizen| state.put(citizen)).collect())
    }

    async fn swap_citizen(
        &self,
        citizen: Citizen,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError> {
        Ok(self.lock().swap(citizen, expected))
    }

    async fn erase(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        citizen: FiscalCode,
        checkpoints: ByLane<u64>,
        record: Erasure,
    ) -> Result<Erased, StoreError> {
        self.lock().erase(partition, epoch, &citizen, &checkpoints, record)
    }

    async fn erasures_due(
        &self,
        until: Millis,
        limit: usize,
    ) -> Result<Vec<FiscalCode>, StoreError> {
        Ok(self.lock().erasures_due(until, limit))
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        Ok(self.lock().erasures.values().rev().take(limit).copied().collect())
    }

    async fn open_partition(&self, id: PartitionId) -> Result<Opened, StoreError> {
        let mut state = self.lock();
        let partition = state.partition(id)?;
        partition.epoch += 1;
        Ok(partition.opened())
    }

    async fn arrivals(
        &self,
        partition: PartitionId,
        lane: Lane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        Ok(self.lock().partition(partition)?.arrivals(lane, from, limit))
    }

    async fn due(
        &self,
        partition: PartitionId,
        route: &RouteId,
        lane: Lane,
        until: Millis,
        limit: usize,
        except: &[(MessageId, Endpoint)],
    ) -> Result<(Vec<DueDelivery>, Option<Millis>), StoreError> {
        let mut state = self.lock();
        let partition = state.partition(partition)?;
        let mut found = Vec::new();
        for (its_lane, due, id, endpoint, via) in partition.pending() {
            if its_lane != lane || via != *route || except.contains(&(id, endpoint)) {
                continue;
            }
            if due > until || found.len() == limit {
                return Ok((found, Some(due)));
            }
            let (message, state) = partition.messages[&id].clone();
            let citizen = partition.citizen(&message.fiscal_code).cloned();
            found.push(DueDelivery { due, message, state, endpoint, citizen });
        }
        Ok((found, None))
    }

    async fn commit(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let owned = state.partition(partition)?;
        if owned.epoch != epoch.0 {
            return Err(StoreError::Fenced(partition));
        }
        for effect in &step.effects {
            if let Effect::Walked { walk, cursor, run, changed, .. } = effect {
                check_walk(walk, cursor, run.as_ref(), changed)?;
            }
        }
        for effect in step.effects {
            owned.apply(effect, step.at);
        }
        owned.checkpoints = owned.reached(&step.checkpoints);
        Ok(())
    }

    async fn books(&self, partitions: &[PartitionId]) -> Result<Books, StoreError> {
        let (mut state, mut sum) = (self.lock(), Books::default());
        for id in partitions {
            sum += state.partition(*id)?.books();
        }
        Ok(sum)
    }

    async fn registry(&self) -> Result<Registry, StoreError> {
        let state = self.lock();
        let organizations = state.organizations.values().cloned().collect();
        let services = state.services.values().cloned().map(|mut service| {
            if let Some(owner) = state.organizations.get(service.organization.id.as_str()) {
                service.organization = owner.clone();
            }
            Arc::new(service)
        });
        let keys = state.keys.values().cloned().collect();
        Ok(Registry { organizations, services: services.collect(), keys })
    }

    async fn put_organization(&self, organization: Organization) -> Result<(), StoreError> {
        let id = organization.id.as_str().to_owned();
        self.lock().organizations.insert(id, organization);
        Ok(())
    }

    async fn put_service(&self, service: Service) -> Result<(), StoreError> {
        let mut state = self.lock();
        let owner = service.organization.clone();
        state.organizations.entry(owner.id.as_str().to_owned()).or_insert(owner);
        state.services.insert(service.id.as_str().to_owned(), service);
        Ok(())
    }

    async fn put_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.lock().keys.insert(key.id.clone(), key);
        Ok(())
    }

    async fn remove_key(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.lock().keys.remove(id).is_some())
    }

    async fn forget_claims(&self, before: Millis) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let held = state.claims.len();
        state.claims.retain(|_, claim| claim.at >= before);
        Ok((held - state.claims.len()) as u64)
    }
}
