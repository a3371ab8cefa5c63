//! What more nodes bring: an alert over 1, 2 and 4 nodes, each held back by its providers and not by this machine.
//!
//! Each node has one connection to the provider, of so many streams, each answered after 50 ms: so many deliveries a second a
//! node, and no more. The rate is that of the middle of the alert, when all nodes are at work: at the end of a walk nodes with
//! fewer citizens wait for those with more, which the time of the whole alert shows.

use std::time::Duration;

use serde::Serialize;

use super::alert_kills::audit_one;
use super::house::{House, Plan, alert};
use super::{ExperimentError, Lab, Limit, Outcome, as_f64, blocking};
use crate::population::Mix;
use crate::redis_server::{RedisServer, RedisServerOptions};
use crate::simulator::{Kind, Record};

/// An alert that takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(900);
/// Of linear.
const LINEAR: f64 = 0.9;

/// How much of it.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// How many nodes, in turn; the first is what the others are compared with.
    pub nodes: Vec<usize>,
    /// Citizens for each node.
    pub citizens_each: u64,
    /// Streams of the one connection of each node.
    pub max_streams: u32,
    /// Milliseconds before each of the provider's answers.
    pub latency_ms: u32,
    /// Slices of the citizens.
    pub partitions: u32,
    /// Of linear, at least.
    pub linear: f64,
}

impl Options {
    /// 1, 2 and 4 nodes, 60,000 citizens each, 100 streams.
    #[must_use]
    pub fn full() -> Self {
        Self {
            nodes: vec![1, 2, 4],
            citizens_each: 60_000,
            max_streams: 100,
            latency_ms: 50,
            partitions: 64,
            linear: LINEAR,
        }
    }
}

struct Run {
    /// In the middle of the alert, deliveries a second.
    middle: f64,
    /// Over all of it.
    whole: f64,
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let mut outcome = Outcome::new(format!(
        "An alert to {} citizens a node over {:?} nodes; each has one connection of {} streams to a provider that answers after \
         {} ms.",
        options.citizens_each, options.nodes, options.max_streams, options.latency_ms
    ));
    let mut one: Option<(usize, Run)> = None;
    for &nodes in &options.nodes {
        lab.step(&format!("an alert over {nodes} nodes"));
        let run = play(lab, options, nodes, &mut outcome).await?;
        outcome.found(&format!("{nodes} nodes: deliveries a second"), run.middle, 0, None);
        outcome.found(&format!("{nodes} nodes: over the whole alert"), run.whole, 0, None);
        let Some((first, base)) = &one else {
            one = Some((nodes, run));
            continue;
        };
        let times = as_f64(nodes as u64) / as_f64(*first as u64);
        let linear = run.middle / base.middle.max(1e-6) / times;
        let limit = Limit::AtLeast(options.linear);
        outcome.found(&format!("{nodes} nodes: of linear"), linear, 3, Some(limit));
        let whole = run.whole / base.whole.max(1e-6) / times;
        outcome.found(&format!("{nodes} nodes: of linear, over the whole alert"), whole, 3, None);
    }
    Ok(outcome)
}

async fn play(
    lab: &Lab,
    options: &Options,
    nodes: usize,
    outcome: &mut Outcome,
) -> Result<Run, ExperimentError> {
    let redis = blocking(|| RedisServer::start(&RedisServerOptions::default()))?;
    let mut plan = Plan::new(&redis.url(), nodes, 15, options.citizens_each * nodes as u64);
    (plan.mix, plan.providers) = (Mix::OneApns, vec![Kind::Apns]);
    (plan.connections, plan.max_streams) = (1, options.max_streams);
    (plan.latency_ms, plan.partitions) = (options.latency_ms, options.partitions);
    let house = House::start(lab, &format!("scaling-{nodes}"), plan).await?;
    let sent = house.stage.send_alert(&house.key, &alert()).await?;
    let state = house.stage.wait_alert(&house.key, sent, LIMIT, |_| {}).await?;
    let records = house.stage.records().await?;
    let audit = audit_one(&house, sent.id, records.clone()).await?;
    outcome.none(&format!("{nodes} nodes: missed"), audit.missing);
    outcome.none(&format!("{nodes} nodes: twice or strangers"), audit.excess + audit.strangers);
    outcome.none(&format!("{nodes} nodes: repeated"), audit.duplicates);
    let whole = as_f64(audit.reached) / state.seconds().unwrap_or(f64::INFINITY).max(1e-3);
    house.end().await?;
    Ok(Run { middle: middle_rate(&records), whole })
}

/// Arrivals a second between the first tenth and the first six tenths of all.
fn middle_rate(records: &[Record]) -> f64 {
    let mut times: Vec<u64> = records.iter().map(|record| record.first_accept_us).collect();
    times.sort_unstable();
    let at = |tenths: usize| times.get(times.len() * tenths / 10).copied().unwrap_or(0);
    let span = at(6).saturating_sub(at(1));
    let count = times.len() * 6 / 10 - times.len() / 10;
    if span == 0 { 0.0 } else { as_f64(count as u64) * 1e6 / as_f64(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_middle() {
        let record = |n: u64, at| Record {
            delivery: u128::from(n),
            message: 1,
            device: n,
            first_accept_us: at,
            accepted: 1,
        };
        // A thousand a second, and then the last one long after.
        let mut records: Vec<Record> = (0..1_000).map(|n| record(n, n * 1_000)).collect();
        records.push(record(1_000, 60_000_000));
        assert!((middle_rate(&records) - 1_000.0).abs() < 5.0, "{}", middle_rate(&records));
        assert!(middle_rate(&[]).abs() < f64::EPSILON);
    }
}
