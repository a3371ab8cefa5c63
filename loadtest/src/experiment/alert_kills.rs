//! Nodes killed during alerts: one alert to everybody after the other, as long as there are nodes to kill.
//!
//! One alert is over before all of the kills are: each is judged by itself.

use std::time::Duration;

use hyper::header::HeaderValue;
use serde::Serialize;
use tokio::time::Instant;

use super::house::{House, Plan, alert};
use super::kills::{moment, victim};
use super::{ExperimentError, Lab, Outcome, blocking, verdict};
use crate::alert_audit::{AlertAudit, audit_alert, devices};
use crate::redis_server::{RedisServer, RedisServerOptions};
use crate::simulator::Record;
use crate::stage::{AlertState, SentAlert};

/// An alert that takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(1_800);
/// Between two looks at everything.
const LOOK: Duration = Duration::from_millis(50);

/// How much of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Options {
    /// Nodes.
    pub nodes: usize,
    /// Citizens, each with a device.
    pub citizens: u64,
    /// Nodes killed.
    pub kills: u32,
    /// `node.lease_seconds`.
    pub lease_seconds: u32,
    /// From one kill to the next, about.
    pub interval: Duration,
    /// From a kill to the node's next start.
    pub down: Duration,
    /// Slices of the citizens.
    pub partitions: u32,
    /// Milliseconds before each of a provider's answers.
    pub latency_ms: u32,
    /// Streams of each connection to a provider.
    pub max_streams: u32,
}

impl Options {
    /// Three nodes, alerts to 500,000, twenty kills.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            nodes: 3,
            citizens: 500_000,
            kills: 20,
            lease_seconds: 15,
            interval: Duration::from_secs(26),
            down: Duration::from_secs(3),
            partitions: 64,
            latency_ms: 10,
            max_streams: 25,
        }
    }
}

/// An alert, from its acceptance to its end.
struct Played {
    sent: SentAlert,
    state: AlertState,
    took: Duration,
    kills: u32,
}

/// Carries it out.
///
/// # Errors
/// [`ExperimentError`] when something did not start or was never told.
pub async fn run(lab: &Lab, options: &Options) -> Result<Outcome, ExperimentError> {
    let redis = blocking(|| RedisServer::start(&RedisServerOptions::default()))?;
    let mut plan = Plan::new(&redis.url(), options.nodes, options.lease_seconds, options.citizens);
    (plan.partitions, plan.latency_ms) = (options.partitions, options.latency_ms);
    plan.max_streams = options.max_streams;
    let most = plan.windows() * u64::from(options.kills);
    let mut house = House::start(lab, "alert-kills", plan).await?;
    let played = play(lab, options, &mut house).await?;
    let mut outcome = Outcome::new(format!(
        "{} nodes, one alert after the other to {} citizens, providers that answer after {} ms; {} of the nodes killed with \
         SIGKILL, each started again {} s later; leases of {} s.",
        options.nodes,
        options.citizens,
        options.latency_ms,
        options.kills,
        options.down.as_secs(),
        options.lease_seconds
    ));
    let status = house.rest(Duration::from_secs(120), &mut outcome).await?;
    judge(&house, &played, most, &mut outcome).await?;
    for what in ["messages", "deliveries"] {
        let unaccounted = status["unaccounted"][what].as_i64().unwrap_or(i64::MAX);
        outcome.none(&format!("{what} unaccounted for"), unaccounted.unsigned_abs());
    }
    house.end().await?;
    Ok(outcome)
}

/// Sends alerts and kills nodes until all kills are done and the last alert has ended.
async fn play(
    lab: &Lab,
    options: &Options,
    house: &mut House,
) -> Result<Vec<Played>, ExperimentError> {
    let mut played = Vec::new();
    let mut kills = 0;
    let mut next_kill = Instant::now() + options.interval / 2;
    let mut down: Option<(usize, Instant)> = None;
    while kills < options.kills {
        let sent = house.stage.send_alert(&house.key, &alert()).await?;
        let (began, kills_before) = (Instant::now(), kills);
        let state = loop {
            tokio::time::sleep(LOOK).await;
            if let Some((node, since)) = down.filter(|(_, since)| since.elapsed() >= options.down) {
                tracing::debug!(node, ?since, "started again");
                house.stage.start_node(node).await?;
                down = None;
            }
            if kills < options.kills && down.is_none() && Instant::now() >= next_kill {
                let node = victim(lab.seed, kills, &house.stage.living());
                house.stage.kill_node(node).await?;
                (down, kills) = (Some((node, Instant::now())), kills + 1);
                next_kill = Instant::now() + moment(lab.seed, kills, options.interval);
                let name = house.stage.node_name(node);
                lab.step(&format!(
                    "kill {kills}/{}: {name}, in alert {}",
                    options.kills,
                    played.len() + 1
                ));
            }
            let state = look(house, &house.key, sent).await;
            match state {
                Some(state) if state.has_ended() => break state,
                _ if began.elapsed() >= LIMIT => {
                    return Err(ExperimentError::Other("an alert does not end".to_owned()));
                }
                _ => {}
            }
        };
        played.push(Played { sent, state, took: began.elapsed(), kills: kills - kills_before });
    }
    if let Some((node, _)) = down {
        house.stage.start_node(node).await?;
    }
    Ok(played)
}

/// Where an alert stands; none when nobody says it now.
async fn look(house: &House, key: &HeaderValue, sent: SentAlert) -> Option<AlertState> {
    let asked = house.stage.alert(key, sent);
    tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?.ok()
}

async fn judge(
    house: &House,
    played: &[Played],
    most: u64,
    outcome: &mut Outcome,
) -> Result<(), ExperimentError> {
    let records = house.stage.records().await?;
    let mut sum = AlertAudit::default();
    let mut strange: u64 = records.len() as u64;
    for (number, alert) in played.iter().enumerate() {
        let audit = audit_one(house, alert.sent.id, records.clone()).await?;
        strange -= audit.reached + audit.excess + audit.strangers;
        outcome.note(format!(
            "alert {}: {} after {:.1} s with {} kills; devices reached {} of {}, repeated {}",
            number + 1,
            alert.state.status,
            alert.took.as_secs_f64(),
            alert.kills,
            audit.reached,
            audit.expected,
            audit.duplicates
        ));
        let incomplete = u64::from(alert.state.status != "completed");
        sum = add(sum, audit, incomplete);
    }
    outcome.count("alerts", played.len() as u64);
    outcome.at_least(
        "kills within an alert",
        played.iter().map(|alert| u64::from(alert.kills)).sum(),
        1,
    );
    outcome.count("devices to reach", sum.expected);
    outcome.none("alerts not completed", sum.others);
    outcome.none("lost", sum.missing);
    outcome.none("delivered under a second id", sum.excess);
    outcome.none("delivered to strangers", sum.strangers);
    outcome.none("delivered and of no alert", strange);
    verdict::repeated(outcome, sum.duplicates, sum.reached, most);
    Ok(())
}

/// The audit of one alert, apart from the runtime: it sorts.
pub(super) async fn audit_one(
    house: &House,
    id: u128,
    records: Vec<Record>,
) -> Result<AlertAudit, ExperimentError> {
    let population = house.population;
    let audit = tokio::task::spawn_blocking(move || {
        audit_alert(id, devices(&population, |_| true), &records)
    });
    audit.await.map_err(|error| ExperimentError::Other(format!("the audit: {error}")))
}

/// Sums; `others` counts the alerts that were not completed.
const fn add(sum: AlertAudit, one: AlertAudit, incomplete: u64) -> AlertAudit {
    AlertAudit {
        expected: sum.expected + one.expected,
        reached: sum.reached + one.reached,
        missing: sum.missing + one.missing,
        excess: sum.excess + one.excess,
        strangers: sum.strangers + one.strangers,
        duplicates: sum.duplicates + one.duplicates,
        others: sum.others + incomplete,
    }
}
