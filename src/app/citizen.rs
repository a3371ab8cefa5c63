//! From configuration to the citizens' side of the API.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::ServeError;
use crate::config::{CitizenConfig, Config};
use crate::http::citizen::Citizens;
use crate::http::citizen::issuer::Issuer;
use crate::link::Links;
use crate::secret::Secret;

/// The key of the configuration that names the secret's file.
const SECRET_FILE: &str = "citizen.secret_file";

/// The installation's secret. The store's own is made at the first start; one
/// that the configuration names must be there, since other nodes share it.
pub(super) fn secret(config: &Config) -> Result<Secret, ServeError> {
    if let Some(error) = fault_of_secret(&config.citizen) {
        return Err(error);
    }
    let own = config.store.path.join("secret.key");
    let file = config.citizen.secret_file.as_deref().unwrap_or(&own);
    Secret::load_or_create(file).map_err(|error| fault(file, error))
}

/// What is wrong with the file that the configuration names for the secret,
/// if it names one; nothing is written.
pub(super) fn fault_of_secret(config: &CitizenConfig) -> Option<ServeError> {
    let file = config.secret_file.as_deref()?;
    if !file.exists() {
        return Some(fault(file, io::Error::from(io::ErrorKind::NotFound)));
    }
    Secret::load_or_create(file).err().map(|error| fault(file, error))
}

fn fault(file: &Path, error: io::Error) -> ServeError {
    ServeError::Secret { place: SECRET_FILE, file: file.display().to_string(), error }
}

/// What the API is given for its citizens' side.
pub(super) fn side(
    config: &Config,
    issuer: Issuer,
    secret: &Secret,
    listening: SocketAddr,
) -> Citizens {
    if issuer.takes_development_tokens() {
        tracing::warn!(
            "citizen.development_key_file is set: whoever reads that file can be any citizen; \
             never do this in production"
        );
    }
    let public_url = config.http.public_url.clone();
    let public_url = public_url.unwrap_or_else(|| format!("http://{listening}"));
    Citizens {
        issuer,
        links: Arc::new(Links::new(secret, &public_url)),
        post: None,
        live: config.live,
        link_validity: config.citizen.validation,
        deletion_grace: config.retention.deletion_grace,
    }
}
