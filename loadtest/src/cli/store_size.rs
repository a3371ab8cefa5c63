//! `araldo-loadtest store-size FOLDER`: a store in its least form, table by table. Hidden: `bench push` runs it on what is left
//! of its rounds. It writes to the store, and no server may have it open.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use fjall::{Database, KeyspaceCreateOptions};

use super::Failure;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the storage library's files, `db` in the store's
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let sizes = merged(&arguments.folder)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&sizes)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes every table's memory out, merges the table, and gives its bytes.
fn merged(folder: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let fault = |error: fjall::Error| format!("{}: {error}", folder.display());
    if !folder.is_dir() {
        return Err(format!("{}: there is no store", folder.display()).into());
    }
    let database = Database::builder(folder).open().map_err(fault)?;
    let mut sizes = BTreeMap::new();
    for name in database.list_keyspace_names() {
        let table = database.keyspace(&name, KeyspaceCreateOptions::default).map_err(fault)?;
        table.rotate_memtable_and_wait().map_err(fault)?;
        table.major_compact().map_err(fault)?;
        sizes.insert(name.to_string(), table.disk_space());
    }
    Ok(sizes)
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
