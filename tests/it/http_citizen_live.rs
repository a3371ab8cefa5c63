//! Live sessions: what comes, from where a session goes on, and when it ends.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use crate::http_citizen_kit::{House, LUCA, ROSA, token};

async fn house() -> (House, String) {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    (house, token(ROSA))
}

#[tokio::test]
async fn a_message_and_a_mark_of_another_device_come_at_once_and_nobody_elses_do() {
    let (house, rosa) = house().await;
    house.citizen(LUCA, json!({})).await;
    let mut live = house.live(&rosa, None).await;
    let ready = live.next().await.unwrap();
    assert_eq!((ready.name.as_str(), &ready.data), ("ready", &json!({})));
    house.send(LUCA, "Non per questa citta").await;
    let id = house.send(ROSA, "Un nuovo messaggio").await;
    let message = live.next().await.unwrap();
    assert_eq!(message.name, "message");
    let listed = "/api/communication/v1/messages?enrich_result_data=true";
    assert_eq!(message.data, house.get(&rosa, listed).await.json()["items"][0]);
    let path = format!("/api/communication/v1/messages/{id}/status");
    let bulk = json!({"change_type": "bulk", "is_read": true, "is_archived": true});
    house.put(&rosa, &path, bulk).await.expect(200);
    let status = live.next().await.unwrap();
    assert_eq!(status.name, "status");
    assert_eq!(status.data, json!({"id": id, "is_read": true, "is_archived": true}));
    let place = |id: &str| id.parse::<u64>().unwrap();
    assert!(place(&ready.id) < place(&message.id) && place(&message.id) < place(&status.id));
    assert!(live.is_quiet(Duration::from_millis(300)).await);
    house.stop().await;
}

#[tokio::test]
async fn a_session_goes_on_after_the_last_event_it_saw_without_a_gap() {
    let (house, rosa) = house().await;
    let mut live = house.live(&rosa, None).await;
    live.next().await.unwrap();
    let first = house.send(ROSA, "Il primo messaggio").await;
    let seen = live.next().await.unwrap();
    assert_eq!(seen.data["id"], json!(first));
    drop(live);
    let mut sent = Vec::new();
    for number in 0..40 {
        sent.push(house.send(ROSA, &format!("Mentre non guardavo {number}")).await);
    }
    let mut live = house.live(&rosa, Some(&seen.id)).await;
    sent.push(house.send(ROSA, "E ora che guardo di nuovo").await);
    for id in &sent {
        let event = live.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["id"]), ("message", &json!(id)));
    }
    assert!(live.is_quiet(Duration::from_millis(300)).await);
    house.stop().await;
}

#[tokio::test]
async fn a_session_that_cannot_go_on_is_told_to_begin_anew() {
    let house = House::start_with(|config| config.live.max_replay = 3).await;
    house.citizen(ROSA, json!({})).await;
    let rosa = token(ROSA);
    let ready = house.live(&rosa, None).await.next().await.unwrap();
    for number in 0..3 {
        house.send(ROSA, &format!("Messaggio numero {number}")).await;
    }
    let mut enough = house.live(&rosa, Some(&ready.id)).await;
    assert_eq!(enough.next().await.unwrap().name, "message");
    house.send(ROSA, "Uno di troppo, ecco").await;
    let newest = house.live(&rosa, None).await.next().await.unwrap().id;
    let ahead = (newest.parse::<u64>().unwrap() + 1).to_string();
    for last in [ready.id.as_str(), "nonsense", "-1", "+1", &ahead] {
        let mut live = house.live(&rosa, Some(last)).await;
        let reset = live.next().await.unwrap();
        assert_eq!((reset.name.as_str(), &reset.id), ("reset", &newest), "{last}");
        assert!(reset.data["reason"].is_string());
        drop(live);
        // Until the server has seen that the reader is gone.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.stop().await;
}

#[tokio::test]
async fn the_last_event_may_be_named_in_the_query() {
    let (house, rosa) = house().await;
    let ready = house.live(&rosa, None).await.next().await.unwrap();
    let id = house.send(ROSA, "Un nuovo messaggio").await;
    let bearer = format!("Bearer {rosa}");
    let path = format!("/api/citizen/v1/live?last_event_id={}", ready.id);
    let headers = [("authorization", bearer.as_str())];
    let (response, connection) = house.open(Method::GET, &path, &headers, Bytes::new()).await;
    let mut body = response.into_body();
    let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(frame.data_ref().unwrap()).contains(&id));
    connection.abort();
    house.stop().await;
}

#[tokio::test]
async fn a_lost_phone_ends_every_token_session_and_device_at_once() {
    let (house, rosa) = house().await;
    let device = json!({"platform": "apns", "pushChannel": "ab".repeat(32)});
    let path = "/api/communication/v1/installations/phone";
    house.put(&rosa, path, device).await.expect(200);
    let mut live = house.live(&rosa, None).await;
    live.next().await.unwrap();
    let revoked = house.post(&rosa, "/api/citizen/v1/sessions/revoke", json!({})).await.expect(200);
    assert_eq!(revoked.json()["devices"], 1);
    assert_eq!(live.next().await, None, "the live session ends");
    let refused = house.get(&rosa, "/api/identity/v1/profile").await.expect(401);
    assert!(refused.header("www-authenticate").contains("invalid_token"));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let again = token(ROSA);
    let devices = house.get(&again, "/api/citizen/v1/devices").await.expect(200).json();
    assert_eq!(devices, json!({"items": []}));
    house.live(&again, None).await.next().await.unwrap();
    house.stop().await;
}

#[tokio::test]
async fn an_idle_session_outlives_every_timeout_and_shows_signs_of_life() {
    let house = House::start_with(|config| {
        config.http.request_timeout = Duration::from_secs(1);
        config.http.header_read_timeout = Duration::from_secs(1);
        config.live.keep_alive = Duration::from_millis(500);
    })
    .await;
    house.citizen(ROSA, json!({})).await;
    let rosa = token(ROSA);
    let mut live = house.live(&rosa, None).await;
    live.next().await.unwrap();
    assert!(live.is_quiet(Duration::from_secs(4)).await, "no event and no end");
    let id = house.send(ROSA, "Dopo una lunga pausa").await;
    assert_eq!(live.next().await.unwrap().data["id"], json!(id));
    house.stop().await;
}

#[tokio::test]
async fn a_stop_ends_live_sessions_and_does_not_wait_for_them() {
    let (house, rosa) = house().await;
    let mut live = house.live(&rosa, None).await;
    live.next().await.unwrap();
    let reading = tokio::spawn(async move { live.next().await });
    let took = house.stop().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(reading.await.unwrap(), None);
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    use araldo::http::development::{Bearer, Issuing, mint};
    let (house, _) = house().await;
    let issuing = Issuing { fiscal_code_claim: "fiscal_code".into(), ..Issuing::default() };
    let code = crate::http_citizen_kit::code(ROSA);
    let now = crate::http_citizen_kit::now();
    let short = mint(
        crate::http_citizen_kit::DEVELOPMENT,
        code,
        &Bearer::default(),
        &issuing,
        now,
        Duration::from_secs(2),
    );
    let mut live = house.live(&short.unwrap(), None).await;
    live.next().await.unwrap();
    let started = Instant::now();
    assert_eq!(live.next().await, None);
    assert!(started.elapsed() > Duration::from_secs(1));
    house.stop().await;
}

#[tokio::test]
async fn more_sessions_than_allowed_are_refused_with_a_time_to_wait() {
    let (house, rosa) = house().await;
    let mut open = Vec::new();
    for _ in 0..crate::http_kit::OPTIONS.live.max_sessions_per_citizen {
        open.push(house.live(&rosa, None).await);
    }
    let refused = house.get(&rosa, "/api/citizen/v1/live").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!refused.header("retry-after").is_empty());
    house.stop().await;
}
