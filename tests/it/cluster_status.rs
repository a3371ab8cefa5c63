//! What operators see of several nodes: the same from each of them, before and
//! after one was killed; and the dashboard of the nodes, by a real Prometheus.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::dashboard::file::Dashboard;
use crate::dashboard::prometheus::Prometheus;
use crate::redis_kit::{own_prefix, shared_server};
use crate::stage_kit::{Said, Server, araldo, run, until};

const PARTITIONS: usize = 16;
/// Joining, and taking over what has no owner yet.
const JOINED: Duration = Duration::from_secs(60);
/// The lease (5 s, the shortest there is), five seconds, and a busy machine.
const MOVED: Duration = Duration::from_secs(30);

/// Nodes on one Redis.
struct Nodes {
    servers: Vec<Server>,
    key: String,
    folder: tempfile::TempDir,
}

impl Nodes {
    async fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = own_prefix();
        let mut servers = Vec::new();
        for number in 1..=count {
            let config = configure(folder.path(), number, &prefix);
            servers.push(Server::start(&config).await);
        }
        let key = std::fs::read_to_string(folder.path().join("store-1/admin.key")).unwrap();
        Self { servers, key: key.trim().to_owned(), folder }
    }

    async fn cluster(&self, node: usize) -> Value {
        self.servers[node].get("/api/operator/v1/cluster", Some(&self.key)).await.expect(200).json()
    }

    /// Until every living node says that these share all partitions.
    async fn agree(&self, names: &[&str], limit: Duration) {
        until("the nodes agree", limit, || async {
            for node in 0..self.servers.len() {
                let view = self.cluster(node).await;
                if owners(&view) != names || view["lost"] != 0 || view["disputed"] != 0 {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// `araldo cluster status` of a node.
    async fn says(&self, node: usize) -> Said {
        let mut command = araldo(["cluster", "status", "--partitions", "--url"]);
        command.arg(&self.servers[node].base);
        command.arg("--key-file").arg(self.folder.path().join("store-1/admin.key"));
        run(command).await
    }
}

fn configure(folder: &Path, number: usize, prefix: &str) -> PathBuf {
    let file = folder.join(format!("node-{number}.toml"));
    let text = format!(
        "[http]\nbind = \"127.0.0.1:0\"\n\n[store]\nkind = \"redis\"\npath = \"store-{number}\"\n\
         redis_url = \"{}\"\nredis_prefix = \"{prefix}\"\n\n\
         [node]\nid = \"node-{number}\"\nlease_seconds = 5\n\n\
         [engine]\npartitions = {PARTITIONS}\n",
        shared_server().url(),
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// Names of the nodes that have partitions, in order.
fn owners(view: &Value) -> Vec<&str> {
    let partitions = view["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), PARTITIONS);
    let mut names: Vec<_> = partitions.iter().filter_map(|row| row["node"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The dashboard and the alerts, asked of what was scraped.
async fn assert_dashboard(prometheus: &Prometheus, start: f64) {
    let dashboard = Dashboard::read("cluster.json", "2s", "10m");
    let end = prometheus.clock().await;
    for query in &dashboard.queries {
        let drawn = prometheus.between(&query.expr, start, end).await;
        assert!(!drawn.is_empty(), "{}: nothing for {}", query.panel, query.expr);
        for label in &query.legend {
            let named = drawn.iter().all(|series| !series.label(label).is_empty());
            assert!(named, "{}: no label {label}: {}", query.panel, query.expr);
        }
    }
    let lost = &dashboard.of("Partitions without a node")[0].expr;
    assert!(prometheus.sum(lost).await < 0.5);
    let age = &dashboard.of("Oldest echo")[0].expr;
    assert!(prometheus.sum(age).await < 5.0, "everybody is heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_the_same_from_every_node_before_and_after_one_is_killed() {
    let mut nodes = Nodes::start(3).await;
    nodes.agree(&["node-1", "node-2", "node-3"], JOINED).await;
    let bases = nodes.servers.iter().map(|node| node.base.strip_prefix("http://").unwrap());
    let prometheus = Prometheus::start(&bases.collect::<Vec<_>>().join("\", \"")).await;
    let start = prometheus.clock().await;
    let held = "sum(araldo_cluster_partitions_held)";
    until("all are scraped", JOINED, || async {
        (prometheus.sum(held).await - PARTITIONS as f64).abs() < 0.5
    })
    .await;

    let view = nodes.cluster(1).await;
    let rows = view["nodes"].as_array().unwrap();
    let sum: u64 = rows.iter().map(|node| node["partitions"].as_u64().unwrap()).sum();
    assert_eq!((rows.len(), sum), (3, PARTITIONS as u64), "{view}");
    assert!(rows.iter().all(|node| node["leaving"] == false && node["version"] != ""), "{view}");
    let leased = |row: &Value| (1..=5_000).contains(&row["lease_ms"].as_u64().unwrap());
    assert!(view["partitions"].as_array().unwrap().iter().all(leased), "{view}");
    let before = view["partitions"].clone();

    let status = nodes.servers[2].get("/api/operator/v1/status", Some(&nodes.key)).await;
    let status = status.expect(200).json();
    assert_eq!(status["nodes"], json!(["node-1", "node-2", "node-3"]));
    assert_eq!(status["unaccounted"], json!({"messages": 0, "deliveries": 0}));

    nodes.servers.pop().unwrap().signal("KILL").await;
    nodes.agree(&["node-1", "node-2"], MOVED).await;
    let view = nodes.cluster(0).await;
    for (was, is) in before.as_array().unwrap().iter().zip(view["partitions"].as_array().unwrap()) {
        let epochs = (was["epoch"].as_u64().unwrap(), is["epoch"].as_u64().unwrap());
        if was["node"] == "node-3" {
            assert!(epochs.1 > epochs.0, "taken over: {was} {is}");
        } else {
            assert_eq!((&was["node"], epochs.0), (&is["node"], epochs.1), "only its own moved");
        }
    }
    let said = nodes.says(1).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let last = "All is well: 2 nodes, each of 16 partitions has one.\n";
    assert!(said.out.ends_with(last), "{said:?}");
    until("what was taken over is scraped", JOINED, || async {
        (prometheus.sum(held).await - PARTITIONS as f64).abs() < 0.5
    })
    .await;
    assert_dashboard(&prometheus, start).await;
    prometheus.end().await;
}
