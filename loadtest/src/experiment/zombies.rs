//! Owners that are stopped and come back: SIGSTOP for twice the lease, SIGCONT, again and again, under load.
//!
//! A node that comes back believes that it owns its partitions, which others took over meanwhile. What it writes must be
//! refused, and what it sends must be no more than was under way when it was stopped. That no stale write was accepted shows
//! in the audit: a stale outcome, cursor or place would lose a message, double it, or unbalance the books.

use std::time::Duration;

use serde::Serialize;

use super::house::{House, Plan, in_logs};
use super::kills::{moment, takeover, victim};
use super::load::Load;
use super::{ExperimentError, Lab, Outcome, blocking, verdict, waits};
use crate::redis_server::{RedisServer, RedisServerOptions};
use crate::simulator::clock::unix_us;

/// After SIGCONT, what a zombie sends has been sent.
const AWAKE: Duration = Duration::from_secs(3);

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Messages a second.
    pub rate: u32,
    /// Nodes stopped, one at a time.
    pub stops: u32,
    /// `node.lease_seconds`; each stop lasts twice as long.
    pub lease_seconds: u32,
    /// From SIGCONT to the next SIGSTOP, about: the node has its partitions again.
    pub interval: Duration,
    /// Citizens.
    pub citizens: u64,
    /// Slices of the citizens.
    pub partitions: u32,
}

impl Options {
    /// Three nodes, 1,000 messages a second, twenty stops of ten seconds: leases are the shortest there are.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            nodes: 3,
            rate: 1_000,
            stops: 20,
            lease_seconds: 5,
            interval: Duration::from_secs(8),
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
    let redis = blocking(|| RedisServer::start(&RedisServerOptions::default()))?;
    let mut plan = Plan::new(&redis.url(), options.nodes, options.lease_seconds, options.citizens);
    plan.partitions = options.partitions;
    let in_flight = plan.windows() * u64::from(options.stops);
    let mut house = House::start(lab, "zombies", plan).await?;
    let load = Load::start(&house, options.rate);
    let mut stops = Vec::new();
    let mut late_repeats = 0;
    for number in 0..options.stops {
        tokio::time::sleep(moment(lab.seed, number, options.interval)).await;
        let node = victim(lab.seed, number, &house.stage.living());
        house.stage.stop_node(node)?;
        stops.push(unix_us());
        let name = house.stage.node_name(node);
        lab.step(&format!("stop {}/{}: {name}", number + 1, options.stops));
        tokio::time::sleep(Duration::from_secs(2 * u64::from(options.lease_seconds))).await;
        let before = repeats(&house).await?;
        house.stage.continue_node(node)?;
        tokio::time::sleep(AWAKE).await;
        late_repeats += repeats(&house).await? - before;
    }
    tokio::time::sleep(takeover(options.lease_seconds)).await;
    lab.step("waiting for the last deliveries");
    let living = house.stage.living().len();
    let driven = load.end().await?;
    let mut outcome = Outcome::new(format!(
        "{} nodes, {} messages a second, providers that answer after 10 ms; {} times a node stopped with SIGSTOP for {} s, twice \
         its lease, then continued.",
        options.nodes,
        options.rate,
        options.stops,
        2 * options.lease_seconds
    ));
    let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
    let (report, records) = verdict::judge(&house, &driven, &status, &mut outcome).await?;
    verdict::repeated(&mut outcome, report.duplicates, report.delivered, in_flight);
    outcome.at_most("of these while a node woke up", late_repeats, in_flight);
    let (each, longest) = waits(&driven.accepted, &records, &stops);
    outcome.seconds(
        "longest wait of any message for its first arrival",
        longest,
        Some(takeover(options.lease_seconds)),
    );
    let taken_over = each.iter().filter(|stop| stop.late > 0).count() as u64;
    outcome.at_least("stops in which messages waited for another owner", taken_over, 1);
    outcome.at_least("nodes alive at the end", living as u64, options.nodes as u64);
    for (number, stop) in each.iter().enumerate() {
        outcome.note(stop.told(&format!("stop {}", number + 1)));
    }
    outcome.note(format!(
        "`fenced` or `lease` in the logs: {} and {} times",
        in_logs(&house.stage, "fenced"),
        in_logs(&house.stage, "lease")
    ));
    house.end().await?;
    Ok(outcome)
}

/// Accepts beyond the first of the same delivery, so far.
async fn repeats(house: &House) -> Result<u64, ExperimentError> {
    let mut sum = 0;
    for simulator in house.stage.simulators() {
        sum += simulator.books().await?.duplicates;
    }
    Ok(sum)
}
