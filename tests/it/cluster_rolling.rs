//! Planned changes of the cluster under load: nothing is lost, nothing
//! repeated.

use std::time::Duration;

use araldo_loadtest::experiment::rolling;

use crate::cluster_kit::{LEASE, PARTITIONS, holds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_restarted_added_and_taken_away_lose_and_repeat_nothing() {
    let options = rolling::Options {
        rate: 200,
        rounds: 1,
        pause: Duration::from_secs(2),
        lease_seconds: LEASE,
        citizens: 500,
        partitions: PARTITIONS,
    };
    holds(async |lab| rolling::run(lab, &options).await).await;
}
