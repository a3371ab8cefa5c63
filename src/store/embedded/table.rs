//! The tables and how much memory each may hold.
//!
//! A table's newest rows stay in memory until `memtable` bytes are reached,
//! then they go to disk in the background. The sum over the tables, times up
//! to four while the disk is behind, is what the store may take beside its
//! cache; rows of a few bytes cost three to four times their size in memory,
//! which is why the tables of small rows have the small limits.
//!
//! Below the first level, filters and indexes are split into blocks of a few
//! KiB. Whole, the filter of a file of small rows is over a MiB: more than one
//! shard of the cache takes, so that each lookup would read all of it again
//! (measured: 200 µs instead of 5).

use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot, UserValue};

use araldo_actors::port::store::StoreError;

/// Number of tables.
pub(super) const TABLES: usize = 18;

const MIB: u64 = 1 << 20;

/// A table. The numbers are stored (in the commit row): never reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Meta = 0,
    Registry = 1,
    Citizens = 2,
    CitizenIndex = 3,
    Messages = 4,
    States = 5,
    Intake = 6,
    Due = 7,
    Inbox = 8,
    Claims = 9,
    Changes = 10,
    Addressed = 11,
    Addresses = 12,
    Erasures = 13,
    Alerts = 14,
    Cursors = 15,
    Ledger = 16,
    AlertOrder = 17,
}

impl Table {
    pub(super) const ALL: [Self; TABLES] = [
        Self::Meta,
        Self::Registry,
        Self::Citizens,
        Self::CitizenIndex,
        Self::Messages,
        Self::States,
        Self::Intake,
        Self::Due,
        Self::Inbox,
        Self::Claims,
        Self::Changes,
        Self::Addressed,
        Self::Addresses,
        Self::Erasures,
        Self::Alerts,
        Self::Cursors,
        Self::Ledger,
        Self::AlertOrder,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Registry => "registry",
            Self::Citizens => "citizens",
            Self::CitizenIndex => "citizen_index",
            Self::Messages => "messages",
            Self::States => "states",
            Self::Intake => "intake",
            Self::Due => "due",
            Self::Inbox => "inbox",
            Self::Claims => "claims",
            Self::Changes => "changes",
            Self::Addressed => "addressed",
            Self::Addresses => "addresses",
            Self::Erasures => "erasures",
            Self::Alerts => "alerts",
            Self::Cursors => "cursors",
            Self::Ledger => "ledger",
            Self::AlertOrder => "alert_order",
        }
    }

    /// Bytes of new rows kept in memory.
    const fn memtable(self) -> u64 {
        match self {
            Self::Messages | Self::Citizens | Self::States => 16 * MIB,
            Self::CitizenIndex
            | Self::Inbox
            | Self::Claims
            | Self::Intake
            | Self::Due
            | Self::Addressed
            | Self::Meta => 8 * MIB,
            Self::Changes | Self::Addresses | Self::Ledger => 4 * MIB,
            Self::Cursors | Self::AlertOrder => 2 * MIB,
            Self::Registry | Self::Erasures | Self::Alerts => MIB,
        }
    }

    fn options(self) -> KeyspaceCreateOptions {
        KeyspaceCreateOptions::default()
            .max_memtable_size(self.memtable())
            .filter_block_partitioning_policy(PartitioningPolicy::new([false, true]))
            .index_block_partitioning_policy(PartitioningPolicy::new([false, true]))
    }
}

/// The open database and its tables.
pub(super) struct Tables {
    pub(super) database: Database,
    tables: [Keyspace; TABLES],
}

impl Tables {
    /// Opens the tables of `database`, creating those that are missing.
    pub(super) fn open(database: Database) -> fjall::Result<Self> {
        let open = |table: Table| database.keyspace(table.name(), || table.options());
        let tables = [
            open(Table::ALL[0])?,
            open(Table::ALL[1])?,
            open(Table::ALL[2])?,
            open(Table::ALL[3])?,
            open(Table::ALL[4])?,
            open(Table::ALL[5])?,
            open(Table::ALL[6])?,
            open(Table::ALL[7])?,
            open(Table::ALL[8])?,
            open(Table::ALL[9])?,
            open(Table::ALL[10])?,
            open(Table::ALL[11])?,
            open(Table::ALL[12])?,
            open(Table::ALL[13])?,
            open(Table::ALL[14])?,
            open(Table::ALL[15])?,
            open(Table::ALL[16])?,
            open(Table::ALL[17])?,
        ];
        Ok(Self { database, tables })
    }

    /// Reads one row of a database whose tables are not yet opened, making
    /// none of them.
    pub(super) fn peek(
        database: &Database,
        table: Table,
        key: &[u8],
    ) -> Result<Option<UserValue>, StoreError> {
        if !database.keyspace_exists(table.name()) {
            return Ok(None);
        }
        database
            .keyspace(table.name(), || table.options())
            .and_then(|keyspace| keyspace.get(key))
            .map_err(|error| unavailable(table, &error))
    }

    pub(super) const fn keyspace(&self, table: Table) -> &Keyspace {
        &self.tables[table as usize]
    }

    /// Reads a row as last written. For the writer alone: others would see
    /// rows of a group that is being applied.
    pub(super) fn latest(&self, table: Table, key: &[u8]) -> Result<Option<UserValue>, StoreError> {
        self.keyspace(table).get(key).map_err(|error| unavailable(table, &error))
    }

    /// Whether a row exists, as last written. For the writer alone.
    pub(super) fn has(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.keyspace(table).contains_key(key).map_err(|error| unavailable(table, &error))
    }

    /// Rows whose keys lie from `from` to `to`, both included, as last
    /// written. For the writer alone.
    pub(super) fn latest_range(&self, table: Table, from: &[u8], to: &[u8]) -> Rows {
        Rows { table, rows: self.keyspace(table).range(from..=to) }
    }

    /// A consistent view of all tables.
    pub(super) fn view(&self) -> View<'_> {
        View { tables: self, snapshot: self.database.snapshot() }
    }
}

/// All tables at one instant: whole group commits, all of them durable.
pub(super) struct View<'a> {
    tables: &'a Tables,
    snapshot: Snapshot,
}

impl View<'_> {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<UserValue>, StoreError> {
        self.snapshot
            .get(self.tables.keyspace(table), key)
            .map_err(|error| unavailable(table, &error))
    }

    /// Rows whose keys lie from `from` to `to`, both included, in order.
    pub(super) fn range(&self, table: Table, from: &[u8], to: &[u8]) -> Rows {
        Rows { table, rows: self.snapshot.range(self.tables.keyspace(table), from..=to) }
    }

    /// Rows whose keys begin with `prefix`, in order.
    pub(super) fn prefix(&self, table: Table, prefix: &[u8]) -> Rows {
        Rows { table, rows: self.snapshot.prefix(self.tables.keyspace(table), prefix) }
    }
}

/// Rows of a range, from either end.
pub(super) struct Rows {
    table: Table,
    rows: fjall::Iter,
}

type Row = Result<(fjall::UserKey, UserValue), StoreError>;

impl Rows {
    fn read(&self, row: fjall::Guard) -> Row {
        row.into_inner().map_err(|error| unavailable(self.table, &error))
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let row = self.rows.next()?;
        Some(self.read(row))
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Row> {
        let row = self.rows.next_back()?;
        Some(self.read(row))
    }
}

/// A read that failed: a block whose checksum does not match is damage, the
/// rest is the disk's refusal.
fn unavailable(table: Table, error: &fjall::Error) -> StoreError {
    let name = table.name();
    match error {
        fjall::Error::Storage(fjall::LsmError::ChecksumMismatch { .. }) => {
            StoreError::Damaged(format!("table '{name}': a block does not match its checksum"))
        }
        other => StoreError::Unavailable(format!("table '{name}' cannot be read: {other}")),
    }
}
