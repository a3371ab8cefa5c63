//! Who validated an address: one citizen at most.
//!
//! The row of an address lies in the partition of its hash, the record that
//! says the same in its citizen's, and no script reaches both. What counts is
//! the record; the row leads to it, by partition and ordinal, and names nobody
//! once the citizen is erased.
//!
//! Whoever wants an address writes the row first, then the record, then looks at
//! the row again. Whoever finds another's row looks at that one's record: if it
//! validates the address, the address is taken; if not, the row is left over or
//! its record is about to be written, so it is replaced and the record looked at
//! once more. Each writes its own first and then looks at the other's, so at
//! least one of two sees the other and gives way.
//!
//! Whoever gives an address up notes it in the same step as *loose*, then
//! removes its row and the note. What a crash leaves in between is done when the
//! partition is taken over.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::AddressId;
use araldo_actors::port::store::StoreError;

use super::RedisStore;
use super::base::{TRIES, command, overtaken};
use super::batch::{Applied, Batch};
use super::reply;
use super::row::{self, Holder};

/// Loose rows looked at when a partition is taken over.
const LOOSE: usize = 256;

fn validates(citizen: &Citizen, address: AddressId) -> bool {
    citizen.email_validated && citizen.address() == Some(address)
}

impl RedisStore {
    async fn holder(&self, address: AddressId) -> Result<Option<Holder>, StoreError> {
        let space = self.of_address(address);
        let look = command("HGET", &space.addresses(), &[&address.0]);
        let row = reply::row(self.read_one(space, look).await?, "the owner of an address")?;
        row.map(|row| Holder::read(&row)).transpose()
    }

    /// The citizen of a row, if the record validates the address.
    async fn validator(
        &self,
        holder: Holder,
        address: AddressId,
    ) -> Result<Option<Citizen>, StoreError> {
        if holder.partition >= self.count() {
            return Err(reply::unexpected("the owner of an address"));
        }
        let found = self.by_ordinal(holder.partition, &[holder.ordinal]).await?;
        Ok(found.into_iter().flatten().find(|citizen| validates(citizen, address)))
    }

    /// Who validated an address.
    pub(super) async fn owner_of(
        &self,
        address: AddressId,
    ) -> Result<Option<FiscalCode>, StoreError> {
        let Some(holder) = self.holder(address).await? else { return Ok(None) };
        let found = self.validator(holder, address).await?;
        Ok(found.map(|citizen| citizen.fiscal_code))
    }

    /// Whether another citizen than `me` (none: one not known yet) validated
    /// an address.
    pub(super) async fn is_taken(
        &self,
        address: AddressId,
        me: Option<(u16, u32)>,
    ) -> Result<bool, StoreError> {
        match self.holder(address).await? {
            Some(holder) if Some((holder.partition, holder.ordinal)) != me => {
                Ok(self.validator(holder, address).await?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// Writes the row of an address if it is `expected`; whether it did.
    async fn swap_holder(
        &self,
        address: AddressId,
        expected: Option<Holder>,
        wanted: Option<Holder>,
    ) -> Result<bool, StoreError> {
        let space = self.of_address(address);
        let key = space.addresses();
        let expected = expected.map(Holder::to_bytes);
        let expected = expected.as_ref().map_or(&[][..], <[u8; 14]>::as_slice);
        let mut batch = Batch::new(space);
        batch.check_field(&key, &address.0, expected);
        match wanted {
            Some(wanted) => batch.run("HSET", &key, &[&address.0, &wanted.to_bytes()]),
            None => batch.run("HDEL", &key, &[&address.0]),
        }
        Ok(matches!(self.apply(space, batch).await?, Applied::Done(_)))
    }

    /// Takes an address for a record that is about to validate it; false when
    /// another's does.
    pub(super) async fn reserve(
        &self,
        address: AddressId,
        mine: Holder,
    ) -> Result<bool, StoreError> {
        // Most addresses are nobody's.
        let mut held = None;
        for _ in 0..TRIES {
            if self.swap_holder(address, held, Some(mine)).await? {
                let Some(other) = held.filter(|held| !held.is_same(mine)) else { return Ok(true) };
                if self.validator(other, address).await?.is_none() {
                    return Ok(true);
                }
                // It was validated just now.
                self.swap_holder(address, Some(mine), Some(other)).await?;
                return Ok(false);
            }
            held = self.holder(address).await?;
            if held == Some(mine) {
                return Ok(true);
            }
            if let Some(other) = held.filter(|held| !held.is_same(mine))
                && self.validator(other, address).await?.is_some()
            {
                return Ok(false);
            }
        }
        Err(overtaken())
    }

    /// Whether the row of an address still is the one reserved.
    pub(super) async fn is_mine(
        &self,
        address: AddressId,
        mine: Holder,
    ) -> Result<bool, StoreError> {
        Ok(self.holder(address).await?.is_some_and(|holder| holder.is_same(mine)))
    }

    /// Removes rows of addresses given up, and what was noted of them. What
    /// fails here is done when the partition is next taken over.
    pub(super) async fn release(&self, partition: u16, loose: &[(AddressId, Holder)]) {
        for (address, given_up) in loose {
            if let Err(error) = self.release_one(partition, *address, *given_up).await {
                tracing::debug!(partition, %error, "an address is released later");
            }
        }
    }

    async fn release_one(
        &self,
        partition: u16,
        address: AddressId,
        given_up: Holder,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let held = self.holder(address).await?;
            // A later revision took it again.
            let left = |held: &Holder| held.is_same(given_up) && held.revision <= given_up.revision;
            let Some(held) = held.filter(left) else { break };
            if self.swap_holder(address, Some(held), None).await? {
                break;
            }
        }
        let space = self.space(partition);
        let note = row::loose(address, given_up);
        self.write(space, command("SREM", &space.loose(), &[&note])).await?;
        Ok(())
    }

    /// Releases what a crash left.
    pub(super) async fn release_loose(&self, partition: u16) {
        let space = self.space(partition);
        let look = command("SRANDMEMBER", &space.loose(), &[LOOSE.to_string().as_bytes()]);
        let found = self.read_one(space, look).await;
        let notes = found.and_then(|value| reply::members(value, "loose addresses"));
        let loose: Result<Vec<_>, StoreError> =
            notes.and_then(|notes| notes.iter().map(|note| row::read_loose(note)).collect());
        match loose {
            Ok(loose) => self.release(partition, &loose).await,
            Err(error) => tracing::debug!(partition, %error, "addresses are released later"),
        }
    }
}
