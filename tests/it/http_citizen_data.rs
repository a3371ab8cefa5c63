//! A copy of everything, and the end of everything.

use std::time::Duration;

use araldo_actors::domain::id::MessageId;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http_citizen_kit::{House, LUCA, ROSA, code, token};

const REQUESTS: &str = "/api/identity/v1/user-data-processing";

#[tokio::test]
async fn the_document_has_everything_there_is() {
    let house = House::start().await;
    let early = house.send(ROSA, "Prima di registrarsi").await;
    let line = json!({"email": "rosa@example.it", "email_validated": true, "languages": ["it_IT"],
        "municipality": "040012", "places": [{"lat": 44.2, "lon": 12.0}], "birth_year": 1985,
        "timezone": "Europe/Rome", "quiet_hours": {"from": "22:00", "to": "07:00"},
        "preferences": {"tributi": {"inbox": true, "email": false, "push": true}},
        "activations": {"speciale": "ACTIVE"}});
    house.citizen(ROSA, line).await;
    let rosa = token(ROSA);
    let device = json!({"platform": "apns", "pushChannel": "il-mio-token"});
    house.put(&rosa, "/api/communication/v1/installations/phone", device).await.expect(200);
    let mut sent = vec![early.clone()];
    for number in 0..35 {
        sent.push(house.send(ROSA, &format!("Messaggio numero {number}")).await);
    }
    let read = json!({"change_type": "reading", "is_read": true});
    let path = format!("/api/communication/v1/messages/{}/status", sent[1]);
    house.put(&rosa, &path, read).await.expect(200);
    let asked = house.post(&rosa, REQUESTS, json!({"choice": "DOWNLOAD"})).await.expect(200).json();
    assert_eq!((&asked["choice"], &asked["status"]), (&json!("DOWNLOAD"), &json!("CLOSED")));
    let reply = house.get(&rosa, "/api/citizen/v1/user-data").await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(reply.header("content-disposition").starts_with("attachment"));
    let data = reply.json();
    assert_eq!(data["format"], "araldo.user-data.v1");
    let profile = &data["profile"];
    assert_eq!(profile["email"], "rosa@example.it");
    assert_eq!(profile["devices"][0]["token"], "il-mio-token");
    assert_eq!(profile["preferences"]["tributi"]["email"], false);
    assert_eq!(profile["activations"]["speciale"]["status"], "ACTIVE");
    assert_eq!(profile["quiet_hours"], json!({"from_minute": 1320, "to_minute": 420}));
    assert_eq!(profile["data_requests"][0]["choice"], "DOWNLOAD");
    let messages = data["messages"].as_array().unwrap();
    let ids: Vec<_> = messages.iter().map(|one| one["message"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, sent);
    let one = |id: &str| messages.iter().find(|one| one["message"]["id"] == id).unwrap();
    assert_eq!(one(&early)["rejection_reason"], "USER_NOT_FOUND");
    assert_eq!(one(&early)["inbox"], Value::Null);
    assert_eq!(one(&sent[1])["inbox"]["is_read"], true);
    assert_eq!(one(&sent[1])["delivery"][0]["channel"], "in_app");
    assert!(one(&sent[1])["message"]["content"]["markdown"].is_string());
    assert_eq!(one(&sent[1])["service_name"], "Anagrafe");
    let nobody = house.get(&token(LUCA), "/api/citizen/v1/user-data").await.expect(200).json();
    assert_eq!((&nobody["profile"], &nobody["messages"]), (&Value::Null, &json!([])));
    house.stop().await;
}

#[tokio::test]
async fn without_grace_a_deletion_is_done_when_it_is_answered() {
    let house = House::start_with(|config| config.retention.deletion_grace = Duration::ZERO).await;
    house.citizen(ROSA, json!({"email": "rosa@example.it", "email_validated": true})).await;
    house.citizen(LUCA, json!({})).await;
    let rosa = token(ROSA);
    let id = house.send(ROSA, "Un messaggio che sparisce").await;
    let kept = house.send(LUCA, "Un messaggio che resta").await;
    let done = house.post(&rosa, REQUESTS, json!({"choice": "DELETE"})).await.expect(200).json();
    assert_eq!(done["status"], "CLOSED");
    let profile = house.get(&rosa, "/api/identity/v1/profile").await.expect(200).json();
    assert_eq!((&profile["has_profile"], &profile["version"]), (&json!(false), &json!(0)));
    let data = house.get(&rosa, "/api/citizen/v1/user-data").await.expect(200).json();
    assert_eq!((&data["profile"], &data["messages"]), (&Value::Null, &json!([])));
    house.get(&rosa, &format!("/api/communication/v1/messages/{id}")).await.expect(404);
    house.get(&rosa, &format!("{REQUESTS}/DELETE")).await.expect(404);
    let path = format!("/api/communication/v1/messages/{kept}");
    house.get(&token(LUCA), &path).await.expect(200);
    assert_eq!(house.running.engine.erasures(10).await.unwrap().len(), 1);
    house.stop().await;
}

#[tokio::test]
async fn with_grace_a_deletion_waits_and_can_be_taken_back() {
    let house = House::start().await;
    let rosa = token(ROSA);
    house.post(&rosa, REQUESTS, json!({"choice": "DELETE"})).await.expect(404);
    house.citizen(ROSA, json!({})).await;
    let path = format!("{REQUESTS}/DELETE");
    house.get(&rosa, &path).await.expect(404);
    house.delete(&rosa, &path).await.expect(404);
    let asked = house.post(&rosa, REQUESTS, json!({"choice": "DELETE"})).await.expect(200).json();
    assert_eq!((&asked["status"], &asked["version"]), (&json!("PENDING"), &json!(0)));
    assert!(asked["due_at"].as_str().unwrap() > asked["created_at"].as_str().unwrap());
    house.post(&rosa, REQUESTS, json!({"choice": "DELETE"})).await.expect(409);
    assert_eq!(house.get(&rosa, &path).await.expect(200).json(), asked);
    house.delete(&rosa, &path).await.expect(202);
    house.delete(&rosa, &path).await.expect(409);
    let after = house.get(&rosa, &path).await.expect(200).json();
    assert_eq!((&after["status"], &after["version"]), (&json!("ABORTED"), &json!(1)));
    let again = house.post(&rosa, REQUESTS, json!({"choice": "DELETE"})).await.expect(200).json();
    assert_eq!((&again["status"], &again["version"]), (&json!("PENDING"), &json!(2)));
    house.post(&rosa, REQUESTS, json!({"choice": "BURN"})).await.expect(400);
    house.get(&rosa, &format!("{REQUESTS}/BURN")).await.expect(400);
    house.stop().await;
}

#[tokio::test]
async fn nothing_is_written_by_a_request_whose_session_ended_while_its_body_arrived() {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    let message = house.send(ROSA, "Un avviso del Comune").await;
    let rosa = token(ROSA);
    let status = format!("/api/communication/v1/messages/{message}/status");
    let mut halves = Vec::new();
    for (method, path, body) in [
        (
            "PUT",
            "/api/communication/v1/installations/thief",
            json!({"platform": "apns", "pushChannel": "ab12"}),
        ),
        ("PUT", status.as_str(), json!({"change_type": "reading", "is_read": true})),
        ("POST", "/api/identity/v1/profile", json!({"version": 0, "email": "thief@example.it"})),
        ("POST", "/api/identity/v1/user-data-processing", json!({"choice": "DELETE"})),
    ] {
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: araldo\r\nauthorization: Bearer {rosa}\r\n\
             connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            body.len(),
            &body[..5]
        );
        let mut stream = TcpStream::connect(&house.base).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        halves.push((stream, body));
    }
    // Each of them was let in, and waits for the rest of its body.
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.post(&rosa, "/api/citizen/v1/sessions/revoke", json!({})).await.expect(200);
    for (mut stream, body) in halves {
        stream.write_all(&body.as_bytes()[5..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let kept = house.running.engine.citizen(code(ROSA)).await.unwrap().unwrap();
    assert!(kept.devices.is_empty() && kept.data_requests.is_empty() && kept.email.is_none());
    let item = house
        .running
        .engine
        .inbox_item(code(ROSA), MessageId::parse(&message).unwrap())
        .await
        .unwrap();
    assert!(!item.unwrap().entry.marks.read);
    house.stop().await;
}
