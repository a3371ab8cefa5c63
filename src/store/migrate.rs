//! Moving an embedded store into an empty one in Redis.
//!
//! Every row is moved as it is: ids, ordinals, places in the order of events,
//! marks, claims, cursors, books and epochs are the same afterwards, so that an
//! inbox looks the same and a session goes on from the place it was told.
//!
//! The source is opened like by a server, which keeps every other process out of
//! it, and only read. It is read twice: once to move its rows, once to count
//! whether they are there. Rows are handed over in parts of [`PART`], of which
//! [`WAITING`] wait at most: neither side is ever held whole.
//!
//! A crash, or a Redis that goes away, leaves a target that nobody can open and
//! that the same move goes on with. It names the state of the source: once that
//! was changed, the move has to start over.

use std::path::{Path, PathBuf};

use araldo_actors::port::store::StoreError;
use tokio::sync::mpsc;

use super::embedded::{self, EmbeddedOptions, EmbeddedStore, Source};
use super::redis::{self, Counter, Obstacle, RedisOptions, Target};
use row::Row;

pub(super) mod row;

/// Rows handed over together.
const PART: usize = 512;
/// Parts that wait to be written.
const WAITING: usize = 8;
/// Memory for blocks of the source, bytes.
const CACHE: u64 = 32 << 20;

/// Why a store was not moved; one sentence.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is nothing to move.
    #[error("there is no store in {}: name the folder that was store.path", .0.display())]
    NoSource(PathBuf),
    /// The source cannot be opened.
    #[error("{0}{hint}", hint = hint(.0))]
    Source(embedded::OpenError),
    /// The target cannot be opened.
    #[error(transparent)]
    Target(#[from] redis::OpenError),
    /// A store is there already.
    #[error(
        "there is a store '{prefix}' in Redis ({at}) already, and a store can only be moved to where \
         there is none: choose another store.redis_prefix"
    )]
    Taken {
        /// Which servers.
        at: String,
        /// What its keys begin with.
        prefix: String,
    },
    /// A move of something else began there.
    #[error(
        "the store '{prefix}' in Redis ({at}) was half filled by a move of another store, or of this \
         one before it was changed: use --start-over to remove what is there and move all of it"
    )]
    Other {
        /// Which servers.
        at: String,
        /// What its keys begin with.
        prefix: String,
    },
    /// The source cannot be read.
    #[error("the store to be moved: {0}")]
    Reading(StoreError),
    /// The target cannot be written.
    #[error("{0}; nothing is lost: run it again to go on")]
    Writing(StoreError),
    /// Rows are missing.
    #[error(
        "after the move {key} has {found} rows and not {given}: what is in Redis must not be used; \
         use --start-over to move it again"
    )]
    Miscounted {
        /// What is missing rows.
        key: String,
        /// Rows moved.
        given: u64,
        /// Rows there.
        found: u64,
    },
}

fn hint(error: &embedded::OpenError) -> &'static str {
    match error {
        embedded::OpenError::InUse(_) => ": stop the server first",
        embedded::OpenError::Partitions { .. } => {
            ": set engine.partitions to what it was made with"
        }
        _ => "",
    }
}

/// What a move does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows are moved.
    Moving,
    /// Rows are counted.
    Counting,
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it does.
    pub stage: Stage,
    /// Partitions it is done with.
    pub done: u16,
    /// All partitions.
    pub partitions: u16,
    /// Rows so far, in this stage.
    pub rows: u64,
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Organisations, services and keys.
    pub registered: u64,
    /// Citizens.
    pub citizens: u64,
    /// Messages.
    pub messages: u64,
    /// Entries of inboxes.
    pub inbox_entries: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Alerts.
    pub alerts: u64,
    /// Rows of all kinds.
    pub rows: u64,
}

impl Moved {
    fn count(&mut self, row: &Row) {
        self.rows += 1;
        match row {
            Row::Registered(..) => self.registered += 1,
            Row::Citizen(..) => self.citizens += 1,
            Row::Message(..) => self.messages += 1,
            Row::Inbox(..) => self.inbox_entries += 1,
            Row::Due(_) => self.waiting += 1,
            Row::Alert(_) => self.alerts += 1,
            _ => {}
        }
    }
}

/// What is to be moved where.
pub struct Migration {
    /// The folder of the embedded store.
    pub from: PathBuf,
    /// The store in Redis.
    pub to: RedisOptions,
    /// Whether what an unfinished move left is removed first.
    pub start_over: bool,
    /// The installation's secret that lies beside the embedded store, which all
    /// nodes are to share.
    pub secret: Option<[u8; 32]>,
}

/// Moves a store; `tell` hears how far it is.
///
/// # Errors
/// [`MigrateError`], one sentence that says what to do.
pub async fn migrate(
    migration: &Migration,
    mut tell: impl FnMut(Progress),
) -> Result<Moved, MigrateError> {
    let (path, partitions) = (migration.from.clone(), migration.to.partitions);
    let opened = tokio::task::spawn_blocking(move || open(&path, partitions)).await;
    let store = opened.map_err(|error| stopped(&error))??;
    let source = store.source();
    let fingerprint = source.fingerprint().map_err(MigrateError::Reading)?;
    let begun = Target::begin(&migration.to, fingerprint, migration.start_over).await;
    let (mut target, moved) = begun.map_err(|obstacle| refused(obstacle, migration))?;
    move_rows(&source, &mut target, moved, &mut tell).await?;
    let moved = count_rows(&source, &target, &mut tell).await?;
    target.finish(migration.secret).await.map_err(MigrateError::Writing)?;
    drop(source);
    // Waits for its threads.
    let closed = tokio::task::spawn_blocking(move || drop(store)).await;
    closed.map_err(|error| stopped(&error))?;
    Ok(moved)
}

fn stopped(error: &tokio::task::JoinError) -> MigrateError {
    MigrateError::Reading(StoreError::Unavailable(format!("a read did not end: {error}")))
}

fn open(path: &Path, partitions: u16) -> Result<EmbeddedStore, MigrateError> {
    // Or opening it would make one.
    if !path.join("db").is_dir() {
        return Err(MigrateError::NoSource(path.to_owned()));
    }
    let options = EmbeddedOptions { path: path.to_owned(), partitions, cache_bytes: CACHE };
    EmbeddedStore::open(&options).map_err(MigrateError::Source)
}

fn refused(obstacle: Obstacle, migration: &Migration) -> MigrateError {
    let prefix = migration.to.prefix.clone();
    match obstacle {
        Obstacle::Taken(at) => MigrateError::Taken { at, prefix },
        Obstacle::Other(at) => MigrateError::Other { at, prefix },
        Obstacle::Open(error) => MigrateError::Target(error),
    }
}

/// Which rows are read.
#[derive(Clone, Copy)]
enum Of {
    All,
    Partition(u16),
}

/// Reads rows on a thread of its own and hands them over in parts.
async fn each_part(
    source: &Source,
    of: Of,
    mut take: impl AsyncFnMut(Vec<Row>) -> Result<(), MigrateError>,
) -> Result<(), MigrateError> {
    let (parts, mut waiting) = mpsc::channel(WAITING);
    let source = source.clone();
    let reading = tokio::task::spawn_blocking(move || read(&source, of, &parts));
    let mut taken = Ok(());
    while let Some(part) = waiting.recv().await {
        taken = take(part).await;
        if taken.is_err() {
            break;
        }
    }
    // Whoever reads finds nobody who takes, and ends.
    drop(waiting);
    let read = reading.await.map_err(|error| stopped(&error))?;
    taken?;
    read.map_err(MigrateError::Reading)
}

fn read(source: &Source, of: Of, parts: &mpsc::Sender<Vec<Row>>) -> Result<(), StoreError> {
    let mut part = Vec::with_capacity(PART);
    let send = |part: Vec<Row>| {
        let gone = |_| StoreError::Unavailable("nobody takes its rows".to_owned());
        parts.blocking_send(part).map_err(gone)
    };
    let mut sink = |row| {
        part.push(row);
        if part.len() < PART { Ok(()) } else { send(std::mem::take(&mut part)) }
    };
    match of {
        Of::All => source.shared(&mut sink)?,
        Of::Partition(partition) => source.partition(partition, &mut sink)?,
    }
    send(part)
}

/// Everything, or what is left of it from partition `first` on: rows that all
/// share come first.
fn stretches(source: &Source, first: u16) -> impl Iterator<Item = Of> {
    let shared = (first == 0).then_some(Of::All);
    shared.into_iter().chain((first..source.partitions()).map(Of::Partition))
}

async fn move_rows(
    source: &Source,
    target: &mut Target,
    moved: u16,
    tell: &mut impl FnMut(Progress),
) -> Result<(), MigrateError> {
    let (partitions, mut rows) = (source.partitions(), 0);
    for of in stretches(source, moved) {
        let (partition, done) = match of {
            Of::All => (0, 0),
            Of::Partition(partition) => (partition, partition),
        };
        each_part(source, of, async |part| {
            rows += part.len() as u64;
            for row in part {
                target.put(partition, row).await.map_err(MigrateError::Writing)?;
            }
            tell(Progress { stage: Stage::Moving, done, partitions, rows });
            Ok(())
        })
        .await?;
        if let Of::Partition(partition) = of {
            target.note(partition + 1).await.map_err(MigrateError::Writing)?;
        }
    }
    target.flush().await.map_err(MigrateError::Writing)
}

async fn count_rows(
    source: &Source,
    target: &Target,
    tell: &mut impl FnMut(Progress),
) -> Result<Moved, MigrateError> {
    let (partitions, mut moved, mut counter) =
        (source.partitions(), Moved::default(), Counter::default());
    for of in stretches(source, 0) {
        let (partition, done) = match of {
            Of::All => (0, 0),
            Of::Partition(partition) => (partition, partition),
        };
        each_part(source, of, async |part| {
            for row in part {
                moved.count(&row);
                let found = counter.add(target, partition, &row).await;
                compared(found.map_err(MigrateError::Writing)?)?;
            }
            tell(Progress { stage: Stage::Counting, done, partitions, rows: moved.rows });
            Ok(())
        })
        .await?;
    }
    compared(counter.finish(target).await.map_err(MigrateError::Writing)?)?;
    Ok(moved)
}

fn compared(found: Option<redis::Miscounted>) -> Result<(), MigrateError> {
    match found {
        None => Ok(()),
        Some(redis::Miscounted { key, given, found }) => {
            Err(MigrateError::Miscounted { key, given, found })
        }
    }
}
