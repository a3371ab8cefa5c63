//! The house of an experiment: nodes over Redis, one service that writes and alerts, its citizens.
//!
//! Owns the stage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::{ExperimentError, Lab, Outcome};
use crate::driver::{Outgoing, Source};
use crate::population::{Mix, Population};
use crate::simulator::{Behaviour, Kind};
use crate::stage::{Nodes, Stage, StageOptions, StageStore};

/// The service of the house.
const SERVICE: &str = "protezione-civile";
/// A change made on one node holds on all after a second.
const KNOWN_EVERYWHERE: Duration = Duration::from_millis(1_500);
/// Most streams the server opens on a connection, whatever a provider offers.
const STREAMS: u32 = 900;
/// Deliveries a partition may have handed to a route without having stored the outcome (promise 2).
const UNSTORED: u64 = 256;

/// What a house is like.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Lines of the section `[store]`; none for the embedded store.
    pub(super) store: Option<String>,
    pub(super) nodes: Nodes,
    pub(super) citizens: u64,
    pub(super) mix: Mix,
    pub(super) providers: Vec<Kind>,
    /// Before each of a provider's answers, milliseconds.
    pub(super) latency_ms: u32,
    /// Connections of each node to each provider, and streams of each.
    pub(super) connections: u32,
    pub(super) max_streams: u32,
    pub(super) partitions: u32,
}

impl Plan {
    /// Three nodes over one Redis, providers that answer after 10 ms.
    pub(super) fn new(redis_url: &str, nodes: usize, lease_seconds: u32, citizens: u64) -> Self {
        Self {
            store: Some(format!("redis_url = \"{redis_url}\"\n")),
            nodes: Nodes { places: nodes, started: nodes, lease_seconds },
            citizens,
            mix: Mix::OneDevice,
            providers: vec![Kind::Apns, Kind::Fcm],
            latency_ms: 10,
            connections: 2,
            max_streams: 1_000,
            partitions: 64,
        }
    }

    /// Promise 2 for one node that dies: the attempts in flight, and those not yet stored of the partitions it had, were they
    /// twice its share.
    pub(super) fn windows(&self) -> u64 {
        let routes = self.providers.len() as u64;
        let streams = u64::from(self.max_streams.min(STREAMS));
        let share = u64::from(self.partitions).div_ceil(self.nodes.started.max(1) as u64);
        let partitions = (2 * share).min(u64::from(self.partitions));
        routes * (u64::from(self.connections) * streams + UNSTORED * partitions)
    }
}

pub(super) struct House {
    pub(super) stage: Stage,
    pub(super) key: HeaderValue,
    pub(super) population: Population,
    seed: u64,
}

impl House {
    /// Starts everything and registers the citizens.
    pub(super) async fn start(lab: &Lab, name: &str, plan: Plan) -> Result<Self, ExperimentError> {
        lab.step("starting the nodes and registering the citizens");
        let folder = lab.folder.join(name);
        let mut options = StageOptions::new(lab.araldo.clone(), lab.sim.clone(), folder);
        options.providers.clone_from(&plan.providers);
        options.connections = plan.connections;
        options.max_streams = plan.max_streams;
        options.behaviour = Behaviour { latency_ms: plan.latency_ms, ..Behaviour::default() };
        options.retry_base_ms = Some(200);
        options.nodes = plan.nodes.clone();
        if let Some(lines) = &plan.store {
            options.store = StageStore::Redis(lines.clone());
        }
        options.extra_config = format!("[engine]\npartitions = {}\n", plan.partitions);
        let stage = Stage::start(options).await?;
        let fields = json!({"groups": ["ApiAlertWrite", "ApiMessageRead", "ApiMessageWrite"]});
        let key = stage.create_service_with(SERVICE, "Protezione Civile", &fields).await?;
        let population = Population::new(lab.seed, plan.citizens, plan.mix);
        let report = stage.import(&population, |_| {}).await?;
        if (report.imported, report.refused) != (plan.citizens, 0) {
            let reasons = report.reasons.join("; ");
            return Err(ExperimentError::Other(format!("the import refused citizens: {reasons}")));
        }
        tokio::time::sleep(KNOWN_EVERYWHERE).await;
        Ok(Self { stage, key, population, seed: lab.seed })
    }

    /// One message after the other, to the citizens in turn, each with a key of its own.
    pub(super) fn source(&self) -> Source {
        let codes: Vec<String> =
            (0..self.population.size()).map(|n| self.population.citizen(n).fiscal_code).collect();
        let (key, seed) = (self.key.clone(), self.seed);
        Arc::new(move |index| {
            let place = usize::try_from(index % codes.len().max(1) as u64).unwrap_or(0);
            let to = codes.get(place).map_or("", String::as_str);
            Outgoing {
                path: "/api/v1/messages",
                key: key.clone(),
                idempotency_key: HeaderValue::from_str(&format!("{seed}-{index}")).ok(),
                body: Bytes::from(json!({"fiscal_code": to, "content": content()}).to_string()),
            }
        })
    }

    /// To whom message `index` goes.
    pub(super) fn recipient(&self, index: u64) -> String {
        self.population.citizen(index % self.population.size().max(1)).fiscal_code
    }

    /// Waits until nothing is pending; the last status either way.
    pub(super) async fn rest(
        &self,
        limit: Duration,
        outcome: &mut Outcome,
    ) -> Result<Value, ExperimentError> {
        let (at_rest, status) = self.stage.wait_at_rest(limit, |_| {}).await;
        outcome.none("not at rest at the end", u64::from(!at_rest));
        status.ok_or_else(|| ExperimentError::Other("no node tells its status".to_owned()))
    }

    /// Ends all nodes with SIGTERM and everything else.
    pub(super) async fn end(self) -> Result<(), ExperimentError> {
        Ok(self.stage.shutdown().await?)
    }
}

fn content() -> Value {
    let markdown = "La rata in scadenza si paga da questo messaggio, in pochi tocchi. ".repeat(2);
    json!({"subject": "Avviso di scadenza", "markdown": markdown})
}

/// An alert to everyone.
pub(super) fn alert() -> Value {
    let text = "Restate in casa se potete e seguite le indicazioni del sindaco. ".repeat(2);
    json!({"texts": {"it_IT": {"subject": "Allerta meteo rossa", "markdown": text}},
        "audience": {"everyone": true}})
}

/// Words of the log of the nodes, and how often each occurs in any letter case.
pub(super) fn in_logs(stage: &Stage, word: &str) -> u64 {
    let logs = (0..stage.places()).filter_map(|node| stage.node_log(node));
    let texts = logs.filter_map(|log| std::fs::read(log).ok());
    let count = |text: Vec<u8>| {
        String::from_utf8_lossy(&text).to_lowercase().matches(&word.to_lowercase()).count() as u64
    };
    texts.map(count).sum()
}
