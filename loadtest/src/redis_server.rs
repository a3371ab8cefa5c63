//! Real Redis servers as child processes on loopback: one, a master with replicas and Sentinels, or a Cluster; killed,
//! restarted on what they left, and cut off from power.
//!
//! Owns the processes and their folders. A server ends with its value, or with the process that started it, however that
//! ends: it is the child of a shell that waits for the end of its input. Calls block, most of them for milliseconds: inside a
//! runtime use `block_in_place`. The programs come with Debian's packages redis-server, redis-tools and strace.
//!
//! *Power cut* ([`RedisServer::cut_power`]): `kill -9` leaves what the system holds in its cache, a power cut does not. So a
//! traced server runs under `strace`, which notes every write to the append-only file and every fdatasync; the file is cut to
//! what had been written when the last completed fdatasync began.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

pub use cluster::RedisCluster;
pub use cost::CommandCount;
pub use sentinel::{MASTER_NAME, RedisSentinels};

mod cluster;
mod cost;
mod sentinel;
mod trace;

use crate::port::free_address;

/// How long a server may take to start, or several to agree.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The only file that grows: the append-only file is never rewritten here.
const AOF: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const TRACE: &str = "trace";

/// Why a server of Redis is not there, or did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// A program could not be run, or a file not written.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// It was not so within [`PATIENCE`].
    #[error("not within a minute: {0}")]
    Late(String),
    /// A program or a server refused.
    #[error("{0}")]
    Refused(String),
}

/// When what is written is on disk (`appendfsync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Before every answer.
    #[default]
    Always,
    /// Once a second, in the background.
    EverySecond,
}

impl Fsync {
    const fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
        }
    }
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct RedisServerOptions {
    /// When what is written is on disk.
    pub fsync: Fsync,
    /// Under `strace`, which [`RedisServer::cut_power`] needs. Slower.
    pub traced: bool,
    /// Further arguments of `redis-server`.
    pub arguments: Vec<String>,
}

/// A server that ends with this value, or with the process.
pub struct RedisServer {
    shell: Child,
    port: u16,
    folder: TempDir,
    /// Program and arguments.
    command: Vec<String>,
    /// Bytes of the append-only file when the server was started last.
    synced_at_start: u64,
    traced: bool,
}

impl RedisServer {
    /// Starts a server with an append-only file and no snapshots, and waits for its first answer.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn start(options: &RedisServerOptions) -> Result<Self, RedisError> {
        let port = free_port()?;
        let folder = tempfile::tempdir().map_err(io("a temporary folder"))?;
        let mut command = Vec::new();
        if options.traced {
            let trace = folder.path().join(TRACE).display().to_string();
            let fixed = ["strace", "-f", "-y", "-s", "0", "-e", "trace=write,fdatasync,fsync"];
            command.extend(fixed.map(str::to_owned));
            command.extend(["-o".to_owned(), trace]);
        }
        let (own_port, own_folder) = (port.to_string(), folder.path().display().to_string());
        let pid = pid_file(folder.path()).display().to_string();
        let fixed = [
            ["--port", &own_port],
            ["--bind", "127.0.0.1"],
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", options.fsync.word()],
            ["--auto-aof-rewrite-percentage", "0"],
            ["--loglevel", "warning"],
            ["--pidfile", &pid],
            ["--dir", &own_folder],
        ];
        command.push("redis-server".to_owned());
        command.extend(fixed.as_flattened().iter().map(|argument| (*argument).to_owned()));
        command.extend(options.arguments.iter().cloned());
        Self::run(port, folder, command, options.traced)
    }

    /// Starts a server, or a Sentinel, with the text of a configuration file and
    /// further arguments, on a port and in a folder of its own.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn of_file(text: &str, arguments: &[&str]) -> Result<Self, RedisError> {
        let port = free_port()?;
        let folder = tempfile::tempdir().map_err(io("a temporary folder"))?;
        let file = folder.path().join("redis.conf");
        std::fs::write(&file, text).map_err(io("a configuration file"))?;
        let own = [
            "redis-server",
            &file.display().to_string(),
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--dir",
            &folder.path().display().to_string(),
            "--pidfile",
            &pid_file(folder.path()).display().to_string(),
        ]
        .map(str::to_owned);
        let further = arguments.iter().map(|argument| (*argument).to_owned());
        Self::run(port, folder, own.into_iter().chain(further).collect(), false)
    }

    /// Runs a command that listens on `port`, and waits for its first answer.
    fn run(
        port: u16,
        folder: TempDir,
        command: Vec<String>,
        traced: bool,
    ) -> Result<Self, RedisError> {
        let shell = spawn(folder.path(), &command)?;
        let server = Self { shell, port, folder, command, synced_at_start: 0, traced };
        server.await_answer()?;
        Ok(server)
    }

    /// Its port on 127.0.0.1, the same after a restart.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks it something by `redis-cli`; empty when it does not answer.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let asked = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        asked.map_or_else(
            |_| String::new(),
            |said| String::from_utf8_lossy(&said.stdout).into_owned(),
        )
    }

    /// `kill -9`; its files stay.
    ///
    /// # Errors
    /// [`RedisError::Io`].
    pub fn kill(&mut self) -> Result<(), RedisError> {
        if let Some(mut input) = self.shell.stdin.take() {
            // The shell may be gone already.
            let _ = writeln!(input, "keep");
        }
        self.shell.wait().map(|_| ()).map_err(io("redis-server"))
    }

    /// Starts it again on what it left, and waits for its first answer.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn restart(&mut self) -> Result<(), RedisError> {
        self.kill()?;
        self.synced_at_start = std::fs::metadata(self.aof()).map_or(0, |file| file.len());
        self.shell = spawn(self.folder.path(), &self.command)?;
        self.await_answer()
    }

    /// Ends a traced server as a power cut would, for good or until [`RedisServer::restart`]: what was not on disk is lost.
    /// Returns the bytes that are.
    ///
    /// # Errors
    /// [`RedisError::Refused`] for a server that is not traced or left no trace.
    pub fn cut_power(&mut self) -> Result<PowerCut, RedisError> {
        if !self.traced {
            return Err(RedisError::Refused("this server is not traced".to_owned()));
        }
        self.kill()?;
        let trace = self.folder.path().join(TRACE);
        let text = std::fs::read_to_string(&trace).map_err(io("the trace of redis-server"))?;
        if text.is_empty() {
            return Err(RedisError::Refused("strace noted nothing".to_owned()));
        }
        let on_disk = trace::bytes_on_disk(&text, AOF, self.synced_at_start);
        let on_disk = on_disk.unwrap_or(self.synced_at_start);
        let file = std::fs::OpenOptions::new().write(true).open(self.aof());
        let file = file.map_err(io(AOF))?;
        let written = file.metadata().map_err(io(AOF))?.len();
        file.set_len(on_disk).map_err(io(AOF))?;
        Ok(PowerCut { written, on_disk })
    }

    /// Sends its process a signal by its name, such as `STOP`.
    ///
    /// # Errors
    /// [`RedisError`].
    pub fn signal(&self, name: &str) -> Result<(), RedisError> {
        let file = pid_file(self.folder.path());
        let pid = std::fs::read_to_string(file).map_err(io("the file of the process id"))?;
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status();
        if sent.map_err(io("kill"))?.success() {
            return Ok(());
        }
        Err(RedisError::Refused(format!("kill -{name} of redis-server failed")))
    }

    fn aof(&self) -> PathBuf {
        self.folder.path().join(AOF)
    }

    fn await_answer(&self) -> Result<(), RedisError> {
        eventually("a Redis server answers", || self.ask(&["PING"]).trim() == "PONG")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // What cannot be ended here ends with this process.
        let _ = self.kill();
    }
}

/// What a power cut left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// Bytes the server had written to its append-only file.
    pub written: u64,
    /// Bytes of them that were on disk.
    pub on_disk: u64,
}

/// Waits until something is so, looking every 50 ms.
///
/// # Errors
/// [`RedisError::Late`].
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), RedisError> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() >= PATIENCE {
            return Err(RedisError::Late(what.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn free_port() -> Result<u16, RedisError> {
    free_address().map(|address| address.port()).map_err(io("a free port"))
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> RedisError + '_ {
    move |error| RedisError::Io(what.to_owned(), error)
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("pid")
}

/// Runs a server whose shell kills it at the end of its input, and removes its files unless it is told to keep them. A tracer
/// ends with what it traces: killed, it would leave it running.
fn spawn(folder: &Path, command: &[String]) -> Result<Child, RedisError> {
    let script = "rm -f \"$FOLDER/pid\"; \"$@\" >/dev/null 2>&1 & child=$!; read -r keep; \
                  kill -9 \"$(cat \"$FOLDER/pid\" 2>/dev/null || echo $child)\" 2>/dev/null; wait; \
                  [ -n \"$keep\" ] || rm -rf \"$FOLDER\"";
    Command::new("sh")
        .env("FOLDER", folder)
        .args(["-c", script, "sh"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(io("sh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(server: &RedisServer) -> String {
        server.ask(&["DBSIZE"]).trim().to_owned()
    }

    #[test]
    fn a_server_comes_back_to_its_port_with_what_it_had() {
        let mut server = RedisServer::start(&RedisServerOptions::default()).unwrap();
        let port = server.port();
        assert_eq!(server.ask(&["SET", "a", "1"]).trim(), "OK");
        server.kill().unwrap();
        assert_eq!(server.ask(&["GET", "a"]), "");
        server.restart().unwrap();
        assert_eq!((server.port(), server.ask(&["GET", "a"]).trim()), (port, "1"));
        assert!(server.cut_power().is_err(), "it is not traced");
        let folder = server.folder().to_owned();
        drop(server);
        assert!(!folder.exists());
    }

    #[test]
    fn a_power_cut_takes_what_was_not_on_disk_and_nothing_else() {
        for (fsync, kept) in [(Fsync::Always, "21"), (Fsync::EverySecond, "1")] {
            let options = RedisServerOptions { fsync, traced: true, ..Default::default() };
            let mut server = RedisServer::start(&options).unwrap();
            server.ask(&["SET", "first", "1"]);
            // Its turn has come for sure, once a second.
            std::thread::sleep(Duration::from_millis(2_500));
            // And not again until much later.
            server.ask(&[
                "CONFIG",
                "SET",
                "appendfsync",
                if kept == "1" { "no" } else { "always" },
            ]);
            for n in 0..20 {
                server.ask(&["SET", &format!("key-{n}"), "1"]);
            }
            let cut = server.cut_power().unwrap();
            assert_eq!(cut.written > cut.on_disk, kept == "1", "{cut:?}");
            server.restart().unwrap();
            assert_eq!(size(&server), kept, "{fsync:?} {cut:?}");
            // The trace begins anew with each start.
            server.ask(&["CONFIG", "SET", "appendfsync", "always"]);
            server.ask(&["SET", "last", "1"]);
            server.cut_power().unwrap();
            server.restart().unwrap();
            assert_eq!(server.ask(&["GET", "last"]).trim(), "1");
        }
    }
}
