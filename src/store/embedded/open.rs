//! Opening the folder: every reason to refuse it, before anything is served.
//!
//! The order matters. The folder's lock comes first, so that no check looks at
//! files another process is changing. The journals are examined before the
//! storage engine opens (and may cut) them. The format is read before anything
//! that depends on it. Then the commit numbers: each table must be exactly at the
//! commit that last wrote to it, and the database at or after the commit mark.
//! (A table can be *ahead* of the others when the journal lost batches whose
//! rows that table had already moved to its own files.)

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fjall::{CompressionType, Database, PersistMode};

use araldo_actors::port::store::StoreError;

use super::EmbeddedOptions;
use super::group::Group;
use super::journal::{self, Broken};
use super::key;
use super::mark::{CommitMark, Marked};
use super::route::Routes;
use super::row::{CommitRow, FormatRow, PartitionRow, decode, encode};
use super::table::{Table, Tables, View};

/// The layout this version writes and reads.
pub(super) const FORMAT_VERSION: u16 = 4;
/// Most partitions a store can have.
const MAX_PARTITIONS: u16 = 4_096;
/// Journal files are kept up to this many bytes; bounds what a start replays.
const JOURNAL_BYTES: u64 = 128 << 20;
/// Background threads of the storage engine; never one. A thread that turns a
/// full table over waits for room in the queue it alone would empty, and the
/// queue is full whenever a merge takes longer than a thousand commits: tables
/// then grow without bound (measured: 1.2 GB after a million messages). With
/// two, whoever takes from the queue makes room for the other.
const WORKERS: usize = 2;

/// A killed process holds its lock until the system has taken back its
/// memory: a start right after it waits up to two seconds.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration asks for what no store can be.
    #[error("a store has 1 to {MAX_PARTITIONS} partitions, not {0}")]
    PartitionRange(u16),
    /// The folder cannot be made, read or written.
    #[error("the store's folder {} cannot be used: {error}", path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("the store in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Written by another version.
    #[error(
        "the store in {} has format {found}, and this version reads format {FORMAT_VERSION}: \
         use the version that wrote it, or another folder",
        path.display()
    )]
    Version {
        /// The folder.
        path: PathBuf,
        /// The format it has.
        found: u16,
    },
    /// The number of partitions is fixed when a store is made.
    #[error(
        "the store in {} was made with {stored} partitions and cannot be opened with {configured}",
        path.display()
    )]
    Partitions {
        /// The folder.
        path: PathBuf,
        /// As made.
        stored: u16,
        /// As configured.
        configured: u16,
    },
    /// Something that was durable is gone or changed.
    #[error("the store in {} is damaged: {what}; restore it from a backup", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// The storage engine refused.
    #[error("the store in {} cannot be opened: {reason}", path.display())]
    Database {
        /// The folder.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// A folder opened and checked.
pub(super) struct Opening {
    pub(super) tables: Arc<Tables>,
    pub(super) routes: Arc<Routes>,
    pub(super) partitions: Vec<PartitionRow>,
    pub(super) commit: CommitRow,
    pub(super) mark: CommitMark,
    /// Held for as long as the store is open.
    pub(super) lock: File,
}

impl Opening {
    pub(super) fn group(&self) -> Group {
        Group::new(
            Arc::clone(&self.tables),
            Arc::clone(&self.routes),
            self.partitions.clone(),
            self.commit,
        )
    }
}

/// Opens the store in `options.path`, making it if there is none.
pub(super) fn open(options: &EmbeddedOptions) -> Result<Opening, OpenError> {
    if !(1..=MAX_PARTITIONS).contains(&options.partitions) {
        return Err(OpenError::PartitionRange(options.partitions));
    }
    let path = options.path.as_path();
    // What is in it is for the server alone; a folder that is there keeps its
    // mode.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| folder(path, error))?;
    let lock = lock(path)?;
    let mark_path = path.join("commit-mark");
    let (mut mark, marked) =
        CommitMark::open(&mark_path).map_err(|error| folder(&mark_path, error))?;
    if marked == Marked::Unreadable {
        let what = format!("the commit mark {} cannot be read", mark_path.display());
        return Err(damaged(path, what));
    }
    let data = path.join("db");
    clear_unfinished(path, &data, marked)?;
    examine_journals(path, &data, marked)?;
    let database = open_database(path, &data, options.cache_bytes)?;
    // Before any table is made: what is refused is left as it was found.
    let made = check_format(options, &database)?;
    let tables = Tables::open(database).map_err(|error| unopened(path, &data, error))?;
    let view = tables.view();
    let commit = if made {
        check_commits(path, &data, &view, marked)?
    } else if let Marked::Commit(number) = marked {
        return Err(lost(path, &data, 0, number));
    } else {
        make(options, &tables)?
    };
    mark.write(commit.number)
        .and_then(|()| mark.sync())
        .map_err(|error| folder(&mark_path, error))?;

    let view = tables.view();
    let routes = Routes::load(&view).map_err(|error| refused(path, error))?;
    let partitions = (0..options.partitions)
        .map(|partition| view.partition(partition))
        .collect::<Result<Vec<_>, StoreError>>()
        .map_err(|error| refused(path, error))?;
    drop(view);
    Ok(Opening {
        tables: Arc::new(tables),
        routes: Arc::new(routes),
        partitions,
        commit,
        mark,
        lock,
    })
}

fn folder(path: &Path, error: io::Error) -> OpenError {
    OpenError::Folder { path: path.to_owned(), error }
}

fn damaged(path: &Path, what: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), what }
}

fn refused(path: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Damaged(what) => damaged(path, what),
        other => OpenError::Database { path: path.to_owned(), reason: other.to_string() },
    }
}

/// Takes the folder's lock, which the system releases when the process ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let at = path.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&at);
    let file = file.map_err(|error| folder(&at, error))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(folder(&at, error)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
    Err(OpenError::InUse(path.to_owned()))
}

/// Removes what a first start left that was killed before the database was
/// complete (its `version` file comes last): nothing was accepted then.
fn clear_unfinished(path: &Path, data: &Path, marked: Marked) -> Result<(), OpenError> {
    let complete = data.join("version").try_exists().map_err(|error| folder(data, error))?;
    if complete {
        return Ok(());
    }
    if let Marked::Commit(number) = marked {
        let what = format!("commit {number} was durable, but {} has no database", data.display());
        return Err(damaged(path, what));
    }
    match std::fs::remove_dir_all(data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(folder(data, error)),
        _ => Ok(()),
    }
}

fn examine_journals(path: &Path, data: &Path, marked: Marked) -> Result<(), OpenError> {
    if !data.exists() {
        return Ok(());
    }
    match journal::examine(data, marked) {
        Ok(None) => Ok(()),
        Ok(Some(Broken { file, offset })) => {
            let what = format!(
                "the journal {} has a batch that cannot be read at byte {offset}, and it was durable",
                file.display()
            );
            Err(damaged(path, what))
        }
        Err(error) => Err(folder(data, error)),
    }
}

fn open_database(path: &Path, data: &Path, cache_bytes: u64) -> Result<Database, OpenError> {
    // A damaged file can make the storage engine panic.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Database::builder(data)
            .cache_size(cache_bytes)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNAL_BYTES)
            .journal_compression(CompressionType::None)
            .open()
    }));
    match opened {
        Ok(opened) => opened.map_err(|error| unopened(path, data, error)),
        Err(_) => Err(damaged(path, format!("a file of {} cannot be read", data.display()))),
    }
}

fn unopened(path: &Path, data: &Path, error: fjall::Error) -> OpenError {
    match error {
        fjall::Error::Locked => OpenError::InUse(path.to_owned()),
        fjall::Error::Io(error) => folder(data, error),
        fjall::Error::InvalidVersion(_) => OpenError::Database {
            path: path.to_owned(),
            reason: format!("{} is of another version of the storage engine", data.display()),
        },
        fjall::Error::JournalRecovery(error) => {
            damaged(path, format!("a journal ({}) cannot be read: {error:?}", journals(data)))
        }
        other => damaged(path, format!("a file of {} cannot be read: {other}", data.display())),
    }
}

/// Checks format and partition count; `false` if nothing was written yet.
fn check_format(options: &EmbeddedOptions, database: &Database) -> Result<bool, OpenError> {
    let path = &options.path;
    let read = || {
        let Some(row) = Tables::peek(database, Table::Meta, key::FORMAT)? else { return Ok(None) };
        decode::<FormatRow>(Table::Meta, &row, || "the format".to_owned()).map(Some)
    };
    let Some(format) = read().map_err(|error| refused(path, error))? else { return Ok(false) };
    if format.version != FORMAT_VERSION {
        return Err(OpenError::Version { path: path.clone(), found: format.version });
    }
    if format.partitions != options.partitions {
        return Err(OpenError::Partitions {
            path: path.clone(),
            stored: format.partitions,
            configured: options.partitions,
        });
    }
    Ok(true)
}

/// Checks that no commit is missing, in any table.
fn check_commits(
    path: &Path,
    data: &Path,
    view: &View<'_>,
    marked: Marked,
) -> Result<CommitRow, OpenError> {
    let read = |table: Table| view.get(table, key::COMMIT).map_err(|error| refused(path, error));
    let commit: CommitRow = match read(Table::Meta)? {
        Some(row) => decode(Table::Meta, &row, || "the commit number".to_owned())
            .map_err(|error| refused(path, error))?,
        None => return Err(damaged(path, "the commit number is missing".to_owned())),
    };
    if let Marked::Commit(number) = marked
        && number > commit.number
    {
        return Err(lost(path, data, commit.number, number));
    }
    for table in Table::ALL.into_iter().skip(1) {
        let found = read(table)?
            .map_or(Some(0), |row| Some(u64::from_be_bytes(row.as_ref().try_into().ok()?)));
        let expected = commit.last[table as usize];
        if found != Some(expected) {
            let found = found.map_or_else(|| "an unreadable number".to_owned(), |n| n.to_string());
            let what = format!(
                "table '{}' is at commit {found}, the database expects {expected} (journals: {})",
                table.name(),
                journals(data)
            );
            return Err(damaged(path, what));
        }
    }
    Ok(commit)
}

fn lost(path: &Path, data: &Path, found: u64, marked: u64) -> OpenError {
    let what = format!(
        "commit {marked} was durable, but the database ends with commit {found} (journals: {})",
        journals(data)
    );
    damaged(path, what)
}

/// Writes the first rows of a new store.
fn make(options: &EmbeddedOptions, tables: &Tables) -> Result<CommitRow, OpenError> {
    let path = &options.path;
    let mut commit = CommitRow { number: 1, ..CommitRow::default() };
    commit.last[Table::Meta as usize] = 1;
    let format = FormatRow { version: FORMAT_VERSION, partitions: options.partitions };
    let (mut format_row, mut commit_row) = (Vec::new(), Vec::new());
    encode(Table::Meta, &format, &mut format_row)
        .and_then(|()| encode(Table::Meta, &commit, &mut commit_row))
        .map_err(|error| refused(path, error))?;
    let mut batch = tables.database.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(tables.keyspace(Table::Meta), key::FORMAT, format_row);
    batch.insert(tables.keyspace(Table::Meta), key::COMMIT, commit_row);
    batch
        .commit()
        .map_err(|error| OpenError::Database { path: path.clone(), reason: error.to_string() })?;
    Ok(commit)
}

/// Names of the journal files.
fn journals(data: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(data)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "jnl"))
        .map(|entry| entry.path().display().to_string())
        .collect();
    names.sort();
    names.join(", ")
}
