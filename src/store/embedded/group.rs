//! One group commit while it is being put together.
//!
//! Jobs that wait at the same time share one batch and one fsync. What they
//! change is kept decoded until the end (see `overlay`). Rows that no later job
//! of the group can ask for, or ask for by their key alone, go into the batch
//! at once.
//!
//! A job first loads every row it needs (which may fail and leaves nothing
//! behind) and only then changes any, so a job that fails cannot leave half of
//! its changes in a group that goes on.
//!
//! If the commit itself fails, the counters kept here are ahead of the
//! database; the store is then failed for good and never uses them again.

use std::sync::Arc;

use fjall::{OwnedWriteBatch, PersistMode, UserKey, UserValue};

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::floor::Place;
use super::key::{self, ChangeKey, DueKey, InboxKey};
use super::overlay::{Cell, Overlay};
use super::route::Routes;
use super::row::{ClaimRow, CommitRow, InboxRow, PartitionRow, decode, encode, unreadable};
use super::table::{TABLES, Table, Tables};

/// What a committed group leaves to be published.
pub(super) struct Published {
    /// The commit's number.
    pub(super) number: u64,
    pub(super) partitions: Vec<(u16, PartitionRow)>,
    pub(super) routes: Vec<(RouteId, u16)>,
    pub(super) due: Vec<(Place, Millis)>,
}

/// The group being put together, and the counters as of its end.
pub(super) struct Group {
    pub(super) tables: Arc<Tables>,
    pub(super) routes: Arc<Routes>,
    partitions: Vec<PartitionRow>,
    commit: CommitRow,
    pub(super) overlay: Overlay,
    batch: OwnedWriteBatch,
    touched: [bool; TABLES],
    buffer: Vec<u8>,
}

impl Group {
    pub(super) fn new(
        tables: Arc<Tables>,
        routes: Arc<Routes>,
        partitions: Vec<PartitionRow>,
        commit: CommitRow,
    ) -> Self {
        let batch = tables.database.batch();
        Self {
            tables,
            routes,
            partitions,
            commit,
            overlay: Overlay::default(),
            batch,
            touched: [false; TABLES],
            buffer: Vec::new(),
        }
    }

    /// Number of partitions.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.partitions.len()).unwrap_or(u16::MAX)
    }

    /// The partition of a citizen.
    pub(super) fn home(&self, code: &FiscalCode) -> u16 {
        PartitionId::of(code, self.count()).0
    }

    /// Counters of a partition.
    pub(super) fn partition(&self, partition: PartitionId) -> Result<&PartitionRow, StoreError> {
        self.partitions
            .get(usize::from(partition.0))
            .ok_or_else(|| StoreError::Unavailable(format!("there is no partition {partition}")))
    }

    /// Counters of a partition known to exist, to be changed.
    pub(super) fn partition_mut(&mut self, partition: u16) -> &mut PartitionRow {
        self.overlay.partitions.insert(partition);
        &mut self.partitions[usize::from(partition)]
    }

    /// Raises the epoch of a partition, so that earlier owners are fenced.
    pub(super) fn open(&mut self, id: PartitionId) -> Result<Epoch, StoreError> {
        self.partition(id)?;
        let counters = self.partition_mut(id.0);
        counters.epoch += 1;
        Ok(Epoch(counters.epoch))
    }

    /// Writes a row.
    pub(super) fn put(
        &mut self,
        table: Table,
        key: impl Into<UserKey>,
        value: impl Into<UserValue>,
    ) {
        self.touched[table as usize] = true;
        self.batch.insert(self.tables.keyspace(table), key, value);
    }

    /// Removes a row.
    pub(super) fn remove(&mut self, table: Table, key: impl Into<UserKey>) {
        self.touched[table as usize] = true;
        self.batch.remove(self.tables.keyspace(table), key);
    }

    /// Whether the partition holds a message.
    pub(super) fn has_message(&self, partition: u16, id: MessageId) -> Result<bool, StoreError> {
        if self.overlay.accepted.contains(&(partition, id)) {
            return Ok(true);
        }
        self.tables.has(Table::Messages, &key::message(partition, id))
    }

    pub(super) fn add_message(&mut self, partition: u16, id: MessageId) {
        self.overlay.accepted.insert((partition, id));
        self.overlay.states.remove(&(partition, id));
    }

    /// Makes the state of a message available to [`Group::state`].
    pub(super) fn load_state(&mut self, partition: u16, id: MessageId) -> Result<(), StoreError> {
        if self.overlay.states.contains_key(&(partition, id)) {
            return Ok(());
        }
        let at = key::message(partition, id);
        let state = match self.tables.latest(Table::States, &at)? {
            Some(bytes) => Some(decode(Table::States, &bytes, || {
                format!("partition {partition}, message {id}")
            })?),
            // Not written before the first change, which sets the time.
            None if self.has_message(partition, id)? => Some(MessageState::accepted(Millis(0))),
            None => None,
        };
        let cell = state.map(Cell::read);
        self.overlay.states.insert((partition, id), cell);
        Ok(())
    }

    /// A state made available before; none if the message is unknown.
    pub(super) fn state(
        &mut self,
        partition: u16,
        id: MessageId,
    ) -> Option<&mut Cell<MessageState>> {
        self.overlay.states.get_mut(&(partition, id))?.as_mut()
    }

    /// The ordinal of a citizen.
    pub(super) fn ordinal(&mut self, code: &FiscalCode) -> Result<Option<u32>, StoreError> {
        if let Some(known) = self.overlay.ordinals.get(code) {
            return Ok(*known);
        }
        let partition = self.home(code);
        let found =
            self.tables.latest(Table::CitizenIndex, &key::citizen_index(partition, code))?;
        let ordinal = match found {
            None => None,
            Some(bytes) => Some(u32::from_be_bytes(bytes.as_ref().try_into().map_err(|_| {
                unreadable(Table::CitizenIndex, || format!("partition {partition}"))
            })?)),
        };
        self.overlay.ordinals.insert(*code, ordinal);
        Ok(ordinal)
    }

    /// A citizen's ordinal, if [`Group::ordinal`] found it before.
    pub(super) fn known_ordinal(&self, code: &FiscalCode) -> Option<u32> {
        self.overlay.ordinals.get(code).copied().flatten()
    }

    /// Makes a citizen available to [`Group::citizen`].
    pub(super) fn load_citizen(&mut self, partition: u16, ordinal: u32) -> Result<(), StoreError> {
        if self.overlay.citizens.contains_key(&(partition, ordinal)) {
            return Ok(());
        }
        let place = || format!("partition {partition}, citizen number {ordinal}");
        let bytes = self
            .tables
            .latest(Table::Citizens, &key::citizen(partition, ordinal))?
            .ok_or_else(|| StoreError::Damaged(format!("{} is missing", place())))?;
        let value = decode(Table::Citizens, &bytes, place)?;
        self.overlay.citizens.insert((partition, ordinal), Cell::read(value));
        Ok(())
    }

    /// A citizen made available before.
    pub(super) fn citizen(&mut self, partition: u16, ordinal: u32) -> Option<&mut Cell<Citizen>> {
        self.overlay.citizens.get_mut(&(partition, ordinal))
    }

    /// Adds a citizen under the partition's next ordinal.
    pub(super) fn add_citizen(&mut self, partition: u16, ordinal: u32, citizen: Citizen) {
        let code = citizen.fiscal_code;
        self.put(
            Table::CitizenIndex,
            key::citizen_index(partition, &code).as_slice(),
            ordinal.to_be_bytes().as_slice(),
        );
        self.overlay.ordinals.insert(code, Some(ordinal));
        self.overlay.citizens.insert((partition, ordinal), Cell::written(citizen));
    }

    /// The first use of an idempotency key.
    pub(super) fn claim(&self, scope: &[u8; 32]) -> Result<Option<ClaimRow>, StoreError> {
        if let Some(row) = self.overlay.claims.get(scope) {
            return Ok(Some(*row));
        }
        let found = self.tables.latest(Table::Claims, &key::claim(scope))?;
        found.map(|bytes| decode(Table::Claims, &bytes, || "a claim".to_owned())).transpose()
    }

    pub(super) fn add_claim(&mut self, scope: [u8; 32], row: ClaimRow) -> Result<(), StoreError> {
        let mut value = Vec::new();
        encode(Table::Claims, &row, &mut value)?;
        self.put(Table::Claims, key::claim(&scope).as_slice(), value);
        self.put(Table::Claims, key::claim_by_time(row.at, &scope).as_slice(), [].as_slice());
        self.overlay.claims.insert(scope, row);
        Ok(())
    }

    pub(super) fn remove_claim(&mut self, scope: &[u8; 32], at: Millis) {
        self.overlay.claims.remove(scope);
        self.remove(Table::Claims, key::claim(scope).as_slice());
        self.remove(Table::Claims, key::claim_by_time(at, scope).as_slice());
    }

    /// Where the walks of an alert accepted now end in each partition.
    pub(super) fn ends(&self) -> Vec<u32> {
        self.partitions.iter().map(|counters| counters.next_ordinal).collect()
    }

    /// Makes sure that `route` has a number.
    pub(super) fn number_route(&mut self, route: &RouteId) -> Result<u16, StoreError> {
        if let Some(number) = self.known_route(route) {
            return Ok(number);
        }
        let taken = self.routes.count() + self.overlay.routes.len();
        let number = u16::try_from(taken)
            .map_err(|_| StoreError::Unavailable("65,536 routes were used".to_owned()))?;
        self.put(Table::Meta, key::meta_route(number).as_slice(), route.as_str());
        self.overlay.routes.insert(route.clone(), number);
        Ok(number)
    }

    pub(super) fn known_route(&self, route: &RouteId) -> Option<u16> {
        self.routes.number(route).or_else(|| self.overlay.routes.get(route).copied())
    }

    /// Writes (or removes) a due entry.
    pub(super) fn set_due(&mut self, entry: DueKey, live: bool) {
        self.overlay.due.insert(entry, live);
    }

    /// Makes an inbox entry available to [`Group::entry`].
    pub(super) fn load_entry(&mut self, at: InboxKey) -> Result<(), StoreError> {
        if self.overlay.inbox.contains_key(&at) {
            return Ok(());
        }
        let found = self.tables.latest(Table::Inbox, &key::inbox(at))?;
        let row = found.map(|bytes| {
            InboxRow::from_bytes(&bytes)
                .ok_or_else(|| unreadable(Table::Inbox, || format!("partition {}", at.0)))
        });
        self.overlay.inbox.insert(at, row.transpose()?.map(Cell::read));
        Ok(())
    }

    /// An inbox entry made available before; none if there is no such entry.
    pub(super) fn entry(&mut self, at: InboxKey) -> Option<&mut Cell<InboxRow>> {
        self.overlay.inbox.get_mut(&at)?.as_mut()
    }

    pub(super) fn add_entry(&mut self, at: InboxKey, row: InboxRow) {
        self.overlay.inbox.insert(at, Some(Cell::written(row)));
    }

    /// Writes (or removes) the place of a change of marks.
    pub(super) fn set_change(&mut self, at: ChangeKey, entry: Option<u64>) {
        self.overlay.changes.insert(at, entry);
    }

    /// Whether `registry` has a row.
    pub(super) fn is_registered(&self, key: &[u8]) -> Result<bool, StoreError> {
        match self.overlay.registered.get(key) {
            Some(live) => Ok(*live),
            None => self.tables.has(Table::Registry, key),
        }
    }

    pub(super) fn set_registered(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let live = value.is_some();
        match value {
            Some(value) => self.put(Table::Registry, key.as_slice(), value),
            None => self.remove(Table::Registry, key.as_slice()),
        }
        self.overlay.registered.insert(key, live);
    }

    /// Encodes what the jobs changed and hands out the batch, if there is
    /// anything in it, with what to publish once it is durable.
    pub(super) fn finish(&mut self) -> Result<Option<(OwnedWriteBatch, Published)>, StoreError> {
        let mut overlay = std::mem::take(&mut self.overlay);
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write_records(&mut overlay, &mut buffer)?;
        self.write_inbox(&mut overlay);
        self.write_alerts(&mut overlay, &mut buffer)?;
        self.write_indexes(&mut overlay);
        let mut published = Published {
            number: self.commit.number + 1,
            partitions: Vec::new(),
            routes: Vec::new(),
            due: Vec::new(),
        };
        for (entry, live) in overlay.due.drain() {
            if live {
                self.put(Table::Due, entry.to_bytes().as_slice(), [].as_slice());
                let place = (entry.partition, entry.route, entry.lane);
                published.due.push((place, entry.due));
            } else {
                self.remove(Table::Due, entry.to_bytes().as_slice());
            }
        }
        for partition in overlay.partitions.drain() {
            let row = self.partitions[usize::from(partition)];
            encode(Table::Meta, &row, &mut buffer)?;
            self.put(Table::Meta, key::meta_partition(partition).as_slice(), buffer.as_slice());
            published.partitions.push((partition, row));
        }
        published.routes.extend(overlay.routes.drain());
        if self.batch.is_empty() {
            return Ok(None);
        }
        self.number_commit(&mut buffer)?;
        self.buffer = buffer;
        self.touched = [false; TABLES];
        let batch = std::mem::replace(&mut self.batch, self.tables.database.batch());
        Ok(Some((batch.durability(Some(PersistMode::SyncData)), published)))
    }

    /// Puts states and citizens into the batch.
    fn write_records(
        &mut self,
        overlay: &mut Overlay,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        for ((partition, id), cell) in overlay.states.drain() {
            if let Some(Cell { value, changed: true }) = cell {
                encode(Table::States, &value, buffer)?;
                self.put(Table::States, key::message(partition, id).as_slice(), buffer.as_slice());
            }
        }
        for ((partition, ordinal), cell) in overlay.citizens.drain() {
            if cell.changed {
                encode(Table::Citizens, &cell.value, buffer)?;
                let at = key::citizen(partition, ordinal);
                self.put(Table::Citizens, at.as_slice(), buffer.as_slice());
            }
        }
        Ok(())
    }

    /// Puts inbox entries and the places of their changes into the batch.
    fn write_inbox(&mut self, overlay: &mut Overlay) {
        for (at, cell) in overlay.inbox.drain() {
            if let Some(Cell { value, changed: true }) = cell {
                let row = value.to_bytes();
                self.put(Table::Inbox, key::inbox(at).as_slice(), row.as_slice());
            }
        }
        for (at, entry) in overlay.changes.drain() {
            let at = key::inbox(at);
            match entry {
                Some(entry) => {
                    self.put(Table::Changes, at.as_slice(), entry.to_be_bytes().as_slice());
                }
                None => self.remove(Table::Changes, at.as_slice()),
            }
        }
    }

    /// Writes the group's number to each table it touches.
    fn number_commit(&mut self, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        self.commit.number += 1;
        let number = self.commit.number;
        self.touched[Table::Meta as usize] = true;
        for table in Table::ALL.into_iter().filter(|table| self.touched[*table as usize]) {
            self.commit.last[table as usize] = number;
        }
        for table in Table::ALL.into_iter().skip(1) {
            if self.touched[table as usize] {
                self.put(table, key::COMMIT, number.to_be_bytes().as_slice());
            }
        }
        let commit = self.commit;
        encode(Table::Meta, &commit, buffer)?;
        self.put(Table::Meta, key::COMMIT, buffer.as_slice());
        Ok(())
    }
}
