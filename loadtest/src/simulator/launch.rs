//! A simulator process described by a file: what the stage writes and any program that links this crate can run.
//!
//! A program that has one hidden command calling [`LaunchSpec::run_file`] can be the stage's simulator; no other
//! binary has to be shipped. Owns the runtime of that process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::credentials::file_error;
use super::error::SimulatorError;
use super::{
    Behaviour, Credentials, Kind, Options, ProcessKind, ProcessOptions, SmtpOptions, run_process,
};

/// Which simulators, as written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaunchKind {
    /// APNs.
    Apns,
    /// FCM.
    Fcm,
    /// An SMTP relay.
    Smtp,
    /// All three.
    All,
}

/// Everything a simulator process is told at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchSpec {
    /// Which simulators.
    pub kind: LaunchKind,
    /// Folder of keys and certificates; filled when empty.
    pub folder: PathBuf,
    /// Address to listen on.
    #[serde(default = "loopback")]
    pub bind: IpAddr,
    /// Port for notifications, 0 for a free one.
    #[serde(default)]
    pub port: u16,
    /// Port of the control listener, 0 for a free one.
    #[serde(default)]
    pub control_port: u16,
    /// TLS or cleartext (APNs, FCM).
    #[serde(default = "yes")]
    pub tls: bool,
    /// SMTP: encryption, account, limits.
    #[serde(default)]
    pub smtp: SmtpOptions,
    /// What to do wrong.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    #[serde(default = "thousand")]
    pub max_streams: u32,
    /// APNs: Apple's rule of one stream until the first valid token.
    #[serde(default)]
    pub one_stream_until_authorized: bool,
    /// APNs: seconds between two new provider tokens; 0 takes any number.
    #[serde(default = "twenty_minutes")]
    pub token_update_interval: u64,
    /// FCM: validity of an access token, seconds.
    #[serde(default = "hour")]
    pub access_token_lifetime: u64,
    /// Worker threads.
    #[serde(default = "one")]
    pub threads: u16,
    /// End with standard input.
    #[serde(default = "yes")]
    pub end_with_stdin: bool,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}
const fn yes() -> bool {
    true
}
const fn one() -> u16 {
    1
}
const fn thousand() -> u32 {
    1_000
}
const fn twenty_minutes() -> u64 {
    1_200
}
const fn hour() -> u64 {
    3_600
}

impl LaunchSpec {
    /// A well-behaved simulator over TLS on free ports of 127.0.0.1.
    #[must_use]
    pub fn new(kind: LaunchKind, folder: PathBuf) -> Self {
        Self {
            kind,
            folder,
            bind: loopback(),
            port: 0,
            control_port: 0,
            tls: true,
            smtp: SmtpOptions::default(),
            behaviour: Behaviour::default(),
            max_streams: thousand(),
            one_stream_until_authorized: false,
            token_update_interval: twenty_minutes(),
            access_token_lifetime: hour(),
            threads: 1,
            end_with_stdin: true,
        }
    }

    /// Runs the process described by a JSON file until its end; builds the runtime itself.
    ///
    /// # Errors
    /// The file cannot be read or does not parse; or as [`LaunchSpec::run`].
    pub fn run_file(path: &Path) -> Result<(), SimulatorError> {
        let text = std::fs::read_to_string(path).map_err(|source| file_error(path, source))?;
        let spec: Self = serde_json::from_str(&text).map_err(|error| SimulatorError::Content {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        spec.run()
    }

    /// Runs the process until SIGTERM, SIGINT or (if asked) the end of standard input.
    ///
    /// # Errors
    /// As [`run_process`]; or no runtime can be built.
    pub fn run(self) -> Result<(), SimulatorError> {
        let runtime = runtime(self.threads)?;
        runtime.block_on(run_process(self.into_options()?))
    }

    fn into_options(self) -> Result<ProcessOptions, SimulatorError> {
        let mut options = Options::new(Kind::Apns, Credentials::load_or_generate(&self.folder)?);
        options.bind = SocketAddr::new(self.bind, self.port);
        options.control_bind = SocketAddr::new(self.bind, self.control_port);
        options.tls = self.tls;
        options.smtp = self.smtp;
        options.behaviour = self.behaviour;
        options.max_concurrent_streams = self.max_streams;
        options.one_stream_until_authorized = self.one_stream_until_authorized;
        options.token_update_interval = Duration::from_secs(self.token_update_interval);
        options.access_token_lifetime = Duration::from_secs(self.access_token_lifetime);
        let kind = match self.kind {
            LaunchKind::Apns => ProcessKind::One(Kind::Apns),
            LaunchKind::Fcm => ProcessKind::One(Kind::Fcm),
            LaunchKind::Smtp => ProcessKind::One(Kind::Smtp),
            LaunchKind::All => ProcessKind::All,
        };
        Ok(ProcessOptions {
            kind,
            options,
            folder: self.folder,
            end_with_stdin: self.end_with_stdin,
        })
    }
}

/// A runtime on one thread, or on several.
pub(crate) fn runtime(threads: u16) -> Result<tokio::runtime::Runtime, SimulatorError> {
    let mut builder = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(usize::from(threads));
        builder
    };
    builder.enable_all().build().map_err(SimulatorError::Start)
}
