//! The commit mark: the number of the last durable group commit, kept in a
//! small file beside the database.
//!
//! The storage engine drops a damaged tail of its journal without a word
//! (fjall#311), and what is gone leaves no trace inside. So the number of each
//! group commit is also written outside, after the commit's fsync returned:
//!
//! - A mark *higher* than the database's own number is proof of loss: the
//!   mark is written only once that commit was durable.
//! - A mark *lower* than it is harmless. The mark itself is not fsynced, so
//!   after a power cut it may be any earlier one; after a kill it may miss the
//!   last commit. It can never be ahead: the file's pages reach the disk some
//!   time after they were written, and they were written after the fsync.
//!
//! Two slots are written in turn, each with its checksum, in separate sectors:
//! a write torn by a power cut spoils one and leaves the one before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Distance of the slots: a sector of any disk in use.
const SLOT_DISTANCE: u64 = 4096;
/// Number and checksum.
const SLOT_LENGTH: usize = 12;

/// The open file.
pub(super) struct CommitMark(File);

/// What the file said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    /// There was no file, or nothing in it but the zeros that a power cut
    /// leaves of a file just made.
    Nothing,
    /// At least this commit was durable.
    Commit(u64),
    /// Neither slot can be read.
    Unreadable,
}

impl CommitMark {
    /// Opens the file, creating it if missing, and reads it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Marked)> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut content = Vec::new();
        Read::by_ref(&mut file).take(2 * SLOT_DISTANCE).read_to_end(&mut content)?;
        let marked = if content.iter().all(|&byte| byte == 0) {
            Marked::Nothing
        } else {
            let second = usize::try_from(SLOT_DISTANCE).unwrap_or(usize::MAX);
            let slots = [content.get(..), content.get(second..)];
            let newest = slots.into_iter().flatten().filter_map(read_slot).max();
            newest.map_or(Marked::Unreadable, Marked::Commit)
        };
        Ok((Self(file), marked))
    }

    /// Makes the file itself durable, once, so that later writes only replace
    /// bytes in it.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    /// Notes that commit `number` is durable.
    pub(super) fn write(&mut self, number: u64) -> io::Result<()> {
        let mut slot = [0; SLOT_LENGTH];
        slot[..8].copy_from_slice(&number.to_le_bytes());
        slot[8..].copy_from_slice(&crc32fast::hash(&number.to_le_bytes()).to_le_bytes());
        self.0.seek(SeekFrom::Start(number % 2 * SLOT_DISTANCE))?;
        self.0.write_all(&slot)
    }
}

fn read_slot(bytes: &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let (checksum, _) = rest.split_first_chunk::<4>()?;
    let intact = crc32fast::hash(number) == u32::from_le_bytes(*checksum);
    intact.then_some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::{CommitMark, Marked};

    #[test]
    fn the_newest_readable_slot_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commit-mark");
        let (mut mark, marked) = CommitMark::open(&path).unwrap();
        assert_eq!(marked, Marked::Nothing);
        mark.write(6).unwrap();
        mark.write(7).unwrap();
        assert_eq!(CommitMark::open(&path).unwrap().1, Marked::Commit(7));

        let mut torn = std::fs::read(&path).unwrap();
        torn[4096 + 3] ^= 1;
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(CommitMark::open(&path).unwrap().1, Marked::Commit(6));

        torn[3] ^= 1;
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(CommitMark::open(&path).unwrap().1, Marked::Unreadable);

        std::fs::write(&path, [0; 5000]).unwrap();
        assert_eq!(CommitMark::open(&path).unwrap().1, Marked::Nothing);
    }
}
