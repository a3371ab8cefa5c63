//! h2load, the load generator of nghttp2: how many requests a second the simulator takes at all on this machine.
//!
//! Owns its process while it runs. It writes one request over and over, so it says how fast the wire and the simulator are and
//! nothing of a client: the bare loop must come near enough to it to be an honest reference.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use araldo_loadtest::reference::{Push, Target, apns_path};
use araldo_loadtest::simulator::clock::unix_s;
use tokio::process::Command;

use super::super::Failure;
use super::program;

const PROGRAM: &str = "h2load";
/// Device tokens it goes through in turn.
const DEVICES: u64 = 10_000;

/// Whether it can be run.
pub(super) fn check() -> Result<(), Failure> {
    program::check(PROGRAM, "nghttp2-client")
}

/// What h2load is to do.
pub(super) struct Job<'a> {
    pub(super) target: &'a Target,
    pub(super) push: &'a Push,
    pub(super) requests: u64,
    pub(super) connections: u16,
    pub(super) window: u16,
    /// For its files.
    pub(super) folder: &'a Path,
}

impl Job<'_> {
    /// Runs it, and gives requests a second; fails when any was refused.
    pub(super) async fn run(&self) -> Result<f64, Failure> {
        let [body, list] = self.write_files()?;
        let mut command = Command::new(PROGRAM);
        command.args(["-n", &self.requests.to_string()]);
        command.args(["-c", &self.connections.to_string(), "-m", &self.window.to_string()]);
        command.args(["-t", "1"]).arg("-d").arg(body).arg("-i").arg(list);
        for (name, value) in self.headers() {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        read(&text, self.requests).ok_or_else(|| {
            let said = text.lines().filter(|line| line.contains(": ") || line.contains("req/s"));
            let said: Vec<&str> = said.take(12).collect();
            format!("h2load did not get {} answers of 200: {}", self.requests, said.join("; "))
                .into()
        })
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("authorization", self.target.authorization.clone())];
        if self.target.provider == "apns" {
            headers.extend([
                ("apns-topic", self.target.account.clone()),
                ("apns-push-type", "alert".to_owned()),
                ("apns-priority", "5".to_owned()),
                ("apns-expiration", (unix_s() + 86_400).to_string()),
                ("apns-collapse-id", self.push.message.clone()),
            ]);
        } else {
            headers.push(("content-type", "application/json".to_owned()));
        }
        headers
    }

    /// The body and the list of addresses.
    fn write_files(&self) -> Result<[PathBuf; 2], Failure> {
        let [body, list] = ["h2load.body", "h2load.list"].map(|name| self.folder.join(name));
        let endpoint = &self.target.endpoint;
        let (content, addresses) = if self.target.provider == "apns" {
            let paths = (0..DEVICES).map(|index| format!("{endpoint}{}\n", apns_path(index)));
            (self.push.apns_body(), paths.collect())
        } else {
            let path = format!("/v1/projects/{}/messages:send", self.target.account);
            (self.push.fcm_body(), format!("{endpoint}{path}\n"))
        };
        std::fs::write(&body, content)?;
        std::fs::write(&list, addresses)?;
        Ok([body, list])
    }
}

/// The rate in h2load's summary, if all requests succeeded.
fn read(text: &str, requests: u64) -> Option<f64> {
    let all = format!("{requests} succeeded, 0 failed, 0 errored");
    let line = text.lines().find(|line| line.starts_with("finished in "))?;
    let rate = line.split(", ").find_map(|part| part.strip_suffix(" req/s"))?;
    text.contains(&all).then(|| rate.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_when_all_succeeded() {
        let text = "starting benchmark...\n\nfinished in 3.12s, 160318.38 req/s, 5.80MB/s\n\
            requests: 500 total, 500 started, 500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout\n";
        assert_eq!(read(text, 500), Some(160_318.38));
        assert_eq!(read(text, 501), None);
        assert_eq!(read("", 1), None);
    }
}
