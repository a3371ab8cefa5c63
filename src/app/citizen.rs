//! From configuration to the citizens' side of the API.

use std::net::SocketAddr;
use std::sync::Arc;

use super::ServeError;
use crate::config::{CitizenConfig, Config};
use crate::http::citizen::Citizens;
use crate::http::citizen::issuer::Issuer;
use crate::link::Links;
use crate::secret::Secret;

/// What is wrong with the file that the configuration names for the secret,
/// if it names one; nothing is written.
pub(super) fn fault_of_secret(config: &CitizenConfig) -> Option<ServeError> {
    let file = config.secret_file.clone()?;
    let read = std::fs::metadata(&file).and_then(|_| Secret::load_or_create(&file));
    read.err().map(|error| ServeError::Secret { file, error })
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
