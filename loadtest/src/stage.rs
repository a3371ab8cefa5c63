//! The stage: the real server (or several nodes of it) and the simulators as child processes on loopback, set up and taken
//! down.
//!
//! Owns the children and their folder. Order of the start: credentials, simulators, configurations, the first node,
//! readiness, admin key, the other nodes. Children die with the stage: simulators end with their standard input, and every child is killed when its
//! handle is dropped. A server's port is chosen once, so that a driver finds it again after a restart. What the server
//! stored stays in the folder for the caller to look at or remove.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;

pub use crate::usage::Usage;
pub use alert::{AlertProgress, AlertState, SentAlert, WalkState};
pub use channel::{CHANNELS, ChannelTotals};
pub use child::ChildError;
pub use node::{Nodes, StageStore};
pub use setup::{ImportProgress, ImportReport, SenderKeys};
pub use sim_process::SimProcess;

mod alert;
mod channel;
pub(crate) mod child;
mod config;
mod node;
mod setup;
mod sim_process;

use crate::citizen_token::CitizenTokens;
use crate::client::{Client, ClientError};
use crate::simulator::credentials::{create_private_folder, write_private};
use crate::simulator::{
    Behaviour, Credentials, Kind, Record, SimulatorError, SmtpOptions, SmtpTls,
};
use child::Child;
use node::Node;

/// A child must be ready within this time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A server told to stop drains within this time or is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// After this long with nothing pending, what is unaccounted for stays so.
const SETTLE: Duration = Duration::from_secs(2);

/// How to start a simulator process: this program with these arguments, and the path of a [`LaunchSpec`] file after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimLauncher {
    /// The program, usually the running one.
    pub program: PathBuf,
    /// Arguments before the file, usually a hidden command that calls [`LaunchSpec::run_file`].
    pub args: Vec<String>,
}

/// How the stage is set up.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// The server's binary, run as `araldo serve --config FILE`.
    pub araldo: PathBuf,
    /// How to start a simulator.
    pub sim: SimLauncher,
    /// Folder for everything: created when missing, not removed.
    pub folder: PathBuf,
    /// TLS between server and simulators, or cleartext (HTTP/2 with prior knowledge, SMTP without STARTTLS).
    pub tls: bool,
    /// Which providers; one route each, named `apple`, `google` and `relay`.
    pub providers: Vec<Kind>,
    /// What the SMTP simulator is told; its encryption is [`SmtpTls::None`] when `tls` is off.
    pub smtp: SmtpOptions,
    /// A relay of somebody else, spoken to in the clear, for the route `relay`; instead of the SMTP simulator.
    pub relay: Option<SocketAddr>,
    /// Sessions of the route `relay`.
    pub sessions: u32,
    /// What the simulators are told at the start.
    pub behaviour: Behaviour,
    /// Connections of each route.
    pub connections: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS of the simulators of APNs and FCM.
    pub max_streams: u32,
    /// Where the store is.
    pub store: StageStore,
    /// With a store in Redis: how many nodes.
    pub nodes: Nodes,
    /// First back-off delay of the routes, milliseconds; `None` leaves the server's default.
    pub retry_base_ms: Option<u64>,
    /// APNs simulator: hold the server to Apple's 20 minutes between two provider tokens. A test that restarts the
    /// server makes it sign anew and wants this off.
    pub strict_token_updates: bool,
    /// APNs simulator: Apple's rule of one stream until the first valid token.
    pub one_stream_until_authorized: bool,
    /// Further lines of TOML, appended to the server's configuration.
    pub extra_config: String,
    /// Environment of the server, beside its own.
    pub env: Vec<(String, String)>,
}

impl StageOptions {
    /// All providers over TLS, well behaved, two connections a route, four sessions to the relay.
    #[must_use]
    pub fn new(araldo: PathBuf, sim: SimLauncher, folder: PathBuf) -> Self {
        Self {
            araldo,
            sim,
            folder,
            tls: true,
            providers: vec![Kind::Apns, Kind::Fcm, Kind::Smtp],
            smtp: SmtpOptions::default(),
            relay: None,
            sessions: 4,
            behaviour: Behaviour::default(),
            connections: 2,
            max_streams: 1_000,
            store: StageStore::Embedded,
            nodes: Nodes::default(),
            retry_base_ms: None,
            strict_token_updates: false,
            one_stream_until_authorized: true,
            extra_config: String::new(),
            env: Vec::new(),
        }
    }

    /// Encryption between server and SMTP simulator.
    fn smtp_tls(&self) -> SmtpTls {
        if self.tls { self.smtp.tls } else { SmtpTls::None }
    }
}

/// Why the stage could not be set up or asked.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A child did not start, or ended.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Credentials or a file of the stage.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// Something else, worded.
    #[error("{0}")]
    Other(String),
}

/// A running stage.
pub struct Stage {
    options: StageOptions,
    simulators: Vec<SimProcess>,
    admin_key: String,
    tokens: CitizenTokens,
    /// Never empty.
    nodes: Vec<Node>,
}

impl Stage {
    /// Starts simulators and server and waits until the server is ready.
    ///
    /// # Errors
    /// [`StageError`], naming the child and the end of its log.
    pub async fn start(options: StageOptions) -> Result<Self, StageError> {
        create_private_folder(&options.folder)?;
        let credentials_folder = options.folder.join("credentials");
        Credentials::load_or_generate(&credentials_folder)?;
        let mut simulators = Vec::new();
        for kind in options.providers.clone() {
            simulators.push(SimProcess::start(&options, kind, &credentials_folder).await?);
        }
        let tokens = CitizenTokens::generate();
        write_private(&config::citizen_key_file(&options.folder), tokens.secret().as_bytes())?;
        if let Some(account) = &options.smtp.account {
            let file = config::password_file(&options.folder);
            write_private(&file, account.password.as_bytes())?;
        }
        let nodes = Node::places(&options)?;
        for node in &nodes {
            create_private_folder(&node.folder)?;
            let text = config::render(&options, node, &nodes[0], &credentials_folder, &simulators)?;
            write_private(&node.config_file, text.as_bytes())?;
        }
        let started = options.nodes.started.clamp(1, nodes.len());
        let mut stage = Self { options, simulators, admin_key: String::new(), tokens, nodes };
        stage.start_node(0).await?;
        stage.admin_key = stage.read_admin_key()?;
        for node in 1..started {
            stage.start_node(node).await?;
        }
        Ok(stage)
    }

    /// Base URL of the server, the same after a restart; of several nodes the first that answers.
    #[must_use]
    pub fn base_url(&self) -> &str {
        let answering = self.nodes.iter().find(|node| node.answers());
        &answering.unwrap_or(&self.nodes[0]).base
    }

    /// The admin key the server made.
    #[must_use]
    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// Mints citizens' tokens that the server takes.
    #[must_use]
    pub const fn tokens(&self) -> &CitizenTokens {
        &self.tokens
    }

    /// The configuration file of the first node.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.nodes[0].config_file
    }

    /// Folder of the first node's store.
    #[must_use]
    pub fn store_folder(&self) -> PathBuf {
        self.nodes[0].store_folder()
    }

    /// The log file of the first node.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.nodes[0].log()
    }

    /// The simulators.
    #[must_use]
    pub fn simulators(&self) -> &[SimProcess] {
        &self.simulators
    }

    /// The simulator of a provider.
    #[must_use]
    pub fn simulator(&self, kind: Kind) -> Option<&SimProcess> {
        self.simulators.iter().find(|simulator| simulator.kind == kind)
    }

    /// Process id of the first node, while it runs.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        self.nodes[0].child.as_ref().and_then(Child::pid)
    }

    /// Memory and CPU time of the first node so far.
    #[must_use]
    pub fn server_usage(&self) -> Option<Usage> {
        self.node_usage(0)
    }

    /// A client of the operator API.
    ///
    /// # Errors
    /// [`StageError::Client`] when the key cannot be a header.
    pub fn operator(&self) -> Result<Client, StageError> {
        Ok(Client::new(self.base_url(), Some(&self.admin_key))?)
    }

    /// `GET /api/operator/v1/status`.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn status(&self) -> Result<Value, StageError> {
        Ok(self.operator()?.get("/api/operator/v1/status").await?)
    }

    /// Every push the simulators of APNs and FCM accepted.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn records(&self) -> Result<Vec<Record>, StageError> {
        let mut all = Vec::new();
        for simulator in self.simulators.iter().filter(|sim| sim.kind != Kind::Smtp) {
            all.extend(simulator.records().await?);
        }
        Ok(all)
    }

    /// Every mail the SMTP simulator took.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn mail_records(&self) -> Result<Vec<Record>, StageError> {
        match self.simulator(Kind::Smtp) {
            Some(relay) => relay.records().await,
            None => Ok(Vec::new()),
        }
    }

    /// Waits until the server has nothing pending, asking every 50 ms; gives the last status either way, and whether it
    /// came to rest in time. A server that is down counts as not at rest. A message just answered may not be counted as
    /// pending yet: what is unaccounted for is waited for too, but not longer than [`SETTLE`], since it may be a fault.
    pub async fn wait_at_rest(
        &self,
        limit: Duration,
        mut on_status: impl FnMut(&Value),
    ) -> (bool, Option<Value>) {
        let deadline = Instant::now() + limit;
        let mut last = None;
        let mut still_since: Option<Instant> = None;
        loop {
            if let Ok(status) = self.status().await {
                on_status(&status);
                let zero =
                    |pointer: &str| status.pointer(pointer).and_then(Value::as_i64) == Some(0);
                let still = zero("/messages/pending") && zero("/deliveries/pending");
                let accounted = zero("/unaccounted/messages") && zero("/unaccounted/deliveries");
                last = Some(status);
                still_since = still.then(|| still_since.unwrap_or_else(Instant::now));
                if still_since.is_some_and(|since| accounted || since.elapsed() >= SETTLE) {
                    return (true, last);
                }
            }
            if Instant::now() >= deadline {
                return (false, last);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills the first node with SIGKILL.
    ///
    /// # Errors
    /// [`StageError::Child`].
    pub async fn kill_server(&mut self) -> Result<(), StageError> {
        self.kill_node(0).await
    }

    /// Starts the first node again (killing one that runs) on the same port and store, and waits until it is ready.
    ///
    /// # Errors
    /// [`StageError`], with the end of the server's log.
    pub async fn restart_server(&mut self) -> Result<Duration, StageError> {
        self.start_node(0).await
    }

    /// Stops the first node with SIGTERM and waits for its drain; gives its exit code.
    ///
    /// # Errors
    /// [`StageError::Child`] when it does not end in time (it is killed then).
    pub async fn stop_server(&mut self) -> Result<Option<i32>, StageError> {
        self.drain_node(0).await
    }

    /// Stops all nodes, then the simulators.
    ///
    /// # Errors
    /// [`StageError::Child`]; everything is ended all the same.
    pub async fn shutdown(mut self) -> Result<(), StageError> {
        let mut drained = Ok(None);
        for node in &mut self.nodes {
            let one = node.drain().await;
            drained = drained.and(one);
        }
        for simulator in self.simulators.drain(..) {
            simulator.child.terminate(Duration::from_secs(5)).await?;
        }
        drained.map(|_| ())
    }
}

/// A sender key as a header value.
fn key_header(key: &str) -> Result<HeaderValue, StageError> {
    HeaderValue::from_str(key)
        .map_err(|_| StageError::Other("a sender key that no header takes".to_owned()))
}
