//! A look at the storage engine's journals before it opens them.
//!
//! The engine reads a journal up to the first batch it cannot read, cuts the
//! file there and goes on, or refuses it, depending on which byte is wrong
//! (fjall#311). That loses acknowledged data without a word in one case, and
//! in the other refuses a start after a power cut that lost nothing. So the
//! journals are read here first, without changing them, and a batch that
//! cannot be read is judged by what stands around it:
//!
//! - Group commits are written and fsynced one after the other. If a batch
//!   that can be read *follows*, the broken one was durable: damage.
//! - If the commit mark is beyond the last batch that can be read, the broken
//!   one was durable: damage.
//! - In a journal that is not the newest, everything was durable: damage.
//! - Otherwise it is the group that was being written when the process or the
//!   machine stopped, and nobody was told of it: it is cut off.
//!
//! The layout is fjall 3's (`journal/entry.rs`), integers little-endian:
//! start = 1, items u32, seqno u64; item = 2, type u8, compression u8, table
//! u64, key length u16, value length u32, length on disk u32, key, value;
//! end = 3, XXH3-64 of the items, `FJL\x03`; clear = 4, table u64. Behind the
//! last batch a file may be filled with zeros (it is allocated in advance).

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::key;
use super::mark::Marked;

/// First and last bytes of the engine's format 3.
const MAGIC: &[u8; 4] = b"FJL\x03";
/// How much is looked at at once.
const CHUNK: usize = 1 << 16;

/// A journal that lost something durable.
pub(super) struct Broken {
    pub(super) file: PathBuf,
    /// Where the batch that cannot be read begins, in bytes.
    pub(super) offset: u64,
}

/// Examines the journals in `data`; cuts off a tail that nobody was told of.
pub(super) fn examine(data: &Path, marked: Marked) -> io::Result<Option<Broken>> {
    if std::fs::read(data.join("version"))?.as_slice() != MAGIC {
        // Another format: the engine refuses it.
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(data)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl"));
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            files.push((number, path));
        }
    }
    files.sort();
    let newest = files.len().saturating_sub(1);
    let mut last_commit = None;
    for (place, (_, file)) in files.into_iter().enumerate() {
        let mut journal = Journal::open(&file)?;
        let offset = journal.read_batches(&mut last_commit)?;
        if journal.only_zeros_from(offset)? {
            continue;
        }
        let durable =
            matches!((marked, last_commit), (Marked::Commit(mark), Some(last)) if mark > last);
        if place < newest || durable || journal.has_batch_after(offset)? {
            return Ok(Some(Broken { file, offset }));
        }
        tracing::warn!(
            file = %file.display(), offset,
            "the last write was cut short when the process stopped; nobody was told of it"
        );
        let cut = OpenOptions::new().write(true).open(&file)?;
        cut.set_len(offset)?;
        cut.sync_all()?;
    }
    Ok(None)
}

/// What stands at some place of a journal.
enum Found {
    /// A whole batch: where it ends, and its commit number if it has one.
    Batch {
        end: u64,
        commit: Option<u64>,
    },
    Nothing,
}

struct Journal {
    file: BufReader<File>,
    length: u64,
}

impl Journal {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: BufReader::with_capacity(CHUNK, file), length })
    }

    /// Reads batches from the start; where the last whole one ends.
    fn read_batches(&mut self, last_commit: &mut Option<u64>) -> io::Result<u64> {
        let mut offset = 0;
        while let Found::Batch { end, commit } = self.batch_at(offset)? {
            *last_commit = (*last_commit).max(commit);
            offset = end;
        }
        Ok(offset)
    }

    fn batch_at(&mut self, offset: u64) -> io::Result<Found> {
        // Stays within the buffer when batches follow each other.
        let position = self.file.stream_position()?;
        self.file.seek_relative(offset.cast_signed() - position.cast_signed())?;
        match self.batch() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Found::Nothing),
            Ok(Some(commit)) => Ok(Found::Batch { end: self.file.stream_position()?, commit }),
            Ok(None) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Reads one batch; none if there is no whole one.
    fn batch(&mut self) -> io::Result<Option<Option<u64>>> {
        let start: [u8; 13] = self.bytes()?;
        if start[0] != 1 {
            return Ok(None);
        }
        let items = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
        let mut hash = Xxh3::new();
        let mut commit = None;
        for _ in 0..items {
            match self.bytes::<1>()? {
                [2] => commit = self.item(&mut hash)?.or(commit),
                [4] => {
                    hash.update(&[4]);
                    hash.update(&self.bytes::<8>()?);
                }
                _ => return Ok(None),
            }
        }
        let end: [u8; 13] = self.bytes()?;
        let (checksum, magic) = (&end[1..9], &end[9..]);
        let whole = end[0] == 3 && magic == MAGIC && *checksum == hash.digest().to_le_bytes();
        Ok(whole.then_some(commit))
    }

    /// Reads one item behind its tag; the commit number if it is that row.
    fn item(&mut self, hash: &mut Xxh3) -> io::Result<Option<u64>> {
        let head: [u8; 20] = self.bytes()?;
        hash.update(&[2]);
        hash.update(&head);
        let key_length = u64::from(u16::from_le_bytes([head[10], head[11]]));
        let value_length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
        if key_length == key::COMMIT.len() as u64 && value_length <= 256 {
            let mut key = [0; key::COMMIT.len()];
            self.file.read_exact(&mut key)?;
            let mut value = vec![0; usize::try_from(value_length).unwrap_or_default()];
            self.file.read_exact(&mut value)?;
            hash.update(&key);
            hash.update(&value);
            return Ok((key == key::COMMIT).then(|| commit_number(&value)).flatten());
        }
        let mut left = key_length + u64::from(value_length);
        let mut buffer = [0; 4096];
        while left > 0 {
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            self.file.read_exact(&mut buffer[..take])?;
            hash.update(&buffer[..take]);
            left -= take as u64;
        }
        Ok(None)
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn only_zeros_from(&mut self, offset: u64) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = self.file.read(&mut chunk)?;
            if read == 0 {
                return Ok(true);
            }
            if chunk[..read].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
        }
    }

    /// Whether a whole batch begins behind any end of a batch after `offset`.
    fn has_batch_after(&mut self, offset: u64) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK];
        let mut at = offset;
        while at + (MAGIC.len() as u64) < self.length {
            self.file.seek(SeekFrom::Start(at))?;
            let mut filled = 0;
            while filled < chunk.len() {
                match self.file.read(&mut chunk[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            for (place, window) in chunk[..filled].windows(MAGIC.len()).enumerate() {
                let behind = at + (place + MAGIC.len()) as u64;
                if window == MAGIC && matches!(self.batch_at(behind)?, Found::Batch { .. }) {
                    return Ok(true);
                }
            }
            // The last bytes again: the magic may lie across the border.
            at += (filled.saturating_sub(MAGIC.len() - 1)).max(1) as u64;
        }
        Ok(false)
    }
}

/// The number in a row at [`key::COMMIT`]: postcard in `meta`, where more
/// follows, eight bytes elsewhere.
fn commit_number(value: &[u8]) -> Option<u64> {
    match <[u8; 8]>::try_from(value) {
        Ok(bytes) => Some(u64::from_be_bytes(bytes)),
        Err(_) => postcard::take_from_bytes(value).ok().map(|(number, _)| number),
    }
}
