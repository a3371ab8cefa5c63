//! What Redis costs: the same alert on the embedded store and on Redis, in turn, and what Redis was asked to do for it.
//!
//! What nodes ask of Redis whether or not there is an alert (signs of life, leases, the bus) is measured before it, at rest, and
//! told apart.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::alert_kills::audit_one;
use super::house::{House, Plan, alert};
use super::{ExperimentError, Lab, Limit, Outcome, as_f64, blocking};
use crate::population::Mix;
use crate::redis_server::{CommandCount, RedisServer, RedisServerOptions};
use crate::simulator::Kind;
use crate::stage::Nodes;

/// An alert that takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(900);

/// What Redis is asked at rest is counted for so long.
const AT_REST: Duration = Duration::from_secs(3);

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Citizens, each with a device.
    pub citizens: u64,
    /// Alerts on each store.
    pub rounds: u32,
    /// Slices of the citizens.
    pub partitions: u32,
    /// Redis's rate over that of the embedded store, at least.
    pub ratio: f64,
    /// Redis operations for each delivery of an alert, less than.
    pub operations: f64,
}

impl Options {
    /// 500,000 citizens, three rounds.
    #[must_use]
    pub const fn full() -> Self {
        Self { citizens: 500_000, rounds: 3, partitions: 64, ratio: 0.6, operations: 0.1 }
    }
}

struct Played {
    per_second: f64,
    /// Commands while the alert was carried out, and how many of them would have been there without it.
    commands: Option<(CommandCount, f64)>,
    /// Of all channels: the inbox's and the pushes.
    deliveries: u64,
    pushes: u64,
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let mut outcome = Outcome::new(format!(
        "One alert to {} citizens by APNs over TLS, one node, on the embedded store and on Redis (appendfsync always), {} times \
         in turn.",
        options.citizens, options.rounds
    ));
    let (mut embedded, mut redis) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        // What drifts on the machine meets both alike.
        for second in [false, true] {
            let on_redis = second == round.is_multiple_of(2);
            let name = if on_redis { "Redis" } else { "the embedded store" };
            lab.step(&format!("round {}/{} on {name}", round + 1, options.rounds));
            let played = play(lab, options, round, on_redis, &mut outcome).await?;
            if on_redis { &mut redis } else { &mut embedded }.push(played);
        }
    }
    let rate = |all: &[Played]| median(all.iter().map(|one| one.per_second));
    outcome.found("deliveries a second on the embedded store, median", rate(&embedded), 0, None);
    outcome.found("deliveries a second on Redis, median", rate(&redis), 0, None);
    let ratios = redis.iter().zip(&embedded).map(|(one, other)| one.per_second / other.per_second);
    let limit = Limit::AtLeast(options.ratio);
    outcome.found("ratio of a round, median", median(ratios), 3, Some(limit));
    let each = |count: fn(&CommandCount, f64) -> f64| {
        median(redis.iter().filter_map(|one| {
            let (commands, at_rest) = one.commands.as_ref()?;
            Some(count(commands, *at_rest) / as_f64(one.deliveries.max(1)))
        }))
    };
    let operations = each(|commands, at_rest| as_f64(commands.all()) - at_rest);
    outcome.found(
        "Redis operations a delivery (inbox and push), all within scripts counted",
        operations,
        4,
        Some(Limit::AtMost(options.operations)),
    );
    let pushes: u64 = redis.iter().map(|one| one.pushes).sum();
    let all: u64 = redis.iter().map(|one| one.deliveries).sum();
    let a_push = operations * as_f64(all) / as_f64(pushes.max(1));
    outcome.found("the same a push, were the inbox no delivery", a_push, 4, None);
    outcome.found("of which scripts", each(|commands, _| as_f64(commands.scripts())), 4, None);
    outcome.found("beside them: at rest in the same time", each(|_, at_rest| at_rest), 4, None);
    if let Some((commands, _)) = redis.first().and_then(|one| one.commands.as_ref()) {
        let mut by_count: Vec<_> = commands.0.iter().collect();
        by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let shown: Vec<String> =
            by_count.iter().take(12).map(|(name, count)| format!("{name} {count}")).collect();
        outcome.note(format!("commands of the first alert: {}", shown.join(", ")));
    }
    Ok(outcome)
}

async fn play(
    lab: &Lab,
    options: &Options,
    round: u32,
    on_redis: bool,
    outcome: &mut Outcome,
) -> Result<Played, ExperimentError> {
    let server = match on_redis {
        true => Some(blocking(|| RedisServer::start(&RedisServerOptions::default()))?),
        false => None,
    };
    let url = server.as_ref().map(RedisServer::url).unwrap_or_default();
    let mut plan = Plan::new(&url, 1, 15, options.citizens);
    if server.is_none() {
        (plan.store, plan.nodes) = (None, Nodes::default());
    }
    (plan.mix, plan.providers) = (Mix::OneApns, vec![Kind::Apns]);
    (plan.connections, plan.latency_ms, plan.partitions) = (4, 0, options.partitions);
    let name = format!("cost-{round}-{}", if on_redis { "redis" } else { "embedded" });
    let house = House::start(lab, &name, plan).await?;
    // Citizens just registered are still being merged into their place.
    tokio::time::sleep(AT_REST).await;
    let idle = server.as_ref().map(CommandCount::of);
    tokio::time::sleep(AT_REST).await;
    let (began, before) = (Instant::now(), server.as_ref().map(CommandCount::of));
    let sent = house.stage.send_alert(&house.key, &alert()).await?;
    let state = house.stage.wait_alert(&house.key, sent, LIMIT, |_| {}).await?;
    let (took, after) = (began.elapsed(), server.as_ref().map(CommandCount::of));
    let commands = idle.zip(before).zip(after).map(|((idle, before), after)| {
        let rest = as_f64((&before - &idle).all()) * took.div_duration_f64(AT_REST);
        (&after - &before, rest)
    });
    let audit = audit_one(&house, sent.id, house.stage.records().await?).await?;
    let wrong = audit.missing + audit.excess + audit.strangers + audit.duplicates;
    outcome.none(&format!("{name}: missed, twice, strangers or repeated"), wrong);
    house.end().await?;
    Ok(Played {
        per_second: as_f64(audit.reached) / state.seconds().unwrap_or(f64::INFINITY).max(1e-3),
        commands,
        deliveries: state.progress.walks.iter().map(|walk| walk.delivered).sum(),
        pushes: audit.reached,
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
