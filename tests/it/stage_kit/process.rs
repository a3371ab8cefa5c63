//! The binary as people and service managers run it: commands to their end,
//! and servers that are signalled.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{ARALDO, Reply, exchange};

/// A command that takes longer is stuck.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What the command itself said on standard error, without the log.
    pub fn sentence(&self) -> &str {
        let start = self.err.find("araldo: ").unwrap_or_else(|| panic!("no sentence: {self:?}"));
        self.err[start..].trim_end()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// `araldo` with these arguments and none of this process's settings.
pub fn araldo<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(ARALDO);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ARALDO") {
            command.env_remove(name);
        }
    }
    command.args(args).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub async fn run(mut command: Command) -> Said {
    let output = tokio::time::timeout(COMMAND_LIMIT, command.output());
    let output = output.await.expect("the command ends").expect("the command runs");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether a process has this text on its command line.
pub fn running_with(mark: &Path) -> bool {
    let mark = mark.display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(&mark))
}

/// `araldo serve`, taken as ready once it listens: its providers may be away.
pub struct Server {
    process: Child,
    pub base: String,
}

impl Server {
    /// Starts with this configuration file.
    pub async fn start(config: &Path) -> Self {
        let log = config.with_extension("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = araldo(["serve", "--config"]);
        command.arg(config).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let read = tokio::time::timeout(COMMAND_LIMIT, out.read_line(&mut line)).await;
        read.expect("the server says something").unwrap();
        let base = line.trim().strip_prefix("araldo listening on ");
        let base = base.unwrap_or_else(|| panic!("the server said {line:?}")).to_owned();
        Self { process, base }
    }

    /// Sends a signal by its name and returns the exit code.
    pub async fn signal(mut self, name: &str) -> Option<i32> {
        let pid = self.process.id().unwrap();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await;
        assert!(sent.unwrap().success());
        let ended = tokio::time::timeout(COMMAND_LIMIT, self.process.wait()).await;
        ended.expect("the server ends").unwrap().code()
    }

    /// A GET, with a bearer key if there is one.
    pub async fn get(&self, path: &str, key: Option<&str>) -> Reply {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> =
            bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        exchange(&self.base, Method::GET, path, &headers, Bytes::new()).await
    }
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
