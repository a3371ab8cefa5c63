//! The routing table as the whole system does it: every citizen of the table
//! gets messages of every service of it, secure and not, and what reached
//! the push providers, the relay and the inbox is compared with IO's rules.
//!
//! 72 citizens (mode, three switches of the profile, address) times 54
//! services (own switches or none, kind) times 3 contents: 11,664 messages.
//! What no citizen can bring about any more (mode LEGACY beside activations)
//! and what takes a day (an activation that stays pending) is written into
//! the store between two runs of the server, as an older installation would
//! have left it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use araldo::store::embedded::{EmbeddedOptions, EmbeddedStore};
use araldo_actors::domain::citizen::ActivationStatus;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, ServiceId};
use araldo_actors::domain::preference::PreferencesMode;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::Store;
use araldo_loadtest::driver::{Accepted, DriverOptions, Outgoing, Source, drive};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::Record;
use araldo_loadtest::stage::Stage;
use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use crate::stage_kit::{Person, Setting, content, driver, import};

/// Everything must be at rest within this time.
const REST: Duration = Duration::from_secs(180);
/// Messages of so many requests share one write to disk.
const CONNECTIONS: usize = 64;
const HOUR: u64 = 3_600_000;
/// What a content says of `require_secure_channels`.
const WORDS: [Option<bool>; 3] = [None, Some(false), Some(true)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Absent,
    Unvalidated,
    Validated,
}

/// A citizen of the table.
#[derive(Clone, Copy, Debug)]
struct Who {
    mode: &'static str,
    inbox: bool,
    email: bool,
    push: bool,
    address: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standard,
    /// SPECIAL, and never activated.
    Never,
    Active,
    Inactive,
    PendingYoung,
    PendingOld,
}

/// A service of the table, with what each citizen decided about it.
#[derive(Clone, Debug)]
struct What {
    id: String,
    /// Inbox, e-mail, push.
    switches: Option<[bool; 3]>,
    kind: Kind,
    secure: bool,
}

fn citizens() -> Vec<Who> {
    let mut all = Vec::new();
    for mode in ["LEGACY", "AUTO", "MANUAL"] {
        for switches in 0..8 {
            let [inbox, email, push] = [4, 2, 1].map(|bit| switches & bit != 0);
            for address in [Address::Absent, Address::Unvalidated, Address::Validated] {
                all.push(Who { mode, inbox, email, push, address });
            }
        }
    }
    all
}

fn services() -> Vec<What> {
    let kinds = [
        Kind::Standard,
        Kind::Never,
        Kind::Active,
        Kind::Inactive,
        Kind::PendingYoung,
        Kind::PendingOld,
    ];
    let mut all = Vec::new();
    for chosen in 0..9 {
        for kind in kinds {
            let switches = (chosen < 8).then(|| [4, 2, 1].map(|bit| chosen & bit != 0));
            let id = format!("service-{}", all.len());
            // The content's own word, if it has one, counts more.
            let secure = all.len() % 4 >= 2;
            all.push(What { id, switches, kind, secure });
        }
    }
    all
}

/// What must become of a message: none when it is rejected, else what became
/// of its push and of its mail (none where there is no address).
type Expected = Option<(&'static str, Option<&'static str>)>;

/// IO's steps 2 to 8 (`ProcessMessage`, `CreateNotification`), but that the
/// e-mail switch for a service counts in every mode.
fn expected(who: &Who, what: &What, word: Option<bool>) -> Expected {
    // 2
    if !who.inbox {
        return None;
    }
    // 3a to 3d
    let mut blocked: BTreeSet<&str> = match (what.switches, who.mode) {
        (Some(switches), _) => {
            let named = ["INBOX", "EMAIL", "WEBHOOK"].into_iter().zip(switches);
            named.filter(|(_, on)| !on).map(|(channel, _)| channel).collect()
        }
        (None, "MANUAL") => BTreeSet::from(["INBOX"]),
        (None, _) => BTreeSet::new(),
    };
    // 4
    match what.kind {
        Kind::Standard => {}
        Kind::Active | Kind::PendingYoung => {
            blocked.remove("INBOX");
        }
        Kind::Never | Kind::Inactive | Kind::PendingOld => {
            blocked.insert("INBOX");
        }
    }
    // 5
    if blocked.contains("INBOX") {
        return None;
    }
    // 8
    let push = match (who.push, blocked.contains("WEBHOOK")) {
        (false, _) => "channel_off",
        (true, true) => "service_preference",
        (true, false) => "delivered",
    };
    // 7
    let email = if !who.email {
        "channel_off"
    } else if blocked.contains("EMAIL") {
        "service_preference"
    } else if word.unwrap_or(what.secure) {
        "secure_channels"
    } else if who.address == Address::Unvalidated {
        "address_not_validated"
    } else {
        "delivered"
    };
    Some((push, (who.address != Address::Absent).then_some(email)))
}

/// The table, set up in a server.
struct Table {
    setting: Setting,
    who: Vec<Who>,
    what: Vec<What>,
    people: Vec<Person>,
    keys: Vec<HeaderValue>,
}

impl Table {
    async fn start() -> Self {
        let mut setting = Setting::start(|_| {}).await;
        let (who, what) = (citizens(), services());
        let mut keys = Vec::new();
        for service in &what {
            keys.push(register(&setting.stage, service).await);
        }
        let population = Population::new(11, who.len() as u64, Mix::OneDevice);
        let named: Vec<_> = (0..).map(|n| population.citizen(n)).take(who.len()).collect();
        let codes: Vec<_> = named.iter().map(|citizen| citizen.fiscal_code.clone()).collect();
        let lines: Vec<_> = who
            .iter()
            .zip(&named)
            .enumerate()
            .map(|(n, (who, named))| {
                line(n, who, &what, &named.fiscal_code, &named.devices[0].token)
            })
            .collect();
        import(&setting.stage, &lines).await;
        setting.stage.stop_server().await.unwrap();
        grow_old(&setting.stage, &codes, &who, &what).await;
        setting.stage.restart_server().await.unwrap();
        let people = codes.iter().map(|code| Person::of(&setting.stage, code)).collect();
        Self { setting, who, what, people, keys }
    }

    fn size(&self) -> u64 {
        self.who.len() as u64 * (self.what.len() * WORDS.len()) as u64
    }

    /// Message `index`: citizen, service, and what the content says of itself.
    fn places(&self, index: u64) -> (usize, usize, Option<bool>) {
        let index = usize::try_from(index).unwrap();
        let (rest, citizen) = (index / self.who.len(), index % self.who.len());
        (citizen, rest % self.what.len(), WORDS[rest / self.what.len()])
    }

    fn expected(&self, index: u64) -> Expected {
        let (citizen, service, word) = self.places(index);
        expected(&self.who[citizen], &self.what[service], word)
    }

    fn source(&self) -> Source {
        let requests: Vec<_> = (0..self.size())
            .map(|index| {
                let (citizen, service, word) = self.places(index);
                let mut content = content();
                if let Some(secure) = word {
                    content["require_secure_channels"] = json!(secure);
                }
                let to = &self.people[citizen].fiscal_code;
                Outgoing {
                    path: "/api/v1/messages",
                    key: self.keys[service].clone(),
                    idempotency_key: HeaderValue::from_str(&format!("row-{index}")).ok(),
                    body: Bytes::from(json!({"fiscal_code": to, "content": content}).to_string()),
                }
            })
            .collect();
        Arc::new(move |index| requests[usize::try_from(index).unwrap()].clone())
    }
}

/// Registers a service; returns its sender's key.
async fn register(stage: &Stage, what: &What) -> HeaderValue {
    let key = stage.create_service(&what.id, &what.id).await.unwrap();
    let category = if what.kind == Kind::Standard { "STANDARD" } else { "SPECIAL" };
    let document = json!({"name": what.id, "organization_fiscal_code": "97000000007",
        "category": category, "require_secure_channels": what.secure});
    let path = format!("/api/operator/v1/services/{}", what.id);
    stage.operator().unwrap().put(&path, &document).await.unwrap();
    key
}

/// A citizen as imported.
fn line(number: usize, who: &Who, what: &[What], code: &str, token: &str) -> Value {
    let mut preferences = serde_json::Map::new();
    let mut activations = serde_json::Map::new();
    for service in what {
        if let Some([inbox, email, push]) = service.switches {
            let switches = json!({"inbox": inbox, "email": email, "push": push});
            preferences.insert(service.id.clone(), switches);
        }
        let status = match service.kind {
            Kind::Standard | Kind::Never => continue,
            Kind::Active => "ACTIVE",
            Kind::Inactive => "INACTIVE",
            Kind::PendingYoung | Kind::PendingOld => "PENDING",
        };
        activations.insert(service.id.clone(), json!(status));
    }
    let platform = if token.len() == 64 { "apns" } else { "fcm" };
    let mut line = json!({
        "fiscal_code": code, "devices": [{"platform": platform, "token": token}],
        "is_inbox_enabled": who.inbox, "is_email_enabled": who.email, "is_push_enabled": who.push,
        "preferences": preferences, "activations": activations,
        "preferences_mode": if who.mode == "MANUAL" { "MANUAL" } else { "AUTO" },
    });
    if who.address != Address::Absent {
        line["email"] = json!(format!("citizen{number}@example.org"));
        line["email_validated"] = json!(who.address == Address::Validated);
    }
    line
}

/// Lets 23 hours pass for some pending activations and 24 for the others, and
/// takes LEGACY citizens back to that mode.
async fn grow_old(stage: &Stage, codes: &[String], who: &[Who], what: &[What]) {
    let options =
        EmbeddedOptions { path: stage.store_folder(), partitions: 64, cache_bytes: 4 << 20 };
    let store = EmbeddedStore::open(&options).unwrap();
    let mut changed = Vec::new();
    for (code, who) in codes.iter().zip(who) {
        let code = FiscalCode::parse(code).unwrap();
        let mut citizen = store.citizen(code).await.unwrap().unwrap();
        if who.mode == "LEGACY" {
            citizen.mode = PreferencesMode::Legacy;
        }
        for service in what {
            let hours = match service.kind {
                Kind::PendingYoung => 23,
                Kind::PendingOld => 24,
                _ => continue,
            };
            let id = ServiceId::parse(&service.id).unwrap();
            let activation = citizen.activations.get_mut(&id).unwrap();
            assert_eq!(activation.status, ActivationStatus::Pending);
            activation.at = Millis(activation.at.0 - hours * HOUR);
        }
        changed.push(citizen);
    }
    store.put_citizens(changed).await.unwrap();
}

/// What an exported message says became of it, in the words of [`Expected`].
fn told(message: &Value) -> Result<(&str, Option<&str>), String> {
    let deliveries = message["delivery"].as_array().unwrap();
    let of = |channel: &str| {
        let mut mine = deliveries.iter().filter(|one| one["channel"] == channel);
        let found = mine.next().map(|one| match one["state"].as_str().unwrap() {
            "suppressed" => one["reason"].as_str().unwrap(),
            state => state,
        });
        assert!(mine.next().is_none(), "two deliveries by {channel}: {message}");
        found
    };
    match (message["status"].as_str().unwrap(), message["rejection_reason"].as_str()) {
        ("PROCESSED", None) => {
            assert_eq!(of("in_app"), Some("delivered"), "{message}");
            Ok((of("push").expect("a push"), of("email")))
        }
        ("REJECTED", Some(reason)) if deliveries.is_empty() => Err(reason.to_owned()),
        _ => panic!("neither processed nor rejected: {message}"),
    }
}

/// Which messages a provider took, each of them once.
fn taken(records: &[Record]) -> BTreeSet<u128> {
    assert!(records.iter().all(|record| record.accepted == 1), "taken twice");
    let messages: BTreeSet<_> = records.iter().map(|record| record.message).collect();
    assert_eq!(messages.len(), records.len(), "two of one message");
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_table_reaches_whom_it_must_and_nobody_else() {
    let table = Table::start().await;
    let stage = &table.setting.stage;
    let options = DriverOptions {
        connections: CONNECTIONS,
        ..driver(table.setting.stage.base_url(), 0..table.size())
    };
    let report = drive(options, table.source()).await.unwrap();
    assert_eq!(report.accepted.len() as u64, table.size(), "{:?}", report.statuses);
    table.setting.rest(REST).await;

    let (mut pushes, mut mails) = (BTreeSet::new(), BTreeSet::new());
    let mut by_citizen: Vec<BTreeMap<String, Expected>> = vec![BTreeMap::new(); table.who.len()];
    for accepted in &report.accepted {
        let expected = table.expected(accepted.index);
        if let Some((push, mail)) = expected {
            if push == "delivered" {
                pushes.insert(accepted.id);
            }
            if mail == Some("delivered") {
                mails.insert(accepted.id);
            }
        }
        let id = MessageId::from_bytes(accepted.id.to_be_bytes()).to_string();
        by_citizen[table.places(accepted.index).0].insert(id, expected);
    }
    // In each mode 6 citizens have inbox and push on, 2 have the inbox on and
    // can get mail. Of the services 13 may push in LEGACY and AUTO, and 12 in
    // MANUAL; as many may write mails with a content that says it is not
    // secure, and some of them with one that says nothing.
    assert_eq!(pushes.len(), 6 * (13 + 13 + 12) * WORDS.len());
    assert!(mails.len() > 2 * (13 + 13 + 12), "{}", mails.len());
    assert_eq!(taken(&stage.records().await.unwrap()), pushes, "pushes at the providers");
    assert_eq!(taken(&stage.mail_records().await.unwrap()), mails, "mails at the relay");

    for ((person, who), expected) in table.people.iter().zip(&table.who).zip(&by_citizen) {
        let inbox: BTreeSet<_> = person.inbox(false).await.into_iter().collect();
        let entered = expected.iter().filter(|(_, ends)| ends.is_some());
        assert_eq!(inbox, entered.map(|(id, _)| id.clone()).collect(), "inbox of {who:?}");
        let data = person.get("/api/citizen/v1/user-data").await;
        let messages = data["messages"].as_array().unwrap();
        assert_eq!(messages.len(), expected.len());
        for message in messages {
            let expected = expected[message["message"]["id"].as_str().unwrap()];
            let expected = expected.ok_or("SERVICE_NOT_ALLOWED".to_owned());
            assert_eq!(told(message), expected, "{who:?}: {message}");
        }
    }
    assert_the_sender_is_told_the_same(&table, &report.accepted).await;
    table.setting.assert_conserved().await;
    table.setting.stage.shutdown().await.unwrap();
}

/// One citizen of each service and content, and each citizen once.
async fn assert_the_sender_is_told_the_same(table: &Table, accepted: &[Accepted]) {
    let citizens = table.who.len() as u64;
    for sent in
        accepted.iter().filter(|sent| sent.index % citizens == sent.index / citizens % citizens)
    {
        let (citizen, service, _) = table.places(sent.index);
        let code = &table.people[citizen].fiscal_code;
        let message = table.setting.message(&table.keys[service], code, sent.id).await;
        let expected = table.expected(sent.index);
        assert_eq!(told(&message), expected.ok_or("SERVICE_NOT_ALLOWED".to_owned()), "{message}");
    }
}
