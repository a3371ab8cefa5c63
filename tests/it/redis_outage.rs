//! A Redis that dies under the whole server: restarted, replaced, without power
//! (promise 1).

use std::time::Duration;

use araldo_loadtest::experiment::{failover, power_cut, redis_restarts};

use crate::cluster_kit::{LEASE, PARTITIONS, holds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_killed_and_restarted_loses_nothing_and_hangs_nobody() {
    let options = redis_restarts::Options {
        nodes: 2,
        rate: 200,
        kills: 2,
        interval: Duration::from_secs(5),
        down: Duration::from_secs(2),
        lease_seconds: LEASE,
        told_within: Duration::from_secs(1),
        citizens: 500,
        partitions: PARTITIONS,
    };
    holds(async |lab| redis_restarts::run(lab, &options).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_replaced_by_sentinels_takes_nothing_confirmed_along() {
    let options = failover::Options {
        nodes: 2,
        rate: 200,
        kills: 1,
        interval: Duration::from_secs(5),
        lease_seconds: LEASE,
        citizens: 500,
        partitions: PARTITIONS,
    };
    holds(async |lab| failover::run(lab, &options).await).await;
}

fn cut(every_second: bool) -> power_cut::Options {
    power_cut::Options {
        every_second,
        nodes: 2,
        rate: 200,
        cuts: 2,
        interval: Duration::from_secs(4),
        lease_seconds: LEASE,
        citizens: 500,
        partitions: PARTITIONS,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_takes_nothing_that_was_answered_along() {
    holds(async |lab| power_cut::run(lab, &cut(false)).await).await;
}

/// Otherwise the test above would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_takes_answered_messages_along_when_the_disk_is_synced_once_a_second() {
    holds(async |lab| power_cut::run(lab, &cut(true)).await).await;
}
