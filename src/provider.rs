//! Providers: protocol and result mapping only.
//!
//! Owns the connections to APNs, FCM and SMTP relays behind the engine's ports
//! ([`Connector`](araldo_actors::port::provider::Connector),
//! [`Link`](araldo_actors::port::provider::Link)). It decides what an answer
//! *means*, never what to do next: retries, windows of a route, breakers and
//! rates belong to the engine.
//!
//! Invariants:
//! * no token, message text or provider answer ends up in a log or an error:
//!   reasons are `&'static str` from fixed lists;
//! * every response, queue and wait has a limit in its options;
//! * a token is dropped only for the exact status and reason the provider
//!   documents for it.
//!
//! On a crash nothing here needs recovery: connections and provider tokens are
//! rebuilt, and an attempt whose answer was not seen is repeated by the engine
//! under the same id.

use araldo_actors::port::provider::Answer;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub mod apns;
pub mod fcm;
pub mod http2;
pub mod smtp;

mod id_text;
mod status;
mod tcp;
mod text;
mod tls;

/// Why a route's options cannot be used: the place and the reason, for the
/// operator who wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct OptionsError {
    /// The file, or the option's name.
    pub place: String,
    /// What is wrong with it; never a part of a secret.
    pub reason: String,
}

impl OptionsError {
    fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), reason)
    }
}

/// A mail got onto a push route: a fault of the assembly.
const NOT_A_PUSH: Answer = Answer::Halt { reason: "the route carries pushes only" };

/// A push got onto a mail route: a fault of the assembly.
const NOT_A_MAIL: Answer = Answer::Halt { reason: "the route carries mails only" };

/// Longest key, certificate or account file read, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Reads a small file that the options name.
fn read_file(path: &Path) -> Result<Vec<u8>, OptionsError> {
    let cannot =
        |error: std::io::Error| OptionsError::file(path, format!("cannot be read: {error}"));
    let length = std::fs::metadata(path).map_err(cannot)?.len();
    if length > MAX_FILE {
        return Err(OptionsError::file(path, "is larger than 1 MiB, so it is not a key file"));
    }
    std::fs::read(path).map_err(cannot)
}

/// Seconds since the Unix epoch.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}
