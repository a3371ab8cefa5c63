//! A Redis Cluster: three masters with a replica each.
//!
//! Owns its servers.

use std::process::Command;

use super::{RedisError, RedisServer, RedisServerOptions, eventually, free_port, io};

/// Masters and replicas.
const SERVERS: usize = 6;

/// Three masters with a replica each.
pub struct RedisCluster(Vec<RedisServer>);

impl RedisCluster {
    /// Starts one and waits until all of it agrees.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn start(options: &RedisServerOptions) -> Result<Self, RedisError> {
        let server = || {
            let mut options = options.clone();
            let bus = free_port()?.to_string();
            let own = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
            options.arguments.extend(own.map(str::to_owned));
            options.arguments.extend(["--cluster-port".to_owned(), bus]);
            RedisServer::start(&options)
        };
        Self::of((0..SERVERS).map(|_| server()).collect::<Result<_, _>>()?)
    }

    /// Makes one of six empty servers and waits until all of it agrees.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn of(servers: Vec<RedisServer>) -> Result<Self, RedisError> {
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port()));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .map_err(io("redis-cli"))?;
        if !made.status.success() {
            return Err(RedisError::Refused(String::from_utf8_lossy(&made.stdout).into_owned()));
        }
        for server in &servers {
            eventually("a Cluster agrees", || agrees(server))?;
        }
        Ok(Self(servers))
    }

    /// URLs of its nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.0.iter().map(RedisServer::url).collect()
    }

    /// Its nodes, masters and replicas.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.0
    }

    /// Takes its nodes out.
    #[must_use]
    pub fn into_nodes(self) -> Vec<RedisServer> {
        self.0
    }
}

fn agrees(server: &RedisServer) -> bool {
    let info = server.ask(&["CLUSTER", "INFO"]);
    let nodes = server.ask(&["CLUSTER", "NODES"]);
    let replicates = server.ask(&["INFO", "replication"]);
    info.contains("cluster_state:ok")
        && nodes.matches(" slave ").count() + nodes.matches(",slave ").count() == SERVERS / 2
        && (replicates.contains("connected_slaves:1")
            || replicates.contains("master_link_status:up"))
}
