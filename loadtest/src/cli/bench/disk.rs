//! What an alert costs on disk.
//!
//! Owns nothing but the stores it compares. A running store's folder says little: its journals are kept or dropped by the
//! hundred megabytes, and rows lie in several files until they are merged. So two stores of the same citizens are compared, one
//! with the alert and one without, after the server has ended: each is opened with the storage library itself, every table's
//! memory is written out and the table merged into its least form. What the one is larger by is what the alert left.

use std::collections::BTreeMap;
use std::path::Path;

use araldo_loadtest::population::Population;
use araldo_loadtest::stage::{Stage, StageOptions};
use fjall::{Database, KeyspaceCreateOptions};

use super::super::Failure;
use super::alert::alert_service;
use super::kit::{as_f64, import};
use super::push_round::{PushLoad, mix, prepare};

/// Bytes of all files below a folder; what vanishes meanwhile counts as nothing.
pub(super) fn folder_bytes(folder: &Path) -> f64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0.0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => folder_bytes(&entry.path()),
        Ok(about) => as_f64(about.len()),
        Err(_) => 0.0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// Bytes of each table of a store nobody has open, flushed and merged.
async fn table_bytes(store: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let store = store.to_owned();
    tokio::task::spawn_blocking(move || merged(&store)).await?
}

fn merged(store: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let fault = |error: fjall::Error| format!("{}: {error}", store.display());
    if !store.is_dir() {
        return Err(format!("{}: there is no store", store.display()).into());
    }
    let database = Database::builder(store).open().map_err(fault)?;
    let mut sizes = BTreeMap::new();
    for name in database.list_keyspace_names() {
        let table = database.keyspace(&name, KeyspaceCreateOptions::default).map_err(fault)?;
        table.rotate_memtable_and_wait().map_err(fault)?;
        table.major_compact().map_err(fault)?;
        sizes.insert(name.to_string(), table.disk_space());
    }
    Ok(sizes)
}

/// What the two stores differ by, all tables together and by table.
pub(super) struct Difference {
    pub(super) bytes_each: f64,
    /// The tables that differ by a hundredth of a byte a citizen or more.
    pub(super) by_table: BTreeMap<String, f64>,
}

/// Compares the store of a round that has ended with one of the same citizens and no alert, made in `without`.
pub(super) async fn compare(
    with: &StageOptions,
    mut without: StageOptions,
    load: &PushLoad,
) -> Result<Difference, Failure> {
    prepare(&mut without, load.provider);
    let stage = Stage::start(without.clone()).await?;
    let filled = fill(&stage, load).await;
    let ended = stage.shutdown().await;
    filled?;
    ended?;
    let store = |options: &StageOptions| options.folder.join("store/db");
    let with = table_bytes(&store(with)).await?;
    let without = table_bytes(&store(&without)).await?;
    let citizens = as_f64(load.citizens);
    let sum = |tables: &BTreeMap<String, u64>| as_f64(tables.values().sum());
    let grown = |(name, bytes): (&String, &u64)| {
        let before = without.get(name).copied().unwrap_or(0);
        let each = (as_f64(*bytes) - as_f64(before)) / citizens;
        (each.abs() >= 0.01).then(|| (name.clone(), each))
    };
    Ok(Difference {
        bytes_each: (sum(&with) - sum(&without)) / citizens,
        by_table: with.iter().filter_map(grown).collect(),
    })
}

async fn fill(stage: &Stage, load: &PushLoad) -> Result<(), Failure> {
    alert_service(stage).await?;
    let population = Population::new(load.seed, load.citizens, mix(load.provider));
    import(stage, &population, "the same citizens, no alert").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_measured_merged_and_a_row_more_makes_it_larger() {
        let size = |rows: u64| {
            let folder = tempfile::tempdir().unwrap();
            {
                let database = Database::builder(folder.path()).open().unwrap();
                let table = database.keyspace("rows", KeyspaceCreateOptions::default).unwrap();
                for row in 0..rows {
                    table.insert(row.to_be_bytes(), [7; 100]).unwrap();
                }
            }
            merged(folder.path()).unwrap()["rows"]
        };
        let (some, more) = (size(1_000), size(4_000));
        assert!(some > 0 && more > some, "{some} {more}");
    }
}
