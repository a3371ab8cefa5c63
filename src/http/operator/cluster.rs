//! `GET /cluster`: which nodes there are, and which of them has which partition.
//!
//! As the nodes told with their last signs of life: a moment old, and the same
//! from whichever node is asked. A process with a store of its own is a cluster
//! of one node, which has every partition it took over.

use std::collections::BTreeMap;
use std::time::Duration;

use araldo_actors::domain::id::PartitionId;
use araldo_actors::domain::node::{Holding, NodeView};
use araldo_actors::domain::time::Millis;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::Viewer;
use crate::http::app::App;
use crate::http::validate::iso;

/// The nodes and the partitions.
#[derive(Serialize, ToSchema)]
pub struct ClusterView {
    /// By name.
    nodes: Vec<NodeRow>,
    /// By number, all of them.
    partitions: Vec<PartitionRow>,
    /// Partitions that no node has: what is accepted for them waits.
    lost: usize,
    /// Partitions that two nodes say they have: one of them has not noticed yet
    /// that its lease is over. Its writes are refused.
    disputed: usize,
    /// How old the list of nodes is, in milliseconds; null when there can be
    /// only one.
    #[schema(nullable)]
    heard_ago_ms: Option<u64>,
}

/// A node.
#[derive(Serialize, ToSchema)]
struct NodeRow {
    id: String,
    /// Which process of that name, 32 hexadecimal digits.
    incarnation: String,
    /// Where its HTTP API is reached.
    address: String,
    version: String,
    started_at: String,
    /// It gives its partitions back and will end.
    leaving: bool,
    /// How many it has.
    partitions: usize,
    /// Accepted messages of theirs that wait for their turn.
    messages: u64,
    /// Deliveries of theirs without an outcome.
    deliveries: u64,
}

/// A partition. All but its number is null while no node has it.
#[derive(Serialize, ToSchema)]
struct PartitionRow {
    partition: u16,
    #[schema(nullable)]
    node: Option<String>,
    /// How often it was taken over; null with a store that only one process
    /// opens.
    #[schema(nullable)]
    epoch: Option<u64>,
    /// Accepted messages of it that wait for their turn.
    #[schema(nullable)]
    lag: Option<u64>,
    /// How long attempts may start before the lease is renewed, in milliseconds;
    /// null with a store that only one process opens.
    #[schema(nullable)]
    lease_ms: Option<u64>,
}

/// Which nodes there are, and which of them has which partition.
#[utoipa::path(
    get,
    path = "/api/operator/v1/cluster",
    tag = "operator",
    operation_id = "getCluster",
    security(("OperatorKey" = [])),
    responses((status = 200, description = "As last heard of", body = ClusterView))
)]
pub async fn read(State(app): State<App>, _: Viewer) -> Json<ClusterView> {
    let views = app.engine().cluster();
    Json(if views.is_empty() { alone(&app) } else { together(&app, &views) })
}

/// Names of the nodes that live, in order; this one's when there can be no other.
pub fn names(app: &App) -> Vec<String> {
    let views = app.engine().cluster();
    if views.is_empty() {
        return vec![app.node().id.to_string()];
    }
    let mut names: Vec<_> = views.iter().map(|view| view.id.to_string()).collect();
    names.sort_unstable();
    names
}

fn together(app: &App, views: &[NodeView]) -> ClusterView {
    let (owners, disputed) = owners(views);
    let partitions: Vec<_> = (0..app.engine().partitions())
        .map(|partition| match owners.get(&PartitionId(partition)) {
            None => PartitionRow { partition, node: None, epoch: None, lag: None, lease_ms: None },
            Some((node, holding)) => PartitionRow {
                partition,
                node: Some(node.id.to_string()),
                epoch: Some(holding.epoch.0),
                lag: Some(holding.lag),
                lease_ms: Some(holding.lease_ms),
            },
        })
        .collect();
    let mut nodes: Vec<_> = views.iter().map(NodeRow::of).collect();
    nodes.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let lost = partitions.iter().filter(|row| row.node.is_none()).count();
    let heard_ago_ms = app.engine().heard_ago().map(millis);
    ClusterView { nodes, partitions, lost, disputed, heard_ago_ms }
}

/// Who has each partition: of several that say so, the one that took it over
/// last; and of how many several do.
fn owners(views: &[NodeView]) -> (BTreeMap<PartitionId, (&NodeView, Holding)>, usize) {
    let mut owners: BTreeMap<PartitionId, (&NodeView, Holding)> = BTreeMap::new();
    let mut disputed = 0;
    for view in views {
        for holding in &view.partitions {
            match owners.get(&holding.partition) {
                None => drop(owners.insert(holding.partition, (view, *holding))),
                Some((_, other)) => {
                    disputed += 1;
                    if other.epoch < holding.epoch {
                        owners.insert(holding.partition, (view, *holding));
                    }
                }
            }
        }
    }
    (owners, disputed)
}

/// The only node there can be.
fn alone(app: &App) -> ClusterView {
    let (engine, node) = (app.engine(), app.node());
    let held: BTreeMap<_, _> = engine.own_lags().into_iter().collect();
    let row = |partition| {
        let lag = held.get(&PartitionId(partition)).copied();
        let node = lag.map(|_| node.id.to_string());
        PartitionRow { partition, node, epoch: None, lag, lease_ms: None }
    };
    let uptime = app.uptime_seconds().saturating_mul(1_000);
    let only = NodeRow {
        id: node.id.to_string(),
        incarnation: format!("{:032x}", node.incarnation),
        address: node.address.clone(),
        version: node.version.clone(),
        started_at: iso(Millis(engine.now().0.saturating_sub(uptime))),
        leaving: false,
        partitions: held.len(),
        messages: engine.board().pending_messages(),
        deliveries: engine.board().pending_deliveries(),
    };
    let count = engine.partitions();
    ClusterView {
        nodes: vec![only],
        partitions: (0..count).map(row).collect(),
        lost: usize::from(count) - held.len(),
        disputed: 0,
        heard_ago_ms: None,
    }
}

impl NodeRow {
    fn of(view: &NodeView) -> Self {
        Self {
            id: view.id.to_string(),
            incarnation: format!("{:032x}", view.incarnation),
            address: view.address.clone(),
            version: view.version.clone(),
            started_at: iso(view.started_at),
            leaving: view.leaving,
            partitions: view.partitions.len(),
            messages: view.messages.values().sum(),
            deliveries: view.deliveries,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use araldo_actors::domain::id::{Epoch, NodeId};
    use araldo_actors::domain::lane::ByLane;

    use super::{Holding, Millis, NodeView, PartitionId, owners};

    fn node(name: &str, held: &[(u16, u64)]) -> NodeView {
        let holding = |(partition, epoch): &(u16, u64)| Holding {
            partition: PartitionId(*partition),
            epoch: Epoch(*epoch),
            lag: 0,
            lease_ms: 1,
        };
        NodeView {
            id: NodeId::parse(name).unwrap(),
            incarnation: 1,
            address: String::new(),
            version: String::new(),
            started_at: Millis(0),
            leaving: false,
            partitions: held.iter().map(holding).collect(),
            messages: ByLane::default(),
            deliveries: 0,
            routes: Vec::new(),
        }
    }

    #[test]
    fn of_two_that_say_they_have_a_partition_the_newer_owner_has_it() {
        let views = [node("a", &[(0, 5), (1, 2)]), node("b", &[(1, 3)]), node("c", &[(0, 4)])];
        let (owners, disputed) = owners(&views);
        let named: Vec<_> = owners.iter().map(|(id, (node, _))| (id.0, node.id.as_str())).collect();
        assert_eq!((named, disputed), (vec![(0, "a"), (1, "b")], 2));
    }
}
