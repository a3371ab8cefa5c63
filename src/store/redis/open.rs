//! Opening the store: every reason to refuse it, before anything is served.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

use araldo_actors::port::store::StoreError;

use super::base::command;
use super::batch::{Applied, Batch};
use super::import::MOVING;
use super::key::Space;
use super::link::Link;
use super::options::{OpenError, RedisOptions};
use super::owner::Recent;
use super::{FORMAT_VERSION, MAX_PARTITIONS, RedisStore, reply};

/// Longest prefix, in bytes.
const PREFIX: usize = 32;

impl RedisStore {
    /// Opens the store that `options` describe, making it if there is none.
    ///
    /// # Errors
    /// [`OpenError`], one sentence that names the place.
    pub async fn open(options: &RedisOptions) -> Result<Self, OpenError> {
        let store = Self::connect(options).await?;
        let at = store.link.at();
        let (version, partitions, is_moving) = match store.format(options.partitions).await {
            Ok(format) => format,
            Err(error) => return Err(unavailable(at, error)),
        };
        let prefix = options.prefix.clone();
        if version != FORMAT_VERSION {
            return Err(OpenError::Version { at, prefix, found: version });
        }
        if partitions != options.partitions {
            let (stored, configured) = (partitions, options.partitions);
            return Err(OpenError::Partitions { at, prefix, stored, configured });
        }
        if is_moving {
            return Err(OpenError::Unfinished { at, prefix });
        }
        Ok(store)
    }

    /// The way to the store that `options` describe, which may not be there.
    pub(super) async fn connect(options: &RedisOptions) -> Result<Self, OpenError> {
        if !(1..=MAX_PARTITIONS).contains(&options.partitions) {
            return Err(OpenError::PartitionRange { configured: options.partitions });
        }
        let prefix = options.prefix.as_str();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=PREFIX).contains(&prefix.len()) || !prefix.bytes().all(is_name) {
            return Err(OpenError::Prefix);
        }
        let link = Link::new(options)?;
        let at = link.at();
        let refused = |reason: String| OpenError::Unavailable { at: at.clone(), reason };
        link.refresh().await.map_err(refused)?;
        let spaces: Vec<Space> =
            (0..options.partitions).map(|partition| Space::of(prefix, partition)).collect();
        Ok(Self {
            link: Arc::new(link),
            incarnation: options.incarnation,
            instance: format!("{:016x}", rand::random::<u64>()),
            openings: AtomicU64::new(0),
            lease: options.lease,
            sign: Mutex::new(None),
            tasks: Mutex::new(JoinSet::new()),
            all: Space::shared(prefix),
            owners: spaces.iter().map(|_| tokio::sync::Mutex::default()).collect(),
            epochs: spaces.iter().map(|_| AtomicU64::new(0)).collect(),
            spaces,
            alerts_known: Mutex::new(Recent::default()),
        })
    }

    /// Format and number of partitions, written first if there are none, and
    /// whether another store is being moved in.
    async fn format(&self, partitions: u16) -> Result<(u16, u16, bool), StoreError> {
        let (key, what) = (self.all.format(), "the format of a store");
        let mut batch = Batch::new(&self.all);
        batch.check_field(&key, b"version", b"");
        let (version, count) = (FORMAT_VERSION.to_string(), partitions.to_string());
        let fields: [&[u8]; 4] = [b"version", version.as_bytes(), b"partitions", count.as_bytes()];
        batch.run("HSET", &key, &fields);
        if let Applied::Done(_) = self.apply(&self.all, batch).await? {
            return Ok((FORMAT_VERSION, partitions, false));
        }
        let look = command("HMGET", &key, &[MOVING, b"version", b"partitions"]);
        let mut rows = reply::rows(self.read_one(&self.all, look).await?, what)?.into_iter();
        let is_moving = rows.next().flatten().is_some();
        let mut number = || {
            let row = rows.next().flatten().and_then(|row| reply::digits(&row));
            let row = row.and_then(|number| u16::try_from(number).ok());
            row.ok_or_else(|| reply::unexpected(what))
        };
        Ok((number()?, number()?, is_moving))
    }
}

/// Why the store cannot be opened when Redis does not do its part.
pub(super) fn unavailable(at: String, error: StoreError) -> OpenError {
    let reason = match error {
        StoreError::Unavailable(reason) | StoreError::Unconfirmed(reason) => reason,
        other => other.to_string(),
    };
    OpenError::Unavailable { at, reason }
}
