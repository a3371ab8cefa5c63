//! What an alert costs on disk.
//!
//! Owns nothing but the stores it compares. A running store's folder says little: its journals are kept or dropped by the
//! hundred megabytes, and rows lie in several files until they are merged. So two stores of the same citizens are compared, one
//! with the alert and one without, after the server has ended: each is opened with the storage library itself, every table's
//! memory is written out and the table merged into its least form. What the one is larger by is what the alert left.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use araldo_loadtest::population::Population;
use araldo_loadtest::stage::{Stage, StageOptions};
use tokio::process::Command;

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

/// Bytes of each table of a store nobody has open, flushed and merged: by this program's hidden command, since a process can be
/// ended in the middle of it and a thread cannot.
async fn table_bytes(program: &Path, store: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let output = Command::new(program)
        .arg("store-size")
        .arg(store)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the store could not be measured: {}", said.trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
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
    let program = &with.sim.program;
    let without = table_bytes(program, &store(&without)).await?;
    let with = table_bytes(program, &store(with)).await?;
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
