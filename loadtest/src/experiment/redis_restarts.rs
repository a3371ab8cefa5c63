//! Redis killed and restarted under load: `kill -9`, some seconds without, the same files again.

use std::time::Duration;

use serde::Serialize;

use super::house::{House, Plan};
use super::kills::moment;
use super::load::Load;
use super::wait::rate_is_back;
use super::{ExperimentError, Lab, Outcome, as_f64, blocking, verdict};
use crate::redis_server::{RedisServer, RedisServerOptions};
use crate::simulator::clock::unix_us;

/// Of the rate before, which counts as recovered.
const RECOVERED: f64 = 0.95;
/// Within which it must be.
const RECOVERY: Duration = Duration::from_secs(5);

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Messages a second.
    pub rate: u32,
    /// Times Redis is killed.
    pub kills: u32,
    /// From one kill to the next, about.
    pub interval: Duration,
    /// From a kill to the restart.
    pub down: Duration,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
    /// Within which a refusal must be told.
    pub told_within: Duration,
    /// Citizens.
    pub citizens: u64,
    /// Slices of the citizens.
    pub partitions: u32,
}

impl Options {
    /// Three nodes, 1,000 messages a second, twenty times half a minute.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            nodes: 3,
            rate: 1_000,
            kills: 20,
            interval: Duration::from_secs(30),
            down: Duration::from_secs(3),
            lease_seconds: 15,
            told_within: Duration::from_secs(1),
            citizens: 50_000,
            partitions: 64,
        }
    }
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let mut redis = blocking(|| RedisServer::start(&RedisServerOptions::default()))?;
    let mut plan = Plan::new(&redis.url(), options.nodes, options.lease_seconds, options.citizens);
    plan.partitions = options.partitions;
    let most = plan.windows() * options.nodes as u64 * u64::from(options.kills);
    let house = House::start(lab, "redis-restarts", plan).await?;
    let load = Load::start(&house, options.rate);
    let mut backs = Vec::new();
    for number in 0..options.kills {
        tokio::time::sleep(moment(lab.seed, number, options.interval)).await;
        lab.step(&format!(
            "kill {}/{} of Redis; {} accepted",
            number + 1,
            options.kills,
            load.accepted()
        ));
        blocking(|| redis.kill())?;
        tokio::time::sleep(options.down).await;
        blocking(|| redis.restart())?;
        backs.push(unix_us());
    }
    tokio::time::sleep(2 * RECOVERY).await;
    lab.step("waiting for the last deliveries");
    let living = house.stage.living().len();
    let driven = load.end().await?;
    let mut outcome = Outcome::new(format!(
        "{} nodes, {} messages a second; Redis (appendfsync always) killed with SIGKILL {} times, started again after {} s.",
        options.nodes,
        options.rate,
        options.kills,
        options.down.as_secs()
    ));
    let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
    let (report, records) = verdict::judge(&house, &driven, &status, &mut outcome).await?;
    verdict::repeated(&mut outcome, report.duplicates, report.delivered, most);
    let unavailable = driven.statuses.get(&503).copied().unwrap_or(0);
    outcome.at_least("answers 503", unavailable, u64::from(options.kills));
    outcome.none("requests without an answer", driven.timeouts);
    let slowest = Duration::from_micros(driven.refused_us.max());
    outcome.seconds("slowest refusal", slowest, Some(options.told_within));
    outcome.at_least("nodes alive at the end", living as u64, options.nodes as u64);
    let accepts: Vec<u64> = driven.accepted.iter().map(|message| message.at_us).collect();
    let arrivals: Vec<u64> = records.iter().map(|record| record.first_accept_us).collect();
    for (what, times) in [("acceptance", &accepts), ("delivery", &arrivals)] {
        let back = |at: &u64| rate_is_back(times, *at, RECOVERED * as_f64(u64::from(options.rate)));
        let each: Vec<Option<Duration>> = backs.iter().map(back).collect();
        outcome.none(
            &format!("times {what} did not come back"),
            each.iter().filter(|one| one.is_none()).count() as u64,
        );
        let slowest = each.iter().flatten().max().copied().unwrap_or_default();
        outcome.seconds(
            &format!("slowest recovery of {what} once Redis is back"),
            slowest,
            Some(RECOVERY),
        );
    }
    house.end().await?;
    Ok(outcome)
}
