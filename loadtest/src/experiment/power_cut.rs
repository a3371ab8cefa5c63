//! Power cuts: Redis and every node end at once, and of Redis's append-only file only what was on disk is left.
//!
//! With `appendfsync always` nothing that was answered may be missing. With `everysec` something must be: if not, the
//! experiment itself would prove nothing. What is missing shows twice: a message that was answered 201 and that the server
//! does not know any more, and one that no provider ever got.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;

use super::house::{House, Plan};
use super::kills::moment;
use super::load::Load;
use super::{ExperimentError, Lab, Outcome, blocking, verdict};
use crate::audit::audit;
use crate::client::{Client, ClientError};
use crate::driver::Accepted;
use crate::redis_server::{Fsync, RedisServer, RedisServerOptions};
use crate::simulator::clock::unix_us;

/// Messages accepted this long before a cut are asked for, one by one: a disk that is synced once a second is behind by two at
/// most, then writes wait.
const BEFORE: Duration = Duration::from_secs(3);

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// `appendfsync everysec`, which must lose, instead of `always`, which must not.
    pub every_second: bool,
    /// Nodes.
    pub nodes: usize,
    /// Messages a second.
    pub rate: u32,
    /// Power cuts.
    pub cuts: u32,
    /// From one to the next, about.
    pub interval: Duration,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
    /// Citizens.
    pub citizens: u64,
    /// Slices of the citizens.
    pub partitions: u32,
}

impl Options {
    /// Two nodes, 500 messages a second, ten cuts.
    #[must_use]
    pub const fn full(every_second: bool) -> Self {
        Self {
            every_second,
            nodes: 2,
            rate: 500,
            cuts: 10,
            interval: Duration::from_secs(20),
            lease_seconds: 5,
            citizens: 20_000,
            partitions: 64,
        }
    }
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let fsync = if options.every_second { Fsync::EverySecond } else { Fsync::Always };
    let redis_options = RedisServerOptions { fsync, traced: true, ..Default::default() };
    let mut redis = blocking(|| RedisServer::start(&redis_options))?;
    let mut plan = Plan::new(&redis.url(), options.nodes, options.lease_seconds, options.citizens);
    plan.partitions = options.partitions;
    if options.every_second {
        plan.store = plan.store.map(|lines| lines + "redis_accept_loss = true\n");
    }
    let most = plan.windows() * options.nodes as u64 * u64::from(options.cuts);
    let mut house = House::start(lab, "power-cut", plan).await?;
    let load = Load::start(&house, options.rate);
    let (mut cuts, mut dropped) = (Vec::new(), 0);
    for number in 0..options.cuts {
        tokio::time::sleep(moment(lab.seed, number, options.interval)).await;
        lab.step(&format!("cut {}/{}; {} accepted", number + 1, options.cuts, load.accepted()));
        cuts.push(unix_us());
        let cut = blocking(|| redis.cut_power())?;
        for node in house.stage.living() {
            house.stage.kill_node(node).await?;
        }
        dropped += cut.written - cut.on_disk;
        blocking(|| redis.restart())?;
        for node in 0..house.stage.places() {
            house.stage.start_node(node).await?;
        }
    }
    tokio::time::sleep(options.interval).await;
    lab.step("waiting for the last deliveries");
    let driven = load.end().await?;
    let mut outcome = Outcome::new(format!(
        "{} nodes, {} messages a second, appendfsync {}; {} power cuts of the whole house, the append-only file cut to what was \
         on disk.",
        options.nodes,
        options.rate,
        if options.every_second { "everysec" } else { "always" },
        options.cuts
    ));
    let asked = last_before(&driven.accepted, &cuts);
    let unknown = unknown(&house, &asked).await?;
    outcome.count("bytes written that were not on disk", dropped);
    outcome.count("messages accepted just before a cut and asked for", asked.len() as u64);
    if options.every_second {
        let records = house.stage.records().await?;
        let lost = audit(&driven.accepted, &records, |_| Some(1), None).lost;
        outcome.count("messages accepted", driven.accepted.len() as u64);
        outcome.count("never delivered", lost);
        outcome.at_least(
            "accepted and not known any more: the proof of the experiment",
            unknown,
            1,
        );
    } else {
        outcome.none("accepted and not known any more", unknown);
        let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
        let (report, _) = verdict::judge(&house, &driven, &status, &mut outcome).await?;
        verdict::repeated(&mut outcome, report.duplicates, report.delivered, most);
    }
    house.end().await?;
    Ok(outcome)
}

/// Messages accepted just before one of the cuts.
fn last_before(accepted: &[Accepted], cuts: &[u64]) -> Vec<Accepted> {
    let before = u64::try_from(BEFORE.as_micros()).unwrap_or(u64::MAX);
    let near = |at: u64| cuts.iter().any(|cut| at <= *cut && at + before >= *cut);
    accepted.iter().filter(|message| near(message.at_us)).copied().collect()
}

/// How many of them the server does not know.
async fn unknown(house: &House, asked: &[Accepted]) -> Result<u64, ExperimentError> {
    let mut client = Client::sender(house.stage.base_url(), house.key.clone())?;
    let mut unknown = 0;
    for message in asked {
        let (to, id) = (house.recipient(message.index), ulid::Ulid::from(message.id));
        match client.get(&format!("/api/v1/messages/{to}/{id}")).await {
            Ok(_) => {}
            Err(ClientError::Status { status: StatusCode::NOT_FOUND, .. }) => unknown += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_before_a_cut_are_asked_for() {
        const SECOND: u64 = 1_000_000;
        let told = |at_us| Accepted { index: 0, id: u128::from(at_us), at_us };
        let accepted = [1, 7, 9, 11, 17].map(|at| told(at * SECOND));
        let found = last_before(&accepted, &[10 * SECOND, 20 * SECOND]);
        let times: Vec<u64> = found.iter().map(|message| message.at_us / SECOND).collect();
        assert_eq!(times, [7, 9, 17]);
    }
}
