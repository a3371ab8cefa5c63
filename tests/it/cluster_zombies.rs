//! Owners that are stopped while others take over, and come back: what they
//! write is refused (DESIGN §8).

use std::time::Duration;

use araldo_loadtest::experiment::zombies;

use crate::cluster_kit::{LEASE, PARTITIONS, holds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_stopped_for_twice_its_lease_writes_nothing_stale() {
    let options = zombies::Options {
        nodes: 3,
        rate: 200,
        stops: 2,
        lease_seconds: LEASE,
        interval: Duration::from_secs(4),
        citizens: 500,
        partitions: PARTITIONS,
    };
    holds(async |lab| zombies::run(lab, &options).await).await;
}
