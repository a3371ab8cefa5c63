//! This installation's secret, and the links in mails that it seals.

use std::net::SocketAddr;
use std::sync::Arc;

use super::ServeError;
use crate::config::Config;
use crate::link::Links;
use crate::secret::Secret;

/// Reads the secret, or makes it at the first start; after the store has made
/// its directory.
///
/// # Errors
/// [`ServeError::Secret`].
pub(super) fn secret(config: &Config) -> Result<Secret, ServeError> {
    let own = || config.store.path.join("secret.key");
    let file = config.citizen.secret_file.clone().unwrap_or_else(own);
    Secret::load_or_create(&file).map_err(|error| ServeError::Secret { file, error })
}

/// Links to this server as citizens reach it.
pub(super) fn links(config: &Config, secret: &Secret, listening: SocketAddr) -> Arc<Links> {
    let here = || format!("http://{listening}");
    let url = config.http.public_url.clone().unwrap_or_else(here);
    Arc::new(Links::new(secret, &url))
}

/// Links that open nothing, for a check that writes no secret.
pub(super) fn placeholder() -> Arc<Links> {
    Arc::new(Links::new(&Secret::new([0; 32]), "http://[::1]"))
}
