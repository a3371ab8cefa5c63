//! The FCM connector against the FCM simulator, over real sockets.

use std::time::Duration;

use araldo::provider::fcm::FcmConnector;
use araldo_actors::domain::citizen::Platform;
use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::{Answer, ConnectError, Connector, Push};
use araldo_loadtest::simulator::credentials::file;
use araldo_loadtest::simulator::{Behaviour, Credentials, Kind, Options};

use crate::provider_support::{World, push, send, send_all, until};

async fn world(change: impl FnOnce(&mut Options)) -> World {
    World::start(Kind::Fcm, change).await
}

fn connector(world: &World) -> FcmConnector {
    FcmConnector::new(world.fcm()).unwrap()
}

fn pushes(numbers: std::ops::Range<u64>) -> Vec<Push> {
    numbers.map(|number| push(Platform::Fcm, number)).collect()
}

#[tokio::test]
async fn pushes_are_accepted_over_tls_and_in_cleartext_with_one_access_token() {
    for tls in [true, false] {
        let world = world(|options| options.tls = tls).await;
        let connector = connector(&world);
        let links = [connector.connect().await.unwrap(), connector.connect().await.unwrap()];
        for (number, link) in (0..).zip(&links) {
            let answers = send_all(link, pushes(number * 100..number * 100 + 100)).await;
            assert_eq!(answers, vec![Answer::Accepted; 100]);
        }
        let records = world.simulator.records();
        assert_eq!(records.len(), 200);
        let wanted = push(Platform::Fcm, 7);
        let id = u128::from_be_bytes(wanted.delivery.uuid_bytes());
        let record = records.iter().find(|record| record.delivery == id).unwrap();
        assert_eq!(record.message, u128::from_be_bytes(wanted.message.to_bytes()));
        assert_eq!(world.simulator.books().tokens, 1);
    }
}

#[tokio::test]
async fn the_peers_settings_bound_the_window_from_the_start() {
    for streams in [1, 10] {
        let world = world(|options| {
            options.max_concurrent_streams = streams;
            options.behaviour = Behaviour { latency_ms: 5, ..Behaviour::default() };
        })
        .await;
        let link = connector(&world).connect().await.unwrap();
        assert_eq!(link.capacity(), usize::try_from(streams).unwrap());
        assert_eq!(send_all(&link, pushes(0..40)).await, vec![Answer::Accepted; 40]);
    }
}

#[tokio::test]
async fn every_refusal_of_the_simulator_means_what_the_table_says() {
    let world = world(|_| {}).await;
    let link = connector(&world).connect().await.unwrap();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let dropped = |reason| Answer::DropToken { registered_before: None, reason };
    let failed = |failure, reason| Answer::Fail { failure, reason };
    for (reason, given, expected) in [
        ("INVALID_ARGUMENT", None, dropped("INVALID_ARGUMENT")),
        ("UNREGISTERED", None, dropped("UNREGISTERED")),
        ("SENDER_ID_MISMATCH", None, failed(Failure::RefusedEndpoint, "SENDER_ID_MISMATCH")),
        ("THIRD_PARTY_AUTH_ERROR", None, Answer::Halt { reason: "THIRD_PARTY_AUTH_ERROR" }),
        ("NOT_FOUND", None, Answer::Halt { reason: "NOT_FOUND" }),
        (
            "QUOTA_EXCEEDED",
            None,
            Answer::RetryRoute { after: seconds(60), reason: "QUOTA_EXCEEDED" },
        ),
        (
            "QUOTA_EXCEEDED",
            Some(3),
            Answer::RetryRoute { after: seconds(3), reason: "QUOTA_EXCEEDED" },
        ),
        ("INTERNAL", None, Answer::ProviderFailed { after: seconds(10), reason: "INTERNAL" }),
        (
            "UNAVAILABLE",
            Some(3),
            Answer::ProviderFailed { after: seconds(3), reason: "UNAVAILABLE" },
        ),
    ] {
        world.refuse(reason, given);
        assert_eq!(send(&link, push(Platform::Fcm, 1)).await, expected);
    }
}

#[tokio::test]
async fn a_token_fcm_cannot_read_is_dropped() {
    let world = world(|_| {}).await;
    let link = connector(&world).connect().await.unwrap();
    let push = Push { token: "short".to_owned(), ..push(Platform::Fcm, 1) };
    let expected = Answer::DropToken { registered_before: None, reason: "INVALID_ARGUMENT" };
    assert_eq!(send(&link, push).await, expected);
}

#[tokio::test]
async fn an_access_token_refused_is_replaced_once_and_then_the_route_halts() {
    for reason in ["UNAUTHENTICATED", "PERMISSION_DENIED"] {
        let world = world(|_| {}).await;
        let link = connector(&world).connect().await.unwrap();
        assert_eq!(send(&link, push(Platform::Fcm, 1)).await, Answer::Accepted);
        world.refuse(reason, None);
        let answer = send(&link, push(Platform::Fcm, 2)).await;
        assert_eq!(answer, Answer::RetryElsewhere { reason });
        assert_eq!(world.simulator.books().tokens, 2);
        for _ in 0..3 {
            assert_eq!(send(&link, push(Platform::Fcm, 2)).await, Answer::Halt { reason });
        }
        assert_eq!(world.simulator.books().tokens, 2);
        world.behave(Behaviour::default());
        assert_eq!(send(&link, push(Platform::Fcm, 2)).await, Answer::Accepted);
    }
}

#[tokio::test]
async fn many_pushes_refused_at_once_ask_for_one_new_token() {
    let world = world(|_| {}).await;
    let link = connector(&world).connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Fcm, 1)).await, Answer::Accepted);
    world.refuse("UNAUTHENTICATED", None);
    let answers = send_all(&link, pushes(0..100)).await;
    let reason = "UNAUTHENTICATED";
    assert_eq!(answers, vec![Answer::RetryElsewhere { reason }; 100]);
    assert_eq!(world.simulator.books().tokens, 2);
    world.behave(Behaviour::default());
    assert_eq!(send_all(&link, pushes(0..100)).await, vec![Answer::Accepted; 100]);
}

#[tokio::test]
async fn a_revoked_access_token_is_replaced_and_nothing_is_lost() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    drop(connector.connect().await.unwrap());
    world.simulator.revoke_access_tokens();
    let link = connector.connect().await.unwrap();
    let answers = send_all(&link, pushes(0..20)).await;
    let reason = "UNAUTHENTICATED";
    assert_eq!(answers, vec![Answer::RetryElsewhere { reason }; 20]);
    assert_eq!(send_all(&link, pushes(0..20)).await, vec![Answer::Accepted; 20]);
}

#[tokio::test]
async fn an_access_token_is_replaced_before_it_ends() {
    let world = world(|options| options.access_token_lifetime = Duration::from_secs(3)).await;
    let link = connector(&world).connect().await.unwrap();
    let started = tokio::time::Instant::now();
    let mut number = 0;
    while started.elapsed() < Duration::from_secs(4) {
        number += 1;
        assert_eq!(send(&link, push(Platform::Fcm, number)).await, Answer::Accepted);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.simulator.books().tokens >= 3);
    assert_eq!(world.simulator.books().refused, 0);
}

#[tokio::test]
async fn a_wrong_key_is_refused_when_connecting_with_a_sentence() {
    let world = world(|_| {}).await;
    let mut account = world.simulator.credentials().service_account.clone();
    account.private_key = Credentials::generate().unwrap().service_account.private_key;
    let text = serde_json::to_string(&account).unwrap();
    std::fs::write(world.path(file::SERVICE_ACCOUNT), text).unwrap();
    let error = connector(&world).connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::Refused(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("invalid_grant"), "{text}");
    assert!(text.contains(&world.simulator.address().to_string()), "{text}");
}

#[tokio::test]
async fn a_token_endpoint_out_of_reach_is_not_our_fault() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    let address = world.simulator.address();
    world.simulator.shutdown().await;
    let error = connector.connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_token_endpoint_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = world(|_| {}).await;
    let mut account = world.simulator.credentials().service_account.clone();
    account.token_uri = format!("http://{}/token", silent.local_addr().unwrap());
    let text = serde_json::to_string(&account).unwrap();
    std::fs::write(world.path(file::SERVICE_ACCOUNT), text).unwrap();
    let mut options = world.fcm();
    options.transport.request_timeout = Duration::from_millis(400);
    let error = FcmConnector::new(options).unwrap().connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("no answer within 200ms"), "{error}");
}

#[tokio::test]
async fn a_service_account_of_another_project_is_refused_at_start() {
    let world = world(|_| {}).await;
    let mut options = world.fcm();
    options.project_id = "another".to_owned();
    let text = FcmConnector::new(options).err().unwrap().to_string();
    assert!(text.contains("service-account.json"), "{text}");
    assert!(text.contains("araldo-demo") && text.contains("another"), "{text}");
}

#[tokio::test]
async fn no_answer_is_unknown_after_the_deadline() {
    let world = world(|options| {
        options.behaviour = Behaviour { lost_answer_share: 1.0, ..Behaviour::default() };
    })
    .await;
    let mut options = world.fcm();
    options.transport.request_timeout = Duration::from_millis(200);
    let link = FcmConnector::new(options).unwrap().connect().await.unwrap();
    let answer = send(&link, push(Platform::Fcm, 1)).await;
    assert_eq!(answer, Answer::Unknown { reason: "timeout" });
    world.behave(Behaviour::default());
    assert_eq!(send(&link, push(Platform::Fcm, 1)).await, Answer::Accepted);
    let books = world.simulator.books();
    assert_eq!((books.unique_deliveries, books.duplicates), (1, 1));
}

#[tokio::test]
async fn goaway_closes_the_link_and_a_new_one_works() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    let link = connector.connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Fcm, 1)).await, Answer::Accepted);
    world.simulator.goaway();
    until("GOAWAY", || link.is_closed()).await;
    let answer = send(&link, push(Platform::Fcm, 2)).await;
    assert_eq!(answer, Answer::RetryElsewhere { reason: "connection_closing" });
    let link = connector.connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Fcm, 2)).await, Answer::Accepted);
    assert_eq!(world.simulator.books().duplicates, 0);
}
