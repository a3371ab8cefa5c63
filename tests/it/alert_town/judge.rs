//! The judge: whom the published rules call for, beside what the simulators
//! saw and what the server says of itself. The three share no code.

use std::collections::HashMap;
use std::time::Duration;

use araldo_loadtest::population::{Citizen, Mode};
use araldo_loadtest::simulator::Record;
use serde_json::{Value, json};

use super::{ROUTES, mark, number};
use crate::alert_kit::{Herald, walk};
use crate::stage_kit::Setting;

/// At rest within this time after an alert has ended.
const REST: Duration = Duration::from_secs(30);

/// Whom an alert must reach, worked out citizen by citizen.
#[derive(Debug, Default)]
pub struct Reached {
    /// Citizens registered when it was sent.
    pub registered: u64,
    /// Those in the audience.
    pub recipients: u64,
    /// Those of them who let it into their inboxes.
    pub inboxes: u64,
    /// By route: devices and addresses to be reached, as records name them.
    pub marks: HashMap<&'static str, Vec<u64>>,
    /// By route: devices and addresses whose owner wants nothing there.
    pub unwanted: HashMap<&'static str, u64>,
}

impl Reached {
    /// Counts a citizen without switches of their own for the service.
    pub fn add(&mut self, citizen: &Citizen, belongs: bool) {
        self.registered += 1;
        self.recipients += u64::from(belongs);
        if !belongs || !citizen.is_inbox_enabled || citizen.mode == Mode::Manual {
            return;
        }
        self.inboxes += 1;
        for device in &citizen.devices {
            let route = if device.platform == "apns" { "apple" } else { "google" };
            self.add_endpoint(route, &device.token, citizen.is_push_enabled);
        }
        if let Some(address) = &citizen.email {
            let wanted = citizen.is_email_enabled && citizen.email_validated;
            self.add_endpoint("relay", address, wanted);
        }
    }

    fn add_endpoint(&mut self, route: &'static str, to: &str, wanted: bool) {
        if wanted {
            self.marks.entry(route).or_default().push(mark(to));
        } else {
            *self.unwanted.entry(route).or_default() += 1;
        }
    }

    /// Deliveries to be made by the routes.
    pub fn deliveries(&self) -> u64 {
        self.marks.values().map(|marks| marks.len() as u64).sum()
    }

    fn on(&self, route: &str) -> (&[u64], u64) {
        let marks = self.marks.get(route).map_or(&[][..], Vec::as_slice);
        (marks, self.unwanted.get(route).copied().unwrap_or(0))
    }
}

/// The records of the simulator behind a route, of one message.
pub async fn records(setting: &Setting, route: &str, id: &str) -> Vec<Record> {
    let message = ulid(id);
    let kind = ROUTES.iter().find(|(name, _)| *name == route).unwrap().1;
    let all = setting.stage.simulator(kind).unwrap().records().await.unwrap();
    all.into_iter().filter(|record| record.message == message).collect()
}

fn ulid(id: &str) -> u128 {
    let id = araldo_actors::domain::id::MessageId::parse(id).unwrap();
    u128::from_be_bytes(id.to_bytes())
}

/// Asserts that a completed alert, which all else in the books is nothing to,
/// reached everybody it should and nobody else, once in the books. Returns
/// what was repeated at the providers, which is the caller's to judge.
pub async fn judge(setting: &Setting, herald: &Herald, id: &str, reached: &Reached) -> u64 {
    let view = herald.view(id).await;
    assert_eq!(view["status"], "completed", "{view}");
    assert_progress(&view, reached);
    assert_books(setting, reached).await;
    let mut repeated = 0;
    for (route, kind) in ROUTES {
        let records = records(setting, route, id).await;
        let books = setting.stage.simulator(kind).unwrap().books().await.unwrap();
        assert_eq!(records.len() as u64, books.unique_deliveries, "{route}: something else went");
        repeated += assert_marks(route, &records, reached.on(route).0);
    }
    repeated
}

/// How far its walks are, by its own view.
fn assert_progress(view: &Value, reached: &Reached) {
    let progress = &view["progress"];
    let of = |name| number(progress, name);
    assert_eq!((of("citizens"), of("of")), (reached.registered, reached.registered), "{view}");
    assert_eq!(of("recipients"), reached.recipients, "{view}");
    let refused = reached.recipients - reached.inboxes;
    assert_walk(view, "inbox", reached.registered, reached.inboxes, refused);
    for (route, _) in ROUTES {
        let (marks, unwanted) = reached.on(route);
        assert_walk(view, route, reached.registered, marks.len() as u64, unwanted);
    }
}

fn assert_walk(view: &Value, name: &str, registered: u64, delivered: u64, suppressed: u64) {
    let mut walk = walk(view, name).clone();
    let fields = walk.as_object_mut().unwrap();
    // How often is the crash's business.
    fields.remove("retried");
    fields.remove("channel");
    let wanted = json!({"walk": name, "visited": registered, "end": registered,
        "delivered": delivered, "suppressed": suppressed,
        "failed": 0, "expired": 0, "cancelled": 0, "pending": 0});
    assert_eq!(walk, wanted, "{view}");
}

/// The books hold the same, channel by channel, and nothing is left over.
async fn assert_books(setting: &Setting, reached: &Reached) {
    let status = setting.rest(REST).await;
    let planned: u64 = {
        let of = |route| reached.on(route).0.len() as u64 + reached.on(route).1;
        reached.recipients + ROUTES.iter().map(|(route, _)| of(route)).sum::<u64>()
    };
    assert_eq!(number(&status["deliveries"], "planned"), planned, "{status}");
    let delivered = |channel: &str| number(&status["delivered_by_channel"], channel);
    assert_eq!(delivered("in_app"), reached.inboxes, "{status}");
    assert_eq!(delivered("push") + delivered("email"), reached.deliveries(), "{status}");
    for none in ["failed", "expired", "cancelled", "pending"] {
        assert_eq!(status["deliveries"][none], 0, "{none}: {status}");
    }
    setting.assert_conserved().await;
}

/// Every device or address once, and no other; one that came under two ids
/// would be there twice. Returns the accepts beyond the first under one id.
fn assert_marks(route: &str, records: &[Record], wanted: &[u64]) -> u64 {
    let mut found: Vec<u64> = records.iter().map(|record| record.device).collect();
    let mut wanted = wanted.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    let missing = wanted.iter().filter(|one| found.binary_search(one).is_err()).count();
    let foreign = found.iter().filter(|one| wanted.binary_search(one).is_err()).count();
    assert_eq!((missing, foreign), (0, 0), "missing and foreign on {route}");
    assert!(found == wanted, "{route}: {} deliveries for {}", found.len(), wanted.len());
    records.iter().map(|record| u64::from(record.accepted.saturating_sub(1))).sum()
}
