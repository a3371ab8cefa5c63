//! What is found by something other than the citizen: who validated an
//! address, and whose request to be deleted is due.
//!
//! Both tables follow the records of the citizens, in the same group commit:
//! `addresses` has a row for each record with a validated address, `erasures`
//! one for each pending request to be deleted.

use araldo_actors::domain::data_request::Erasure;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::AddressId;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::group::Group;
use super::key;
use super::overlay::Overlay;
use super::row::{decode, unreadable};
use super::table::{Table, View};
use crate::store::effect::Cell;
use crate::store::index::Indexed;

impl Group {
    /// Makes the owner of an address available to [`Group::address_owner`].
    pub(super) fn load_address(&mut self, address: AddressId) -> Result<(), StoreError> {
        if self.overlay.addresses.contains_key(&address) {
            return Ok(());
        }
        let found = self.tables.latest(Table::Addresses, &key::address(address))?;
        let owner = found.map(|row| owner(&row)).transpose()?;
        self.overlay.addresses.insert(address, Cell::read(owner));
        Ok(())
    }

    /// Who validated an address loaded before.
    pub(super) fn address_owner(&self, address: AddressId) -> Option<FiscalCode> {
        self.overlay.addresses.get(&address)?.value
    }

    /// Brings the indexes in step with a record that changed. Its addresses
    /// were loaded before.
    pub(super) fn reindex(&mut self, code: &FiscalCode, before: Indexed, after: Indexed) {
        if before.address != after.address {
            if let Some(old) = before.address
                && self.address_owner(old) == Some(*code)
            {
                self.overlay.addresses.insert(old, Cell::written(None));
            }
            if let Some(new) = after.address {
                self.overlay.addresses.insert(new, Cell::written(Some(*code)));
            }
        }
        if before.deletion != after.deletion {
            if let Some(old) = before.deletion {
                self.overlay.deletions.insert((old, *code), false);
            }
            if let Some(new) = after.deletion {
                self.overlay.deletions.insert((new, *code), true);
            }
        }
    }

    /// Puts the indexes' changes into the batch.
    pub(super) fn write_indexes(&mut self, overlay: &mut Overlay) {
        for (address, cell) in overlay.addresses.drain().filter(|(_, cell)| cell.changed) {
            let at = key::address(address);
            match cell.value {
                Some(owner) => {
                    self.put(Table::Addresses, at.as_slice(), owner.as_bytes().as_slice());
                }
                None => self.remove(Table::Addresses, at.as_slice()),
            }
        }
        for ((due, code), live) in overlay.deletions.drain() {
            let at = key::deletion(due, &code);
            if live {
                self.put(Table::Erasures, at.as_slice(), [].as_slice());
            } else {
                self.remove(Table::Erasures, at.as_slice());
            }
        }
    }
}

fn owner(row: &[u8]) -> Result<FiscalCode, StoreError> {
    let code = std::str::from_utf8(row).ok().and_then(|text| FiscalCode::parse(text).ok());
    code.ok_or_else(|| unreadable(Table::Addresses, || "the owner of an address".to_owned()))
}

impl View<'_> {
    /// Who validated an address.
    pub(super) fn address_owner(
        &self,
        address: AddressId,
    ) -> Result<Option<FiscalCode>, StoreError> {
        let found = self.get(Table::Addresses, &key::address(address))?;
        found.map(|row| owner(&row)).transpose()
    }

    /// Citizens to be erased by `until`, the oldest request first.
    pub(super) fn erasures_due(
        &self,
        until: Millis,
        limit: usize,
    ) -> Result<Vec<FiscalCode>, StoreError> {
        let mut to = [0xff; 25];
        to[..9].copy_from_slice(&key::deletions_from(until));
        let rows = self.range(Table::Erasures, &key::deletions_from(Millis(0)), &to);
        let damaged = || unreadable(Table::Erasures, || "a pending request".to_owned());
        rows.take(limit).map(|row| key::deletion_citizen(&row?.0).ok_or_else(damaged)).collect()
    }

    /// Records of erased citizens, the newest first.
    pub(super) fn erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        let rows = self.prefix(Table::Erasures, &key::erasures()).rev().take(limit);
        rows.map(|row| decode(Table::Erasures, &row?.1, || "a record".to_owned())).collect()
    }
}
