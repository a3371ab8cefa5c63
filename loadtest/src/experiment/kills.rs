//! Nodes killed under load: `kill -9` of one after the other, each started again a few seconds later.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::house::{House, Plan};
use super::load::Load;
use super::{ExperimentError, Lab, Outcome, blocking, verdict, waits};
use crate::redis_server::{RedisServer, RedisServerOptions};
use crate::simulator::clock::unix_us;
use crate::simulator::mix::mix2;

/// Seconds that a takeover may take beyond the lease.
const BEYOND_LEASE: u64 = 5;

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Messages a second.
    pub rate: u32,
    /// Messages accepted in all, at least.
    pub messages: u64,
    /// Nodes killed.
    pub kills: u32,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
    /// From one kill to the next, about; longer than a takeover, so that each is seen by itself.
    pub interval: Duration,
    /// From a kill to the node's next start.
    pub down: Duration,
    /// Citizens.
    pub citizens: u64,
    /// Slices of the citizens.
    pub partitions: u32,
}

impl Options {
    /// Three nodes, 3,000 messages a second, a million and more, twenty kills.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            nodes: 3,
            rate: 3_000,
            messages: 1_000_000,
            kills: 20,
            lease_seconds: 15,
            interval: Duration::from_secs(26),
            down: Duration::from_secs(3),
            citizens: 100_000,
            partitions: 64,
        }
    }
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let redis = blocking(|| RedisServer::start(&RedisServerOptions::default()))?;
    let mut plan = Plan::new(&redis.url(), options.nodes, options.lease_seconds, options.citizens);
    plan.partitions = options.partitions;
    let most = plan.windows() * u64::from(options.kills);
    let mut house = House::start(lab, "kills", plan).await?;
    let load = Load::start(&house, options.rate);
    let kills = kill_some(lab, options, &mut house, &load).await?;
    load.reaches(options.messages).await;
    // Every takeover ends under load.
    tokio::time::sleep(takeover(options.lease_seconds)).await;
    lab.step("waiting for the last deliveries");
    let driven = load.end().await?;
    let mut outcome = Outcome::new(format!(
        "{} nodes, {} messages a second, providers that answer after 10 ms; {} of the nodes killed with SIGKILL, each started \
         again {} s later; leases of {} s.",
        options.nodes,
        options.rate,
        options.kills,
        options.down.as_secs(),
        options.lease_seconds
    ));
    let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
    let (report, records) = verdict::judge(&house, &driven, &status, &mut outcome).await?;
    outcome.at_least("messages, at least", report.accepted, options.messages);
    outcome.at_least("connections cut by the kills", driven.network_errors, 1);
    verdict::repeated(&mut outcome, report.duplicates, report.delivered, most);
    let limit = takeover(options.lease_seconds);
    let (each, longest) = waits(&driven.accepted, &records, &kills);
    outcome.seconds("longest wait of any message for its first arrival", longest, Some(limit));
    for (number, kill) in each.iter().enumerate() {
        outcome.note(kill.told(&format!("kill {}", number + 1)));
    }
    house.end().await?;
    Ok(outcome)
}

/// Kills nodes one at a time; returns when.
async fn kill_some(
    lab: &Lab,
    options: &Options,
    house: &mut House,
    load: &Load,
) -> Result<Vec<u64>, ExperimentError> {
    let mut kills = Vec::new();
    let mut next = Instant::now() + options.interval / 2;
    for number in 0..options.kills {
        tokio::time::sleep_until(next).await;
        next = Instant::now() + moment(lab.seed, number, options.interval);
        let node = victim(lab.seed, number, &house.stage.living());
        house.stage.kill_node(node).await?;
        kills.push(unix_us());
        let name = house.stage.node_name(node);
        lab.step(&format!(
            "kill {}/{}: {name}; {} accepted",
            number + 1,
            options.kills,
            load.accepted()
        ));
        tokio::time::sleep(options.down).await;
        house.stage.start_node(node).await?;
    }
    Ok(kills)
}

/// Within which the partitions of a dead node deliver again.
pub(super) const fn takeover(lease_seconds: u32) -> Duration {
    Duration::from_secs(lease_seconds as u64 + BEYOND_LEASE)
}

/// A time about this long, a tenth more or less.
pub(super) fn moment(seed: u64, number: u32, about: Duration) -> Duration {
    let tenth = u32::try_from(mix2(seed, u64::from(number)) % 200).unwrap_or(100);
    about * 9 / 10 + about * tenth / 1_000
}

/// One of those who live.
pub(super) fn victim(seed: u64, number: u32, living: &[usize]) -> usize {
    let draw = mix2(seed ^ 0x6b69_6c6c, u64::from(number)) % living.len().max(1) as u64;
    usize::try_from(draw).ok().and_then(|draw| living.get(draw).copied()).unwrap_or(0)
}
