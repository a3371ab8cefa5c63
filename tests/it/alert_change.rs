//! Citizens who register, move, are erased or change their mind in the middle
//! of an alert (DESIGN §6): who belongs to it is decided once, when the walk
//! comes by; what each wants is looked at when an attempt starts (promise 3).
//!
//! One partition, so that the walk goes through the residents in the order in
//! which they were registered.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use araldo_loadtest::population::Citizen;
use araldo_loadtest::simulator::{Behaviour, Record};
use araldo_loadtest::stage::Stage;
use hyper::Method;

use crate::alert_kit::walk;
use crate::alert_town::{
    Reached, Residents, Town, at_home, elsewhere, erase, has_address, home, judge, lives_elsewhere,
    mark, number, records, renew, requests, settled, switch, taken,
};
use crate::stage_kit::{Person, until};
use crate::store_erase::{holds, rows};

mod ahead;
mod flying;

const LIMIT: Duration = Duration::from_secs(60);
/// New deliveries of one walk under way at one time (`policy/walk.rs`): the
/// residents before this one are in the load that is held.
const HELD: u64 = 192;

fn away() -> Behaviour {
    Behaviour { refuse_connections: true, ..Behaviour::default() }
}

fn slow(ms: u32) -> Behaviour {
    Behaviour { latency_ms: ms, ..Behaviour::default() }
}

/// Moves a resident.
async fn move_to(town: &Town, index: u64, municipality: usize) {
    let moved = Citizen { municipality, ..town.residents.citizen(index) };
    assert_eq!(renew(&town.setting.stage, &[moved]).await, 0, "{index} is known");
}

/// Removes a citizen's one device.
async fn drop_device(person: &Person) {
    let devices = person.get("/api/citizen/v1/devices").await;
    let id = devices["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/citizen/v1/devices/{id}");
    person.ask(Method::DELETE, &path, None).await.expect(204);
}

/// The residents that records are about, by their devices or addresses.
fn owners(records: &[Record], residents: &Residents, mails: bool) -> BTreeSet<u64> {
    let mark_of = |index: u64| {
        let citizen = residents.citizen(index);
        if mails {
            citizen.email.map(|to| mark(&to))
        } else {
            Some(mark(&citizen.devices[0].token))
        }
    };
    let mut marks: HashMap<u64, u64> = (0..residents.size())
        .filter_map(|index| mark_of(index).map(|mark| (mark, index)))
        .collect();
    let owner = |record: &Record| marks.remove(&record.device).expect("a resident, and once");
    records.iter().map(owner).collect()
}

/// No row of the store and no line of the log names one of these residents,
/// their devices or addresses.
fn assert_no_trace(stage: &Stage, residents: &Residents, erased: &[u64]) {
    let tables = rows(&stage.store_folder());
    let log = std::fs::read(stage.server_log()).unwrap();
    for index in erased {
        let citizen = residents.citizen(*index);
        let mut traces = vec![citizen.fiscal_code, citizen.devices[0].token.clone()];
        traces.extend(citizen.email);
        for trace in traces.iter().map(|trace| trace.as_bytes()) {
            assert!(!holds(&log, trace), "{index} is in the log");
            for (table, rows) in &tables {
                let left = rows.iter().any(|(key, value)| holds(key, trace) || holds(value, trace));
                assert!(!left, "{index} is left in {table}");
            }
        }
    }
}

/// What changes while Google and the relay are away and the alert is in every
/// inbox: some in the load that is held, others further on.
struct Changed {
    moved_away: [u64; 2],
    moved_home: [u64; 2],
    erased: [u64; 4],
    no_push: [u64; 2],
    no_mail: [u64; 2],
    no_inbox: [u64; 2],
    no_device: [u64; 2],
}

const CHANGED: Changed = Changed {
    moved_away: [11, 311],
    moved_home: [23, 323],
    // The last two have addresses.
    erased: [15, 315, 37, 337],
    no_push: [19, 319],
    no_mail: [27, 327],
    no_inbox: [31, 331],
    no_device: [35, 335],
};

impl Changed {
    async fn make(&self, town: &Town) {
        for index in self.moved_away {
            move_to(town, index, elsewhere()).await;
        }
        for index in self.moved_home {
            move_to(town, index, home()).await;
        }
        for index in self.erased {
            erase(&town.person(index)).await;
        }
        for index in self.no_push {
            switch(&town.person(index), true, true, false).await;
        }
        for index in self.no_mail {
            switch(&town.person(index), true, false, true).await;
        }
        for index in self.no_inbox {
            switch(&town.person(index), false, true, true).await;
        }
        for index in self.no_device {
            drop_device(&town.person(index)).await;
        }
    }

    /// Whether Google takes a push to this resident.
    fn gets_push(&self, index: u64) -> bool {
        let out = [self.no_push, self.no_inbox, self.no_device].concat();
        !lives_elsewhere(index) && ![&self.erased[..], &out].concat().contains(&index)
    }

    /// Whether the relay takes a mail to this resident.
    fn gets_mail(&self, index: u64) -> bool {
        let out = [&self.erased[..], &self.no_mail, &self.no_inbox].concat();
        !lives_elsewhere(index) && !out.contains(&index)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_a_provider_is_away_is_obeyed_when_it_is_back() {
    const RESIDENTS: u64 = 400;
    let all = Residents::plain(3, RESIDENTS + 10);
    let town = Town::start(Residents::plain(3, RESIDENTS), 1, &Behaviour::default()).await;
    for route in ["google", "relay"] {
        town.tell(route, &away()).await;
    }
    let id = town.herald.send(at_home()).await;
    until("the others have ended", LIMIT, || async {
        let view = town.herald.view(&id).await;
        let visited = |name: &str| number(walk(&view, name), "visited");
        (visited("inbox"), visited("apple")) == (RESIDENTS, RESIDENTS)
    })
    .await;
    assert!(CHANGED.erased.iter().any(|index| *index < HELD));
    CHANGED.make(&town).await;
    let new = all.register(&town.setting.stage, RESIDENTS..all.size()).await;
    assert_eq!(new, 10);
    for route in ["google", "relay"] {
        assert!(records(&town.setting, route, &id).await.is_empty(), "{route} was away");
        town.tell(route, &Behaviour::default()).await;
    }
    let view = town.herald.ends_within(&id, "completed", LIMIT).await;
    town.setting.rest(LIMIT).await;
    town.setting.assert_conserved().await;
    assert_obeyed(&town, &id, &view).await;
    assert_inboxes(&town, &all, &id).await;
    let mut setting = town.setting;
    assert_eq!(setting.stage.stop_server().await.unwrap(), Some(0));
    assert_no_trace(&setting.stage, &town.residents, &CHANGED.erased);
    setting.stage.shutdown().await.unwrap();
}

/// Google and the relay got what was still wanted, and the books say so.
async fn assert_obeyed(town: &Town, id: &str, view: &serde_json::Value) {
    let residents = &town.residents;
    assert_eq!(view["progress"]["of"], residents.size(), "newcomers are not added: {view}");
    let pushed = owners(&records(&town.setting, "google", id).await, residents, false);
    let google = (0..residents.size()).filter(|index| index % 2 == 1);
    assert_eq!(pushed, google.filter(|index| CHANGED.gets_push(*index)).collect());
    let mailed = owners(&records(&town.setting, "relay", id).await, residents, true);
    let relay = (0..residents.size()).filter(|index| has_address(*index));
    assert_eq!(mailed, relay.filter(|index| CHANGED.gets_mail(*index)).collect());
    for (route, taken, unwanted) in [
        ("google", pushed.len(), CHANGED.no_push.len() + CHANGED.no_inbox.len()),
        ("relay", mailed.len(), CHANGED.no_mail.len()),
    ] {
        let walk = walk(view, route);
        assert_eq!(number(walk, "delivered"), taken as u64, "{view}");
        assert_eq!(number(walk, "suppressed"), unwanted as u64, "{view}");
        // Of those who were in the load that was held.
        assert!(number(walk, "failed") >= 1, "{view}");
        assert_eq!((number(walk, "pending"), number(walk, "cancelled")), (0, 0), "{view}");
    }
}

/// Who was reached keeps it, wherever they live now; nobody else has it.
async fn assert_inboxes(town: &Town, all: &Residents, id: &str) {
    let has = async |index: u64| {
        let person = Person::of(&town.setting.stage, &all.citizen(index).fiscal_code);
        let inbox = person.inbox(false).await;
        assert!(inbox.is_empty() || inbox == [id], "{inbox:?}");
        !inbox.is_empty()
    };
    let Changed { moved_away, moved_home, erased, no_push, no_mail, .. } = CHANGED;
    for index in [&moved_away[..], &no_push, &no_mail, &[0, 9, 99]].concat() {
        assert!(has(index).await, "{index}");
    }
    let newcomers = [town.residents.size(), all.size() - 1];
    for index in [&moved_home[..], &erased, &newcomers, &[3]].concat() {
        assert!(!has(index).await, "{index}");
    }
}
