//! The provider token in use, kept across restarts.
//!
//! Apple takes at most one new token of a key in 20 minutes; a server that is
//! started twice within them would be refused if it signed anew. The file
//! holds the time of issue, the token and a mark over both, one a line, and is
//! readable by its owner only. The mark is keyed with the private key: what
//! bears it was written by somebody who has the key, whole and for the same
//! `kid` and `iss`.
//!
//! It is written without waiting for the disk: a file that a crash of the
//! machine lost or cut is ignored, and costs what a restart cost without it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest file read, bytes; a token has about 200.
const LONGEST: u64 = 8 * 1024;

/// Where the token of one key is kept.
pub(super) struct TokenFile {
    path: PathBuf,
}

/// A token as it was signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Seconds since the Unix epoch.
    pub(super) issued_at: u64,
    /// The JWT.
    pub(super) token: String,
}

impl TokenFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The token kept for the key with this `identity`; a file that cannot be
    /// used is named in the log and ignored.
    pub(super) fn read(&self, identity: &[u8; 32]) -> Option<Kept> {
        let ignored = |reason: &str| {
            let file = self.path.display();
            tracing::warn!(%file, reason, "the kept APNs provider token is ignored");
        };
        match text(&self.path) {
            Ok(text) => {
                let kept = Kept::of_text(&text, identity);
                if kept.is_none() {
                    ignored("it is damaged or another key's");
                }
                kept
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                ignored(&error.to_string());
                None
            }
        }
    }

    /// Keeps a token; a failure is logged and costs nothing until a restart.
    pub(super) fn write(&self, identity: &[u8; 32], kept: &Kept) {
        if let Err(error) = replace(&self.path, &kept.to_text(identity)) {
            let file = self.path.display();
            tracing::warn!(%file, %error, "the APNs provider token cannot be kept for a restart");
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

impl Kept {
    /// As it is kept, with its mark.
    pub(super) fn to_text(&self, identity: &[u8; 32]) -> String {
        format!("{}\n{}\n{}\n", self.issued_at, self.token, mark(identity, self))
    }

    /// Reads what is kept; none unless it is whole and bears the mark of the
    /// key with this `identity`.
    pub(super) fn of_text(text: &str, identity: &[u8; 32]) -> Option<Self> {
        let mut lines = text.lines();
        let issued_at = lines.next()?.parse().ok()?;
        let kept = Self { issued_at, token: lines.next()?.to_owned() };
        let given = blake3::Hash::from_hex(lines.next()?).ok()?;
        // blake3 compares in constant time.
        (given == mark(identity, &kept)).then_some(kept)
    }
}

fn mark(identity: &[u8; 32], kept: &Kept) -> blake3::Hash {
    blake3::keyed_hash(identity, format!("{}\n{}", kept.issued_at, kept.token).as_bytes())
}

/// Whole or not at all: a reader sees the old file or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("jwt.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kept() -> Kept {
        Kept { issued_at: 1_700_000_000, token: "head.claims.signature".to_owned() }
    }

    #[test]
    fn a_token_is_kept_for_its_key_and_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apns-ABC123DEFG.jwt");
        let file = TokenFile::new(path.clone());
        assert_eq!(file.read(&[1; 32]), None);
        file.write(&[1; 32], &kept());
        file.write(&[1; 32], &kept());
        assert_eq!(file.read(&[1; 32]), Some(kept()));
        assert_eq!(file.read(&[2; 32]), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_whole_or_was_changed_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apns-ABC123DEFG.jwt");
        let file = TokenFile::new(path.clone());
        file.write(&[1; 32], &kept());
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() - 1 {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(file.read(&[1; 32]), None, "cut to {end}");
        }
        let later = String::from_utf8(whole).unwrap().replace("1700000000", "1700000001");
        fs::write(&path, later).unwrap();
        assert_eq!(file.read(&[1; 32]), None);
        fs::write(&path, [0xff; 100]).unwrap();
        assert_eq!(file.read(&[1; 32]), None);
    }

    #[test]
    fn a_folder_that_is_not_there_stops_nothing() {
        let file = TokenFile::new("/nonexistent/apns.jwt".into());
        file.write(&[1; 32], &kept());
        assert_eq!(file.read(&[1; 32]), None);
    }
}
