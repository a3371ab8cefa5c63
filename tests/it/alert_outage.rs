//! A provider that is away in the middle of an alert holds up its own walk
//! alone: the others end, nothing is heaped up in the store meanwhile, and once
//! it is back the alert ends, exact.

use std::path::Path;
use std::time::Duration;

use araldo_loadtest::simulator::{Behaviour, SmtpBehaviour, SmtpFailure, SmtpStage};
use serde_json::Value;

use crate::alert_kit::walk;
use crate::alert_town::{Reached, Residents, Town, at_home, judge, number, taken};
use crate::stage_kit::{Server, refusal, until};
use crate::store_erase::rows;

const LIMIT: Duration = Duration::from_secs(60);
/// How long an outage is watched.
const WATCH: Duration = Duration::from_secs(2);
const PARTITIONS: u16 = 4;
const RESIDENTS: u64 = 2_000;
/// Probes of a breaker within [`WATCH`], which double their distance from a
/// second on, and each load that starts again meanwhile.
const PROBES: u64 = 20;
/// What the store may grow by while nothing happens, in bytes.
const ASIDE: u64 = 16 * 1024;

fn alive() -> Behaviour {
    Behaviour { latency_ms: 200, jitter_ms: 100, ..Behaviour::default() }
}

fn away() -> Behaviour {
    Behaviour { refuse_connections: true, ..Behaviour::default() }
}

/// A relay that sends everybody off.
fn closing() -> Behaviour {
    let closes = |at| {
        SmtpFailure::always(at, "421 4.3.2 Service not available, closing transmission channel")
    };
    let failures = vec![closes(SmtpStage::Connect), closes(SmtpStage::End)];
    Behaviour { smtp: SmtpBehaviour { failures, ..SmtpBehaviour::default() }, ..alive() }
}

/// Bytes in a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        // Removed in between.
        Err(_) => 0,
    });
    sizes.sum()
}

/// An alert of which one provider is away.
struct Outage {
    town: Town,
    reached: Reached,
    id: String,
    /// The route that is away.
    route: &'static str,
}

impl Outage {
    /// Breaks a provider once the alert has begun, and waits until the other
    /// walks have ended.
    async fn start(route: &'static str, trouble: &Behaviour) -> Self {
        let town = Town::start(Residents::plain(21, RESIDENTS), PARTITIONS, &alive()).await;
        let reached = town.reached();
        let id = town.herald.send(at_home()).await;
        until("it goes on", LIMIT, || async { taken(&town.setting).await > 0 }).await;
        town.tell(route, trouble).await;
        let outage = Self { town, reached, id, route };
        let over = || async { outage.others_are_over(&outage.view().await) };
        until("the others have ended", LIMIT, over).await;
        outage
    }

    /// The route is seen to be down: its provider is asked now and then only.
    async fn is_down(&self) {
        until("the route is down", LIMIT, || async {
            let status = self.town.setting.stage.status().await.unwrap();
            let routes = status["routes"].as_array().unwrap();
            routes.iter().any(|one| one["name"] == self.route && one["state"] == "down")
        })
        .await;
        // What left before has been answered.
        until("its provider is left alone", LIMIT, || async {
            let before = self.requests().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.requests().await <= before + 1
        })
        .await;
    }

    /// Attempts that the provider which is away has received.
    async fn requests(&self) -> u64 {
        self.town.provider(self.route).books().await.unwrap().requests
    }

    async fn view(&self) -> Value {
        self.town.herald.view(&self.id).await
    }

    fn others_are_over(&self, view: &Value) -> bool {
        let is_over = |name: &str| {
            let walk = walk(view, name);
            let wanted = match name {
                "inbox" => self.reached.inboxes,
                route => self.reached.marks[route].len() as u64,
            };
            name == self.route
                || (walk["visited"] == walk["end"] && number(walk, "delivered") == wanted)
        };
        ["inbox", "apple", "google", "relay"].into_iter().all(is_over)
    }

    /// The walk that is away stands, and so does the store.
    async fn stands(&self) {
        self.is_down().await;
        let folder = self.town.setting.stage.store_folder();
        let look = async || {
            let view = self.view().await;
            assert_eq!(view["status"], "running", "{view}");
            (walk(&view, self.route).clone(), self.requests().await, size(&folder))
        };
        let before = look().await;
        tokio::time::sleep(WATCH).await;
        let after = look().await;
        assert_eq!(after.0, before.0, "the walk stands");
        assert!(number(&after.0, "visited") < number(&after.0, "end"), "{}", after.0);
        assert!(after.1 - before.1 <= PROBES, "{} attempts", after.1 - before.1);
        assert!(after.2 <= before.2 + ASIDE, "{} bytes, then {}", before.2, after.2);
        let status = self.town.setting.stage.status().await.unwrap();
        // What is held is in memory, and not planned yet.
        assert!(number(&status["deliveries"], "pending") < 100, "{status}");
        self.town.setting.assert_conserved().await;
    }

    /// The provider is back: everybody is reached. Returns what was repeated.
    async fn ends(&self) -> u64 {
        self.town.tell(self.route, &Behaviour::default()).await;
        self.town.herald.ends_within(&self.id, "completed", 2 * LIMIT).await;
        judge(&self.town.setting, &self.town.herald, &self.id, &self.reached).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_answers_503_to_all_holds_up_its_own_walk_alone() {
    let outage = Outage::start("google", &refusal("UNAVAILABLE", None, None)).await;
    outage.stands().await;
    assert_eq!(outage.ends().await, 0, "repeated");
    outage.town.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_out_of_reach_holds_up_its_own_walk_alone() {
    let outage = Outage::start("apple", &away()).await;
    outage.stands().await;
    // What was cut off with its connection may have been taken.
    let most = 256 * u64::from(PARTITIONS);
    assert!(outage.ends().await <= most, "repeated");
    outage.town.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_sends_everybody_off_holds_up_its_own_walk_alone() {
    let outage = Outage::start("relay", &closing()).await;
    outage.stands().await;
    assert_eq!(outage.ends().await, 0, "repeated");
    outage.town.setting.stage.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_during_an_outage_finds_no_heap_in_the_store_and_loses_nothing() {
    let mut outage = Outage::start("google", &refusal("UNAVAILABLE", None, None)).await;
    let stage = &mut outage.town.setting.stage;
    stage.kill_server().await.unwrap();
    let tables = rows(&stage.store_folder());
    let count = |table: &str| tables[table].len() as u64;
    assert_eq!(count("due"), 0, "due rows");
    // And a row of the store's own.
    let walks = 4 * u64::from(PARTITIONS) + 1;
    assert!(count("cursors") <= walks, "{} cursors", count("cursors"));
    let bytes: usize = tables["cursors"].iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes < 100 * usize::try_from(walks).unwrap(), "{bytes} bytes of cursors");
    // A stage would wait for Google, people do not.
    let before = outage.requests().await;
    let server = Server::start(outage.town.setting.stage.config_file()).await;
    let again = || async { outage.requests().await > before };
    until("Google is asked again", LIMIT, again).await;
    outage.stands().await;
    let repeated = outage.ends().await;
    assert!(repeated <= 256 * u64::from(PARTITIONS), "{repeated} repeated");
    assert_eq!(server.signal("TERM").await, Some(0));
    outage.town.setting.stage.shutdown().await.unwrap();
}
