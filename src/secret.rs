//! The server's secret: 32 random bytes from which every key of its own is
//! derived. Not a citizen's, not an operator's: only this installation's, the
//! same on all of its nodes.
//!
//! Lost or replaced, links in mails already sent open nothing any more and
//! erasure records prove nothing any more; nothing else depends on it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// More than the digits and the white space around them, bytes.
const LONGEST_FILE: u64 = 1024;

/// See the module's text.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves: for keeping them where every node finds them.
    pub(crate) const fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Reads the secret in `file`, 64 hexadecimal digits; makes the file with
    /// a new one when there is none.
    ///
    /// # Errors
    /// As [`load`](Self::load); the file cannot be written.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        match Self::load(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(file),
            loaded => loaded,
        }
    }

    /// Reads the secret in `file`, which must be there.
    ///
    /// # Errors
    /// The file cannot be read, may be read by everybody, or holds something
    /// else than 64 hexadecimal digits.
    pub fn load(file: &Path) -> io::Result<Self> {
        let source = File::open(file)?;
        // A group may: that is how secrets are handed to a service.
        if source.metadata()?.permissions().mode() & 0o007 != 0 {
            let reason = "is open to every user of the machine; take that away (chmod o= FILE)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        let mut text = String::new();
        source.take(LONGEST_FILE).read_to_string(&mut text)?;
        blake3::Hash::from_hex(text.trim()).map(|hash| Self(hash.into())).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "must hold 64 hexadecimal digits")
        })
    }

    /// Makes the file whole or not at all: a crash in between leaves the
    /// temporary one, which the next start replaces.
    fn create(file: &Path) -> io::Result<Self> {
        let secret: [u8; 32] = rand::random();
        let temporary = file.with_extension("new");
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        writeln!(out, "{}", blake3::Hash::from_bytes(secret))?;
        out.sync_all()?;
        std::fs::rename(&temporary, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    use super::Secret;

    #[test]
    fn a_secret_is_made_once_whole_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("secret.key");
        // What a crash while it was made left behind.
        fs::write(dir.path().join("secret.new"), "12").expect("written");
        let made = Secret::load_or_create(&file).expect("made");
        let again = Secret::load_or_create(&file).expect("read");
        assert_eq!(made.derive("test"), again.derive("test"));
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn a_secret_open_to_everybody_or_of_another_form_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("secret.key");
        let kind = || Secret::load_or_create(&file).map_err(|error| error.kind()).err();
        fs::write(&file, "0a".repeat(32)).expect("written");
        for (mode, refused) in
            [(0o644, Some(ErrorKind::PermissionDenied)), (0o640, None), (0o600, None)]
        {
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("set");
            assert_eq!(kind(), refused, "{mode:o}");
        }
        fs::write(&file, "0a".repeat(31)).expect("written");
        assert_eq!(kind(), Some(ErrorKind::InvalidData));
    }
}
