//! What can go wrong when a simulator is prepared or started: the place and the reason, for the person who starts it.

use std::io;
use std::path::PathBuf;

/// Why a simulator could not be prepared, started or told something.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A file of the credentials folder or the behaviour could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file was read but does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// A listener could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A key or certificate could not be made.
    #[error("cannot make credentials: {0}")]
    Credentials(String),
    /// A TLS configuration could not be built.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The behaviour asked for contradicts itself.
    #[error("behaviour: {0}")]
    Behaviour(String),
    /// The runtime or a signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// The bare client loop could not sign in, connect or go on.
    #[error("reference: {0}")]
    Reference(String),
}
