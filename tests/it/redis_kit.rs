//! Redis servers of the tests: real ones, as child processes on free ports, with
//! every write fsynced.
//!
//! One server and one Cluster (three masters, a replica each) are shared by all
//! tests of the binary, each of which uses a prefix of its own. They end with
//! the process, however it ends: each is the child of a shell that waits for the
//! end of its input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};

use crate::store_fixture::PARTITIONS;

/// How long a server may take to start, or a Cluster to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port nobody uses now, low enough that no client gets it by chance.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let process = std::process::id() % 180;
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        let port = u16::try_from(12_000 + process * 100 + next).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server that ends with this value, or with the process.
pub struct Server {
    shell: Child,
    pub port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server that fsyncs every write.
    pub fn start(extra: &[&str]) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let (own_port, pid) = (port.to_string(), folder.path().join("pid"));
        let fixed = [
            ["--port", &own_port],
            ["--bind", "127.0.0.1"],
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", "always"],
            ["--loglevel", "warning"],
            ["--pidfile", pid.to_str().unwrap()],
            ["--dir", folder.path().to_str().unwrap()],
        ];
        let arguments: Vec<String> = fixed
            .as_flattened()
            .iter()
            .chain(extra)
            .map(|argument| (*argument).to_owned())
            .collect();
        let shell = run(folder.path(), &arguments);
        let server = Self { shell, port, folder, arguments };
        server.await_answer();
        server
    }

    /// Starts a server with a file of `config/redis`, some of it changed, on a port
    /// and in a folder of its own.
    pub fn of_file(name: &str, changed: &[(&str, &str)], extra: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/redis").join(name);
        let mut text = std::fs::read_to_string(source).unwrap();
        for (from, to) in changed {
            assert!(text.contains(from), "{name}: {from}");
            text = text.replace(from, to);
        }
        let (file, pid) = (folder.path().join(name), folder.path().join("pid"));
        std::fs::write(&file, text).unwrap();
        let own = [
            file.to_str().unwrap(),
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder.path().to_str().unwrap(),
            "--pidfile",
            pid.to_str().unwrap(),
        ];
        let arguments: Vec<String> =
            own.iter().chain(extra).map(|argument| (*argument).to_owned()).collect();
        let shell = run(folder.path(), &arguments);
        let server = Self { shell, port, folder, arguments };
        server.await_answer();
        server
    }

    /// Starts a sentinel of a master, called `araldo`.
    pub fn sentinel(master: &Self) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile /dev/null\n\
             sentinel monitor araldo 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds araldo 1000\n\
             sentinel failover-timeout araldo 5000\n",
            folder.path().display(),
            master.port
        );
        std::fs::write(&file, text).unwrap();
        let arguments = vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
        let shell = run(folder.path(), &arguments);
        let server = Self { shell, port, folder, arguments };
        server.await_answer();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks it something by its own client.
    pub fn ask(&self, arguments: &[&str]) -> String {
        ask(self.port, arguments)
    }

    /// `kill -9`; its files stay.
    pub fn kill(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            writeln!(input, "keep").unwrap();
        }
        self.shell.wait().unwrap();
    }

    /// Starts it again on what it left.
    pub fn restart(&mut self) {
        self.shell = run(self.folder.path(), &self.arguments);
        self.await_answer();
    }

    /// Sends its process a signal; it may be stopped.
    pub fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    fn await_answer(&self) {
        eventually("a server answers", || self.ask(&["PING"]).trim() == "PONG");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server whose shell kills it at the end of its input, and removes its files
/// unless it is told to keep them.
fn run(folder: &Path, arguments: &[String]) -> Child {
    let script = "redis-server \"$@\" >/dev/null 2>&1 & server=$!; read -r keep; \
                  kill -9 $server; wait; [ -n \"$keep\" ] || rm -rf \"$FOLDER\"";
    Command::new("sh")
        .env("FOLDER", folder)
        .args(["-c", script, "sh"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn ask(port: u16, arguments: &[&str]) -> String {
    let asked = Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments).output();
    String::from_utf8_lossy(&asked.unwrap().stdout).into_owned()
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Three masters with a replica each.
pub struct Cluster(Vec<Server>);

impl Cluster {
    /// Starts one and waits until all of it agrees.
    pub fn start() -> Self {
        let node = || {
            let bus = free_port().to_string();
            let wait = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
            Server::start(&[&wait[..], &["--cluster-port", &bus]].concat())
        };
        Self::of((0..6).map(|_| node()).collect())
    }

    /// Makes one of six empty servers and waits until all of it agrees.
    pub fn of(servers: Vec<Server>) -> Self {
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        for server in &servers {
            eventually("a Cluster agrees", || {
                let info = server.ask(&["CLUSTER", "INFO"]);
                let nodes = server.ask(&["CLUSTER", "NODES"]);
                let replicates = server.ask(&["INFO", "replication"]);
                info.contains("cluster_state:ok")
                    && nodes.matches(" slave ").count() + nodes.matches(",slave ").count() == 3
                    && (replicates.contains("connected_slaves:1")
                        || replicates.contains("master_link_status:up"))
            });
        }
        Self(servers)
    }

    /// Where some of its nodes are.
    pub fn servers(&self) -> Servers {
        Servers::Cluster(self.0.iter().take(2).map(Server::url).collect())
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
