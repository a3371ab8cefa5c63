//! A master with two replicas, and three Sentinels who replace it when it is down.
//!
//! Owns its servers. On one machine: what is tested is the protocol, not three hosts.

use super::{RedisError, RedisServer, RedisServerOptions, eventually, free_port, io};

/// What the Sentinels call the master.
pub const MASTER_NAME: &str = "araldo";
const REPLICAS: usize = 2;
const SENTINELS: usize = 3;

impl RedisServer {
    /// Starts a Sentinel of a master, which it calls [`MASTER_NAME`]; it counts as down after a second.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn sentinel_of(master: &Self) -> Result<Self, RedisError> {
        let (port, folder) = (free_port()?, tempfile::tempdir().map_err(io("a temporary folder"))?);
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile /dev/null\n\
             sentinel monitor {MASTER_NAME} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {MASTER_NAME} 1000\n\
             sentinel failover-timeout {MASTER_NAME} 5000\n",
            folder.path().display(),
            master.port()
        );
        std::fs::write(&file, text).map_err(io("sentinel.conf"))?;
        let words = ["redis-server", &file.display().to_string(), "--sentinel"];
        Self::run(port, folder, words.map(str::to_owned).to_vec(), false)
    }
}

/// The master's house.
pub struct RedisSentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// Starts all six, and waits until each knows the others.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn start(options: &RedisServerOptions) -> Result<Self, RedisError> {
        let mut options = options.clone();
        // A master that is cut off takes no more writes than its replicas have.
        let guard = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"];
        options.arguments.extend(guard.map(str::to_owned));
        let master = RedisServer::start(&options)?;
        let mut follower = options.clone();
        let follow = ["--replicaof".to_owned(), format!("127.0.0.1 {}", master.port())];
        follower.arguments.extend(follow);
        let mut servers = vec![master];
        for _ in 0..REPLICAS {
            servers.push(RedisServer::start(&follower)?);
        }
        let sentinels = (0..SENTINELS)
            .map(|_| RedisServer::sentinel_of(&servers[0]))
            .collect::<Result<_, _>>()?;
        let house = Self { servers, sentinels };
        house.await_health()?;
        Ok(house)
    }

    /// URLs of the Sentinels.
    #[must_use]
    pub fn sentinel_urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The port of the master, as the first Sentinel knows it; none while it knows none.
    #[must_use]
    pub fn master_port(&self) -> Option<u16> {
        let said = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME]);
        said.lines().nth(1)?.trim().parse().ok()
    }

    /// Kills the master with SIGKILL, and waits until the Sentinels name another. Returns the place of the one killed.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn replace_master(&mut self) -> Result<usize, RedisError> {
        let old = self.master_port();
        let place = self.servers.iter().position(|server| Some(server.port()) == old);
        let place = place.ok_or_else(|| RedisError::Refused("no master is known".to_owned()))?;
        self.servers[place].kill()?;
        eventually("the Sentinels name another master", || {
            self.master_port().is_some_and(|port| Some(port) != old)
        })?;
        Ok(place)
    }

    /// Starts a server again that was killed, and waits until it follows the new master and all is well.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn bring_back(&mut self, place: usize) -> Result<(), RedisError> {
        self.servers[place].restart()?;
        self.await_health()
    }

    /// Every Sentinel knows the others, and every replica follows the same master.
    fn await_health(&self) -> Result<(), RedisError> {
        for sentinel in &self.sentinels {
            eventually("the Sentinels know each other and the replicas", || {
                let quorum = sentinel.ask(&["SENTINEL", "CKQUORUM", MASTER_NAME]);
                quorum.starts_with("OK 3")
                    && sentinel.ask(&["INFO"]).contains(&format!("slaves={REPLICAS}"))
            })?;
        }
        eventually("every replica follows the master", || {
            let Some(master) = self.master_port() else { return false };
            let replicas = self.servers.iter().filter(|server| server.port() != master);
            let follow = format!("master_port:{master}");
            replicas
                .map(|server| server.ask(&["INFO", "replication"]))
                .all(|said| said.contains("master_link_status:up") && said.contains(&follow))
        })
    }
}
