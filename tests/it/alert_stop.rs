//! Pause, resume and cancel through the APIs, and what a restart leaves: with
//! the real server, and providers that are out of order for a while.

use std::time::Duration;

use araldo_loadtest::population::Mix;
use araldo_loadtest::simulator::{Behaviour, Kind};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use crate::alert_kit::{Herald, LIMIT, alert, push_outage, walk};
use crate::stage_kit::{Person, Reply, Setting, Town, exchange, import, until};

const CITIZENS: u64 = 400;
/// Alerts that can be under way at one time.
const MOST_OPEN: usize = araldo_actors::alert::MAX_OPEN;

async fn setting() -> (Setting, Town, Herald) {
    let setting = Setting::start(|options| {
        options.retry_base_ms = Some(100);
        options.providers.retain(|kind| *kind != Kind::Smtp);
        // A restart makes the server sign anew.
        options.strict_token_updates = false;
    })
    .await;
    let town = setting.service_for(CITIZENS, Mix::OneDevice).await;
    let herald = Herald::of(&setting.stage, "allerte").await;
    (setting, town, herald)
}

/// Waits until the inbox walk has come to its end.
async fn in_every_inbox(herald: &Herald, id: &str) {
    until("the alert is in every inbox", LIMIT, || async {
        walk(&herald.view(id).await, "inbox")["delivered"] == CITIZENS
    })
    .await;
}

/// The problem's type, its status being 409.
fn conflict(reply: Reply) -> String {
    reply.expect(409).json()["type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_alert_is_paused_resumed_and_then_reaches_everyone_once() {
    let (setting, _town, herald) = setting().await;
    push_outage(&setting).await;
    let id = herald.send(json!({"everyone": true})).await;
    in_every_inbox(&herald, &id).await;
    assert_eq!(conflict(herald.change(&id, "resume").await), "urn:araldo:problem:alert-status");
    let paused = herald.change(&id, "pause").await.expect(200).json();
    assert_eq!(paused["status"], "paused");
    assert_eq!(paused["progress"]["recipients"], CITIZENS);
    conflict(herald.change(&id, "pause").await);
    setting.behave(&Behaviour::default()).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(setting.pushes().await, (0, 0), "a paused alert sends nothing");
    assert_eq!(herald.view(&id).await["status"], "paused");
    let resumed = herald.change(&id, "resume").await.expect(200).json();
    assert_eq!(resumed["status"], "running");
    let view = herald.ends(&id, "completed").await;
    assert_eq!(setting.pushes().await, (CITIZENS, 0));
    let delivered = |name: &str| walk(&view, name)["delivered"].as_u64().unwrap();
    assert_eq!(delivered("apple") + delivered("google"), CITIZENS, "{view}");
    conflict(herald.change(&id, "cancel").await);
    setting.rest(LIMIT).await;
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_alert_stays_in_the_inbox_and_goes_nowhere_else() {
    let (setting, town, herald) = setting().await;
    push_outage(&setting).await;
    let id = herald.send(json!({"everyone": true})).await;
    in_every_inbox(&herald, &id).await;
    // By an operator; by its sender it is the same.
    let stage = &setting.stage;
    let bearer = format!("Bearer {}", stage.admin_key());
    let path = format!("/api/operator/v1/alerts/{id}/cancel");
    let headers = [("authorization", bearer.as_str())];
    let cancelled = exchange(stage.base_url(), Method::POST, &path, &headers, <_>::default()).await;
    assert_eq!(cancelled.expect(200).json()["status"], "cancelled");
    setting.behave(&Behaviour::default()).await;
    for change in ["pause", "resume", "cancel"] {
        conflict(herald.change(&id, change).await);
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(setting.pushes().await, (0, 0));
    let reader = Person::of(stage, &town.fiscal_code(3));
    assert_eq!(reader.inbox(false).await, std::slice::from_ref(&id));
    let view = herald.view(&id).await;
    for name in ["apple", "google"] {
        assert_eq!(walk(&view, name)["pending"], 0, "{view}");
    }
    setting.rest(LIMIT).await;
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_alert_status_and_idempotency_key() {
    let (mut setting, _town, herald) = setting().await;
    push_outage(&setting).await;
    let body = alert(json!({"everyone": true}));
    let id = |reply: Reply| -> Value { reply.expect(201).json()["id"].clone() };
    let first = id(herald.post(&body, Some("piena-1")).await);
    let name = first.as_str().unwrap();
    in_every_inbox(&herald, name).await;
    herald.change(name, "pause").await.expect(200);
    // As a power cut would, once, and as an operator would.
    setting.stage.kill_server().await.unwrap();
    setting.behave(&Behaviour::default()).await;
    setting.stage.restart_server().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(id(herald.post(&body, Some("piena-1")).await), first);
    assert_eq!(herald.view(name).await["status"], "paused");
    let mut other = body.clone();
    other["lane"] = json!("urgent");
    let refused = herald.post(&other, Some("piena-1")).await.expect(422).json();
    assert_eq!(refused["type"], "urn:araldo:problem:idempotency-key-reused");
    herald.change(name, "resume").await.expect(200);
    herald.ends(name, "completed").await;
    assert_eq!(setting.stage.stop_server().await.unwrap(), Some(0));
    setting.stage.restart_server().await.unwrap_or_else(|error| panic!("{error}"));
    let again = herald.post(&body, Some("piena-1")).await.expect(201).json();
    assert_eq!((&again["id"], &again["status"]), (&first, &json!("completed")));
    assert_eq!(setting.pushes().await, (CITIZENS, 0), "sent once, whatever was repeated");
    setting.assert_conserved().await;
    setting.stage.shutdown().await.unwrap();
}

#[tokio::test]
async fn more_alerts_than_can_be_under_way_are_refused_and_repetitions_are_not() {
    let setting = Setting::start(|options| {
        options.providers = vec![Kind::Apns];
        options.extra_config = "[engine]\npartitions = 1\n".to_owned();
    })
    .await;
    let device = json!({"platform": "apns", "token": "ab".repeat(32)});
    let line = json!({"fiscal_code": "AAAAAA00A00A000A", "devices": [device]});
    import(&setting.stage, &[line]).await;
    let herald = Herald::of(&setting.stage, "allerte").await;
    push_outage(&setting).await;
    let body = alert(json!({"everyone": true}));
    let first = herald.post(&body, Some("k-0")).await.expect(201).json()["id"].clone();
    let senders = (0..16).map(async |sender: usize| {
        for number in (1..MOST_OPEN).filter(|number| number % 16 == sender) {
            herald.post(&body, Some(&format!("k-{number}"))).await.expect(201);
        }
    });
    join_all(senders).await;
    let refused = herald.post(&body, None).await.expect(429).json();
    assert_eq!(refused["type"], "urn:araldo:problem:overloaded", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("1000 alerts"), "{refused}");
    let again = herald.post(&body, Some("k-0")).await.expect(201).json();
    assert_eq!((&again["id"], &again["status"]), (&first, &json!("running")));
    herald.change(first.as_str().unwrap(), "cancel").await.expect(200);
    herald.post(&body, None).await.expect(201);
    setting.stage.shutdown().await.unwrap();
}
