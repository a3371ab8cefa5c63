//! This installation's secret, and the links in mails that it seals.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ServeError;
use super::store::OpenedStore;
use crate::config::Config;
use crate::link::Links;
use crate::secret::Secret;

/// This installation's secret, the same on every node: from the file that is
/// configured; else from where all that is durable is, made at the first start.
///
/// # Errors
/// [`ServeError::Secret`] or [`ServeError::SharedSecret`].
pub(super) async fn secret(config: &Config, store: &OpenedStore) -> Result<Secret, ServeError> {
    if let Some(file) = &config.citizen.secret_file {
        return shared_secret(file);
    }
    match store {
        OpenedStore::Embedded(_) => {
            let file = secret_beside(&config.store.path);
            Secret::load_or_create(&file).map_err(|error| ServeError::Secret { file, error })
        }
        OpenedStore::Redis(store) => {
            let shared = store.shared_secret(rand::random()).await;
            Ok(Secret::new(shared.map_err(ServeError::SharedSecret)?))
        }
    }
}

/// Where the secret lies beside an embedded store.
pub(super) fn secret_beside(folder: &Path) -> PathBuf {
    folder.join("secret.key")
}

/// The secret in a file that must be there.
///
/// # Errors
/// [`ServeError::Secret`].
pub(super) fn shared_secret(file: &Path) -> Result<Secret, ServeError> {
    Secret::load(file).map_err(|error| {
        let error = if error.kind() == io::ErrorKind::NotFound {
            let reason = "is missing; it must hold 64 hexadecimal digits, the same on every node";
            io::Error::new(error.kind(), reason)
        } else {
            error
        };
        ServeError::Secret { file: file.to_owned(), error }
    })
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
