//! APNs' rules, row by row.

use std::time::Duration;

use araldo_loadtest::simulator::{Credentials, Kind};

use crate::client::{Apns, Client, TOPIC, ULID, apns_jwt, device, good_jwt, now, simulator, uuid};

#[tokio::test]
async fn a_correct_request_is_accepted_over_tls_and_written_in_the_books() {
    let simulator = simulator(Kind::Apns, |options| options.tls = true).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    let reply = client.send(Apns::new(&simulator, &jwt).build()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["apns-id"], uuid(1).as_str());
    assert!(reply.body.is_empty());
    let records = simulator.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].delivery, 1);
    assert_eq!(records[0].message, u128::from(ulid::Ulid::from_string(ULID).unwrap()));
    let books = simulator.shutdown().await;
    assert_eq!(
        (books.requests, books.accepted, books.unique_deliveries, books.tokens),
        (1, 1, 1, 1)
    );
}

#[tokio::test]
async fn every_header_rule_is_refused_with_apples_status_and_reason() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    let good = || Apns::new(&simulator, &jwt);
    let long = "x".repeat(65);
    let rows: Vec<(u16, &str, Apns)> = vec![
        (404, "BadPath", good().path("/2/device/abc")),
        (405, "MethodNotAllowed", good().method("PUT")),
        (403, "MissingProviderToken", good().without("authorization")),
        (403, "InvalidProviderToken", good().set("authorization", "bearer nonsense")),
        (403, "InvalidProviderToken", good().set("authorization", "Basic abc")),
        (400, "DuplicateHeaders", good().add("apns-topic", TOPIC)),
        (400, "BadMessageId", good().set("apns-id", "not-a-uuid")),
        (400, "MissingTopic", good().without("apns-topic")),
        (400, "BadTopic", good().set("apns-topic", "")),
        (400, "TopicDisallowed", good().set("apns-topic", "it.example.other")),
        (400, "InvalidPushType", good().without("apns-push-type")),
        (400, "InvalidPushType", good().set("apns-push-type", "loud")),
        (400, "BadPriority", good().set("apns-priority", "7")),
        (400, "BadPriority", good().set("apns-push-type", "background")),
        (400, "BadExpirationDate", good().set("apns-expiration", "tomorrow")),
        (400, "BadExpirationDate", good().set("apns-expiration", "-1")),
        (400, "BadCollapseId", good().set("apns-collapse-id", &long)),
        (400, "MissingDeviceToken", good().path("/3/device/")),
        (400, "BadDeviceToken", good().path("/3/device/zz")),
        (400, "BadDeviceToken", good().path(&format!("/3/device/{}g", &device()[..63]))),
        (400, "PayloadEmpty", good().body("")),
        (400, "PayloadEmpty", good().body("{\"aps\":")),
        (400, "PayloadEmpty", good().body("{\"other\":{}}")),
        (400, "PayloadEmpty", good().body("{\"aps\":[]}")),
    ];
    let expected = rows.len() as u64;
    for (status, reason, request) in rows {
        let reply = client.send(request.build()).await;
        assert_eq!(reply.reason(), reason);
        assert_eq!(reply.status, status, "{reason}");
    }
    let books = simulator.books();
    assert_eq!((books.requests, books.accepted, books.refused), (expected, 0, expected));
    assert_eq!(books.refused_by_reason["PayloadEmpty"], 4);
}

#[tokio::test]
async fn a_payload_of_4096_bytes_passes_and_one_more_is_refused() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    let sized = |size: usize| {
        let frame = "{\"aps\":{\"alert\":\"\"}}".len();
        format!("{{\"aps\":{{\"alert\":\"{}\"}}}}", "x".repeat(size - frame))
    };
    let fits = client.send(Apns::new(&simulator, &jwt).body(&sized(4_096)).build()).await;
    assert_eq!(fits.status, 200);
    for size in [4_097, 100_000] {
        let reply = client.send(Apns::new(&simulator, &jwt).body(&sized(size)).build()).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (413, "PayloadTooLarge"));
    }
}

#[tokio::test]
async fn provider_tokens_are_checked_for_key_team_age_and_signature() {
    let simulator =
        simulator(Kind::Apns, |options| options.token_update_interval = Duration::ZERO).await;
    let client = Client::connect(&simulator).await;
    let own = simulator.credentials().clone();
    let (kid, team) = (own.apns.key_id.clone(), own.apns.team_id.clone());
    let stranger = Credentials::generate().unwrap();
    let rows = [
        ("InvalidProviderToken", apns_jwt(&own, "OTHERKEY00", &team, now())),
        ("InvalidProviderToken", apns_jwt(&own, &kid, "OTHERTEAM0", now())),
        ("InvalidProviderToken", apns_jwt(&stranger, &kid, &team, now())),
        ("InvalidProviderToken", apns_jwt(&own, &kid, &team, now() + 3_600)),
        ("ExpiredProviderToken", apns_jwt(&own, &kid, &team, now() - 3_700)),
    ];
    for (reason, jwt) in rows {
        let reply = client.send(Apns::new(&simulator, &jwt).build()).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (403, reason));
    }
    let old = apns_jwt(&own, &kid, &team, now() - 3_500);
    assert_eq!(client.send(Apns::new(&simulator, &old).build()).await.status, 200);
}

#[tokio::test]
async fn a_second_new_provider_token_within_the_interval_is_refused_and_the_first_stays_good() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let first = good_jwt(simulator.credentials());
    let second = good_jwt(simulator.credentials());
    assert_ne!(first, second);
    assert_eq!(client.send(Apns::new(&simulator, &first).build()).await.status, 200);
    let reply = client.send(Apns::new(&simulator, &second).build()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.reason().as_str()),
        (429, "TooManyProviderTokenUpdates")
    );
    assert_eq!(client.send(Apns::new(&simulator, &first).build()).await.status, 200);
}

#[tokio::test]
async fn a_missing_id_is_made_by_the_server_and_a_repeated_one_is_a_duplicate() {
    let simulator = simulator(Kind::Apns, |_| {}).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    let reply = client.send(Apns::new(&simulator, &jwt).without("apns-id").build()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["apns-id"].len(), 36);
    for _ in 0..3 {
        client.send(Apns::new(&simulator, &jwt).id(9).build()).await;
    }
    let books = simulator.books();
    assert_eq!((books.accepted, books.unique_deliveries, books.duplicates), (4, 2, 2));
}

#[tokio::test]
async fn only_one_stream_runs_until_a_valid_token_was_seen() {
    let simulator =
        simulator(Kind::Apns, |options| options.one_stream_until_authorized = true).await;
    let jwt = good_jwt(simulator.credentials());
    let stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = |n: u128| Apns::new(&simulator, &jwt).id(n).build().map(|_| ());
    let body = || bytes::Bytes::from(crate::client::payload().to_string());

    // The first stream is open, its body not finished; the second one is too early.
    let (first, mut first_body) = send.send_request(request(1), false).unwrap();
    let (early, _) = send.send_request(request(2), true).unwrap();
    let reason = early.await.err().unwrap().reason();
    assert_eq!(reason, Some(h2::Reason::REFUSED_STREAM));
    first_body.send_data(body(), true).unwrap();
    assert_eq!(first.await.unwrap().status(), 200);

    // Once a valid token was seen, streams run side by side.
    let (third, mut third_body) = send.send_request(request(3), false).unwrap();
    let (fourth, mut fourth_body) = send.send_request(request(4), false).unwrap();
    fourth_body.send_data(body(), true).unwrap();
    assert_eq!(fourth.await.unwrap().status(), 200);
    third_body.send_data(body(), true).unwrap();
    assert_eq!(third.await.unwrap().status(), 200);
    let books = simulator.books();
    assert_eq!((books.accepted, books.early_streams), (3, 1));
    driver.abort();
}
