//! What a simulator is told to do wrong, seen from a client.

use std::time::Duration;

use tokio::time::Instant;

use araldo_loadtest::simulator::{Behaviour, Failure, Kind, ResetReason};

use crate::client::{Apns, Client, behaving, good_jwt, now};

fn failing(reason: &str, share: f64) -> Behaviour {
    Behaviour {
        failures: vec![Failure {
            reason: reason.to_owned(),
            status: None,
            share,
            retry_after_seconds: Some(2),
            first_attempts: Some(1),
        }],
        ..Behaviour::default()
    }
}

#[tokio::test]
async fn failures_carry_retry_after_and_the_next_attempt_passes() {
    let simulator = behaving(Kind::Apns, failing("ServiceUnavailable", 1.0)).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    for delivery in 0..10 {
        let reply = client.send(Apns::new(&simulator, &jwt).id(delivery).build()).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (503, "ServiceUnavailable"));
        assert_eq!(reply.headers["retry-after"], "2");
        let reply = client.send(Apns::new(&simulator, &jwt).id(delivery).build()).await;
        assert_eq!(reply.status, 200);
    }
    let books = simulator.books();
    assert_eq!((books.accepted, books.refused, books.duplicates), (10, 10, 0));
}

#[tokio::test]
async fn a_dead_token_is_always_dead_and_says_since_when() {
    let behaviour = Behaviour { unregistered_share: 1.0, ..Behaviour::default() };
    let simulator = behaving(Kind::Apns, behaviour).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    for _ in 0..2 {
        let reply = client.send(Apns::new(&simulator, &jwt).build()).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (410, "Unregistered"));
        let timestamp = reply.json()["timestamp"].as_u64().unwrap();
        assert!(timestamp / 1_000 >= now() - 5 && timestamp / 1_000 <= now());
    }
}

#[tokio::test]
async fn goaway_comes_after_the_requests_asked_for_and_running_ones_are_answered() {
    let behaviour = Behaviour { goaway_after_requests: 5, ..Behaviour::default() };
    let simulator = behaving(Kind::Apns, behaviour).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    for delivery in 0..5 {
        assert_eq!(client.send(Apns::new(&simulator, &jwt).id(delivery).build()).await.status, 200);
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), client.driver).await;
    assert!(ended.unwrap().unwrap().is_ok());
    assert_eq!(simulator.books().goaways, 1);
    let again = Client::connect(&simulator).await;
    assert_eq!(again.send(Apns::new(&simulator, &jwt).id(6).build()).await.status, 200);
}

#[tokio::test]
async fn a_goaway_and_a_disconnect_can_be_ordered() {
    let simulator = behaving(Kind::Apns, Behaviour::default()).await;
    let jwt = good_jwt(simulator.credentials());
    let client = Client::connect(&simulator).await;
    client.send(Apns::new(&simulator, &jwt).build()).await;
    simulator.goaway();
    let ended = tokio::time::timeout(Duration::from_secs(5), client.driver).await;
    assert!(ended.unwrap().unwrap().is_ok());
    let client = Client::connect(&simulator).await;
    client.send(Apns::new(&simulator, &jwt).build()).await;
    simulator.disconnect();
    tokio::time::timeout(Duration::from_secs(5), client.driver).await.unwrap().ok();
    let gone = until(|| simulator.books().connections_open == 0);
    assert!(tokio::time::timeout(Duration::from_secs(5), gone).await.is_ok());
}

#[tokio::test]
async fn a_lost_answer_is_a_delivery_and_a_hang_is_none() {
    for (behaviour, accepted) in [
        (Behaviour { lost_answer_share: 1.0, ..Behaviour::default() }, 1),
        (Behaviour { hang_share: 1.0, ..Behaviour::default() }, 0),
    ] {
        let simulator = behaving(Kind::Apns, behaviour).await;
        let client = Client::connect(&simulator).await;
        let jwt = good_jwt(simulator.credentials());
        let mut request = std::pin::pin!(client.try_send(Apns::new(&simulator, &jwt).build()));
        tokio::select! {
            _ = &mut request => panic!("answered"),
            () = until(|| simulator.books().requests == 1) => {}
        }
        assert!(tokio::time::timeout(Duration::from_millis(100), request).await.is_err());
        let books = simulator.books();
        assert_eq!(
            (books.accepted, books.lost_answers, books.hung),
            (accepted, accepted, 1 - accepted)
        );
        simulator.set_behaviour(Behaviour::default()).unwrap();
        assert_eq!(client.send(Apns::new(&simulator, &jwt).build()).await.status, 200);
        assert_eq!(simulator.books().duplicates, accepted);
    }
}

#[tokio::test]
async fn a_reset_stream_carries_the_code_asked_for_and_leaves_the_connection() {
    let behaviour = Behaviour {
        reset_share: 1.0,
        reset_reason: ResetReason::RefusedStream,
        ..Behaviour::default()
    };
    let simulator = behaving(Kind::Apns, behaviour).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    let error = client.try_send(Apns::new(&simulator, &jwt).build()).await.err().unwrap();
    let cause = std::error::Error::source(&error).unwrap();
    let reason = cause.downcast_ref::<h2::Error>().unwrap().reason();
    assert_eq!(reason, Some(h2::Reason::REFUSED_STREAM));
    simulator.set_behaviour(Behaviour::default()).unwrap();
    assert_eq!(client.send(Apns::new(&simulator, &jwt).build()).await.status, 200);
}

#[tokio::test]
async fn refused_connections_are_reset_and_counted() {
    let behaviour = Behaviour { refuse_connections: true, ..Behaviour::default() };
    let simulator = behaving(Kind::Apns, behaviour).await;
    let mut stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut byte).await;
    assert!(matches!(read, Err(_) | Ok(0)));
    assert_eq!(simulator.books().connections_refused, 1);
}

#[tokio::test]
async fn latency_delays_the_answer_but_not_the_arrival() {
    let behaviour = Behaviour { latency_ms: 150, jitter_ms: 20, ..Behaviour::default() };
    let simulator = behaving(Kind::Apns, behaviour).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    let start = Instant::now();
    client.send(Apns::new(&simulator, &jwt).build()).await;
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_delivery_whose_answer_was_lost_is_answered_after_some_repeats() {
    let behaviour = Behaviour { lost_answer_share: 0.5, ..Behaviour::default() };
    let simulator = behaving(Kind::Apns, behaviour).await;
    let client = Client::connect(&simulator).await;
    let jwt = good_jwt(simulator.credentials());
    for delivery in 0..20 {
        let mut answered = false;
        for _ in 0..30 {
            let request = client.try_send(Apns::new(&simulator, &jwt).id(delivery).build());
            if let Ok(Ok(reply)) = tokio::time::timeout(Duration::from_millis(50), request).await {
                assert_eq!(reply.status, 200);
                answered = true;
                break;
            }
        }
        assert!(answered, "delivery {delivery} never answered");
    }
    let books = simulator.books();
    assert_eq!(books.unique_deliveries, 20);
    // An answer may also come too late for this client, so there can be more repeats than lost answers.
    assert!(books.lost_answers > 0 && books.duplicates >= books.lost_answers);
}

#[tokio::test]
async fn googles_streams_are_not_held_to_apples_rule() {
    let simulator =
        crate::client::simulator(Kind::Fcm, |options| options.one_stream_until_authorized = true)
            .await;
    let client = Client::connect(&simulator).await;
    let ask = || {
        let request = hyper::Request::post("http://localhost/v1/nothing");
        client.try_send(request.body(http_body_util::Full::default()).unwrap())
    };
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(simulator.books().early_streams, 0);
}

async fn until(test: impl Fn() -> bool) {
    while !test() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
