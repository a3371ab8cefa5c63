//! Records of citizens: written, replaced, changed by an effect. Each of them
//! keeps the indexes in step (see `index`).

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, DeviceId, PartitionId};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{StoreError, Swap, Upsert, Written};

use super::group::Group;
use super::index::Indexed;
use crate::store::{first_revision, renew};

impl Group {
    /// Writes citizens, new or known.
    pub(super) fn put_citizens(
        &mut self,
        citizens: Vec<Citizen>,
    ) -> Result<Vec<Upsert>, StoreError> {
        for citizen in &citizens {
            self.load_known(citizen, citizens.len())?;
        }
        Ok(citizens.into_iter().map(|citizen| self.put_citizen(citizen)).collect())
    }

    fn put_citizen(&mut self, mut citizen: Citizen) -> Upsert {
        let address_taken = self.is_taken(&citizen);
        if address_taken {
            citizen.email_validated = false;
        }
        let partition = self.home(&citizen.fiscal_code);
        let known = self.known_ordinal(&citizen.fiscal_code);
        if let Some(cell) = known.and_then(|ordinal| self.citizen(partition, ordinal)) {
            renew(&cell.value, &mut citizen);
            self.replace(partition, citizen);
            return Upsert { written: Written::Updated, address_taken };
        }
        citizen.version = 0;
        self.insert(partition, citizen);
        Upsert { written: Written::Inserted, address_taken }
    }

    /// Replaces the record that has revision `expected`.
    pub(super) fn swap_citizen(
        &mut self,
        mut citizen: Citizen,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError> {
        self.load_known(&citizen, 1)?;
        let partition = self.home(&citizen.fiscal_code);
        let known = self.known_ordinal(&citizen.fiscal_code);
        let stored = known.and_then(|ordinal| self.citizen(partition, ordinal));
        let revision = stored.map(|cell| cell.value.revision);
        if revision != expected {
            return Ok(Swap::Conflict);
        }
        if self.is_taken(&citizen) {
            return Ok(Swap::AddressTaken);
        }
        let stored = match revision {
            Some(revision) => {
                citizen.revision = revision.saturating_add(1);
                self.replace(partition, citizen.clone());
                citizen
            }
            None => self.insert(partition, citizen),
        };
        Ok(Swap::Stored(Box::new(stored)))
    }

    /// Loads what writing `citizen` needs; `new` citizens may be new.
    fn load_known(&mut self, citizen: &Citizen, new: usize) -> Result<(), StoreError> {
        let partition = self.home(&citizen.fiscal_code);
        if let Some(address) = Indexed::of(citizen).address {
            self.load_address(address)?;
        }
        let Some(ordinal) = self.ordinal(&citizen.fiscal_code)? else {
            return self.check_room(PartitionId(partition), new);
        };
        self.load_citizen(partition, ordinal)?;
        let stored = self.citizen(partition, ordinal).map(|cell| Indexed::of(&cell.value));
        stored.and_then(|stored| stored.address).map_or(Ok(()), |old| self.load_address(old))
    }

    /// Refuses when the ordinals of a partition could run out.
    fn check_room(&self, id: PartitionId, new: usize) -> Result<(), StoreError> {
        let left = u32::MAX - self.partition(id)?.next_ordinal;
        if usize::try_from(left).is_ok_and(|left| left < new) {
            return Err(StoreError::Unavailable(format!("partition {id} is full")));
        }
        Ok(())
    }

    /// Whether another citizen validated the address that `citizen` validates.
    fn is_taken(&self, citizen: &Citizen) -> bool {
        let address = Indexed::of(citizen).address;
        let owner = address.and_then(|address| self.address_owner(address));
        owner.is_some_and(|owner| owner != citizen.fiscal_code)
    }

    /// Adds a record under the partition's next ordinal.
    fn insert(&mut self, partition: u16, mut citizen: Citizen) -> Citizen {
        let counters = self.partition_mut(partition);
        let ordinal = counters.next_ordinal;
        counters.next_ordinal += 1;
        citizen.revision = first_revision(ordinal);
        self.reindex(&citizen.fiscal_code, Indexed::default(), Indexed::of(&citizen));
        self.add_citizen(partition, ordinal, citizen.clone());
        citizen
    }

    /// Puts `citizen` in the place of the record loaded before.
    fn replace(&mut self, partition: u16, citizen: Citizen) {
        let code = citizen.fiscal_code;
        self.amend(partition, &code, |stored| {
            *stored = citizen;
            true
        });
    }

    /// Changes a record loaded before; `change` tells whether it did.
    fn amend(
        &mut self,
        partition: u16,
        code: &FiscalCode,
        change: impl FnOnce(&mut Citizen) -> bool,
    ) {
        let Some(ordinal) = self.known_ordinal(code) else { return };
        let Some(cell) = self.citizen(partition, ordinal) else { return };
        if cell.value.fiscal_code != *code {
            return;
        }
        let before = Indexed::of(&cell.value);
        if change(&mut cell.value) {
            cell.changed = true;
            let after = Indexed::of(&cell.value);
            self.reindex(code, before, after);
        }
    }

    /// Makes the record of a citizen of `partition` available to the effects
    /// that change it.
    pub(super) fn load_record(
        &mut self,
        partition: u16,
        code: &FiscalCode,
    ) -> Result<(), StoreError> {
        match self.ordinal(code)? {
            Some(ordinal) if self.home(code) == partition => self.load_citizen(partition, ordinal),
            _ => Ok(()),
        }
    }

    pub(super) fn drop_device(
        &mut self,
        partition: u16,
        code: &FiscalCode,
        device: DeviceId,
        registered_before: Millis,
    ) {
        self.amend(partition, code, |citizen| {
            let held = citizen.devices.len();
            citizen
                .devices
                .retain(|known| known.registered_at >= registered_before || known.id() != device);
            let dropped = citizen.devices.len() < held;
            citizen.revision = citizen.revision.saturating_add(u64::from(dropped));
            dropped
        });
    }

    pub(super) fn refuse_address(&mut self, partition: u16, code: &FiscalCode, address: AddressId) {
        self.amend(partition, code, |citizen| {
            let refused = citizen.email_validated && citizen.address() == Some(address);
            if refused {
                citizen.email_validated = false;
                citizen.revision = citizen.revision.saturating_add(1);
            }
            refused
        });
    }
}
