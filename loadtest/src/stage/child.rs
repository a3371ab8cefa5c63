//! One child process: started, heard, measured and ended.
//!
//! Owns the process, its standard input (held open: a simulator ends when it closes) and the task that reads its
//! standard output to the end, so that a talkative child never blocks. Killed on drop.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::usage::{Usage, usage};

/// Lines of a log repeated in an error.
const LOG_LINES: usize = 12;

/// Why a child is not there.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program could not be run at all.
    #[error("cannot run {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It ended, or said nothing, before it was ready.
    #[error("{} {what}; end of its log ({}):\n{tail}", program.display(), log.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// What happened.
        what: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// It could not be signalled or waited for, or did not end in time.
    #[error("cannot stop the child: {0}")]
    Stop(String),
}

pub(crate) struct Child {
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    output: JoinHandle<()>,
}

impl Child {
    /// Starts a program and waits for its first line on standard output. Standard error goes to `log`, appended.
    pub(crate) async fn start(
        program: &Path,
        args: &[String],
        env: &[(String, String)],
        log: &Path,
        limit: Duration,
    ) -> Result<(Self, String), ChildError> {
        let spawn = |source| ChildError::Spawn { program: program.to_owned(), source };
        let log_file =
            std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(spawn)?;
        let mut process = Command::new(program)
            .args(args)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log_file))
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn)?;
        let stdin = process.stdin.take();
        let not_ready = |what: String| ChildError::NotReady {
            program: program.to_owned(),
            what,
            log: log.to_owned(),
            tail: tail(log),
        };
        let Some(stdout) = process.stdout.take() else {
            return Err(not_ready("has no standard output".to_owned()));
        };
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        match tokio::time::timeout(limit, lines.read_line(&mut first)).await {
            Ok(Ok(read)) if read > 0 => {}
            Ok(Ok(_)) => {
                let status = tokio::time::timeout(Duration::from_secs(2), process.wait()).await;
                let status = status
                    .ok()
                    .and_then(Result::ok)
                    .map_or_else(String::new, |status| format!(" ({status})"));
                return Err(not_ready(format!("ended before it was ready{status}")));
            }
            Ok(Err(error)) => return Err(not_ready(format!("cannot be heard: {error}"))),
            Err(_) => return Err(not_ready(format!("said nothing for {} s", limit.as_secs()))),
        }
        let child = Self { process, stdin, output: tokio::spawn(drain(lines)) };
        Ok((child, first.trim().to_owned()))
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        usage(self.pid()?)
    }

    /// SIGKILL, and waits for the end.
    pub(crate) async fn kill(mut self) -> Result<(), ChildError> {
        self.process.kill().await.map_err(|error| ChildError::Stop(error.to_string()))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ChildError> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| ChildError::Stop("it has ended".to_owned()))?;
        kill_process(pid, signal).map_err(|error| ChildError::Stop(error.to_string()))
    }

    /// SIGTERM, end of standard input, and waits; kills after the limit.
    pub(crate) async fn terminate(mut self, limit: Duration) -> Result<Option<i32>, ChildError> {
        if self.pid().is_some() {
            self.signal(Signal::TERM)?;
        }
        drop(self.stdin.take());
        match tokio::time::timeout(limit, self.process.wait()).await {
            Ok(Ok(status)) => Ok(status.code()),
            Ok(Err(error)) => Err(ChildError::Stop(error.to_string())),
            Err(_) => {
                self.process.kill().await.map_err(|error| ChildError::Stop(error.to_string()))?;
                Err(ChildError::Stop(format!(
                    "it did not end within {} s and was killed",
                    limit.as_secs()
                )))
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.output.abort();
    }
}

async fn drain(mut lines: BufReader<ChildStdout>) {
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
        line.clear();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_ends_early_is_reported_with_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let args = ["-c".to_owned(), "echo no such route >&2; exit 3".to_owned()];
        let limit = Duration::from_secs(10);
        let error = Child::start(Path::new("/bin/sh"), &args, &[], &log, limit)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("no such route") && error.contains('3'), "{error}");
        let missing =
            Child::start(Path::new("/no/such/program"), &[], &[], &log, limit).await.err().unwrap();
        assert!(matches!(missing, ChildError::Spawn { .. }));
    }

    #[tokio::test]
    async fn a_child_is_heard_measured_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let args = ["-c".to_owned(), "echo ready; exec cat".to_owned()];
        let (child, line) =
            Child::start(Path::new("/bin/sh"), &args, &[], &log, Duration::from_secs(10))
                .await
                .unwrap();
        assert_eq!(line, "ready");
        assert!(child.usage().unwrap().resident_bytes > 0);
        let pid = child.pid().unwrap();
        child.terminate(Duration::from_secs(10)).await.unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
