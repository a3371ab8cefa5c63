//! What the whole server asks of Redis for an alert (DESIGN §6: bytes, not
//! records).

use araldo_loadtest::experiment::cost;

use crate::cluster_kit::holds;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_costs_less_than_a_tenth_of_an_operation_a_delivery() {
    let options = cost::Options {
        citizens: 20_000,
        rounds: 1,
        // Thousands of citizens in each, as in a register.
        partitions: 4,
        // Measured by the bench: other tests run at the same time.
        ratio: 0.0,
        operations: 0.1,
    };
    holds(async |lab| cost::run(lab, &options).await).await;
}
