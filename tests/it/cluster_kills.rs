//! Nodes that die: killed under load and during an alert (promises 1, 2 and 6).

use std::time::Duration;

use araldo_loadtest::experiment::{alert_kills, kills};

use crate::cluster_kit::{LEASE, PARTITIONS, holds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_nodes_lose_nothing_and_are_taken_over_in_time() {
    let options = kills::Options {
        nodes: 3,
        rate: 200,
        messages: 5_000,
        kills: 2,
        lease_seconds: LEASE,
        interval: Duration::from_secs(12),
        down: Duration::from_secs(2),
        citizens: 500,
        partitions: PARTITIONS,
    };
    holds(async |lab| kills::run(lab, &options).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_whose_nodes_are_killed_reaches_everybody_once_and_nobody_else() {
    let options = alert_kills::Options {
        nodes: 3,
        citizens: 20_000,
        kills: 2,
        lease_seconds: LEASE,
        interval: Duration::from_secs(10),
        down: Duration::from_secs(2),
        partitions: PARTITIONS,
        // 1,200 a second, so that the alert lasts.
        latency_ms: 20,
        max_streams: 2,
    };
    holds(async |lab| alert_kills::run(lab, &options).await).await;
}
