//! The store that the configuration asks for, opened; and what else lies in it
//! because several nodes share it.
//!
//! An embedded store belongs to this process: it may fail for good, and it is
//! closed by dropping its last owner. A Redis is outside: that it cannot be
//! reached is no reason to end, except at the start, where it is tried for
//! [`PATIENCE`] only, so that a wrong address is noticed.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::pipeline::{Membership, NodeOptions};
use araldo_actors::port::budget::Budget;
use araldo_actors::port::store::Store;
use tokio::time::{Instant, sleep};

use super::ServeError;
use crate::config::{Config, RedisConfig, RedisTopology, StoreKind};
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::store::redis::safety;
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
        let store = open_redis(&options).await?;
        let findings = safety::examine(&options).await?;
        judge(redis, &findings)?;
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

    /// This process among those that share the store; none where none can.
    pub(super) fn membership(
        &self,
        config: &Config,
        incarnation: u128,
        address: SocketAddr,
    ) -> Option<Membership> {
        let Self::Redis(store) = self else { return None };
        let node = NodeOptions {
            id: config.node.id.clone(),
            incarnation,
            address: format!("http://{address}"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Some(Membership { cluster: store.clone(), node })
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
pub fn options(
    redis: &RedisConfig,
    config: &Config,
    incarnation: u128,
) -> Result<RedisOptions, ServeError> {
    let url = redis.url().map_err(|error| ServeError::RedisUrl(error.to_string()))?;
    let url = url.reveal().to_owned();
    let nodes = redis.nodes.iter().map(|url| url.reveal().to_owned());
    let servers = match &redis.topology {
        RedisTopology::Single => Servers::Single(url),
        RedisTopology::Sentinel { master } => {
            Servers::Sentinel { sentinels: nodes.collect(), name: master.clone(), master: url }
        }
        RedisTopology::Cluster => Servers::Cluster(std::iter::once(url).chain(nodes).collect()),
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
async fn open_redis(options: &RedisOptions) -> Result<RedisStore, OpenError> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match RedisStore::open(options).await {
            Err(OpenError::Unavailable { at, reason }) if Instant::now() < deadline => {
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

/// Refuses a Redis that loses what was answered, or warns of it if that is
/// accepted.
fn judge(redis: &RedisConfig, findings: &[safety::Finding]) -> Result<(), ServeError> {
    let (refused, accepted): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.is_fatal() || !redis.accept_loss);
    for finding in accepted {
        tracing::warn!("{finding}");
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(ServeError::Unsafe(refused.iter().map(ToString::to_string).collect()))
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

/// Asks the Redis of `config`, if that is the store, whether it can lose what
/// was answered; writes nothing.
#[must_use]
pub fn report_on_redis(config: &Config) -> RedisReport {
    let mut report = RedisReport { faults: Vec::new(), warnings: Vec::new() };
    let Some(redis) = config.store.redis() else { return report };
    let asked = || -> Result<Vec<safety::Finding>, ServeError> {
        let options = options(redis, config, 0)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(safety::examine(&options))?)
    };
    match asked() {
        Err(error) => report.faults.push(error.to_string()),
        Ok(findings) => {
            for finding in findings {
                let is_fault = finding.is_fatal() || !redis.accept_loss;
                let lines = if is_fault { &mut report.faults } else { &mut report.warnings };
                lines.push(finding.to_string());
            }
        }
    }
    report
}
