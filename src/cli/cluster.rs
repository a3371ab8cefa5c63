//! `araldo cluster`: the nodes that share a store.

use std::io::Write;

use clap::Subcommand;
use serde_json::Value;

use super::client::Call;
use super::error::CliError;
use super::global::Global;
use super::output::{self, text_of};

/// Partitions shown of those that are behind.
const SHOWN: usize = 10;
/// A list of nodes that is older than this is no news: they tell every second.
const STALE_MS: u64 = 5_000;

/// Nodes that share a store.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    araldo cluster status\n  \
    araldo cluster status --partitions\n  \
    araldo cluster status --json | jq .lost")]
pub enum Cluster {
    /// Show nodes, partitions, epochs, what waits, and leases, as any node knows them.
    Status {
        /// All partitions, not only those without a node and the ten furthest behind.
        #[arg(long)]
        partitions: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Cluster {
    /// Runs the command.
    pub fn run(self, global: &Global) -> Result<(), CliError> {
        let Self::Status { partitions, json } = self;
        let answer = global.operator()?.call(&Call::get("/api/operator/v1/cluster"))?;
        if json { output::json(&answer.body) } else { show(&answer.body, partitions) }
    }
}

fn show(body: &Value, all: bool) -> Result<(), CliError> {
    show_nodes(body)?;
    let rows = partitions(body, all);
    if !rows.is_empty() {
        let mut out = output::stdout();
        writeln!(out)?;
        out.flush()?;
        drop(out);
        output::table(&["PARTITION", "NODE", "EPOCH", "WAITING", "LEASE"], &rows)?;
    }
    let mut out = output::stdout();
    writeln!(out, "\n{}", verdict(body))?;
    Ok(out.flush()?)
}

fn show_nodes(body: &Value) -> Result<(), CliError> {
    let row = |node: &Value| {
        let state = if node["leaving"] == true { "leaving" } else { "up" };
        vec![
            text_of(node, "id"),
            text_of(node, "address"),
            text_of(node, "version"),
            text_of(node, "started_at"),
            state.to_owned(),
            text_of(node, "partitions"),
            text_of(node, "messages"),
            text_of(node, "deliveries"),
        ]
    };
    let rows: Vec<_> = items(body, "nodes").map(row).collect();
    let header =
        ["NODE", "ADDRESS", "VERSION", "UP SINCE", "STATE", "PARTITIONS", "MESSAGES", "DELIVERIES"];
    output::table(&header, &rows)
}

fn items<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    body[name].as_array().into_iter().flatten()
}

/// Those without a node, then those that are behind, the furthest first; or all
/// in their order.
fn partitions(body: &Value, all: bool) -> Vec<Vec<String>> {
    let lag = |row: &Value| row["lag"].as_u64().unwrap_or(0);
    let mut rows: Vec<&Value> = items(body, "partitions").collect();
    if !all {
        let (lost, mut behind): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row["node"].is_null());
        behind.retain(|row| lag(row) > 0);
        behind.sort_by_key(|row| std::cmp::Reverse(lag(row)));
        rows = lost.into_iter().chain(behind.into_iter().take(SHOWN)).collect();
    }
    let cell = |row: &Value, name: &str| match text_of(row, name) {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let lease = |row: &Value| match row["lease_ms"].as_u64() {
        Some(left) => format!("{}.{} s", left / 1_000, left % 1_000 / 100),
        None => "-".to_owned(),
    };
    let line = |row: &&Value| {
        let mut line = ["partition", "node", "epoch", "lag"].map(|name| cell(row, name)).to_vec();
        line.push(lease(row));
        line
    };
    rows.iter().map(line).collect()
}

/// One sentence: whether all is well, or all that is not.
fn verdict(body: &Value) -> String {
    let count = |name: &str| body[name].as_u64().unwrap_or(0);
    let (nodes, partitions) = (items(body, "nodes").count(), items(body, "partitions").count());
    let mut wrong = Vec::new();
    if count("lost") > 0 {
        wrong.push(format!("{} of {partitions} partitions have no node", count("lost")));
    }
    if count("disputed") > 0 {
        wrong.push(format!("{} partitions are said to be with two nodes", count("disputed")));
    }
    let leaving = items(body, "nodes").filter(|node| node["leaving"] == true).count();
    if leaving > 0 {
        wrong.push(format!("{leaving} of {nodes} nodes are leaving"));
    }
    let age = count("heard_ago_ms");
    if age > STALE_MS {
        wrong.push(format!("this is {} s old: the node asked does not reach Redis", age / 1_000));
    }
    if wrong.is_empty() {
        let plural = if nodes == 1 { "" } else { "s" };
        return format!(
            "All is well: {nodes} node{plural}, each of {partitions} partitions has one."
        );
    }
    format!("Not well: {}.", wrong.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{partitions, verdict};

    fn body(lost: u64, heard_ago_ms: u64, leaving: bool) -> Value {
        json!({
            "nodes": [{"id": "a", "leaving": false}, {"id": "b", "leaving": leaving}],
            "partitions": [
                {"partition": 0, "node": "a", "epoch": 3, "lag": 5, "lease_ms": 6_540},
                {"partition": 1, "node": "b", "epoch": 9, "lag": 70, "lease_ms": 10_000},
                {"partition": 2, "node": null, "epoch": null, "lag": null, "lease_ms": null},
                {"partition": 3, "node": "b", "epoch": 1, "lag": 0, "lease_ms": 1},
            ],
            "lost": lost, "disputed": 0, "heard_ago_ms": heard_ago_ms,
        })
    }

    #[test]
    fn those_without_a_node_come_first_then_those_furthest_behind() {
        let rows = partitions(&body(1, 0, false), false);
        let expected = [
            ["2", "-", "-", "-", "-"],
            ["1", "b", "9", "70", "10.0 s"],
            ["0", "a", "3", "5", "6.5 s"],
        ];
        assert_eq!(rows, expected);
        assert_eq!(partitions(&body(1, 0, false), true).len(), 4);
    }

    #[test]
    fn the_last_line_says_all_that_is_not_well() {
        assert!(verdict(&body(0, 900, false)).starts_with("All is well: 2 nodes"));
        let said = verdict(&body(1, 9_000, true));
        for part in ["1 of 4 partitions", "1 of 2 nodes are leaving", "9 s old"] {
            assert!(said.starts_with("Not well") && said.contains(part), "{said}");
        }
        let alone = json!({"nodes": [{}], "partitions": [{}], "lost": 0, "heard_ago_ms": null});
        assert!(verdict(&alone).starts_with("All is well: 1 node,"));
    }
}
