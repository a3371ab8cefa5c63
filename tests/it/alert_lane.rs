//! While a bulk alert runs, what is more urgent does not wait for it
//! (promise 5), and each device gets what a lane has for it in the order
//! accepted (promise 7).

use std::collections::HashMap;
use std::time::Duration;

use araldo_loadtest::simulator::clock::unix_us;
use araldo_loadtest::simulator::{Behaviour, Record};
use serde_json::json;

use crate::alert_kit::{alert, walk};
use crate::alert_town::{ROUTES, Residents, Town, at_home, mark, number, records, taken};
use crate::stage_kit::{Sender, until};

const LIMIT: Duration = Duration::from_secs(90);
const RESIDENTS: u64 = 12_000;
/// Citizens who get personal messages, all over the walk.
const READERS: u64 = 40;
/// To each of them, in each lane.
const EACH: usize = 3;
/// From the answer to the provider. The alert lasts far longer than this.
const BOUND: Duration = Duration::from_secs(5);

/// Attempts last so long that the alert does: 2,000 or so at one time.
fn slow() -> Behaviour {
    Behaviour { latency_ms: 1_000, ..Behaviour::default() }
}

/// Who sends messages in this lane.
async fn sender(town: &Town, service: &str, lane: &str) -> Sender {
    let stage = &town.setting.stage;
    let sender = Sender::of(stage, service, "Protezione civile").await;
    let path = format!("/api/operator/v1/services/{service}");
    let document = json!({"name": "Protezione civile", "lane": lane,
        "organization_fiscal_code": "97000000007"});
    stage.operator().unwrap().put(&path, &document).await.unwrap();
    sender
}

/// Sends a personal message; returns its id.
async fn write(town: &Town, sender: &Sender, index: u64) -> u128 {
    let id = sender.send(&town.person(index)).await;
    let id = araldo_actors::domain::id::MessageId::parse(&id).unwrap();
    u128::from_be_bytes(id.to_bytes())
}

/// Personal messages: which, to whom, and when each was answered.
#[derive(Default)]
struct Letters(Vec<(u128, u64, u64)>);

impl Letters {
    async fn write(&mut self, town: &Town, sender: &Sender) {
        for turn in 0..READERS {
            let index = turn * (RESIDENTS / READERS) + turn % 2;
            for _ in 0..EACH {
                let id = write(town, sender, index).await;
                self.0.push((id, index, unix_us()));
            }
        }
    }

    /// When each arrived, by its id.
    async fn arrived(town: &Town) -> HashMap<u128, Record> {
        let all = town.setting.stage.records().await.unwrap();
        all.into_iter().map(|record| (record.message, record)).collect()
    }

    /// Each came to the right device in time, one after the other.
    fn judge(&self, town: &Town, arrived: &HashMap<u128, Record>) {
        let mut last: HashMap<u64, u64> = HashMap::new();
        for (id, index, answered) in &self.0 {
            let record = arrived[id];
            let device = mark(&town.residents.citizen(*index).devices[0].token);
            assert_eq!((record.device, record.accepted), (device, 1), "the push to {index}");
            let took = Duration::from_micros(record.first_accept_us.saturating_sub(*answered));
            assert!(took <= BOUND, "{took:?} to {index}");
            let before = last.insert(device, record.first_accept_us).unwrap_or(0);
            assert!(record.first_accept_us > before, "out of order at {index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_emergencies_pass_a_bulk_alert_in_their_order() {
    let town = Town::start(Residents::plain(41, RESIDENTS), 4, &slow()).await;
    let emergencies = sender(&town, "emergenze", "emergency").await;
    let usual = sender(&town, "anagrafe", "normal").await;
    let bulk = town.herald.send(at_home()).await;
    until("it goes on", LIMIT, || async { taken(&town.setting).await > 500 }).await;

    // Each lane's of its own, so that its order is known.
    let (mut urgent, mut letters) = (Letters::default(), Letters::default());
    tokio::join!(urgent.write(&town, &emergencies), letters.write(&town, &usual));
    let mut overtaking = alert(json!({"areas": ["058091"]}));
    overtaking["lane"] = json!("emergency");
    let overtaking = town.herald.post(&overtaking, None).await.expect(201).json();
    let overtaking = overtaking["id"].as_str().unwrap();
    until("the emergency has reached all", LIMIT, || async {
        town.herald.status(overtaking).await == "completed"
    })
    .await;
    let all = |arrived: &HashMap<u128, Record>| {
        urgent.0.iter().chain(&letters.0).all(|(id, ..)| arrived.contains_key(id))
    };
    until("all letters have come", LIMIT, || async { all(&Letters::arrived(&town).await) }).await;
    let view = town.herald.view(&bulk).await;
    assert_eq!(view["status"], "running", "{view}");
    let google = walk(&view, "google");
    assert!(number(google, "visited") * 4 < number(google, "end") * 3, "too late: {view}");

    let arrived = Letters::arrived(&town).await;
    urgent.judge(&town, &arrived);
    letters.judge(&town, &arrived);
    town.setting.behave(&Behaviour::default()).await;
    town.herald.ends_within(&bulk, "completed", LIMIT).await;
    town.setting.rest(LIMIT).await;
    town.setting.assert_conserved().await;
    let reached = town.reached();
    for (route, _) in ROUTES {
        let records = records(&town.setting, route, &bulk).await;
        assert_eq!(records.len(), reached.marks[route].len(), "{route}");
        assert!(records.iter().all(|record| record.accepted == 1), "{route}");
    }
    town.setting.stage.shutdown().await.unwrap();
}
