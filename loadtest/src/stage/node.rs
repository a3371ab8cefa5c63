//! The servers of a stage: one, or several nodes that share a Redis; each started, killed, stopped and drained by itself.
//!
//! A node's place (name, port, folder, configuration) is there from the stage's start to its end, so that a driver finds it
//! again; whether a process runs there changes. Only the first node works with the embedded store.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use tokio::time::Instant;

use super::child::Child;
use super::{START_LIMIT, STOP_LIMIT, Stage, StageError, StageOptions, Usage};
use crate::client::Client;
use crate::port::free_address;

/// Where the store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StageStore {
    /// In the server's folder; one node.
    #[default]
    Embedded,
    /// In Redis; any number of nodes. Lines of TOML for the section `[store]`, such as `redis_url = "…"`.
    Redis(String),
}

/// The nodes of a stage whose store is in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Places for nodes.
    pub places: usize,
    /// Of these, the first so many are started with the stage.
    pub started: usize,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { places: 1, started: 1, lease_seconds: 15 }
    }
}

/// The place of a node, and its process while there is one.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) bind: SocketAddr,
    pub(super) folder: PathBuf,
    pub(super) config_file: PathBuf,
    pub(super) base: String,
    pub(super) child: Option<Child>,
    pub(super) is_stopped: bool,
}

impl Node {
    /// The places of a stage: with the embedded store the stage's own folder, else a folder each.
    pub(super) fn places(options: &StageOptions) -> Result<Vec<Self>, StageError> {
        let count = match options.store {
            StageStore::Embedded => 1,
            StageStore::Redis(_) => options.nodes.places.max(1),
        };
        (1..=count).map(|number| Self::place(options, number)).collect()
    }

    fn place(options: &StageOptions, number: usize) -> Result<Self, StageError> {
        let name = format!("node-{number}");
        let folder = match options.store {
            StageStore::Embedded => options.folder.clone(),
            StageStore::Redis(_) => options.folder.join(&name),
        };
        let bind = free_address()
            .map_err(|error| StageError::Other(format!("no free port for {name}: {error}")))?;
        let base = format!("http://{bind}");
        let config_file = folder.join("araldo.toml");
        Ok(Self { name, bind, folder, config_file, base, child: None, is_stopped: false })
    }

    pub(super) fn store_folder(&self) -> PathBuf {
        self.folder.join("store")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("araldo.log")
    }

    /// Whether it can answer: there is a process, and it is not stopped by a signal.
    pub(super) const fn answers(&self) -> bool {
        self.child.is_some() && !self.is_stopped
    }

    /// Starts its process and hears that it listens; killing one that runs.
    async fn start(&mut self, options: &StageOptions) -> Result<(), StageError> {
        self.kill().await?;
        let config = self.config_file.display().to_string();
        let args = ["serve".to_owned(), "--config".to_owned(), config];
        let (child, line) =
            Child::start(&options.araldo, &args, &options.env, &self.log(), START_LIMIT).await?;
        self.child = Some(child);
        if let Some(url) = line.split_ascii_whitespace().find(|word| word.starts_with("http://")) {
            url.trim_end_matches('/').clone_into(&mut self.base);
        }
        Ok(())
    }

    async fn wait_ready(&self, deadline: Instant) -> Result<(), StageError> {
        loop {
            let mut client = Client::new(&self.base, None)?;
            let asked = client.send(Method::GET, "/readyz", None, bytes::Bytes::new());
            match asked.await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn kill(&mut self) -> Result<(), StageError> {
        self.is_stopped = false;
        match self.child.take() {
            Some(child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    pub(super) async fn drain(&mut self) -> Result<Option<i32>, StageError> {
        match self.child.take() {
            Some(child) => Ok(child.terminate(STOP_LIMIT).await?),
            None => Ok(None),
        }
    }
}

impl Stage {
    /// Places for nodes, with or without a process; nodes are counted from 0.
    #[must_use]
    pub fn places(&self) -> usize {
        self.nodes.len()
    }

    /// Base URLs of all places, in their order.
    #[must_use]
    pub fn bases(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.base.clone()).collect()
    }

    /// The name of a node: `node-1` is the first.
    #[must_use]
    pub fn node_name(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("", |node| &node.name)
    }

    /// The nodes that run and are not stopped by a signal.
    #[must_use]
    pub fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].answers()).collect()
    }

    /// A node's log file.
    #[must_use]
    pub fn node_log(&self, node: usize) -> Option<PathBuf> {
        self.nodes.get(node).map(Node::log)
    }

    /// A node's configuration file.
    #[must_use]
    pub fn node_config(&self, node: usize) -> Option<&Path> {
        self.nodes.get(node).map(|node| node.config_file.as_path())
    }

    /// Memory and CPU time of a node so far.
    #[must_use]
    pub fn node_usage(&self, node: usize) -> Option<Usage> {
        self.nodes.get(node)?.child.as_ref().and_then(Child::usage)
    }

    /// A client of the operator API of one node.
    ///
    /// # Errors
    /// [`StageError`]; there is no such node.
    pub fn operator_of(&self, node: usize) -> Result<Client, StageError> {
        let node = self.nodes.get(node).ok_or_else(|| no_node(node))?;
        Ok(Client::new(&node.base, Some(&self.admin_key))?)
    }

    /// Starts a node (killing its process if one runs) and waits until it is ready; says how long that took.
    ///
    /// # Errors
    /// [`StageError`], with the end of the node's log.
    pub async fn start_node(&mut self, node: usize) -> Result<Duration, StageError> {
        let began = Instant::now();
        let place = self.nodes.get_mut(node).ok_or_else(|| no_node(node))?;
        place.start(&self.options).await?;
        place.wait_ready(began + START_LIMIT).await?;
        Ok(began.elapsed())
    }

    /// Kills a node with SIGKILL.
    ///
    /// # Errors
    /// [`StageError::Child`].
    pub async fn kill_node(&mut self, node: usize) -> Result<(), StageError> {
        self.nodes.get_mut(node).ok_or_else(|| no_node(node))?.kill().await
    }

    /// Tells a node to end (SIGTERM) and waits for its drain; gives its exit code.
    ///
    /// # Errors
    /// [`StageError::Child`] when it does not end in time (it is killed then).
    pub async fn drain_node(&mut self, node: usize) -> Result<Option<i32>, StageError> {
        self.nodes.get_mut(node).ok_or_else(|| no_node(node))?.drain().await
    }

    /// Stops a node where it is (SIGSTOP): it holds its connections and answers nothing.
    ///
    /// # Errors
    /// [`StageError::Child`]; it does not run.
    pub fn stop_node(&mut self, node: usize) -> Result<(), StageError> {
        self.signal(node, rustix::process::Signal::STOP, true)
    }

    /// Lets a stopped node go on (SIGCONT).
    ///
    /// # Errors
    /// [`StageError::Child`]; it does not run.
    pub fn continue_node(&mut self, node: usize) -> Result<(), StageError> {
        self.signal(node, rustix::process::Signal::CONT, false)
    }

    fn signal(
        &mut self,
        node: usize,
        signal: rustix::process::Signal,
        stopped: bool,
    ) -> Result<(), StageError> {
        let place = self.nodes.get_mut(node).ok_or_else(|| no_node(node))?;
        let child = place.child.as_ref().ok_or_else(|| no_node(node))?;
        child.signal(signal)?;
        place.is_stopped = stopped;
        Ok(())
    }

    /// The admin key of a fresh house: whichever node made it has it in its folder.
    pub(super) fn read_admin_key(&self) -> Result<String, StageError> {
        let files = self.nodes.iter().map(|node| node.store_folder().join("admin.key"));
        let found = files.filter(|file| file.exists()).map(|file| read(&file)).next();
        found.unwrap_or_else(|| Err(StageError::Other("no node made an admin.key".to_owned())))
    }
}

fn read(file: &Path) -> Result<String, StageError> {
    std::fs::read_to_string(file)
        .map(|text| text.trim().to_owned())
        .map_err(|error| StageError::Other(format!("{}: {error}", file.display())))
}

fn no_node(node: usize) -> StageError {
    StageError::Other(format!("node {} of the stage is not there or does not run", node + 1))
}
