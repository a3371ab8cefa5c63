//! An alert on the citizen's side: in the inbox like a message, live, found,
//! marked, exported.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::http_citizen_kit::{House, LUCA, ROSA, token};

const MESSAGES: &str = "/api/communication/v1/messages";

/// Rosa reads German and lives in Milan, Luca in Rome; a service that alerts.
async fn house() -> (House, String, String) {
    let house = House::start().await;
    let rosa = json!({"languages": ["de_DE", "it_IT"], "municipality": "015146"});
    house.citizen(ROSA, rosa).await;
    house.citizen(LUCA, json!({"municipality": "058091"})).await;
    let groups = json!({"groups": ["ApiAlertWrite", "ApiMessageRead"]});
    let key = house.service("allerte", groups).await;
    (house, key, token(ROSA))
}

/// Sends an alert and waits until it has been everywhere; returns its id.
async fn alert(house: &House, key: &str, audience: Value) -> String {
    let body = crate::alert_kit::alert(audience).to_string();
    let headers = [("ocp-apim-subscription-key", key)];
    let sent = house.call(Method::POST, "/api/v1/alerts", &headers, body).await.expect(201).json();
    let path = format!("/api/v1/alerts/{}", sent["id"].as_str().unwrap());
    for _ in 0..500 {
        let view = house.call(Method::GET, &path, &headers, "").await.expect(200).json();
        if view["status"] == "completed" {
            return view["id"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the alert goes on");
}

/// Ids in the inbox or in the archive.
async fn listed(house: &House, token: &str, archived: bool) -> Vec<String> {
    let path = format!("{MESSAGES}?archived={archived}");
    let page = house.get(token, &path).await.expect(200).json();
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn everyone() -> Value {
    json!({"everyone": true})
}

#[tokio::test]
async fn an_alert_stands_among_the_messages_in_the_readers_language() {
    let (house, key, rosa) = house().await;
    let before = house.send(ROSA, "Prima dell'allerta").await;
    let id = alert(&house, &key, json!({"areas": ["015"]})).await;
    let after = house.send(ROSA, "Dopo l'allerta").await;
    assert_eq!(listed(&house, &rosa, false).await, [after.clone(), id.clone(), before.clone()]);
    assert_eq!(listed(&house, &token(LUCA), false).await, [""; 0]);
    house.get(&token(LUCA), &format!("{MESSAGES}/{id}")).await.expect(404);
    let path = format!("{MESSAGES}?enrich_result_data=true&page_size=1&maximum_id={after}");
    let page = house.get(&rosa, &path).await.expect(200).json();
    let item = &page["items"][0];
    assert_eq!((&item["id"], &page["next"]), (&json!(id), &json!(id)));
    assert_eq!(item["message_title"], "Rote Wetterwarnung");
    assert_eq!(item["service_name"], "allerte");
    assert_eq!(item["is_read"], false);
    let path = format!("{MESSAGES}?page_size=1&maximum_id={id}");
    let page = house.get(&rosa, &path).await.expect(200).json();
    assert_eq!(page["items"][0]["id"], json!(before));
    let message = house.get(&rosa, &format!("{MESSAGES}/{id}")).await.expect(200).json();
    let markdown = message["content"]["markdown"].as_str().unwrap();
    assert!(markdown.starts_with("Bleiben Sie zu Hause"), "{markdown}");
    assert_eq!(message["time_to_live"], 86_400);
    house.stop().await;
}

#[tokio::test]
async fn an_alert_comes_live_and_so_do_its_marks() {
    let (house, key, rosa) = house().await;
    let mut live = house.live(&rosa, None).await;
    assert_eq!(live.next().await.unwrap().name, "ready");
    let id = alert(&house, &key, everyone()).await;
    let event = live.next().await.unwrap();
    assert_eq!((event.name.as_str(), &event.data["id"]), ("message", &json!(id)));
    assert_eq!(event.data["message_title"], "Rote Wetterwarnung");
    let bulk = json!({"change_type": "bulk", "is_read": true, "is_archived": true});
    house.put(&rosa, &format!("{MESSAGES}/{id}/status"), bulk).await.expect(200);
    let status = live.next().await.unwrap();
    assert_eq!(status.data, json!({"id": id, "is_read": true, "is_archived": true}));
    drop(live);
    // A session that was away goes on with what it missed.
    let missed = alert(&house, &key, json!({"areas": ["015146", "03"]})).await;
    alert(&house, &key, json!({"areas": ["058"]})).await;
    let mut live = house.live(&rosa, Some(&status.id)).await;
    assert_eq!(live.next().await.unwrap().data["id"], json!(missed));
    assert!(live.is_quiet(Duration::from_millis(300)).await, "Rome's alert is not Milan's");
    house.stop().await;
}

#[tokio::test]
async fn an_alert_is_read_and_archived_by_one_citizen_and_not_by_another() {
    let (house, key, rosa) = house().await;
    let id = alert(&house, &key, everyone()).await;
    let other = house.send(ROSA, "Un altro messaggio").await;
    let path = format!("{MESSAGES}/{id}/status");
    let read = house.put(&rosa, &path, json!({"change_type": "reading", "is_read": true})).await;
    assert_eq!(read.expect(200).json(), json!({"is_read": true, "is_archived": false}));
    assert_eq!(listed(&house, &rosa, false).await, [other.clone(), id.clone()], "in its place");
    let archive = json!({"change_type": "archiving", "is_archived": true});
    house.put(&rosa, &path, archive).await.expect(200);
    assert_eq!(listed(&house, &rosa, true).await, std::slice::from_ref(&id));
    assert_eq!(listed(&house, &rosa, false).await, std::slice::from_ref(&other));
    let luca = token(LUCA);
    assert_eq!(listed(&house, &luca, false).await, std::slice::from_ref(&id));
    let rich = format!("{MESSAGES}?enrich_result_data=true");
    let item = house.get(&luca, &rich).await.expect(200).json()["items"][0].clone();
    assert_eq!((&item["is_read"], &item["is_archived"]), (&json!(false), &json!(false)));
    let back = json!({"change_type": "archiving", "is_archived": false});
    let back = house.put(&rosa, &path, back).await.expect(200).json();
    assert_eq!(back, json!({"is_read": true, "is_archived": false}));
    assert_eq!(listed(&house, &rosa, false).await, [other, id]);
    house.stop().await;
}

#[tokio::test]
async fn an_alert_is_found_by_its_words_and_is_part_of_the_export() {
    let (house, key, rosa) = house().await;
    let id = alert(&house, &key, everyone()).await;
    let found = async |token: &str, words: &str| {
        let path = format!("/api/citizen/v1/messages?q={words}");
        let found = house.get(token, &path).await.expect(200).json();
        found["items"].as_array().unwrap().len()
    };
    // In the language it is shown in, and in no other.
    assert_eq!(found(&rosa, "WETTERWARNUNG%20hause").await, 1);
    assert_eq!(found(&rosa, "sindaco").await, 0);
    assert_eq!(found(&token(LUCA), "sindaco%20meteo").await, 1);
    let read = json!({"change_type": "reading", "is_read": true});
    house.put(&rosa, &format!("{MESSAGES}/{id}/status"), read).await.expect(200);
    let data = house.get(&rosa, "/api/citizen/v1/user-data").await.expect(200);
    let text = data.text();
    assert!(text.contains(&id) && text.contains("Rote Wetterwarnung"), "{text}");
    let data = data.json();
    let messages = data["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{data}");
    house.stop().await;
}

#[tokio::test]
async fn whoever_sends_an_alert_does_not_learn_who_is_in_its_audience() {
    let (house, key, rosa) = house().await;
    let id = alert(&house, &key, json!({"areas": ["015"]})).await;
    house.get(&rosa, &format!("{MESSAGES}/{id}")).await.expect(200);
    let mut answers = Vec::new();
    for citizen in [ROSA, LUCA] {
        let path = format!("/api/v1/messages/{citizen}/{id}");
        let headers = [("ocp-apim-subscription-key", key.as_str())];
        answers.push(house.call(Method::GET, &path, &headers, "").await.expect(404).json());
    }
    assert_eq!(answers[0], answers[1], "one lives in the area, one does not");
    house.stop().await;
}
