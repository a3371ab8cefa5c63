//! What a Redis store needs to know, and why one is not opened.

use std::time::Duration;

/// Where Redis is. Addresses are URLs: `redis://[user:password@]host:port[/db]`,
/// `rediss://` for TLS.
#[derive(Clone)]
pub enum Servers {
    /// One server.
    Single(String),
    /// Sentinels, who say which server is the master.
    Sentinel {
        /// The sentinels, one of which is enough.
        sentinels: Vec<String>,
        /// The name they know the master by.
        name: String,
        /// How the master is reached; its host and port are the sentinels' to
        /// say.
        master: String,
    },
    /// A Cluster, by some of its nodes; the others are found through them and
    /// reached in the same way.
    Cluster(Vec<String>),
}

/// What a Redis store needs to know.
#[derive(Clone)]
pub struct RedisOptions {
    /// Where Redis is.
    pub servers: Servers,
    /// What every key begins with: keeps installations in one Redis apart.
    pub prefix: String,
    /// Slices of the citizens, 1 to 4,096; fixed when the store is made.
    pub partitions: u16,
    /// Who owns partitions through this store: another one for each process,
    /// however often it is started. With the epoch it makes the fencing token.
    pub incarnation: u128,
    /// How long a partition taken over stays this process's unless it is renewed;
    /// zero: no lease is looked at or taken, and whoever comes last owns it.
    pub lease: Duration,
    /// Replicas that must have received a write before it counts as durable.
    pub replicas: u8,
    /// How long to wait for them.
    pub confirmed_within: Duration,
    /// How long an operation may take in all, tries and pauses included.
    pub answered_within: Duration,
}

impl RedisOptions {
    /// Options for `servers` with what is usual elsewhere.
    #[must_use]
    pub fn new(servers: Servers, partitions: u16, incarnation: u128) -> Self {
        Self {
            servers,
            prefix: "araldo".to_owned(),
            partitions,
            incarnation,
            lease: Duration::ZERO,
            replicas: 0,
            confirmed_within: Duration::from_millis(500),
            answered_within: Duration::from_millis(900),
        }
    }
}

/// Why a store was not opened; one sentence that names the place.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration asks for what no store can be.
    #[error("a store has 1 to {most} partitions, not {configured}", most = super::MAX_PARTITIONS)]
    PartitionRange {
        /// As configured.
        configured: u16,
    },
    /// The prefix cannot be part of a key.
    #[error("the prefix of the store's keys must be 1 to 32 letters, digits, '-' or '_'")]
    Prefix,
    /// An address is none.
    #[error("the address of a Redis server cannot be read: {0}")]
    Address(String),
    /// Nobody answers, or not as a Redis of version 7 would.
    #[error("the store in Redis ({at}) cannot be opened: {reason}")]
    Unavailable {
        /// Which servers.
        at: String,
        /// What happened.
        reason: String,
    },
    /// Written by another version.
    #[error(
        "the store '{prefix}' in Redis ({at}) has format {found}, and this version reads format \
         {}: use the version that wrote it, or another prefix",
        super::FORMAT_VERSION
    )]
    Version {
        /// Which servers.
        at: String,
        /// What its keys begin with.
        prefix: String,
        /// The format it has.
        found: u16,
    },
    /// Another store is being moved in, or that was interrupted.
    #[error(
        "the store '{prefix}' in Redis ({at}) is being filled by `araldo migrate`, or that was \
         interrupted: run it again, to its end"
    )]
    Unfinished {
        /// Which servers.
        at: String,
        /// What its keys begin with.
        prefix: String,
    },
    /// The number of partitions is fixed when a store is made.
    #[error(
        "the store '{prefix}' in Redis ({at}) was made with {stored} partitions and cannot be \
         opened with {configured}"
    )]
    Partitions {
        /// Which servers.
        at: String,
        /// What its keys begin with.
        prefix: String,
        /// As made.
        stored: u16,
        /// As configured.
        configured: u16,
    },
}
