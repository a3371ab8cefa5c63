//! Redis servers of the tests: real ones, as child processes on free ports, with
//! every write fsynced.
//!
//! One server and one Cluster (three masters, a replica each) are shared by all
//! tests of the binary, each of which uses a prefix of its own. They end with
//! the process, however it ends. A thin layer over the load tester's servers:
//! here what goes wrong fails the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_loadtest::redis_server::{self, RedisCluster, RedisServer, RedisServerOptions};

use crate::store_fixture::PARTITIONS;

/// A port nobody uses now, low enough that no client gets it by chance.
pub fn free_port() -> u16 {
    araldo_loadtest::port::free_address().unwrap().port()
}

/// A server that ends with this value, or with the process.
pub struct Server {
    inner: RedisServer,
    pub port: u16,
}

impl Server {
    /// Starts a server that fsyncs every write.
    pub fn start(extra: &[&str]) -> Self {
        let arguments = extra.iter().map(|argument| (*argument).to_owned()).collect();
        let options = RedisServerOptions { arguments, ..RedisServerOptions::default() };
        RedisServer::start(&options).unwrap().into()
    }

    /// Starts a server with a file of `config/redis`, some of it changed, on a port
    /// and in a folder of its own.
    pub fn of_file(name: &str, changed: &[(&str, &str)], extra: &[&str]) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/redis").join(name);
        let mut text = std::fs::read_to_string(source).unwrap();
        for (from, to) in changed {
            assert!(text.contains(from), "{name}: {from}");
            text = text.replace(from, to);
        }
        RedisServer::of_file(&text, extra).unwrap().into()
    }

    /// Starts a sentinel of a master, called `araldo`.
    pub fn sentinel(master: &Self) -> Self {
        RedisServer::sentinel_of(&master.inner).unwrap().into()
    }

    /// `kill -9`; its files stay.
    pub fn kill(&mut self) {
        self.inner.kill().unwrap();
    }

    /// Starts it again on what it left.
    pub fn restart(&mut self) {
        self.inner.restart().unwrap();
    }

    /// Sends its process a signal; it may be stopped.
    pub fn signal(&self, name: &str) {
        self.inner.signal(name).unwrap();
    }
}

impl From<RedisServer> for Server {
    fn from(inner: RedisServer) -> Self {
        Self { port: inner.port(), inner }
    }
}

impl Deref for Server {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.inner
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut RedisServer {
        &mut self.inner
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    redis_server::eventually(what, is_so).unwrap();
}

/// Three masters with a replica each.
pub struct Cluster(Vec<Server>);

impl From<RedisCluster> for Cluster {
    fn from(started: RedisCluster) -> Self {
        Self(started.into_nodes().into_iter().map(Server::from).collect())
    }
}

impl Cluster {
    /// Starts one and waits until all of it agrees.
    pub fn start() -> Self {
        Self::from(RedisCluster::start(&RedisServerOptions::default()).unwrap())
    }

    /// Makes one of six empty servers and waits until all of it agrees.
    pub fn of(servers: Vec<Server>) -> Self {
        let servers = servers.into_iter().map(|server| server.inner).collect();
        Self::from(RedisCluster::of(servers).unwrap())
    }

    /// Where some of its nodes are.
    pub fn servers(&self) -> Servers {
        Servers::Cluster(self.0.iter().take(2).map(|server| server.url()).collect())
    }

    /// Its nodes.
    pub fn nodes(&mut self) -> &mut [Server] {
        &mut self.0
    }
}

/// The server that tests share.
pub fn shared_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

/// The Cluster that tests share.
pub fn shared_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// A prefix that only this test uses.
pub fn own_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Options of an own store in Redis.
pub fn own(servers: Servers) -> RedisOptions {
    // On a machine that builds at the same time a second is soon over.
    let answered_within = Duration::from_secs(20);
    RedisOptions {
        prefix: own_prefix(),
        answered_within,
        ..RedisOptions::new(servers, PARTITIONS, 1)
    }
}

/// An own store in the shared server.
pub async fn single() -> RedisStore {
    RedisStore::open(&own(Servers::Single(shared_server().url()))).await.unwrap()
}

/// An own store in the shared Cluster.
pub async fn cluster() -> RedisStore {
    RedisStore::open(&own(shared_cluster().servers())).await.unwrap()
}
