//! The reference that pushes are measured against: a bare HTTP/2 client loop, the least a program can do that delivers
//! pushes with hyper.
//!
//! Owns nothing durable: it knows no citizen, no preference, no outcome. It writes the requests the server writes (method,
//! path, headers, a body of the same size, an id and a device of its own for each), keeps the windows of its connections
//! full until so many were answered, and counts the answers. It runs as a process of its own ([`ReferenceSpec::run_file`]),
//! so that its CPU time is its own, and ends with its standard input. The simulators check and book its requests as
//! anybody's.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::simulator::credentials::file_error;
use crate::simulator::{SimulatorError, stdin_closed};
use crate::usage::usage;
pub use request::{Push, Target, apns_path};

mod authorization;
mod connection;
mod process;
mod request;

/// The loop gives up when nothing is answered for so long.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// What the loop is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSpec {
    /// Whom it sends to.
    pub target: Target,
    /// What it sends.
    pub push: Push,
    /// Certificate authority of the simulator, PEM; none for cleartext.
    pub ca_file: Option<PathBuf>,
    /// Connections.
    pub connections: u16,
    /// Requests open at once on each connection.
    pub window: u16,
    /// Requests in all.
    pub requests: u64,
    /// Worker threads.
    pub threads: u16,
}

/// What came of it: one JSON line on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceReport {
    /// Answered 200.
    pub accepted: u64,
    /// Answered otherwise.
    pub refused: u64,
    /// Streams or connections that broke.
    pub broken: u64,
    /// From the first request to the last answer; the connections were open before.
    pub seconds: f64,
    /// CPU time of this process over that time, seconds.
    pub cpu_seconds: f64,
    /// Resident memory at its peak, bytes.
    pub peak_bytes: u64,
}

/// What all connections share.
struct Run {
    requests: request::Requests,
    next: AtomicU64,
    end: u64,
    accepted: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
}

impl Run {
    /// The next request's number; none when all were taken.
    fn take(&self) -> Option<u64> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.end).then_some(index)
    }

    fn answered(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed)
    }
}

impl ReferenceSpec {
    /// Runs the loop described by a JSON file and prints its report; builds the runtime itself.
    ///
    /// # Errors
    /// [`SimulatorError`]: the file cannot be read, no connection, or no answer for 30 seconds.
    pub fn run_file(path: &Path) -> Result<(), SimulatorError> {
        let content = |error: serde_json::Error| SimulatorError::Content {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let text = std::fs::read_to_string(path).map_err(|source| file_error(path, source))?;
        let spec: Self = serde_json::from_str(&text).map_err(content)?;
        let runtime = crate::simulator::runtime(spec.threads)?;
        let report = runtime.block_on(async {
            tokio::select! {
                report = spec.run() => report.map(Some),
                () = stdin_closed() => Ok(None),
            }
        })?;
        let Some(report) = report else {
            return Ok(());
        };
        let line = serde_json::to_string(&report).map_err(content)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(SimulatorError::Start)
    }

    /// Opens the connections, sends, and waits for the last answer.
    ///
    /// # Errors
    /// As [`ReferenceSpec::run_file`].
    pub async fn run(self) -> Result<ReferenceReport, SimulatorError> {
        let run = Arc::new(Run {
            requests: request::Requests::new(&self.target, &self.push)?,
            next: AtomicU64::new(0),
            end: self.requests,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        });
        let dialer = connection::Dialer::new(&self.target, self.ca_file.as_deref())?;
        let mut open = Vec::new();
        for _ in 0..self.connections.max(1) {
            open.push(dialer.connect().await?);
        }
        let before = usage(std::process::id()).unwrap_or_default();
        let start = Instant::now();
        let mut connections = JoinSet::new();
        for connection in open {
            connections.spawn(connection.drive(Arc::clone(&run), self.window));
        }
        until_answered(&mut connections, &run).await?;
        let seconds = start.elapsed().as_secs_f64();
        let after = usage(std::process::id()).unwrap_or_default();
        Ok(ReferenceReport {
            accepted: run.accepted.load(Ordering::Relaxed),
            refused: run.refused.load(Ordering::Relaxed),
            broken: run.broken.load(Ordering::Relaxed),
            seconds,
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            peak_bytes: after.peak_bytes,
        })
    }
}

/// Waits for all connections; fails when nothing moves.
async fn until_answered(connections: &mut JoinSet<()>, run: &Run) -> Result<(), SimulatorError> {
    let mut seen = 0;
    let mut look = tokio::time::interval(STALL_LIMIT);
    look.tick().await;
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(SimulatorError::Reference(error.to_string())),
                None => return Ok(()),
            },
            _ = look.tick() => {
                let now = run.answered();
                if now == seen {
                    let seconds = STALL_LIMIT.as_secs();
                    let text = format!("nothing was answered for {seconds} s, {now} before");
                    return Err(SimulatorError::Reference(text));
                }
                seen = now;
            }
        }
    }
}
