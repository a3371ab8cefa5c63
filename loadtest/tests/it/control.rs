//! The control listener.

use araldo_loadtest::simulator::{BooksReport, Kind, RECORD_BYTES, Record};

use crate::client::{Apns, Client, ULID, control, good_jwt, simulator, uuid};

#[tokio::test]
async fn books_arrivals_and_deliveries_agree() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    for delivery in 0..20 {
        client.send(Apns::new(&simulator, &jwt).id(delivery).build()).await;
    }
    client.send(Apns::new(&simulator, &jwt).id(3).build()).await;
    let books: BooksReport =
        serde_json::from_slice(&control(&simulator, "GET", "/books", "").await.body).unwrap();
    assert_eq!((books.accepted, books.unique_deliveries, books.duplicates), (21, 20, 1));
    let arrivals = control(&simulator, "GET", "/arrivals", "").await.body;
    let (chunks, rest) = arrivals.as_chunks::<RECORD_BYTES>();
    assert!(rest.is_empty());
    let mut records: Vec<Record> = chunks.iter().map(Record::decode).collect();
    records.sort_by_key(|record| record.delivery);
    assert_eq!(
        records.iter().map(|record| record.delivery).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    assert!(records.iter().all(|record| record.first_accept_us >= books.first_accept_us));
    assert_eq!(records[3].accepted, 2);
    let lines = control(&simulator, "GET", "/deliveries", "").await.body;
    let lines: Vec<serde_json::Value> = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 20);
    let third = lines.iter().find(|line| line["delivery"] == uuid(3)).unwrap();
    assert_eq!((third["accepted"].as_u64(), third["message"].as_str()), (Some(2), Some(ULID)));
    assert_eq!(control(&simulator, "POST", "/reset", "").await.status, 204);
    assert!(control(&simulator, "GET", "/arrivals", "").await.body.is_empty());
}

#[tokio::test]
async fn a_behaviour_is_changed_while_running_and_a_wrong_one_is_refused_with_its_reason() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    assert_eq!(client.send(Apns::new(&simulator, &jwt).build()).await.status, 200);
    let told = control(&simulator, "PUT", "/behaviour", "{\"unregistered_share\":1}").await;
    assert_eq!(
        (told.status.as_u16(), told.json()["unregistered_share"].as_f64()),
        (200, Some(1.0))
    );
    assert_eq!(client.send(Apns::new(&simulator, &jwt).build()).await.status, 410);
    for wrong in ["{\"hang_share\":2}", "{\"unknown\":1}", "nonsense"] {
        let refused = control(&simulator, "PUT", "/behaviour", wrong).await;
        assert_eq!(refused.status, 400);
        assert!(!refused.json()["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(client.send(Apns::new(&simulator, &jwt).build()).await.status, 410);
    assert_eq!(control(&simulator, "GET", "/nothing", "").await.status, 404);
}

#[tokio::test]
async fn goaway_and_disconnect_reach_open_connections() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    for order in ["/goaway", "/disconnect"] {
        let client = Client::connect(&simulator).await;
        let jwt = good_jwt(simulator.credentials());
        client.send(Apns::new(&simulator, &jwt).build()).await;
        assert_eq!(control(&simulator, "POST", order, "").await.status, 204);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), client.driver).await;
        assert!(ended.is_ok());
    }
}
