//! The first key: a store without any admin key gets one, in a file that only
//! its owner can read. From then on keys are made through the operator API.
//!
//! Of several nodes that start at once on an empty Redis one makes the key, and
//! only that one has the file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use araldo_actors::domain::service::{ApiKey, Role};
use araldo_actors::port::clock::Clock;
use araldo_actors::port::store::{Store, StoreError};

use super::ServeError;
use super::store::OpenedStore;
use crate::http::key;
use crate::system::SystemClock;

/// Makes the first admin key, unless the store has one.
///
/// The file is written beside its place before the key is stored, and put there
/// after: a crash before leaves a key that opens nothing, which the next start
/// replaces; a crash in between leaves the key in `admin.key.new`, which the
/// next start puts into place.
pub(super) async fn ensure(store: &OpenedStore, file: &Path) -> Result<(), ServeError> {
    let failed = |error: io::Error| ServeError::FirstKey(format!("{}: {error}", file.display()));
    let unstored = |error: StoreError| ServeError::FirstKey(error.to_string());
    let new = beside(file);
    let known = store.port().registry().await.map_err(unstored)?.keys;
    if known.iter().any(|key| key.role == Role::Admin) {
        settle(&new, file, &known).map_err(failed)?;
        if !file.exists() {
            tell_missing(store, file);
        }
        return Ok(());
    }
    let made = key::create("first key".to_owned(), Role::Admin, None, SystemClock.now())
        .map_err(failed)?;
    write(&new, &made.secret).map_err(failed)?;
    if put(store, made.key).await.map_err(unstored)? {
        std::fs::rename(&new, file).map_err(failed)?;
        tracing::info!(file = %file.display(), "wrote the first admin key");
    } else {
        std::fs::remove_file(&new).map_err(failed)?;
        tell_missing(store, file);
    }
    Ok(())
}

/// Stores the key unless another node was faster; whether it did.
async fn put(store: &OpenedStore, key: ApiKey) -> Result<bool, StoreError> {
    match store {
        OpenedStore::Embedded(store) => store.put_key(key).await.map(|()| true),
        OpenedStore::Redis(store) => store.put_first_key(&key, Role::Admin).await,
    }
}

fn beside(file: &Path) -> PathBuf {
    file.with_extension("key.new")
}

/// Puts a key into place that was stored just before a crash; any other that
/// was left is removed.
fn settle(new: &Path, file: &Path, known: &[ApiKey]) -> io::Result<()> {
    let secret = match std::fs::read_to_string(new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let hash = key::hash(secret.trim().as_bytes());
    if known.iter().any(|known| known.hash == hash) {
        std::fs::rename(new, file)
    } else {
        std::fs::remove_file(new)
    }
}

/// Only a hash of each key is stored: the file cannot be made anew.
fn tell_missing(store: &OpenedStore, file: &Path) {
    let file = file.display();
    match store {
        OpenedStore::Embedded(_) => tracing::warn!(
            %file,
            "the file of the admin key is missing and the store has one: commands need an \
             admin's key, named with --key-file or put back into this file"
        ),
        OpenedStore::Redis(_) => tracing::info!(
            %file,
            "the first admin key was made on another node: commands on this one need an admin's \
             key, named with --key-file or copied into this file"
        ),
    }
}

fn write(file: &Path, secret: &str) -> io::Result<()> {
    if file.exists() {
        std::fs::remove_file(file)?;
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "{secret}")?;
    out.sync_all()
}
