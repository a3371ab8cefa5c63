//! More nodes carry more: what each node's window at a provider allows.

use araldo_loadtest::experiment::scaling;

use crate::cluster_kit::{PARTITIONS, holds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_deliver_an_alert_twice_as_fast_as_one() {
    let options = scaling::Options {
        nodes: vec![1, 2],
        citizens_each: 2_000,
        max_streams: 16,
        latency_ms: 50,
        partitions: PARTITIONS,
        linear: 0.9,
    };
    holds(async |lab| scaling::run(lab, &options).await).await;
}
