//! The first key: a store without any admin key gets one, in a file that only
//! its owner can read. From then on keys are made through the operator API.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use araldo_actors::domain::service::Role;
use araldo_actors::engine::Engine;

use super::ServeError;
use crate::http::key;

/// Makes the first admin key, unless the store has one.
///
/// The file is written before the key is stored: a crash in between leaves a
/// key that opens nothing, and the next start replaces it.
pub(super) async fn ensure(engine: &Engine, file: &Path) -> Result<(), ServeError> {
    if engine.directory().keys().iter().any(|key| key.role == Role::Admin) {
        if !file.exists() {
            // Only a hash of each key is stored: the file cannot be made anew.
            tracing::warn!(
                file = %file.display(),
                "the file of the admin key is missing and the store has one: commands need an \
                 admin's key, named with --key-file or put back into this file"
            );
        }
        return Ok(());
    }
    let failed = |error: io::Error| ServeError::FirstKey(format!("{}: {error}", file.display()));
    let made =
        key::create("first key".to_owned(), Role::Admin, None, engine.now()).map_err(failed)?;
    write(file, &made.secret).map_err(failed)?;
    engine.put_key(made.key).await.map_err(|error| ServeError::FirstKey(error.to_string()))?;
    tracing::info!(file = %file.display(), "wrote the first admin key");
    Ok(())
}

fn write(file: &Path, secret: &str) -> io::Result<()> {
    if file.exists() {
        std::fs::remove_file(file)?;
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "{secret}")?;
    out.sync_all()
}
