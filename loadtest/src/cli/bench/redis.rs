//! redis-benchmark against a redis-server of its own: the reference that the intake is measured against. Both put one record
//! of a kilobyte on disk for each answer, on 64 connections with one request at a time.
//!
//! Owns the server's process, killed when dropped, and its folder. Both programs come with Debian's packages redis-server and
//! redis-tools; no Redis has to be configured or running.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::Failure;
use super::program;

const SERVER: &str = "redis-server";
const BENCHMARK: &str = "redis-benchmark";
/// Bytes of a value.
const VALUE: &str = "1024";

/// Whether both can be run.
pub(super) fn check() -> Result<(), Failure> {
    program::check(SERVER, "redis-server")?;
    program::check(BENCHMARK, "redis-tools")
}

/// Writes `requests` values over `connections` connections into a server that syncs its log before every answer, in `folder`;
/// gives requests a second.
pub(super) async fn durable_sets(
    folder: &Path,
    requests: u64,
    connections: u16,
) -> Result<f64, Failure> {
    std::fs::create_dir_all(folder)?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut server = serve(folder, address)?;
    wait_for(address).await?;
    let output = Command::new(BENCHMARK)
        .args(["-h", "127.0.0.1", "-p", &address.port().to_string()])
        .args(["-t", "set", "-d", VALUE, "-P", "1", "--csv"])
        .args(["-c", &connections.to_string(), "-n", &requests.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    server.kill().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{BENCHMARK} gave no rate: {} {}", text.trim(), said.trim()).into()
    })
}

/// Every write is in the log, and the log on disk, before its answer. Nothing else is written beside it: no snapshots, no
/// rewriting of the log.
fn serve(folder: &Path, address: SocketAddr) -> Result<Child, Failure> {
    let server = Command::new(SERVER)
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--auto-aof-rewrite-percentage", "0", "--save", ""])
        .args(["--daemonize", "no", "--loglevel", "warning", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(server)
}

/// Waits until it answers a PING.
async fn wait_for(address: SocketAddr) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !answers(address).await {
        if Instant::now() >= deadline {
            return Err(format!("{SERVER} does not answer on {address}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let mut answer = [0; 7];
    let asked = async {
        stream.write_all(b"PING\r\n").await?;
        stream.read_exact(&mut answer).await
    };
    let in_time = tokio::time::timeout(Duration::from_secs(1), asked).await;
    matches!(in_time, Ok(Ok(_))) && &answer == b"+PONG\r\n"
}

/// The rate in the line of SET.
fn read(csv: &str) -> Option<f64> {
    let line = csv.lines().find_map(|line| line.strip_prefix("\"SET\",\""))?;
    line.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_set_is_read() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"24096.39\",\"2.574\"\n";
        assert_eq!(read(csv), Some(24_096.39));
        assert_eq!(read("\"test\",\"rps\"\n"), None);
    }
}
