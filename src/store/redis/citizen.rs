//! Records of citizens: any node writes them, each if it is still the one that
//! was read.
//!
//! A new citizen's ordinal is taken first, since the first revision counts from
//! it; what fails afterwards leaves a hole, like an erased citizen. That it was
//! taken may be lost with a master, so the record is written only where there is
//! none, or another is taken. A write whose answer was lost is sent again, finds
//! that the record changed, and reads it: if it is what was to be written, it was.

use std::collections::{BTreeMap, HashMap, HashSet};

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::AddressId;
use araldo_actors::port::store::{StoreError, Swap, Upsert, Written};

use super::RedisStore;
use super::base::{Numbered, TRIES, command, overtaken, some_at_once};
use super::batch::{Applied, Batch};
use super::key::{self, Space};
use super::reply;
use super::row::{self, Holder};
use crate::store::index::Indexed;
use crate::store::{first_revision, renew};

/// Records written together.
const TOGETHER: usize = 256;
/// Records of one partition in one script.
const IN_A_BATCH: usize = 64;

/// A record about to be written.
#[derive(Clone)]
struct Change {
    partition: u16,
    ordinal: u32,
    /// As read; none: a new citizen.
    stored: Option<Citizen>,
    record: Citizen,
}

impl Change {
    const fn holder(&self) -> Holder {
        let (partition, ordinal) = (self.partition, self.ordinal);
        Holder { partition, ordinal, revision: self.record.revision }
    }

    fn before(&self) -> Indexed {
        self.stored.as_ref().map_or_else(Indexed::default, Indexed::of)
    }

    const fn upsert(&self, address_taken: bool) -> Upsert {
        let written = if self.stored.is_some() { Written::Updated } else { Written::Inserted };
        Upsert { written, address_taken }
    }

    /// The address it validates and the record before did not.
    fn wanted(&self) -> Option<AddressId> {
        Indexed::of(&self.record).address.filter(|wanted| self.before().address != Some(*wanted))
    }

    /// The address that the record before validated and this one does not.
    fn given_up(&self) -> Option<(AddressId, Holder)> {
        let stored = self.stored.as_ref()?;
        let given_up = self.before().address?;
        let revision = stored.revision;
        (Indexed::of(&self.record).address != Some(given_up))
            .then_some((given_up, Holder { revision, ..self.holder() }))
    }

    fn write(&self, space: &Space, batch: &mut Batch) -> Result<(), StoreError> {
        let (code, ordinal) = (self.record.fiscal_code, self.ordinal.to_be_bytes());
        let row = row::citizen(&self.record)?;
        match &self.stored {
            Some(stored) => {
                batch.check_field(&space.citizens(), &ordinal, &stored.revision.to_be_bytes());
            }
            None => {
                batch.check_field(&space.index(), code.as_bytes(), b"");
                // A failover may have lost that the ordinal was taken.
                batch.check_field(&space.citizens(), &ordinal, b"");
                batch.run("HSET", &space.index(), &[code.as_bytes(), &ordinal]);
            }
        }
        batch.run("HSET", &space.citizens(), &[&ordinal, &row]);
        let (before, after) = (self.before().deletion, Indexed::of(&self.record).deletion);
        match after {
            Some(due) if before != after => {
                let score = key::score(due);
                batch.run("ZADD", &space.deletions(), &[score.as_bytes(), code.as_bytes()]);
            }
            None if before.is_some() => batch.run("ZREM", &space.deletions(), &[code.as_bytes()]),
            _ => {}
        }
        if let Some((address, holder)) = self.given_up() {
            batch.run("SADD", &space.loose(), &[&row::loose(address, holder)]);
        }
        Ok(())
    }
}

impl RedisStore {
    /// Takes `count` ordinals of a partition; the first of them.
    async fn take_ordinals(&self, partition: u16, count: u32) -> Result<u32, StoreError> {
        let space = self.space(partition);
        let take =
            command("HINCRBY", &space.counters(), &[b"ordinals", count.to_string().as_bytes()]);
        let written = self.write(space, take).await?;
        let next = reply::count(reply::next(&mut written.values.into_iter()), "ordinals")?;
        let full = || StoreError::Unavailable(format!("partition {partition} is full"));
        u32::try_from(next).map_err(|_| full())?.checked_sub(count).ok_or_else(full)
    }

    /// The next ordinal of a partition.
    pub(super) async fn next_ordinal(&self, space: &Space) -> Result<u32, StoreError> {
        let look = command("HGET", &space.counters(), &[b"ordinals"]);
        let next = reply::number(self.read_one(space, look).await?, "ordinals")?.unwrap_or(0);
        Ok(u32::try_from(next).unwrap_or(u32::MAX))
    }

    pub(super) async fn put_all(&self, citizens: Vec<Citizen>) -> Result<Vec<Upsert>, StoreError> {
        let mut upserts = Vec::with_capacity(citizens.len());
        let mut rest = citizens.as_slice();
        while !rest.is_empty() {
            let stored = self.stored(&rest[..rest.len().min(TOGETHER)]).await?;
            let (some, others) = rest.split_at(independent(rest, &stored));
            upserts.extend(self.put_some(some, stored).await?);
            rest = others;
        }
        Ok(upserts)
    }

    /// What is stored of each of these citizens.
    async fn stored(
        &self,
        citizens: &[Citizen],
    ) -> Result<HashMap<FiscalCode, Numbered>, StoreError> {
        let mut codes: BTreeMap<u16, Vec<FiscalCode>> = BTreeMap::new();
        for citizen in citizens {
            let code = citizen.fiscal_code;
            codes.entry(self.home(&code)).or_default().push(code);
        }
        let look = |(partition, codes): (u16, Vec<FiscalCode>)| async move {
            let found = self.residents(partition, &codes).await?;
            Ok::<_, StoreError>(codes.into_iter().zip(found))
        };
        let found = some_at_once(codes.into_iter().map(look).collect()).await?;
        Ok(found.into_iter().flatten().filter_map(|(code, found)| Some((code, found?))).collect())
    }

    /// Writes citizens of whom none has to do with another.
    async fn put_some(
        &self,
        citizens: &[Citizen],
        stored: HashMap<FiscalCode, Numbered>,
    ) -> Result<Vec<Upsert>, StoreError> {
        let mut stored = stored;
        let mut upserts = vec![None; citizens.len()];
        let mut taken: HashMap<FiscalCode, u32> = HashMap::new();
        // What an earlier try meant to write.
        let mut meant: HashMap<usize, (Change, bool)> = HashMap::new();
        for _ in 0..TRIES {
            let mut left: Vec<usize> = Vec::new();
            for place in 0..citizens.len() {
                let found = stored.get(&citizens[place].fiscal_code).map(|(_, record)| record);
                match meant.remove(&place) {
                    Some((change, taken)) if found == Some(&change.record) => {
                        let taken = taken | self.finish(&change).await?;
                        upserts[place] = Some(change.upsert(taken));
                    }
                    _ if upserts[place].is_none() => left.push(place),
                    _ => {}
                }
            }
            if left.is_empty() {
                break;
            }
            self.number(citizens, &left, &stored, &mut taken).await?;
            let reserve = |place: usize| {
                let citizen = citizens[place].clone();
                let change = self.put_change(citizen, &stored, &taken);
                async move {
                    let (change, address_taken) = self.reserve_for(change).await?;
                    Ok::<_, StoreError>((place, change, address_taken))
                }
            };
            let prepared = some_at_once(left.into_iter().map(reserve).collect()).await?;
            let mut again = Vec::new();
            for (place, change, address_taken, done) in self.write_all(prepared).await? {
                if done {
                    upserts[place] = Some(change.upsert(address_taken));
                } else {
                    again.push(citizens[place].clone());
                    meant.insert(place, (change, address_taken));
                }
            }
            stored = self.stored(&again).await?;
            // Still not there: it may be the ordinal that is another's.
            taken.retain(|code, _| stored.contains_key(code));
        }
        upserts.into_iter().collect::<Option<Vec<_>>>().ok_or_else(overtaken)
    }

    /// Takes ordinals for those who are new, in their order.
    async fn number(
        &self,
        citizens: &[Citizen],
        left: &[usize],
        stored: &HashMap<FiscalCode, Numbered>,
        taken: &mut HashMap<FiscalCode, u32>,
    ) -> Result<(), StoreError> {
        let mut new: BTreeMap<u16, Vec<FiscalCode>> = BTreeMap::new();
        for place in left {
            let code = citizens[*place].fiscal_code;
            if !stored.contains_key(&code) && !taken.contains_key(&code) {
                new.entry(self.home(&code)).or_default().push(code);
            }
        }
        let take = |(partition, codes): (u16, Vec<FiscalCode>)| async move {
            let count = u32::try_from(codes.len()).unwrap_or(u32::MAX);
            let first = self.take_ordinals(partition, count).await?;
            Ok::<_, StoreError>((first..).zip(codes))
        };
        let numbered = some_at_once(new.into_iter().map(take).collect()).await?;
        taken.extend(numbered.into_iter().flatten().map(|(ordinal, code)| (code, ordinal)));
        Ok(())
    }

    fn put_change(
        &self,
        mut record: Citizen,
        stored: &HashMap<FiscalCode, Numbered>,
        taken: &HashMap<FiscalCode, u32>,
    ) -> Change {
        let code = record.fiscal_code;
        let partition = self.home(&code);
        if let Some((ordinal, stored)) = stored.get(&code) {
            renew(stored, &mut record);
            let (ordinal, stored) = (*ordinal, Some(stored.clone()));
            return Change { partition, ordinal, stored, record };
        }
        let ordinal = taken.get(&code).copied().unwrap_or(u32::MAX);
        record.version = 0;
        record.revision = first_revision(ordinal);
        Change { partition, ordinal, stored: None, record }
    }

    /// Reserves the address that a record wants; one that is taken is stored
    /// as not validated.
    async fn reserve_for(&self, mut change: Change) -> Result<(Change, bool), StoreError> {
        let Some(address) = change.wanted() else { return Ok((change, false)) };
        let reserved = self.reserve(address, change.holder()).await?;
        change.record.email_validated &= reserved;
        Ok((change, !reserved))
    }

    /// Writes records, those of a partition together; whether each was.
    async fn write_all(
        &self,
        prepared: Vec<(usize, Change, bool)>,
    ) -> Result<Vec<(usize, Change, bool, bool)>, StoreError> {
        let mut batches: BTreeMap<u16, Vec<(usize, Change, bool)>> = BTreeMap::new();
        for one in prepared {
            batches.entry(one.1.partition).or_default().push(one);
        }
        let batches = batches.into_iter().flat_map(|(partition, all)| {
            let chunks = all.chunks(IN_A_BATCH).map(<[_]>::to_vec).collect::<Vec<_>>();
            chunks.into_iter().map(move |some| (partition, some))
        });
        let write = |(partition, some): (u16, Vec<(usize, Change, bool)>)| async move {
            let changes: Vec<&Change> = some.iter().map(|(_, change, _)| change).collect();
            let done = self.write_changes(partition, &changes).await?;
            let mut written = Vec::with_capacity(some.len());
            for (place, change, mut address_taken) in some {
                if done {
                    address_taken |= self.finish(&change).await?;
                }
                written.push((place, change, address_taken, done));
            }
            Ok::<_, StoreError>(written)
        };
        let written = some_at_once(batches.map(write).collect()).await?;
        Ok(written.into_iter().flatten().collect())
    }

    /// Writes records of one partition, all or none.
    async fn write_changes(&self, partition: u16, changes: &[&Change]) -> Result<bool, StoreError> {
        let space = self.space(partition);
        let mut batch = Batch::new(space);
        for change in changes {
            change.write(space, &mut batch)?;
        }
        Ok(matches!(self.apply(space, batch).await?, Applied::Done(_)))
    }

    /// What follows a record that was written: the address it gave up is
    /// released, and the one it took looked at again. Whether another took that
    /// meanwhile, so that it is not validated after all.
    async fn finish(&self, change: &Change) -> Result<bool, StoreError> {
        if let Some(given_up) = change.given_up() {
            self.release(change.partition, &[given_up]).await;
        }
        let Some(address) = change.wanted() else { return Ok(false) };
        if self.is_mine(address, change.holder()).await? {
            return Ok(false);
        }
        for _ in 0..TRIES {
            let code = change.record.fiscal_code;
            let Some((ordinal, stored)) = self.resident(&code).await? else { return Ok(true) };
            if Indexed::of(&stored).address != Some(address) {
                return Ok(true);
            }
            let revision = stored.revision.saturating_add(1);
            let record = Citizen { email_validated: false, revision, ..stored.clone() };
            let partition = change.partition;
            let undo = Change { partition, ordinal, stored: Some(stored), record };
            if self.write_changes(partition, &[&undo]).await? {
                if let Some(given_up) = undo.given_up() {
                    self.release(partition, &[given_up]).await;
                }
                return Ok(true);
            }
        }
        Err(overtaken())
    }

    pub(super) async fn swap(
        &self,
        citizen: Citizen,
        expected: Option<u64>,
    ) -> Result<Swap, StoreError> {
        let code = citizen.fiscal_code;
        let partition = self.home(&code);
        let found = self.resident(&code).await?;
        if found.as_ref().map(|(_, stored)| stored.revision) != expected {
            return Ok(Swap::Conflict);
        }
        let mut record = citizen;
        let me = found.as_ref().map(|(ordinal, _)| (partition, *ordinal));
        let before = found.as_ref().and_then(|(_, stored)| Indexed::of(stored).address);
        if let Some(address) = Indexed::of(&record).address.filter(|one| before != Some(*one))
            && self.is_taken(address, me).await?
        {
            return Ok(Swap::AddressTaken);
        }
        let (ordinal, stored) = match found {
            Some((ordinal, stored)) => {
                record.revision = stored.revision.saturating_add(1);
                (ordinal, Some(stored))
            }
            None => {
                let ordinal = self.take_ordinals(partition, 1).await?;
                record.revision = first_revision(ordinal);
                (ordinal, None)
            }
        };
        let change = Change { partition, ordinal, stored, record };
        if let Some(address) = change.wanted()
            && !self.reserve(address, change.holder()).await?
        {
            return Ok(Swap::AddressTaken);
        }
        if !self.write_changes(partition, &[&change]).await? {
            let now = self.resident(&code).await?;
            if now.as_ref().map(|(_, record)| record) != Some(&change.record) {
                self.give_back(&change).await;
                return Ok(Swap::Conflict);
            }
        }
        if self.finish(&change).await? {
            return Ok(Swap::AddressTaken);
        }
        Ok(Swap::Stored(Box::new(change.record)))
    }

    /// Removes what was reserved for a record that was not written.
    async fn give_back(&self, change: &Change) {
        if let Some(address) = change.wanted() {
            self.release(change.partition, &[(address, change.holder())]).await;
        }
    }
}

/// How many of `citizens`, from the first on, have nothing to do with each
/// other: neither the same person nor the same address, before or after.
fn independent(citizens: &[Citizen], stored: &HashMap<FiscalCode, Numbered>) -> usize {
    let (mut codes, mut addresses) = (HashSet::new(), HashSet::new());
    for (place, citizen) in citizens.iter().take(TOGETHER).enumerate() {
        let code = citizen.fiscal_code;
        let before = stored.get(&code).and_then(|(_, stored)| Indexed::of(stored).address);
        let after = citizen.address().filter(|_| citizen.email_validated);
        let touched = [before, after.filter(|after| before != Some(*after))];
        let known = !codes.insert(code);
        let met = touched.into_iter().flatten().any(|address| !addresses.insert(address));
        if (known || met) && place > 0 {
            return place;
        }
    }
    citizens.len().min(TOGETHER)
}
