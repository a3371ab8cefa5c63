//! A node: one process among those that share a store, and what it tells the
//! others of itself.

use serde::{Deserialize, Serialize};

use super::id::{Epoch, NodeId, PartitionId};
use super::lane::ByLane;
use super::route::RouteView;
use super::time::Millis;

/// What a node tells the others with each sign of life. Versions differ during
/// a rolling upgrade: what is added here must have a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// Which process of that name: another one after each start.
    pub incarnation: u128,
    /// Where its HTTP API is reached; for people.
    pub address: String,
    /// The version it runs.
    pub version: String,
    /// When it started.
    pub started_at: Millis,
    /// It is about to leave: no partition is meant for it any more.
    pub leaving: bool,
    /// What it holds.
    pub partitions: Vec<Holding>,
    /// Journal entries of its partitions whose turn is not recorded.
    pub messages: ByLane<u64>,
    /// Deliveries of its partitions without an outcome.
    pub deliveries: u64,
    /// Its routes.
    pub routes: Vec<RouteView>,
}

/// A partition that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which.
    pub partition: PartitionId,
    /// Since which takeover.
    pub epoch: Epoch,
    /// Journal entries whose turn is not recorded.
    pub lag: u64,
    /// Milliseconds its lease lasts unless it is renewed, at the time of the
    /// sign of life.
    pub lease_ms: u64,
}
