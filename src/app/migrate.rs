//! `araldo migrate`: from the configuration of the nodes to a move of the store.

use std::io;
use std::path::Path;

use super::ServeError;
use super::links;
use super::store;
use crate::config::Config;
use crate::secret::Secret;
use crate::store::migrate::{self, Migration, Moved, Progress};

/// Moves the embedded store in `from` into the Redis of `config`; `tell` hears
/// how far it is, `warn` what is accepted and should not be. The secret beside
/// the store goes along, unless `citizen.secret_file` holds it.
///
/// # Errors
/// [`ServeError`], one sentence that says what to do.
pub fn migrate(
    config: &Config,
    from: &Path,
    start_over: bool,
    tell: impl FnMut(Progress),
    warn: impl FnMut(String),
) -> Result<Moved, ServeError> {
    let redis = config.store.redis().ok_or(ServeError::NotRedis)?;
    let secret = secret(config, from)?;
    let to = store::options(redis, config, rand::random())?;
    let migration = Migration { from: from.to_owned(), to, start_over, secret };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        store::check(redis, &migration.to, warn).await?;
        Ok(migrate::migrate(&migration, tell).await?)
    })
}

/// The secret that lies beside the store, if the nodes are to share it through
/// Redis.
fn secret(config: &Config, from: &Path) -> Result<Option<[u8; 32]>, ServeError> {
    let file = links::secret_beside(from);
    let beside = match Secret::load(&file) {
        Ok(secret) => secret,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ServeError::Secret { file, error }),
    };
    let Some(configured) = &config.citizen.secret_file else { return Ok(Some(beside.bytes())) };
    if links::shared_secret(configured)?.bytes() == beside.bytes() {
        return Ok(None);
    }
    let reason = format!(
        "holds another secret than {file}, with which links in mails were sealed and erasures \
         recorded: let it hold that one (or remove {file}, if the server did not use it)",
        file = file.display()
    );
    let error = io::Error::new(io::ErrorKind::InvalidData, reason);
    Err(ServeError::Secret { file: configured.clone(), error })
}
