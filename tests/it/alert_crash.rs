//! The server is killed ten times, or ended, in the middle of an alert: all in
//! the audience are reached, once in the books, nobody else is, and what is
//! repeated at a provider is bounded and carries the same id (promises 1, 2
//! and 6).

use std::time::Duration;

use araldo_loadtest::population::{Citizen, Mix, Population};
use araldo_loadtest::simulator::Behaviour;
use araldo_loadtest::simulator::mix::mix2;
use araldo_loadtest::stage::StageOptions;
use serde_json::json;
use tokio::time::Instant;

use crate::alert_kit::Herald;
use crate::alert_town::{Reached, Residents, SERVICE, judge, municipality, number, settled, taken};
use crate::stage_kit::{Person, Setting, until};

/// Slices of the citizens: few, so that what a crash may repeat is little
/// beside the alert, and the bound one worth holding.
const PARTITIONS: u64 = 4;
const ROUTES: u64 = 3;
/// Promise 2 for an alert, for one crash.
const PROMISED: u64 = 256 * PARTITIONS * ROUTES;
/// Citizens, of whom 100,000 belong to the audience.
const CITIZENS: u64 = 111_000;
/// Seed of the citizens and of the moments of the kills.
const SEED: u64 = 20_261_123;
/// The rest of the alert takes no longer than this.
const LIMIT: Duration = Duration::from_secs(90);
/// Every so many citizens one's inbox is looked at.
const SAMPLE: u64 = 499;

/// Attempts last this long, so that the alert does, and every kill finds some
/// in flight.
fn options(options: &mut StageOptions) {
    options.behaviour = Behaviour { latency_ms: 20, jitter_ms: 80, ..Behaviour::default() };
    options.sessions = 16;
    options.retry_base_ms = Some(200);
    options.extra_config = format!("[engine]\npartitions = {PARTITIONS}\n");
}

/// Areas of each kind: all regions but Tuscany and Lazio, of those the
/// province of Florence and the municipality of Rome.
fn areas() -> Vec<String> {
    let regions = (1..=20).filter(|region| ![9, 12].contains(region));
    let codes = regions.map(|region| format!("{region:02}"));
    codes.chain(["048", "058091"].map(str::to_owned)).collect()
}

/// The same by the register's own table.
fn belongs(citizen: &Citizen) -> bool {
    let home = municipality(citizen);
    !["09", "12"].contains(&home.region_code.as_str())
        || home.province_code == "048"
        || home.istat_code == "058091"
}

/// As in a real register, but for mails: every tenth citizen has an address.
fn residents(count: u64) -> Residents {
    let change = |index: u64, citizen: &mut Citizen| {
        if !index.is_multiple_of(10) {
            (citizen.email, citizen.email_validated) = (None, false);
        }
    };
    Residents { population: Population::new(SEED, count, Mix::Real), change }
}

/// An alert under way.
struct Drill {
    setting: Setting,
    herald: Herald,
    residents: Residents,
    reached: Reached,
    id: String,
}

impl Drill {
    async fn start(count: u64) -> Self {
        let setting = Setting::start(options).await;
        let herald = Herald::of(&setting.stage, SERVICE).await;
        let residents = residents(count);
        let mut reached = Reached::default();
        let add = |citizen: &Citizen| reached.add(citizen, belongs(citizen));
        assert_eq!(residents.register_and(&setting.stage, 0..count, add).await, count);
        let id = herald.send(json!({"areas": areas()})).await;
        Self { setting, herald, residents, reached, id }
    }

    /// Waits until the providers took so many deliveries in a thousand.
    async fn has_come(&self, thousandths: u64) {
        let target = self.reached.deliveries() * thousandths / 1_000;
        until("the alert goes on", LIMIT, || async { taken(&self.setting).await >= target }).await;
    }

    async fn restart(&mut self) {
        self.setting.stage.restart_server().await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts the server and kills it while it starts, or just after.
    async fn false_start(&mut self, number: u64) {
        let limit = Duration::from_millis(mix2(SEED + 1, number) % 500);
        // Cut off, the start takes its process along.
        let started = tokio::time::timeout(limit, self.setting.stage.restart_server()).await;
        assert!(started.is_err() || started.is_ok_and(|started| started.is_ok()));
        self.setting.stage.kill_server().await.unwrap();
        // A process that is killed gives its port back a moment later.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    /// Waits for the end and judges; returns what was repeated.
    async fn end(&self) -> u64 {
        self.herald.ends_within(&self.id, "completed", LIMIT).await;
        let repeated = judge(&self.setting, &self.herald, &self.id, &self.reached).await;
        for index in (0..self.residents.size()).step_by(SAMPLE as usize) {
            self.look_at(index).await;
        }
        repeated
    }

    /// Killed and started once more: what was completed stays so.
    async fn is_over(&mut self) {
        let requests = settled(&self.setting).await;
        self.setting.stage.kill_server().await.unwrap();
        self.restart().await;
        assert_eq!(self.herald.status(&self.id).await, "completed");
        self.setting.assert_conserved().await;
        assert_eq!(settled(&self.setting).await, requests, "something went after the end");
    }

    /// The inbox of one citizen has the alert, once, or nothing.
    async fn look_at(&self, index: u64) {
        let citizen = self.residents.citizen(index);
        let mut own = Reached::default();
        own.add(&citizen, belongs(&citizen));
        let person = Person::of(&self.setting.stage, &citizen.fiscal_code);
        let wanted = vec![self.id.clone(); own.inboxes as usize];
        assert_eq!(person.inbox(false).await, wanted, "the inbox of {index}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_during_an_alert_reach_everybody_once_and_nobody_else() {
    const KILLS: u64 = 10;
    let start = Instant::now();
    let mut drill = Drill::start(CITIZENS).await;
    assert!(drill.reached.recipients >= 100_000, "{:?}", drill.reached.recipients);
    let sent = start.elapsed();
    let mut kills = 0;
    for number in 0..KILLS {
        // One in each tenth of the alert.
        drill.has_come(100 * number + mix2(SEED, number) % 95).await;
        drill.setting.stage.kill_server().await.unwrap();
        kills += 1;
        if number % 3 == 1 {
            drill.false_start(number).await;
            kills += 1;
        }
        drill.restart().await;
    }
    let repeated = drill.end().await;
    drill.is_over().await;
    assert!(repeated > 0, "no kill found an attempt in flight");
    assert!(repeated <= kills * PROMISED, "{repeated} repeated in {kills} kills");
    // Shown with --nocapture: what was measured, beside what is allowed.
    #[expect(clippy::print_stderr, reason = "a measurement of the test")]
    let () = eprintln!(
        "{} recipients, {} deliveries, {repeated} repeated in {kills} kills (promise 2: {}), \
         sent after {sent:?}, judged after {:?}",
        drill.reached.recipients,
        drill.reached.deliveries(),
        kills * PROMISED,
        start.elapsed()
    );
    drill.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_restart_during_an_alert_repeats_nothing() {
    let mut drill = Drill::start(12_000).await;
    for turn in 0..3 {
        drill.has_come(300 * turn + 50).await;
        assert_eq!(drill.setting.stage.stop_server().await.unwrap(), Some(0), "the exit code");
        let before = taken(&drill.setting).await;
        assert!(before < drill.reached.deliveries(), "stopped too late");
        drill.restart().await;
        let view = drill.herald.view(&drill.id).await;
        assert_eq!(view["status"], "running", "{view}");
        // Everything the providers took is in the books already.
        let walks = view["progress"]["walks"].as_array().unwrap();
        let routes = walks.iter().filter(|walk| walk["walk"] != "inbox");
        let delivered: u64 = routes.map(|walk| number(walk, "delivered")).sum();
        assert!(delivered >= before, "{before}: {view}");
    }
    assert_eq!(drill.end().await, 0, "repeated");
    drill.setting.stage.shutdown().await.unwrap();
}
