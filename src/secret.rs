//! The server's secret: 32 random bytes from which every key of its own is
//! derived. Not a citizen's, not an operator's: only this installation's, the
//! same on all of its nodes.
//!
//! Lost or replaced, links in mails already sent open nothing any more and
//! erasure records prove nothing any more; nothing else depends on it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// See the module's text.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the secret in `file`, 64 hexadecimal digits; makes the file with
    /// a new one when there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                blake3::Hash::from_hex(text.trim()).map(|hash| Self(hash.into())).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidData, "must hold 64 hexadecimal digits")
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(file),
            Err(error) => Err(error),
        }
    }

    fn create(file: &Path) -> io::Result<Self> {
        let secret: [u8; 32] = rand::random();
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(out, "{}", blake3::Hash::from_bytes(secret))?;
        out.sync_all()?;
        Ok(Self(secret))
    }

    /// The key for one purpose; `purpose` is fixed text, never input
    /// (BLAKE3, "derive_key").
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }
}

/// A secret is never printed.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
