//! TLS settings of a route.
//!
//! Owns nothing after start. TLS 1.2 or newer with aws-lc-rs, passed
//! explicitly, so that no process-wide default is needed. With a CA file only
//! the authorities in it are trusted; without one, the platform's verifier
//! decides.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::provider::{OptionsError, read_file};

/// Builds the settings, without ALPN.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, OptionsError> {
    let unusable = |error: rustls::Error| OptionsError::new("TLS", error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder.with_platform_verifier().map_err(unusable)?,
    };
    Ok(builder.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, OptionsError> {
    let pem = read_file(path)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate
            .map_err(|error| OptionsError::file(path, format!("is not valid PEM: {error}")))?;
        store.add(certificate).map_err(|error| {
            OptionsError::file(path, format!("holds a certificate that cannot be used: {error}"))
        })?;
    }
    if store.is_empty() {
        return Err(OptionsError::file(path, "holds no certificate in PEM form"));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::client_config;

    #[test]
    fn an_unusable_ca_file_is_named_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let text = client_config(Some(&path)).unwrap_err().to_string();
        assert!(text.contains("ca.pem: cannot be read"), "{text}");
        std::fs::write(&path, "no certificate").unwrap();
        let text = client_config(Some(&path)).unwrap_err().to_string();
        assert!(text.contains("ca.pem: holds no certificate"), "{text}");
    }
}
