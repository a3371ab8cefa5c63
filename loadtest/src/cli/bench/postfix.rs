//! Postfix's load generator and its sink: the reference that e-mail is measured against.
//!
//! Owns the sink's process, killed when dropped. Both programs come with Debian's package `postfix`; no mail system has to
//! be configured or running.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::Failure;
use super::kit::as_f64;

const SINK: &str = "/usr/sbin/smtp-sink";
/// What smtp-source puts before its payload: From, To, Date, Message-Id, Subject.
const SOURCE_HEADER: u64 = 190;
const SOURCE: &str = "/usr/sbin/smtp-source";

/// Whether both can be run.
pub(super) fn check() -> Result<(), Failure> {
    if Path::new(SINK).exists() && Path::new(SOURCE).exists() {
        return Ok(());
    }
    Err(format!("{SINK} and {SOURCE} are needed: apt-get install postfix").into())
}

/// A running smtp-sink.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    process: Child,
}

impl Sink {
    /// Starts it on a free port and waits until it listens.
    pub(super) async fn start() -> Result<Self, Failure> {
        check()?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(SINK);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let process = command
            .arg(address.to_string())
            .arg("1024")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() >= deadline {
                return Err(format!("{SINK} does not listen on {address}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { address, process })
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        self.process.kill().await?;
        Ok(())
    }
}

/// What smtp-source is to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mails {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) sessions: u16,
}

/// Sends mails of `bytes` bytes over `sessions` sessions that are kept open, and gives mails a second.
pub(super) async fn smtp_source(to: SocketAddr, mails: Mails) -> Result<f64, Failure> {
    let start = Instant::now();
    let output = Command::new(SOURCE)
        .args(["-d", "-s", &mails.sessions.to_string(), "-m", &mails.count.to_string()])
        .args(["-l", &mails.bytes.saturating_sub(SOURCE_HEADER).max(1).to_string()])
        .args(["-f", "no-reply@araldo.example", "-t", "prova@posta.example", &to.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{SOURCE}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(as_f64(mails.count) / seconds.max(1e-6))
}
