//! All that is held of a citizen: shown whole, and removed whole, by the
//! server as people run it.
//!
//! Rosa has one of everything there can be, Luca is her neighbour in the same
//! partition. What Rosa's document must hold is taken from the store itself,
//! value by value; what must be gone is looked for in every row of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use araldo::store::embedded::{EmbeddedOptions, EmbeddedStore};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::outcome::DeliveryStatus;
use araldo_actors::port::store::Store;
use araldo_loadtest::simulator::{Behaviour, Kind};
use araldo_loadtest::stage::Stage;
use bytes::Bytes;
use hyper::Method;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::http_citizen_kit::{LUCA, ROSA};
use crate::stage_kit::{Person, Sender, Server, Setting, content, exchange, import, until};
use crate::store_erase::{Rows, holds, rows};

const OLD_ADDRESS: &str = "rosa.prima@example.org";
const ADDRESS: &str = "rosa.rossi@example.org";
const LOST: &str = "0000eeee2222bbbb3333cccc4444dddd1111aaaa2222bbbb3333cccc4444dddd";
const IPHONE: &str = "1111aaaa2222bbbb3333cccc4444dddd1111aaaa2222bbbb3333cccc4444dddd";
const ANDROID: &str = "fM3tq9ZbQ0yXw2vKc1RpLd:APA91bHxT7_kRosa-2HxT7_kRosa-2HxT7_kRosa-2HxT7_\
    kRosa-2HxT7_kRosa-2HxT7_kRosa-2HxT7_kRosa-2HxT7_kRosa-2HxT7_kRosa-2HxT7_kRosa-2";
const PROFILE: &str = "/api/identity/v1/profile";
const USER_DATA: &str = "/api/citizen/v1/user-data";
const REQUESTS: &str = "/api/identity/v1/user-data-processing";
const LIMIT: Duration = Duration::from_secs(30);

/// Rosa's messages, by what became of them.
struct Sent {
    /// Before she registered.
    early: String,
    /// With a due date, a payment and an idempotency key; read.
    paid: String,
    /// Read and archived.
    archived: String,
    plain: String,
    /// Of a service she switched off.
    refused: String,
    /// Its push to her Android phone waits for Google.
    waiting: String,
}

impl Sent {
    fn all(&self) -> [&str; 6] {
        [&self.early, &self.paid, &self.archived, &self.plain, &self.refused, &self.waiting]
            .map(String::as_str)
    }
}

struct Town {
    setting: Setting,
    /// Rosa with the token of her lost phone.
    before: Person,
    rosa: Person,
    luca: Person,
    sent: Sent,
    /// Luca's message.
    kept: String,
}

async fn start() -> Setting {
    Setting::start(|options| {
        options.retry_base_ms = Some(100);
        options.extra_config =
            "[retention]\ndeletion_grace_hours = 0\n[engine]\npartitions = 1\n".to_owned();
    })
    .await
}

/// Rosa as an operator imports her.
fn line() -> Value {
    json!({"fiscal_code": ROSA, "email": OLD_ADDRESS, "email_validated": true,
        "languages": ["fr_FR", "it_IT"], "municipality": "040012", "birth_year": 1985,
        "places": [{"lat": 44.222, "lon": 12.041}, {"lat": 45.464, "lon": 9.19}],
        "timezone": "Europe/Rome", "quiet_hours": {"from": "22:10", "to": "07:20"},
        "devices": [{"platform": "apns", "token": LOST}],
        "preferences": {"tributi": {"inbox": true, "email": false, "push": true},
            "multe": {"inbox": false, "email": true, "push": true}},
        "activations": {"speciale": "ACTIVE", "prova": "PENDING"}})
}

/// What Rosa herself does: she loses a phone and signs in again, with two new
/// ones, an address that she confirms, settings.
async fn settle_in(stage: &Stage, before: &Person) -> Person {
    before.ask(Method::POST, "/api/citizen/v1/sessions/revoke", None).await.expect(200);
    before.ask(Method::GET, USER_DATA, None).await.expect(401);
    let rosa = Person::of(stage, ROSA);
    for (name, platform, token) in
        [("telefono-di-rosa", "apns", IPHONE), ("tavoletta-di-rosa", "fcmv1", ANDROID)]
    {
        let path = format!("/api/communication/v1/installations/{name}");
        rosa.put(&path, json!({"platform": platform, "pushChannel": token})).await;
    }
    let version = rosa.get(PROFILE).await["version"].clone();
    let change = json!({"version": version, "email": ADDRESS, "accepted_tos_version": 21,
        "last_app_version": "2.71.82", "reminder_status": "DISABLED",
        "push_notifications_content_type": "FULL"});
    rosa.post(PROFILE, change).await;
    let relay = stage.simulator(Kind::Smtp).unwrap();
    let arrived = || async { !relay.mails_of(ADDRESS).await.unwrap().is_empty() };
    until("the mail that confirms comes", LIMIT, arrived).await;
    let mail = relay.mails_of(ADDRESS).await.unwrap().remove(0);
    let mail = MessageParser::default().parse(mail.as_bytes()).unwrap();
    let text = mail.body_text(0).unwrap().into_owned();
    let link = text.split_whitespace().find(|word| word.contains("/email/validate/")).unwrap();
    let path = link.strip_prefix(stage.base_url()).unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = Bytes::from_static(b"confirm=yes");
    exchange(stage.base_url(), Method::POST, path, &form, body).await.expect(200);
    assert_eq!(rosa.get(PROFILE).await["is_email_validated"], true);
    rosa
}

/// Everything there can be, and Google away.
async fn town() -> Town {
    let setting = start().await;
    let stage = &setting.stage;
    let anagrafe = Sender::of(stage, "anagrafe", "Anagrafe").await;
    let multe = Sender::of(stage, "multe", "Polizia municipale").await;
    let (before, luca) = (Person::of(stage, ROSA), Person::of(stage, LUCA));
    let early = anagrafe.send(&before).await;
    setting.rest(LIMIT).await;
    let neighbour = json!({"fiscal_code": LUCA, "email": "luca@example.org",
        "email_validated": true, "devices": [{"platform": "apns", "token": "9".repeat(64)}]});
    import(stage, &[line(), neighbour]).await;
    let rosa = settle_in(stage, &before).await;
    let mut paid = json!({"content": content(), "time_to_live": 7_200});
    paid["content"]["due_date"] = json!("2027-01-31T11:22:33.000Z");
    paid["content"]["payment_data"] =
        json!({"amount": 98_765, "notice_number": "302000000000000034"});
    let paid = anagrafe.send_with(&rosa, paid, Some("una-volta-sola")).await;
    let archived = anagrafe.send(&rosa).await;
    let plain = anagrafe.send(&rosa).await;
    let refused = multe.send(&rosa).await;
    let kept = anagrafe.send(&luca).await;
    setting.rest(LIMIT).await;
    for (id, change) in [
        (&paid, json!({"change_type": "reading", "is_read": true})),
        (&archived, json!({"change_type": "bulk", "is_read": true, "is_archived": true})),
    ] {
        rosa.put(&format!("/api/communication/v1/messages/{id}/status"), change).await;
    }

    let google = stage.simulator(Kind::Fcm).unwrap();
    let away = Behaviour { refuse_connections: true, ..Behaviour::default() };
    google.set_behaviour(&away).await.unwrap();
    google.order("/disconnect").await.unwrap();
    until("Google is away", LIMIT, || async { setting.get("/readyz").await.status != 200 }).await;
    let waiting = anagrafe.send(&rosa).await;
    until("only Google is waited for", LIMIT, || async {
        setting.stage.status().await.unwrap()["deliveries"]["pending"] == 1
            && rosa.inbox(false).await.contains(&waiting)
    })
    .await;
    let sent = Sent { early, paid, archived, plain, refused, waiting };
    Town { setting, before, rosa, luca, sent, kept }
}

/// What the document says, against what was put in.
fn assert_says_what_was_put_in(data: &Value, sent: &Sent) {
    let profile = &data["profile"];
    for (field, value) in [
        ("fiscal_code", json!(ROSA)),
        ("email", json!(ADDRESS)),
        ("is_email_validated", json!(true)),
        ("preferred_languages", json!(["fr_FR", "it_IT"])),
        ("municipality", json!("040012")),
        ("places", line()["places"].clone()),
        ("birth_year", json!(1985)),
        ("timezone", json!("Europe/Rome")),
        ("quiet_hours", json!({"from_minute": 1_330, "to_minute": 440})),
        ("push_notifications_content_type", json!("FULL")),
        ("preferences_mode", json!("AUTO")),
        ("accepted_tos_version", json!(21)),
        ("wants_reminders", json!(false)),
        ("last_app_version", json!("2.71.82")),
    ] {
        assert_eq!(profile[field], value, "{field}");
    }
    for field in ["is_inbox_enabled", "is_email_enabled", "is_webhook_enabled"] {
        assert_eq!(profile[field], true, "{field}");
    }
    assert!(profile["sessions_revoked_at"].is_string(), "{profile}");
    let device = |n: usize, field: &str| profile["devices"][n][field].clone();
    assert_eq!((device(0, "platform"), device(0, "token")), (json!("apns"), json!(IPHONE)));
    assert_eq!((device(1, "platform"), device(1, "token")), (json!("fcm"), json!(ANDROID)));
    assert_eq!(device(0, "installation_id"), "telefono-di-rosa");
    assert_eq!(device(1, "installation_id"), "tavoletta-di-rosa");
    assert_eq!(profile["preferences"]["tributi"]["email"], false);
    assert_eq!(profile["preferences"]["multe"]["inbox"], false);
    assert_eq!(profile["activations"]["speciale"]["status"], "ACTIVE");
    assert_eq!(profile["activations"]["prova"]["status"], "PENDING");
    let request = &profile["data_requests"][0];
    assert_eq!((&request["choice"], &request["status"]), (&json!("DOWNLOAD"), &json!("CLOSED")));

    let messages = data["messages"].as_array().unwrap();
    let ids: Vec<_> = messages.iter().map(|one| one["message"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, sent.all());
    let marks = |n: usize| {
        let mark = |name: &str| messages[n]["inbox"][name].as_bool();
        (messages[n]["status"].as_str().unwrap(), mark("is_read"), mark("is_archived"))
    };
    assert_eq!(marks(0), ("REJECTED", None, None));
    assert_eq!(messages[0]["rejection_reason"], "USER_NOT_FOUND");
    assert_eq!(marks(1), ("PROCESSED", Some(true), Some(false)));
    assert_eq!(marks(2), ("PROCESSED", Some(true), Some(true)));
    assert_eq!(marks(3), ("PROCESSED", Some(false), Some(false)));
    assert_eq!(marks(4), ("REJECTED", None, None));
    assert_eq!(messages[4]["rejection_reason"], "SERVICE_NOT_ALLOWED");
    assert_eq!(marks(5), ("PROCESSED", Some(false), Some(false)));
    let payment = &messages[1]["message"]["content"]["payment_data"];
    assert_eq!(
        (&payment["amount"], &payment["notice_number"]),
        (&json!(98_765), &json!("302000000000000034"))
    );
    assert_eq!(messages[1]["message"]["content"]["due_date"], "2027-01-31T11:22:33.000Z");
    let ends = |n: usize| {
        let end = |one: &Value| format!("{} {}", one["channel"], one["state"]).replace('"', "");
        messages[n]["delivery"].as_array().unwrap().iter().map(end).collect::<BTreeSet<_>>()
    };
    let settled = ["in_app delivered", "push delivered", "email delivered"];
    assert_eq!(ends(3), settled.map(str::to_owned).into());
    let mut waiting = BTreeSet::from(settled.map(str::to_owned));
    waiting.insert("push pending".to_owned());
    assert_eq!(ends(5), waiting);
}

/// Every string and every number of a document, and its names if `named`.
fn leaves(value: &Value, named: bool, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Number(number) => drop(found.insert(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, named, found)),
        Value::Object(fields) => {
            fields.values().for_each(|value| leaves(value, named, found));
            found.extend(fields.keys().filter(|_| named).cloned());
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn open(path: PathBuf) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedOptions { path, partitions: 1, cache_bytes: 4 << 20 }).unwrap()
}

/// Every value that the store holds of Rosa. Not: the lane, which is the
/// service's, and places in the order of events, which say nothing of her.
/// Switches are compared one by one elsewhere.
async fn stored_values(store: PathBuf) -> BTreeSet<String> {
    let store = open(store);
    let code = FiscalCode::parse(ROSA).unwrap();
    let citizen = store.citizen(code).await.unwrap().unwrap();
    let mut fields = serde_json::to_value(&citizen).unwrap();
    let as_bytes = fields.as_object_mut().unwrap().remove("fiscal_code");
    assert!(as_bytes.is_some_and(|bytes| bytes.is_array()));
    let mut stored = BTreeSet::from([ROSA.to_owned()]);
    leaves(&fields, false, &mut stored);
    stored.extend(
        citizen.preferences.keys().chain(citizen.activations.keys()).map(|id| id.to_string()),
    );
    stored.extend(citizen.data_requests.keys().map(|of| format!("{of:?}").to_uppercase()));
    stored.extend(citizen.devices.iter().map(|device| format!("{:016x}", device.id().0)));
    let messages = store.addressed(code, None, 99).await.unwrap();
    assert_eq!(messages.len(), 6);
    for (message, state) in &messages {
        stored.extend([message.id.to_string(), message.service.to_string()]);
        stored.extend([message.accepted_at, state.updated_at].map(|at| at.0.to_string()));
        stored.insert(message.time_to_live.to_string());
        leaves(&serde_json::to_value(message.feature_level).unwrap(), false, &mut stored);
        leaves(&serde_json::to_value(&message.content).unwrap(), false, &mut stored);
        for record in &state.deliveries {
            stored.extend(record.route.as_ref().map(ToString::to_string));
            stored.insert(record.retries.to_string());
            stored.insert(match record.status {
                DeliveryStatus::Pending { due } => due.0.to_string(),
                DeliveryStatus::Ended { at, .. } => at.0.to_string(),
            });
        }
        if let Some(item) = store.inbox_item(code, message.id).await.unwrap() {
            stored.insert(item.entry.published_at.0.to_string());
        }
    }
    stored
}

/// Each of them stands in her document: as itself or, if it is an instant, as
/// a date.
fn assert_all_shown(stored: &BTreeSet<String>, data: &Value) {
    let mut shown = BTreeSet::new();
    leaves(data, true, &mut shown);
    let as_date = |leaf: &str| leaf.parse().is_ok_and(|at| shown.contains(&iso(at)));
    let never = |leaf: &str| leaf == "0";
    let missing: Vec<_> = stored
        .iter()
        .filter(|leaf| !shown.contains(*leaf) && !as_date(leaf) && !never(leaf))
        .collect();
    assert!(missing.is_empty(), "stored and not in the document: {missing:?}");
    assert!(stored.len() > 40, "the test must look for much: {stored:?}");
}

/// An instant as documents write it.
fn iso(at: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at);
    at.map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// What tells a citizen's rows, wherever it stands.
fn traces(citizen: &Citizen, messages: &[&str]) -> Vec<Vec<u8>> {
    let mut traces = vec![citizen.fiscal_code.as_bytes().to_vec()];
    traces.extend(citizen.email.iter().map(|email| email.clone().into_bytes()));
    traces.extend(citizen.address().map(|address| address.0.to_vec()));
    for device in &citizen.devices {
        traces.push(device.token.clone().into_bytes());
        traces.push(device.id().0.to_be_bytes().to_vec());
        traces.extend(device.installation.clone().map(String::into_bytes));
    }
    let id = |id: &&str| MessageId::parse(id).unwrap().to_bytes().to_vec();
    traces.extend(messages.iter().map(id));
    traces
}

/// Every row of the store.
type Tables = BTreeMap<String, Rows>;

/// The rows that have one of these traces, or belong to that place in the
/// partition; by table. Claims of idempotency keys name a message and nothing
/// of it, and outlive it by design.
fn rows_of(tables: &Tables, traces: &[Vec<u8>], place: &[u8]) -> Tables {
    let mut found = Tables::new();
    for (table, rows) in tables.iter().filter(|(table, _)| *table != "claims") {
        let placed = ["citizens", "inbox", "changes"].contains(&table.as_str());
        let is_of = |(key, value): &&(Vec<u8>, Vec<u8>)| {
            (placed && key.starts_with(place))
                || traces.iter().any(|trace| holds(key, trace) || holds(value, trace))
        };
        let mine: Rows = rows.iter().filter(is_of).cloned().collect();
        if !mine.is_empty() {
            found.insert(table.clone(), mine);
        }
    }
    found
}

/// Partition and number within it: what keys of a citizen's rows begin with.
fn place(tables: &Tables, code: &str) -> Vec<u8> {
    let mut named = tables["citizens"].iter().filter(|(_, value)| holds(value, code.as_bytes()));
    let key = named.next().expect("a record").0.clone();
    assert!(named.next().is_none() && key.len() == 6);
    key
}

fn names(tables: &Tables) -> Vec<&str> {
    tables.keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_citizen_is_shown_everything_and_then_nothing_is_left() {
    let mut town = town().await;
    let folder = town.setting.stage.store_folder();
    let rosa = &town.rosa;
    rosa.post(REQUESTS, json!({"choice": "DOWNLOAD"})).await;
    let data = rosa.get(USER_DATA).await;
    assert_says_what_was_put_in(&data, &town.sent);

    town.setting.stage.stop_server().await.unwrap();
    assert_all_shown(&stored_values(folder.clone()).await, &data);
    let (mine, neighbours) = {
        let store = open(folder.clone());
        let citizen = |code: &str| store.citizen(FiscalCode::parse(code).unwrap());
        let citizens = (citizen(ROSA).await.unwrap(), citizen(LUCA).await.unwrap());
        let mut mine = traces(&citizens.0.unwrap(), &town.sent.all());
        mine.extend([
            LOST.as_bytes().to_vec(),
            OLD_ADDRESS.as_bytes().to_vec(),
            b"una-volta-sola".to_vec(),
        ]);
        (mine, traces(&citizens.1.unwrap(), &[&town.kept]))
    };
    let before = rows(&folder);
    let (place_of_rosa, place_of_luca) = (place(&before, ROSA), place(&before, LUCA));
    let held = rows_of(&before, &mine, &place_of_rosa);
    let everywhere = [
        "addressed",
        "addresses",
        "changes",
        "citizen_index",
        "citizens",
        "due",
        "inbox",
        "messages",
        "states",
    ];
    assert!(everywhere.iter().all(|table| held.contains_key(*table)), "{:?}", names(&held));
    let kept = rows_of(&before, &neighbours, &place_of_luca);

    // Google is still away: a stage would wait for it, people do not.
    let server = Server::start(town.setting.stage.config_file()).await;
    let done = rosa.post(REQUESTS, json!({"choice": "DELETE"})).await;
    assert_eq!(done["status"], "CLOSED");
    assert_forgotten(rosa).await;
    // What was revoked is forgotten with the rest; it opens an empty house.
    assert_forgotten(&town.before).await;
    assert_eq!(town.luca.inbox(false).await, [town.kept.clone()]);
    let status = town.setting.stage.status().await.unwrap();
    // What waited for Google: in the store, or already in its route's queue,
    // where it ends because the device is gone.
    let ended = ["cancelled", "failed"].map(|outcome| status["deliveries"][outcome].as_u64());
    assert_eq!(ended.into_iter().flatten().sum::<u64>(), 1, "{status}");
    assert_eq!(status["deliveries"]["pending"], 0, "{status}");
    town.setting.assert_conserved().await;
    assert_eq!(server.signal("TERM").await, Some(0));

    let after = rows(&folder);
    let left = rows_of(&after, &mine, &place_of_rosa);
    assert!(left.is_empty(), "rows of the erased citizen in {:?}", names(&left));
    assert!(rows_of(&after, &neighbours, &place_of_luca) == kept, "the neighbour's rows changed");
    let log = std::fs::read(town.setting.stage.server_log()).unwrap();
    assert!(!log.is_empty() && !mine.iter().any(|trace| holds(&log, trace)), "she is in the log");
    let records = open(folder).erasures(9).await.unwrap();
    assert_eq!(records.iter().map(|record| record.messages).collect::<Vec<_>>(), [6]);
}

/// Whoever asks with her token is told that nobody is there.
async fn assert_forgotten(rosa: &Person) {
    let profile = rosa.get(PROFILE).await;
    assert_eq!((&profile["has_profile"], &profile["version"]), (&json!(false), &json!(0)));
    let data = rosa.get(USER_DATA).await;
    assert_eq!((&data["profile"], &data["messages"]), (&Value::Null, &json!([])));
    assert!(rosa.inbox(false).await.is_empty() && rosa.inbox(true).await.is_empty());
    let devices = rosa.get("/api/citizen/v1/devices").await;
    assert_eq!(devices["items"], json!([]));
}
