//! Records of citizens: written and replaced. Both keep the indexes in step
//! (see `index`), and so does an effect that changes a record.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, PartitionId};
use araldo_actors::port::store::{StoreError, Swap, Upsert, Written};

use super::group::Group;
use crate::store::effect::Cell;
use crate::store::index::Indexed;
use crate::store::{first_revision, renew};

/// A record ready to be written: its address is hashed by the caller, so that
/// the writer does not have to.
pub(super) struct Record {
    citizen: Citizen,
    address: Option<AddressId>,
}

impl Record {
    pub(super) fn new(citizen: Citizen) -> Self {
        Self { address: citizen.address(), citizen }
    }

    /// What the indexes are to hold of it.
    fn indexed(&self) -> Indexed {
        Indexed::with(&self.citizen, self.address)
    }

    /// What the indexes hold of `stored`, which it is to replace.
    fn replaced(&self, stored: &Citizen) -> Indexed {
        if stored.email == self.citizen.email {
            Indexed::with(stored, self.address)
        } else {
            Indexed::of(stored)
        }
    }
}

impl Group {
    /// Writes citizens, new or known.
    pub(super) fn put_citizens(&mut self, records: Vec<Record>) -> Result<Vec<Upsert>, StoreError> {
        for record in &records {
            self.load_known(record, records.len())?;
        }
        Ok(records.into_iter().map(|record| self.put_citizen(record)).collect())
    }

    fn put_citizen(&mut self, mut record: Record) -> Upsert {
        let code = record.citizen.fiscal_code;
        let partition = self.home(&code);
        let known = self.known_ordinal(&code);
        let stored = known.and_then(|ordinal| self.citizen(partition, ordinal));
        let is_known = stored.is_some();
        if let Some(cell) = stored {
            renew(&cell.value, &mut record.citizen);
            if cell.value.email == record.citizen.email {
                // It may be the address of the stored record, not the one given.
                record = Record::new(record.citizen);
            }
        }
        let address_taken = self.is_taken(&record);
        if address_taken {
            record.citizen.email_validated = false;
        }
        if is_known {
            self.replace(partition, record);
            return Upsert { written: Written::Updated, address_taken };
        }
        record.citizen.version = 0;
        record.citizen.revision = first_revision(self.next_ordinal(partition));
        self.insert(partition, record);
        Upsert { written: Written::Inserted, address_taken }
    }

    /// Replaces the record that has revision `expected`.
    pub(super) fn swap_citizen(
        &mut self,
        mut record: Record,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError> {
        self.load_known(&record, 1)?;
        let code = record.citizen.fiscal_code;
        let partition = self.home(&code);
        let known = self.known_ordinal(&code);
        let stored = known.and_then(|ordinal| self.citizen(partition, ordinal));
        let revision = stored.map(|cell| cell.value.revision);
        if revision != expected {
            return Ok(Swap::Conflict);
        }
        if self.is_taken(&record) {
            return Ok(Swap::AddressTaken);
        }
        record.citizen.revision = match revision {
            Some(revision) => revision.saturating_add(1),
            None => first_revision(self.next_ordinal(partition)),
        };
        let stored = Box::new(record.citizen.clone());
        if revision.is_some() {
            self.replace(partition, record);
        } else {
            self.insert(partition, record);
        }
        Ok(Swap::Stored(stored))
    }

    /// Loads what writing `record` needs; `new` citizens may be new.
    fn load_known(&mut self, record: &Record, new: usize) -> Result<(), StoreError> {
        let code = &record.citizen.fiscal_code;
        let partition = self.home(code);
        let mut before = None;
        if let Some(ordinal) = self.ordinal(code)? {
            self.load_citizen(partition, ordinal)?;
            let stored = self.citizen(partition, ordinal);
            before = stored.and_then(|cell| record.replaced(&cell.value).address);
        } else {
            self.check_room(PartitionId(partition), new)?;
        }
        let after = record.indexed().address;
        // Whoever keeps an address has it: most of an import that is repeated.
        if before != after {
            for address in [before, after].into_iter().flatten() {
                self.load_address(address)?;
            }
        }
        Ok(())
    }

    /// Refuses when the ordinals of a partition could run out.
    fn check_room(&self, id: PartitionId, new: usize) -> Result<(), StoreError> {
        let left = u32::MAX - self.partition(id)?.next_ordinal;
        if usize::try_from(left).is_ok_and(|left| left < new) {
            return Err(StoreError::Unavailable(format!("partition {id} is full")));
        }
        Ok(())
    }

    /// Whether another citizen validated the address that `record` validates;
    /// one that was not loaded is its own already.
    fn is_taken(&self, record: &Record) -> bool {
        let owner = record.indexed().address.and_then(|address| self.address_owner(address));
        owner.is_some_and(|owner| owner != record.citizen.fiscal_code)
    }

    fn next_ordinal(&mut self, partition: u16) -> u32 {
        self.partition_mut(partition).next_ordinal
    }

    /// Adds a record under the partition's next ordinal.
    fn insert(&mut self, partition: u16, record: Record) {
        let ordinal = self.next_ordinal(partition);
        self.partition_mut(partition).next_ordinal += 1;
        let code = record.citizen.fiscal_code;
        self.reindex(&code, Indexed::default(), record.indexed());
        self.add_citizen(partition, ordinal, record.citizen);
    }

    /// Puts a record in the place of the one loaded before.
    fn replace(&mut self, partition: u16, record: Record) {
        let code = record.citizen.fiscal_code;
        let Some(ordinal) = self.known_ordinal(&code) else { return };
        let Some(cell) = self.citizen(partition, ordinal) else { return };
        let (before, after) = (record.replaced(&cell.value), record.indexed());
        *cell = Cell::written(record.citizen);
        self.reindex(&code, before, after);
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
}
