//! Senders that go on through every crash: each message is repeated with its
//! Idempotency-Key until its fate is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use araldo_loadtest::catalogue::catalogue;
use araldo_loadtest::driver::{Accepted, DriverOptions, Source, drive};
use araldo_loadtest::morning::Morning;
use araldo_loadtest::population::{Mix, Population};
use hyper::header::HeaderValue;
use jiff::civil::Date;
use tokio::task::JoinHandle;

use crate::stage_kit::Setting;

/// Messages between two looks at whether to go on.
const PART: u64 = 2_000;
const CITIZENS: u64 = 4_000;
const SENDERS: usize = 32;
/// Longer than any restart: no message may be given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who writes to whom.
pub struct Registry {
    pub morning: Morning,
    pub population: Population,
    pub keys: Vec<HeaderValue>,
}

impl Registry {
    /// Fills a fresh server: every service, citizens of every kind.
    pub async fn fill(setting: &Setting, seed: u64) -> Self {
        let keys = setting.stage.create_catalogue().await.unwrap().in_order(catalogue()).unwrap();
        let population = Population::new(seed, CITIZENS, Mix::Real);
        let report = setting.stage.import(&population, |_| {}).await.unwrap();
        assert_eq!((report.imported, report.refused), (CITIZENS, 0), "{:?}", report.reasons);
        let morning = Morning::new(seed, population, Date::constant(2026, 11, 23));
        Self { morning, population, keys }
    }
}

/// What the senders know at the end.
#[derive(Default)]
pub struct Driven {
    pub accepted: Vec<Accepted>,
    pub sent: u64,
    pub refused: u64,
    pub gave_up: u64,
    pub network_errors: u64,
}

impl std::fmt::Debug for Driven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driven")
            .field("accepted", &self.accepted.len())
            .field("sent", &self.sent)
            .field("refused", &self.refused)
            .field("gave_up", &self.gave_up)
            .field("network_errors", &self.network_errors)
            .finish()
    }
}

/// The senders at work.
pub struct Load {
    enough: Arc<AtomicBool>,
    senders: JoinHandle<Driven>,
}

impl Load {
    pub fn start(setting: &Setting, registry: &Registry) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let base = setting.stage.base_url().to_owned();
        let source = registry.morning.source(registry.keys.clone());
        let senders = tokio::spawn(send(base, source, Arc::clone(&enough)));
        Self { enough, senders }
    }

    /// Lets the last part be sent.
    pub async fn end(self) -> Driven {
        self.enough.store(true, Ordering::Relaxed);
        self.senders.await.unwrap()
    }
}

async fn send(base: String, source: Source, enough: Arc<AtomicBool>) -> Driven {
    let mut driven = Driven::default();
    while !enough.load(Ordering::Relaxed) {
        let options = DriverOptions {
            base: base.clone(),
            connections: SENDERS,
            range: driven.sent..driven.sent + PART,
            patience: PATIENCE,
            on_progress: None,
        };
        let report = drive(options, Arc::clone(&source)).await.unwrap();
        driven.sent += PART;
        driven.accepted.extend(report.accepted);
        driven.refused += report.refused;
        driven.gave_up += report.gave_up;
        driven.network_errors += report.network_errors;
    }
    driven
}
