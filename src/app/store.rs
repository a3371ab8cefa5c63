//! The store that the configuration asks for, opened; and what else lies in it
//! because several nodes share it.
//!
//! An embedded store belongs to this process: it may fail for good, and it is
//! closed by dropping its last owner. A Redis is outside: that it cannot be
//! reached is no reason to end, except at the start, where it is tried for
//! [`PATIENCE`] only, so that a wrong address is noticed.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::pipeline::{Membership, NodeOptions};
use araldo_actors::port::budget::Budget;
use araldo_actors::port::store::Store;
use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::ServeError;
use crate::config::{Config, RedisConfig, RedisTopology, StoreKind};
use crate::provider::apns::Shelf;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::store::redis::safety::{self, Finding};
use crate::store::redis::{OpenError, RedisOptions, RedisStore, Servers};

/// How long a Redis that does not answer is tried at the start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between tries.
const PAUSE: Duration = Duration::from_millis(500);

/// The store, opened.
pub(super) enum OpenedStore {
    /// This process's own.
    Embedded(Arc<EmbeddedStore>),
    /// Shared by several nodes.
    Redis(Arc<RedisStore>),
}

impl OpenedStore {
    /// Opens the store of `config`, making it if there is none; `incarnation`
    /// names this start among the nodes.
    pub(super) async fn open(config: &Config, incarnation: u128) -> Result<Self, ServeError> {
        let StoreKind::Redis(redis) = &config.store.kind else {
            return Ok(Self::Embedded(Arc::new(open_embedded(config).await?)));
        };
        let options = options(redis, config, incarnation)?;
        let store = open_redis(redis, &options).await?;
        make_folder(&config.store.path)?;
        Ok(Self::Redis(Arc::new(store)))
    }

    /// For the engine.
    pub(super) fn port(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Redis(store) => store.clone(),
        }
    }

    /// Where nodes keep what they must agree on; none: there is only this one.
    pub(super) fn shelf(&self) -> Option<Arc<dyn Shelf>> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(store) => Some(Arc::new(Registers(Arc::clone(store)))),
        }
    }

    /// This process among those that share the store; none where none can.
    pub(super) fn membership(&self, node: &NodeOptions) -> Option<Membership> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(store) => Some(Membership { cluster: store.clone(), node: node.clone() }),
        }
    }

    /// What routes may start, of all nodes together; none: no other can have
    /// routes to the same accounts.
    pub(super) fn budget(&self) -> Option<Arc<dyn Budget>> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(store) => Some(store.clone()),
        }
    }

    /// Resolves with the reason once the store has failed for good.
    pub(super) async fn failed(&self) -> Arc<str> {
        match self {
            Self::Embedded(store) => store.failed().await,
            Self::Redis(_) => std::future::pending().await,
        }
    }

    /// Waits for the writer thread of an embedded store; this must be its last
    /// owner.
    pub(super) async fn close(self) -> Result<(), ServeError> {
        let closed = tokio::task::spawn_blocking(move || drop(self)).await;
        closed.map_err(io::Error::other).map_err(ServeError::Io)
    }
}

/// Registers of the store as a shelf.
struct Registers(Arc<RedisStore>);

#[async_trait]
impl Shelf for Registers {
    async fn look(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.0.register(name).await.map_err(|error| error.to_string())
    }

    async fn swap(&self, name: &str, found: Option<&[u8]>, new: &[u8]) -> Result<bool, String> {
        self.0.swap_register(name, found, new).await.map_err(|error| error.to_string())
    }
}

async fn open_embedded(config: &Config) -> Result<EmbeddedStore, ServeError> {
    let options = EmbeddedOptions {
        path: config.store.path.clone(),
        partitions: config.engine.partitions,
        cache_bytes: config.store.cache_bytes,
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&options)).await;
    Ok(opened.map_err(io::Error::other)??)
}

/// What the store in Redis is told.
///
/// # Errors
/// [`ServeError::RedisUrl`]: the file with the address cannot be used.
pub(super) fn options(
    redis: &RedisConfig,
    config: &Config,
    incarnation: u128,
) -> Result<RedisOptions, ServeError> {
    let url = redis.url().map_err(|error| ServeError::RedisUrl(error.to_string()))?;
    let own = url.reveal().to_owned();
    let servers = match &redis.topology {
        RedisTopology::Single => Servers::Single(own),
        RedisTopology::Sentinel { master } => Servers::Sentinel {
            sentinels: redis.nodes.iter().map(|node| node.reveal().to_owned()).collect(),
            name: master.clone(),
            master: own,
        },
        RedisTopology::Cluster => {
            let others = redis.nodes.iter().map(|node| node.reveal_with(&url));
            Servers::Cluster(std::iter::once(own).chain(others).collect())
        }
    };
    Ok(RedisOptions {
        prefix: redis.prefix.clone(),
        replicas: redis.replicas,
        confirmed_within: redis.confirm,
        answered_within: redis.answer,
        lease: config.node.lease,
        ..RedisOptions::new(servers, config.engine.partitions, incarnation)
    })
}

/// Opens the store in Redis; one that cannot be reached is tried for some time.
async fn open_redis(redis: &RedisConfig, options: &RedisOptions) -> Result<RedisStore, ServeError> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match open_safe(redis, options).await {
            Err(ServeError::Redis(OpenError::Unavailable { at, reason }))
                if Instant::now() < deadline =>
            {
                if !told {
                    let seconds = PATIENCE.as_secs();
                    tracing::warn!(at, reason, seconds, "Redis cannot be used yet: trying on");
                    told = true;
                }
                sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Looked at first: a Redis that is refused gets no store.
async fn open_safe(redis: &RedisConfig, options: &RedisOptions) -> Result<RedisStore, ServeError> {
    check(redis, options, |warning| tracing::warn!("{warning}")).await?;
    Ok(RedisStore::open(options).await?)
}

/// Refuses a Redis that loses what was answered, or tells of it if that is
/// accepted.
pub(super) async fn check(
    redis: &RedisConfig,
    options: &RedisOptions,
    tell: impl FnMut(String),
) -> Result<(), ServeError> {
    let report = RedisReport::of(redis, &safety::examine(options).await?);
    report.warnings.into_iter().for_each(tell);
    if report.faults.is_empty() { Ok(()) } else { Err(ServeError::Unsafe(report.faults)) }
}

/// Beside a Redis, this node's folder holds its admin key and tokens.
fn make_folder(path: &Path) -> Result<(), ServeError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| ServeError::Folder { path: path.to_owned(), error })
}

/// What `araldo check-config` finds about the Redis of a configuration.
pub struct RedisReport {
    /// What makes the server refuse to start, a line each.
    pub faults: Vec<String>,
    /// What it warns of, a line each.
    pub warnings: Vec<String>,
}

impl RedisReport {
    fn of(redis: &RedisConfig, findings: &[Finding]) -> Self {
        let is_fault = |finding: &&Finding| finding.is_fatal() || !redis.accept_loss;
        let (faults, warnings): (Vec<_>, Vec<_>) = findings.iter().partition(is_fault);
        let lines = |findings: Vec<&Finding>| findings.iter().map(ToString::to_string).collect();
        Self { faults: lines(faults), warnings: lines(warnings) }
    }
}

/// Asks the Redis of `config`, if that is the store, whether it can lose what
/// was answered; writes nothing.
#[must_use]
pub fn report_on_redis(config: &Config) -> RedisReport {
    let none = RedisReport { faults: Vec::new(), warnings: Vec::new() };
    let Some(redis) = config.store.redis() else { return none };
    let asked = || -> Result<Vec<Finding>, ServeError> {
        let options = options(redis, config, 0)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(safety::examine(&options))?)
    };
    match asked() {
        Err(error) => RedisReport { faults: vec![error.to_string()], ..none },
        Ok(findings) => RedisReport::of(redis, &findings),
    }
}
