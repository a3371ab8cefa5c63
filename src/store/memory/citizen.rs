//! Records of citizens in the reference store: written, replaced, erased.

use std::collections::BTreeMap;

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::{DataChoice, DataRequestStatus, Erasure};
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::domain::outcome::Outcome;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Backlog, Erased, StoreError, Swap, Upsert, Written};

use super::{Partition, State, count};
use crate::store::{first_revision, of_another_partition, renew, still_in_journal};

impl Partition {
    pub(super) fn citizen_mut(&mut self, code: &FiscalCode) -> Option<&mut Citizen> {
        self.ordinals.get(code).and_then(|&ordinal| self.citizens[ordinal].as_mut())
    }

    /// Writes a record as it is, but for its revision.
    fn write(&mut self, mut citizen: Citizen) -> Citizen {
        if let Some(stored) = self.citizen_mut(&citizen.fiscal_code) {
            citizen.revision = stored.revision + 1;
            *stored = citizen.clone();
        } else {
            let ordinal = self.citizens.len();
            citizen.revision = first_revision(u32::try_from(ordinal).unwrap_or(u32::MAX));
            self.ordinals.insert(citizen.fiscal_code, ordinal);
            self.citizens.push(Some(citizen.clone()));
        }
        citizen
    }

    fn erase(
        &mut self,
        code: &FiscalCode,
        checkpoints: &ByLane<u64>,
        at: Millis,
    ) -> Result<Erased, StoreError> {
        let reached = self.reached(checkpoints);
        let gone: Vec<MessageId> = self
            .messages
            .iter()
            .filter(|(_, (message, state))| {
                message.fiscal_code == *code && state.status != MessageStatus::Accepted
            })
            .map(|(id, _)| *id)
            .collect();
        for (lane, journal) in self.journals.iter() {
            let mut kept =
                journal.iter().skip(usize::try_from(reached[lane]).unwrap_or(usize::MAX));
            if kept.any(|id| gone.contains(id)) {
                return Err(still_in_journal());
            }
        }
        let mut cancelled: BTreeMap<RouteId, u64> = BTreeMap::new();
        for (_, mut state) in gone.iter().filter_map(|id| self.messages.remove(id)) {
            cancel(&mut state, at, &mut cancelled);
            count(&mut self.erased, &state);
        }
        if let Some(ordinal) = self.ordinals.remove(code) {
            self.citizens[ordinal] = None;
        }
        self.inbox.retain(|(owner, _)| owner != code);
        self.checkpoints = reached;
        let cancelled =
            cancelled.into_iter().map(|(route, pending)| Backlog { route, pending }).collect();
        Ok(Erased { messages: gone.len() as u64, cancelled })
    }
}

/// Ends what is pending of a message, and counts it by route.
fn cancel(state: &mut MessageState, at: Millis, cancelled: &mut BTreeMap<RouteId, u64>) {
    for delivery in &mut state.deliveries {
        if delivery.status.settle(Outcome::Cancelled, at)
            && let Some(route) = &delivery.route
        {
            *cancelled.entry(route.clone()).or_default() += 1;
        }
    }
}

/// When a citizen who asked for it is to be erased.
fn deletion(citizen: &Citizen) -> Option<Millis> {
    let request = citizen.data_requests.get(&DataChoice::Delete)?;
    (request.status == DataRequestStatus::Pending).then_some(request.due)
}

impl State {
    /// Who validated an address: the record of whoever did so last decides.
    pub(super) fn address_owner(&mut self, address: AddressId) -> Option<FiscalCode> {
        let code = *self.addresses.get(&address)?;
        let citizen = self.home(&code).citizen(&code)?;
        (citizen.email_validated && citizen.address() == Some(address)).then_some(code)
    }

    /// The address a record validates, and whether somebody else did before.
    fn claimed(&mut self, citizen: &Citizen) -> (Option<AddressId>, bool) {
        let address = citizen.address().filter(|_| citizen.email_validated);
        let owner = address.and_then(|address| self.address_owner(address));
        (address, owner.is_some_and(|owner| owner != citizen.fiscal_code))
    }

    pub(super) fn put(&mut self, mut citizen: Citizen) -> Upsert {
        let code = citizen.fiscal_code;
        let written = if let Some(stored) = self.home(&code).citizen(&code) {
            renew(stored, &mut citizen);
            Written::Updated
        } else {
            citizen.version = 0;
            Written::Inserted
        };
        let (address, address_taken) = self.claimed(&citizen);
        if address_taken {
            citizen.email_validated = false;
        } else if let Some(address) = address {
            self.addresses.insert(address, code);
        }
        self.home(&code).write(citizen);
        Upsert { written, address_taken }
    }

    pub(super) fn swap(&mut self, citizen: Citizen, expected: Option<u64>) -> Swap {
        let code = citizen.fiscal_code;
        if self.home(&code).citizen(&code).map(|stored| stored.revision) != expected {
            return Swap::Conflict;
        }
        let (address, taken) = self.claimed(&citizen);
        if taken {
            return Swap::AddressTaken;
        }
        if let Some(address) = address {
            self.addresses.insert(address, code);
        }
        Swap::Stored(Box::new(self.home(&code).write(citizen)))
    }

    pub(super) fn erase(
        &mut self,
        partition: PartitionId,
        epoch: Epoch,
        code: &FiscalCode,
        checkpoints: &ByLane<u64>,
        mut record: Erasure,
    ) -> Result<Erased, StoreError> {
        let count = u16::try_from(self.partitions.len()).unwrap_or(u16::MAX);
        let owned = self.partition(partition)?;
        if owned.epoch != epoch.0 {
            return Err(StoreError::Fenced(partition));
        }
        if PartitionId::of(code, count) != partition {
            return Err(of_another_partition());
        }
        let known = owned.citizen(code).is_some();
        let erased = owned.erase(code, checkpoints, record.erased_at)?;
        self.addresses.retain(|_, owner| owner != code);
        if known || erased.messages > 0 {
            record.messages = erased.messages;
            self.erasures.insert((record.erased_at, record.subject), record);
        }
        Ok(erased)
    }

    pub(super) fn erasures_due(&self, until: Millis, limit: usize) -> Vec<FiscalCode> {
        let citizens = self.partitions.iter().flat_map(|one| one.citizens.iter().flatten());
        let mut due: Vec<_> = citizens
            .filter_map(|citizen| Some((deletion(citizen)?, citizen.fiscal_code)))
            .filter(|(due, _)| *due <= until)
            .collect();
        due.sort_unstable();
        due.into_iter().take(limit).map(|(_, code)| code).collect()
    }
}
