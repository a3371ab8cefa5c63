//! The primary killed: Sentinels make a replica the master, with `WAIT 1` before every answer.

use std::time::Duration;

use serde::Serialize;

use super::house::{House, Plan};
use super::kills::moment;
use super::load::Load;
use super::{ExperimentError, Lab, Outcome, blocking, verdict, waits};
use crate::redis_server::{MASTER_NAME, RedisSentinels, RedisServerOptions};
use crate::simulator::clock::unix_us;

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Messages a second.
    pub rate: u32,
    /// Primaries killed, one at a time.
    pub kills: u32,
    /// From one, once all is well again, to the next.
    pub interval: Duration,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
    /// Citizens.
    pub citizens: u64,
    /// Slices of the citizens.
    pub partitions: u32,
}

impl Options {
    /// Two nodes, 1,000 messages a second, ten primaries.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            nodes: 2,
            rate: 1_000,
            kills: 10,
            interval: Duration::from_secs(10),
            lease_seconds: 15,
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
    lab.step("starting a master, two replicas and three Sentinels");
    let mut redis = blocking(|| RedisSentinels::start(&RedisServerOptions::default()))?;
    let sentinels: Vec<String> =
        redis.sentinel_urls().iter().map(|url| format!("\"{url}\"")).collect();
    let mut plan = Plan::new("", options.nodes, options.lease_seconds, options.citizens);
    plan.partitions = options.partitions;
    plan.store = Some(format!(
        "redis_url = \"redis://master:6379\"\nredis_topology = \"sentinel\"\nredis_nodes = [{}]\n\
         redis_master = \"{MASTER_NAME}\"\nredis_replicas = 1\n",
        sentinels.join(", ")
    ));
    let most = plan.windows() * options.nodes as u64 * u64::from(options.kills);
    let house = House::start(lab, "failover", plan).await?;
    let load = Load::start(&house, options.rate);
    let mut kills = Vec::new();
    for number in 0..options.kills {
        tokio::time::sleep(moment(lab.seed, number, options.interval)).await;
        lab.step(&format!(
            "primary {}/{}; {} accepted",
            number + 1,
            options.kills,
            load.accepted()
        ));
        kills.push(unix_us());
        let place = blocking(|| redis.replace_master())?;
        blocking(|| redis.bring_back(place))?;
    }
    tokio::time::sleep(options.interval).await;
    lab.step("waiting for the last deliveries");
    let living = house.stage.living().len();
    let driven = load.end().await?;
    let mut outcome = Outcome::new(format!(
        "{} nodes, {} messages a second, redis_replicas = 1; {} primaries killed with SIGKILL, each replaced by three Sentinels.",
        options.nodes, options.rate, options.kills
    ));
    let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
    let (report, records) = verdict::judge(&house, &driven, &status, &mut outcome).await?;
    verdict::repeated(&mut outcome, report.duplicates, report.delivered, most);
    outcome.at_least("nodes alive at the end", living as u64, options.nodes as u64);
    let (each, longest) = waits(&driven.accepted, &records, &kills);
    outcome.seconds("longest wait of any message for its first arrival", longest, None);
    for (number, kill) in each.iter().enumerate() {
        outcome.note(kill.told(&format!("primary {}", number + 1)));
    }
    house.end().await?;
    Ok(outcome)
}
