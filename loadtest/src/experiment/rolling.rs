//! Planned changes under load: every node ended with SIGTERM and started again, one at a time; then 3 → 5 → 2 nodes.
//!
//! Nothing dies here, so nothing may be lost and nothing repeated.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::house::{House, Plan};
use super::load::Load;
use super::{ExperimentError, Lab, Outcome, blocking, verdict, waits};
use crate::redis_server::{RedisServer, RedisServerOptions};
use crate::simulator::clock::unix_us;

/// Nodes at the start, at most, and at the end.
const NODES: [usize; 3] = [3, 5, 2];
/// A drain may take so long.
const DRAIN: Duration = Duration::from_secs(10);

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Messages a second.
    pub rate: u32,
    /// How often every node is restarted.
    pub rounds: u32,
    /// Between two changes.
    pub pause: Duration,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
    /// Citizens.
    pub citizens: u64,
    /// Slices of the citizens.
    pub partitions: u32,
}

impl Options {
    /// 1,000 messages a second, three rounds.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            rate: 1_000,
            rounds: 3,
            pause: Duration::from_secs(5),
            lease_seconds: 15,
            citizens: 50_000,
            partitions: 64,
        }
    }
}

/// What the changes were.
#[derive(Default)]
struct Changes {
    at_us: Vec<u64>,
    slowest_drain: Duration,
    /// Nodes that did not end with exit code 0.
    failed: u64,
}

impl Changes {
    async fn drain(
        &mut self,
        lab: &Lab,
        house: &mut House,
        node: usize,
    ) -> Result<(), ExperimentError> {
        lab.step(&format!("ending {}", house.stage.node_name(node)));
        self.at_us.push(unix_us());
        let began = Instant::now();
        let code = house.stage.drain_node(node).await?;
        self.failed += u64::from(code != Some(0));
        self.slowest_drain = self.slowest_drain.max(began.elapsed());
        Ok(())
    }

    async fn start(
        &mut self,
        lab: &Lab,
        house: &mut House,
        node: usize,
    ) -> Result<(), ExperimentError> {
        lab.step(&format!("starting {}", house.stage.node_name(node)));
        self.at_us.push(unix_us());
        house.stage.start_node(node).await?;
        Ok(())
    }
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let redis = blocking(|| RedisServer::start(&RedisServerOptions::default()))?;
    let [first, most, last] = NODES;
    let mut plan = Plan::new(&redis.url(), first, options.lease_seconds, options.citizens);
    plan.partitions = options.partitions;
    plan.nodes.places = most;
    let mut house = House::start(lab, "rolling", plan).await?;
    let load = Load::start(&house, options.rate);
    let mut changes = Changes::default();
    for _ in 0..options.rounds {
        for node in 0..first {
            tokio::time::sleep(options.pause).await;
            changes.drain(lab, &mut house, node).await?;
            changes.start(lab, &mut house, node).await?;
        }
    }
    for node in first..most {
        tokio::time::sleep(options.pause).await;
        changes.start(lab, &mut house, node).await?;
    }
    for node in 0..most - last {
        tokio::time::sleep(options.pause).await;
        changes.drain(lab, &mut house, node).await?;
    }
    tokio::time::sleep(options.pause).await;
    lab.step("waiting for the last deliveries");
    let driven = load.end().await?;
    let mut outcome = Outcome::new(format!(
        "{} messages a second, providers that answer after 10 ms; each of {first} nodes ended with SIGTERM and started again, {} \
         times over; then {first}, {most} and {last} nodes.",
        options.rate, options.rounds
    ));
    let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
    let (report, records) = verdict::judge(&house, &driven, &status, &mut outcome).await?;
    outcome.none("repeated at a provider", report.duplicates);
    outcome.none("nodes that did not end with exit code 0", changes.failed);
    outcome.seconds("slowest drain", changes.slowest_drain, Some(DRAIN));
    let (each, longest) = waits(&driven.accepted, &records, &changes.at_us);
    outcome.seconds("longest wait of any message for its first arrival", longest, None);
    for (number, change) in each.iter().enumerate() {
        outcome.note(change.told(&format!("change {}", number + 1)));
    }
    house.end().await?;
    Ok(outcome)
}
