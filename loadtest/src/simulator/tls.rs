//! TLS of the simulators: the server side, and the client side that trusts their CA.
//!
//! Owns nothing. TLS 1.2 and 1.3 as both providers; ALPN `h2`, and `http/1.1` beside it for the token endpoint;
//! none for SMTP.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::Kind;
use super::credentials::Credentials;
use super::error::SimulatorError;

fn fault(error: impl std::fmt::Display) -> SimulatorError {
    SimulatorError::Tls(error.to_string())
}

pub(crate) fn acceptor(
    credentials: &Credentials,
    kind: Kind,
) -> Result<TlsAcceptor, SimulatorError> {
    let certificate =
        CertificateDer::from_pem_slice(credentials.server_pem.as_bytes()).map_err(fault)?;
    let key =
        PrivateKeyDer::from_pem_slice(credentials.server_key_pem.as_bytes()).map_err(fault)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(fault)?;
    config.alpn_protocols = match kind {
        Kind::Apns => vec![b"h2".to_vec()],
        Kind::Fcm => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Kind::Smtp => Vec::new(),
    };
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A client configuration that trusts only the simulators' CA and offers HTTP/2.
///
/// # Errors
/// [`SimulatorError::Tls`] when the PEM holds no certificate.
pub fn client_config(ca_pem: &str) -> Result<ClientConfig, SimulatorError> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(fault)?;
    roots.add(ca).map_err(fault)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
