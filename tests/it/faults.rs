//! Providers that are away, refuse, ask for a pause, close connections, or do
//! not answer: the intake goes on, messages wait, and everything arrives once
//! they are well again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::client::Client;
use araldo_loadtest::driver::{DriveReport, Source, drive};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{Behaviour, Kind, Options, ResetReason, Simulator};
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stage_kit::{House, Server, Setting, Town, driver, free_port, refusal, until};

mod relay;

/// Everything must be delivered within this time after a provider recovers.
const RECOVERY: Duration = Duration::from_secs(40);

async fn setting() -> Setting {
    Setting::start(|options| options.retry_base_ms = Some(100)).await
}

/// Every push arrived, and the books agree with the simulators.
async fn assert_all_delivered(setting: &Setting, messages: u64) -> Value {
    assert_delivered_by(setting, messages, ["push", "in_app"].as_slice()).await
}

/// Every push and every mail arrived, and the books agree.
async fn assert_delivered_everywhere(setting: &Setting, messages: u64) -> Value {
    assert_delivered_by(setting, messages, ["push", "email", "in_app"].as_slice()).await
}

async fn assert_delivered_by(setting: &Setting, messages: u64, channels: &[&str]) -> Value {
    let status = setting.rest(RECOVERY).await;
    let mails = if channels.contains(&"email") { messages } else { 0 };
    let found = (setting.pushes().await.0, setting.mails().await.0);
    assert_eq!(found, (messages, mails), "{status}");
    assert_eq!(status["messages"]["processed"], messages, "{status}");
    for channel in channels {
        assert_eq!(status["delivered_by_channel"][channel], messages, "{channel}: {status}");
    }
    let deliveries = messages * channels.len() as u64;
    assert_eq!(status["deliveries"]["planned"], deliveries, "{status}");
    assert_eq!(status["deliveries"]["delivered"], deliveries, "{status}");
    setting.assert_conserved().await;
    status
}

async fn is_ready(setting: &Setting) -> bool {
    setting.get("/readyz").await.status == StatusCode::OK
}

#[tokio::test]
async fn with_all_providers_away_messages_are_taken_and_wait() {
    let setting = setting().await;
    let town = setting.service_for(100, Mix::DeviceAndMail).await;
    let source = town.source();
    let away = Behaviour { refuse_connections: true, ..Behaviour::default() };
    setting.behave(&away).await;
    setting.order("/disconnect").await;
    until("readiness ends", RECOVERY, || async { !is_ready(&setting).await }).await;
    until("all routes are down", RECOVERY, || async {
        setting.get("/readyz").await.json()["reasons"].as_array().unwrap().len() == 3
    })
    .await;
    let ready = setting.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let ready = ready.json();
    assert_eq!((&ready["ready"], &ready["accepting"]), (&json!(false), &json!(true)), "{ready}");
    let names = ["apple", "google", "relay"];
    for (reason, name) in ready["reasons"].as_array().unwrap().iter().zip(names) {
        assert_eq!((&reason["what"], &reason["name"]), (&json!("route"), &json!(name)), "{ready}");
        assert_eq!(reason["state"], "down", "{ready}");
        assert!(!reason["detail"].as_str().unwrap().is_empty(), "{ready}");
    }
    assert_eq!(setting.get("/readyz?scope=intake").await.status, StatusCode::OK);
    assert_eq!(setting.get("/healthz").await.status, StatusCode::OK);

    setting.send(&source, 0..100).await;
    until("messages are processed", RECOVERY, || async {
        setting.stage.status().await.unwrap()["messages"]["processed"] == 100
    })
    .await;
    let status = setting.stage.status().await.unwrap();
    assert_eq!(status["deliveries"]["pending"], 200, "pushes and mails wait: {status}");
    assert_eq!(status["delivered_by_channel"]["in_app"], 100, "{status}");
    assert_eq!((setting.pushes().await, setting.mails().await), ((0, 0), (0, 0)));

    setting.behave(&Behaviour::default()).await;
    let status = assert_delivered_everywhere(&setting, 100).await;
    assert_eq!(status["deliveries"]["retried"], 0, "no attempt was made meanwhile: {status}");
    assert_eq!((setting.pushes().await.1, setting.mails().await.1), (0, 0), "duplicates");
    until("readiness comes back", RECOVERY, || async { is_ready(&setting).await }).await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_refusal_with_retry_after_is_repeated_not_before_that() {
    let setting = setting().await;
    let town = setting.service(60).await;
    for (kind, reason) in [(Kind::Apns, "TooManyRequests"), (Kind::Fcm, "QUOTA_EXCEEDED")] {
        let simulator = setting.stage.simulator(kind).unwrap();
        simulator.set_behaviour(&refusal(reason, Some(2), Some(1))).await.unwrap();
    }
    let sent = setting.send(&town.source(), 0..60).await;
    let status = assert_all_delivered(&setting, 60).await;
    assert_eq!(status["deliveries"]["retried"], 60, "each was refused once: {status}");
    assert_not_before(&setting, &sent, 2_000_000).await;
    for (kind, reason) in [(Kind::Apns, "TooManyRequests"), (Kind::Fcm, "QUOTA_EXCEEDED")] {
        let books = setting.stage.simulator(kind).unwrap().books().await.unwrap();
        // Not hammered: no delivery was refused twice.
        assert_eq!(books.refused_by_reason.get(reason), Some(&books.unique_deliveries));
    }
    assert_eq!(setting.pushes().await.1, 0, "duplicates");
    setting.stage.shutdown().await.unwrap();
}

/// No push arrived within `us` microseconds from the first submission.
async fn assert_not_before(setting: &Setting, sent: &DriveReport, us: u64) {
    let records = setting.stage.records().await.unwrap();
    let first = records.iter().map(|record| record.first_accept_us).min().unwrap();
    let waited = first - sent.started_us;
    assert!(waited >= us, "the first push came after {waited} microseconds");
}

#[tokio::test]
async fn everything_fails_then_recovers_and_nothing_is_lost() {
    let setting = setting().await;
    let town = setting.service(300).await;
    let source = town.source();
    for (kind, reason) in [(Kind::Apns, "ServiceUnavailable"), (Kind::Fcm, "UNAVAILABLE")] {
        let simulator = setting.stage.simulator(kind).unwrap();
        simulator.set_behaviour(&refusal(reason, Some(1), None)).await.unwrap();
    }
    setting.send(&source, 0..200).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(setting.pushes().await, (0, 0));
    // Worse: streams reset with their fate unknown, then no connection at all.
    let resets = Behaviour {
        reset_share: 1.0,
        reset_reason: ResetReason::InternalError,
        ..Behaviour::default()
    };
    setting.behave(&resets).await;
    setting.send(&source, 200..300).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    setting.behave(&Behaviour { refuse_connections: true, ..resets }).await;
    setting.order("/disconnect").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(setting.pushes().await, (0, 0));
    setting.behave(&Behaviour::default()).await;
    let status = assert_all_delivered(&setting, 300).await;
    // The breaker leaves a provider alone that only fails: what was queued
    // waited, and was not tried and tried again.
    let retried = status["deliveries"]["retried"].as_u64().unwrap();
    assert!((1..300).contains(&retried), "{status}");
    assert_eq!(setting.pushes().await.1, 0, "duplicates");
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_gone_is_dropped_and_gets_no_further_push() {
    const CITIZENS: u64 = 40;
    let setting = setting().await;
    let town = setting.service(CITIZENS).await;
    let source = town.source();
    let behaviour = Behaviour { unregistered_share: 0.5, ..Behaviour::default() };
    setting.behave(&behaviour).await;
    let token = |index| town.population.citizen(index).devices[0].token.clone();
    let dead: Vec<bool> =
        (0..CITIZENS).map(|index| behaviour.is_unregistered(&token(index))).collect();
    let gone = dead.iter().filter(|dead| **dead).count() as u64;
    assert!((5..35).contains(&gone), "{gone} of {CITIZENS}");

    let first = setting.send(&source, 0..CITIZENS).await;
    let status = setting.rest(RECOVERY).await;
    assert_eq!(status["deliveries"]["failed"], gone, "{status}");
    assert_eq!(setting.pushes().await, (CITIZENS - gone, 0));
    // The provider would take them now; nobody asks it.
    setting.behave(&Behaviour::default()).await;
    let second = setting.send(&source, CITIZENS..2 * CITIZENS).await;
    let status = setting.rest(RECOVERY).await;
    assert_eq!(status["deliveries"]["failed"], gone, "{status}");
    assert_eq!(status["deliveries"]["planned"], 4 * CITIZENS - gone, "{status}");
    assert_eq!(setting.pushes().await, (2 * (CITIZENS - gone), 0));
    for (sent, failed) in [(&first, "failed"), (&second, "")] {
        for accepted in &sent.accepted {
            let index = accepted.index % CITIZENS;
            let seen = setting.message(&town.key, &town.fiscal_code(index), accepted.id).await;
            let ended = if dead[usize::try_from(index).unwrap()] { failed } else { "delivered" };
            assert_eq!(push_of(&seen)["state"].as_str().unwrap_or_default(), ended, "{seen}");
        }
    }
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}

/// The push among a message's deliveries; null when none was planned.
fn push_of(message: &Value) -> Value {
    let deliveries = message["delivery"].as_array().unwrap();
    deliveries.iter().find(|one| one["channel"] == "push").cloned().unwrap_or_default()
}

#[tokio::test]
async fn storms_of_goaway_and_refused_streams_lose_nothing() {
    /// Two connections' worth, of 500.
    const DOUBTFUL: u64 = 50;
    let setting = setting().await;
    let town = setting.service_for(500, Mix::DeviceAndMail).await;
    // To the relay: 421 by order, and sessions that end after the dot.
    let storm = Behaviour {
        latency_ms: 2,
        jitter_ms: 5,
        goaway_after_requests: 25,
        reset_share: 0.1,
        reset_reason: ResetReason::RefusedStream,
        ..Behaviour::default()
    };
    setting.behave(&storm).await;
    let source = town.source();
    let orders = async {
        for _ in 0..10 {
            setting.order("/goaway").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(setting.send(&source, 0..500), orders);
    assert_delivered_everywhere(&setting, 500).await;
    // GOAWAY names the last stream that counts, REFUSED_STREAM says it did
    // not. Only a connection that broke before its last answers were read
    // leaves attempts of unknown fate: few, and repeated under their ids.
    let metrics = setting.get("/metrics").await.text();
    let reasons: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("araldo_provider_refusals")).collect();
    let repeated = setting.pushes().await.1;
    assert!(repeated <= DOUBTFUL, "{repeated} duplicates, by {reasons:?}");
    // What the relay did not answer it did not take.
    assert_eq!(setting.mails().await.1, 0, "mails taken twice, by {reasons:?}");
    let mut goaways = 0;
    for simulator in setting.stage.simulators() {
        let books = simulator.books().await.unwrap();
        assert!(books.reset > 0, "{books:?}");
        match simulator.kind {
            Kind::Smtp => assert!(books.goaways > 0, "{books:?}"),
            Kind::Apns | Kind::Fcm => goaways += books.goaways,
        }
    }
    assert!(goaways >= 10, "{goaways} GOAWAYs");
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_without_an_answer_is_repeated_under_the_same_id() {
    const BEFORE: u64 = 60;
    const MESSAGES: u64 = 12;
    let setting = setting().await;
    let town = setting.service(BEFORE).await;
    let source = town.source();
    // A connection to APNs takes one request at a time until one was
    // accepted: without these, the rest would wait behind the first to hang.
    setting.send(&source, 0..BEFORE).await;
    setting.rest(RECOVERY).await;
    let hang = Behaviour { hang_share: 1.0, ..Behaviour::default() };
    let lose = Behaviour { lost_answer_share: 1.0, ..Behaviour::default() };
    let [apple, google] =
        [Kind::Apns, Kind::Fcm].map(|kind| setting.stage.simulator(kind).unwrap());
    apple.set_behaviour(&hang).await.unwrap();
    google.set_behaviour(&lose).await.unwrap();
    let sent = setting.send(&source, BEFORE..BEFORE + MESSAGES).await;
    until("every attempt is made", RECOVERY, || async {
        let (apple, google) = (apple.books().await.unwrap(), google.books().await.unwrap());
        apple.hung + google.lost_answers == MESSAGES
    })
    .await;
    setting.behave(&Behaviour::default()).await;
    let status = assert_all_delivered(&setting, BEFORE + MESSAGES).await;
    assert_eq!(status["deliveries"]["retried"], MESSAGES, "{status}");
    // Nothing hung was delivered before; everything whose answer was lost was.
    let (apple, google) = (apple.books().await.unwrap(), google.books().await.unwrap());
    assert_eq!((apple.duplicates, google.duplicates), (0, google.lost_answers));
    assert!(apple.hung > 0 && google.lost_answers > 0, "{apple:?} {google:?}");
    assert_ids(&setting, &town, &sent).await;
    setting.stage.shutdown().await.unwrap();
}

/// The ids at the providers are those the sender is shown.
async fn assert_ids(setting: &Setting, town: &Town, sent: &DriveReport) {
    let records = setting.stage.records().await.unwrap();
    for accepted in &sent.accepted {
        let seen = setting.message(&town.key, &town.fiscal_code(accepted.index), accepted.id).await;
        let id = push_of(&seen)["id"].as_str().unwrap().replace('-', "");
        let id = u128::from_str_radix(&id, 16).unwrap();
        let record = records.iter().find(|record| record.message == accepted.id).unwrap();
        assert_eq!(record.delivery, id, "{seen}");
    }
}

#[tokio::test]
async fn a_provider_that_refuses_our_credentials_halts_its_route_alone() {
    let setting = setting().await;
    let town = setting.service(60).await;
    let apple = setting.stage.simulator(Kind::Apns).unwrap();
    apple.set_behaviour(&refusal("InvalidProviderToken", None, None)).await.unwrap();
    let source = town.source();
    setting.send(&source, 0..60).await;
    until("the route is halted", RECOVERY, || async {
        let status = setting.stage.status().await.unwrap();
        status["routes"][0]["state"] == "halted"
    })
    .await;
    let ready = setting.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let reasons = ready.json()["reasons"].clone();
    assert_eq!(reasons[0]["name"], "apple", "{reasons}");
    assert!(reasons[0]["detail"].as_str().unwrap().contains("InvalidProviderToken"), "{reasons}");
    assert_eq!(reasons[1], Value::Null, "{reasons}");
    // Google's citizens have theirs; Apple's wait until an operator has acted.
    let google = setting.stage.simulator(Kind::Fcm).unwrap();
    let apples = (0..60)
        .filter(|index| town.population.citizen(*index).devices[0].platform == Kind::Apns.name());
    let apples = apples.count() as u64;
    until("google has delivered", RECOVERY, || async {
        google.books().await.unwrap().unique_deliveries == 60 - apples
    })
    .await;
    until("apple's wait", RECOVERY, || async {
        setting.stage.status().await.unwrap()["deliveries"]["pending"] == apples
    })
    .await;
    let refused = apple.books().await.unwrap().refused;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(apple.books().await.unwrap().refused, refused, "a halted route is left alone");

    apple.set_behaviour(&Behaviour::default()).await.unwrap();
    let mut setting = setting;
    assert_eq!(setting.stage.stop_server().await.unwrap(), Some(0));
    setting.stage.restart_server().await.unwrap();
    let repeated = Arc::clone(&source);
    assert_all_delivered(&setting, 60).await;
    // The same keys again: answered as the first time, and not sent again.
    setting.send(&repeated, 0..60).await;
    assert_all_delivered(&setting, 60).await;
    setting.stage.shutdown().await.unwrap();
}

/// A simulator of the house's Apple at a fixed port.
async fn apple(house: &House, port: u16, behaviour: Behaviour) -> Simulator {
    let mut options = Options::new(Kind::Apns, house.credentials.clone());
    options.bind.set_port(port);
    options.behaviour = behaviour;
    options.one_stream_until_authorized = true;
    Simulator::start(options).await.unwrap()
}

/// A service and citizens with an Apple device each; the sender's requests.
async fn register(server: &Server, admin_key: &str, citizens: u64) -> Source {
    let mut operator = Client::new(&server.base, Some(admin_key)).unwrap();
    let root = "/api/operator/v1";
    let body = json!({"name": "Comune di Prova"});
    operator.put(&format!("{root}/organizations/00000000001"), &body).await.unwrap();
    let body = json!({"name": "Anagrafe", "organization_fiscal_code": "00000000001"});
    operator.put(&format!("{root}/services/anagrafe"), &body).await.unwrap();
    let body = json!({"name": "prova", "role": "sender", "service_id": "anagrafe"});
    let made = operator.post(&format!("{root}/keys"), &body).await.unwrap();
    let key = HeaderValue::from_str(made["key"].as_str().unwrap()).unwrap();
    let population = Population::new(7, citizens, Mix::OneDevice);
    let mut lines = String::new();
    for index in 0..citizens {
        let to = population.citizen(index).fiscal_code;
        let device = json!({"platform": "apns", "token": format!("{index:064x}")});
        lines += &format!("{}\n", json!({"fiscal_code": to, "devices": [device]}));
    }
    let path = format!("{root}/citizens");
    let sent = operator.send(Method::POST, &path, Some("application/x-ndjson"), lines.into());
    let report: Value = serde_json::from_slice(&sent.await.unwrap()).unwrap();
    assert_eq!(report["imported"], citizens, "{report}");
    Town { key, population }.source()
}

#[tokio::test]
async fn a_provider_may_come_after_the_server_and_be_killed_in_between() {
    let house = House::new();
    let port = free_port();
    house.write_apns(&format!("https://127.0.0.1:{port}"));
    let server = Server::start(&house.config()).await;
    let key = house.admin_key();
    let source = register(&server, &key, 40).await;
    let ready = async || server.get("/readyz", None).await;
    until("the reason is shown", RECOVERY, || async {
        let ready = ready().await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        ready.text().contains(&format!("127.0.0.1:{port}: TCP: Connection refused"))
    })
    .await;
    let status = async || server.get("/api/operator/v1/status", Some(&key)).await.json();
    let pending = async |count: u64| {
        until("pending", RECOVERY, || async {
            let status = status().await;
            status["messages"]["pending"] == 0 && status["deliveries"]["pending"] == count
        })
        .await;
    };
    let sent = drive(driver(&server.base, 0..20), Arc::clone(&source)).await.unwrap();
    assert_eq!(sent.accepted.len(), 20, "{:?}", sent.statuses);
    pending(20).await;

    let slow = Behaviour { latency_ms: 700, ..Behaviour::default() };
    let first = apple(&house, port, slow).await;
    pending(0).await;
    assert_eq!(ready().await.status, StatusCode::OK);
    let sent = drive(driver(&server.base, 20..40), source).await.unwrap();
    assert_eq!(sent.accepted.len(), 20, "{:?}", sent.statuses);
    until("attempts are in flight", RECOVERY, || async { first.records().len() > 20 }).await;
    let before = first.records();
    first.shutdown().await;
    until("readiness ends", RECOVERY, || async { ready().await.status != StatusCode::OK }).await;
    let second = apple(&house, port, Behaviour::default()).await;
    pending(0).await;
    let after = second.records();
    let deliveries: HashSet<u128> =
        before.iter().chain(&after).map(|record| record.delivery).collect();
    assert_eq!(deliveries.len(), 40, "every push, and each repeated one under its id");
    let status = status().await;
    assert_eq!(status["delivered_by_channel"]["push"], 40, "{status}");
    assert_eq!(status["unaccounted"], json!({"messages": 0, "deliveries": 0}), "{status}");
    assert_eq!(server.signal("TERM").await, Some(0));
}
