//! The APNs connector against the APNs simulator, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use araldo::provider::apns::ApnsConnector;
use araldo_actors::domain::citizen::Platform;
use araldo_actors::domain::outcome::Failure;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::{Answer, ConnectError, Connector, Link, Push};
use araldo_loadtest::simulator::credentials::file;
use araldo_loadtest::simulator::{Behaviour, Credentials, Kind, Options, ResetReason};

use crate::provider_support::{World, push, send, send_all, until};

async fn world(change: impl FnOnce(&mut Options)) -> World {
    World::start(Kind::Apns, change).await
}

fn connector(world: &World) -> ApnsConnector {
    ApnsConnector::new(world.apns()).unwrap()
}

fn pushes(numbers: std::ops::Range<u64>) -> Vec<Push> {
    numbers.map(|number| push(Platform::Apns, number)).collect()
}

#[tokio::test]
async fn a_push_is_accepted_over_tls_with_our_own_ca() {
    let world = world(|_| {}).await;
    let link = connector(&world).connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
    let records = world.simulator.records();
    assert_eq!(records.len(), 1);
    let wanted = push(Platform::Apns, 1);
    assert_eq!(records[0].delivery, u128::from_be_bytes(wanted.delivery.uuid_bytes()));
    assert_eq!(records[0].message, u128::from_be_bytes(wanted.message.to_bytes()));
}

#[tokio::test]
async fn a_push_is_accepted_in_cleartext_with_prior_knowledge() {
    let world = world(|options| options.tls = false).await;
    let link = connector(&world).connect().await.unwrap();
    assert_eq!(send_all(&link, pushes(0..50)).await, vec![Answer::Accepted; 50]);
}

#[tokio::test]
async fn a_connection_is_alone_with_its_first_request_until_accepted() {
    let world = world(|options| options.one_stream_until_authorized = true).await;
    let link = connector(&world).connect().await.unwrap();
    assert_eq!(link.capacity(), 1);
    let answers = send_all(&link, pushes(0..300)).await;
    assert_eq!(answers, vec![Answer::Accepted; 300]);
    assert_eq!(link.capacity(), 900, "our cap, below the 1,000 of SETTINGS");
    assert_eq!(world.simulator.books().early_streams, 0);
}

#[tokio::test]
async fn the_peers_settings_bound_the_window() {
    for streams in [1, 10] {
        let world = world(|options| {
            options.max_concurrent_streams = streams;
            options.behaviour = Behaviour { latency_ms: 5, ..Behaviour::default() };
        })
        .await;
        let link = connector(&world).connect().await.unwrap();
        assert_eq!(link.capacity(), 1);
        assert_eq!(send_all(&link, pushes(0..40)).await, vec![Answer::Accepted; 40]);
        assert_eq!(link.capacity(), usize::try_from(streams).unwrap());
    }
}

#[tokio::test]
async fn every_refusal_of_the_simulator_means_what_the_table_says() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    let after = Some(Duration::from_secs(3));
    let halts = [
        "BadCollapseId",
        "BadExpirationDate",
        "BadMessageId",
        "BadPriority",
        "BadTopic",
        "DuplicateHeaders",
        "InvalidPushType",
        "MissingDeviceToken",
        "MissingTopic",
        "PayloadEmpty",
        "TopicDisallowed",
        "BadCertificate",
        "BadCertificateEnvironment",
        "BadEnvironmentKeyIdInToken",
        "Forbidden",
        "InvalidProviderToken",
        "MissingProviderToken",
        "BadPath",
        "MethodNotAllowed",
    ];
    let mut expected: Vec<(&'static str, Answer)> =
        halts.map(|reason| (reason, Answer::Halt { reason })).to_vec();
    for reason in ["BadDeviceToken", "DeviceTokenNotForTopic"] {
        expected.push((reason, Answer::DropToken { registered_before: None, reason }));
    }
    let reason = "TooManyRequests";
    expected.push((reason, Answer::RetryDelivery { after, reason }));
    for reason in ["InternalServerError", "ServiceUnavailable"] {
        expected.push((reason, Answer::ProviderFailed { after, reason }));
    }
    let reason = "PayloadTooLarge";
    expected.push((reason, Answer::Fail { failure: Failure::RefusedContent, reason }));
    for (number, (reason, answer)) in expected.into_iter().enumerate() {
        world.refuse(reason, Some(3));
        let link = connector.connect().await.unwrap();
        let push = push(Platform::Apns, u64::try_from(number).unwrap());
        assert_eq!(send(&link, push).await, answer);
        assert!(!link.is_closed());
        assert_eq!(link.capacity(), 1, "a refusal does not prove a connection");
    }
}

#[tokio::test]
async fn a_restart_within_20_minutes_goes_on_with_the_provider_token_in_use() {
    let world = world(|_| {}).await;
    let mut options = world.apns();
    options.token_file = Some(world.path("apns.jwt"));
    // iat counts whole seconds: a token signed in another one is another.
    for number in 0..3 {
        let link = ApnsConnector::new(options.clone()).unwrap().connect().await.unwrap();
        assert_eq!(send(&link, push(Platform::Apns, number)).await, Answer::Accepted);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    // Without the file the simulator refuses what Apple would.
    options.token_file = None;
    let link = ApnsConnector::new(options).unwrap().connect().await.unwrap();
    let answer = send(&link, push(Platform::Apns, 9)).await;
    let reason = "TooManyProviderTokenUpdates";
    assert!(
        matches!(answer, Answer::RetryRoute { reason: told, .. } if told == reason),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_refusal_of_the_connection_retires_it() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    for reason in ["IdleTimeout", "UnrelatedKeyIdInToken", "Shutdown"] {
        world.refuse(reason, None);
        let link = connector.connect().await.unwrap();
        let answer = send(&link, push(Platform::Apns, 1)).await;
        assert_eq!(answer, Answer::RetryElsewhere { reason });
        assert!(link.is_closed());
        assert_eq!(link.capacity(), 0);
        let reason = "connection_closing";
        let answer = send(&link, push(Platform::Apns, 2)).await;
        assert_eq!(answer, Answer::RetryElsewhere { reason });
    }
}

#[tokio::test]
async fn a_gone_device_is_dropped_with_the_instant_apple_says() {
    let gone = 1_600_000_000_000;
    let world = world(|options| {
        options.behaviour = Behaviour {
            unregistered_share: 1.0,
            unregistered_timestamp_ms: Some(gone),
            ..Behaviour::default()
        };
    })
    .await;
    let link = connector(&world).connect().await.unwrap();
    let answer = send(&link, push(Platform::Apns, 1)).await;
    let registered_before = Some(Millis(gone));
    assert_eq!(answer, Answer::DropToken { registered_before, reason: "Unregistered" });
}

#[tokio::test]
async fn a_young_provider_token_called_expired_is_kept_and_the_route_waits() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    let link = connector.connect().await.unwrap();
    for reason in ["ExpiredProviderToken", "TooManyProviderTokenUpdates"] {
        world.refuse(reason, None);
        let answer = send(&link, push(Platform::Apns, 1)).await;
        let Answer::RetryRoute { after: Some(after), reason: given } = answer else {
            panic!("{reason}: {answer:?}");
        };
        assert_eq!(given, reason);
        assert!((1_190..=1_200).contains(&after.as_secs()), "{reason}: {after:?}");
    }
    world.behave(Behaviour::default());
    assert_eq!(send(&link, push(Platform::Apns, 2)).await, Answer::Accepted);
    assert_eq!(world.simulator.books().tokens, 1, "the same provider token all along");
}

#[tokio::test]
async fn all_connections_share_one_provider_token() {
    let world = world(|_| {}).await;
    let first = connector(&world);
    let second = ApnsConnector::with_tokens(world.apns(), first.tokens()).unwrap();
    let links = [
        first.connect().await.unwrap(),
        first.connect().await.unwrap(),
        second.connect().await.unwrap(),
    ];
    for (number, link) in links.iter().enumerate() {
        let push = push(Platform::Apns, u64::try_from(number).unwrap());
        assert_eq!(send(link, push).await, Answer::Accepted);
    }
    assert_eq!(world.simulator.books().tokens, 1);
}

#[tokio::test]
async fn a_wrong_key_halts_the_route() {
    let world = world(|_| {}).await;
    let other = Credentials::generate().unwrap();
    std::fs::write(world.path(file::APNS_KEY), other.apns_key_pem).unwrap();
    let link = connector(&world).connect().await.unwrap();
    let answer = send(&link, push(Platform::Apns, 1)).await;
    assert_eq!(answer, Answer::Halt { reason: "InvalidProviderToken" });
}

#[tokio::test]
async fn a_topic_apple_does_not_know_halts_the_route() {
    let world = world(|_| {}).await;
    let mut options = world.apns();
    options.topic = "it.example.other".to_owned();
    let link = ApnsConnector::new(options).unwrap().connect().await.unwrap();
    let answer = send(&link, push(Platform::Apns, 1)).await;
    assert_eq!(answer, Answer::Halt { reason: "TopicDisallowed" });
}

#[tokio::test]
async fn an_untrusted_certificate_is_named_when_connecting() {
    let world = world(|_| {}).await;
    let mut options = world.apns();
    let other = Credentials::generate().unwrap();
    std::fs::write(world.path("other-ca.pem"), other.ca_pem).unwrap();
    for ca_file in [None, Some(world.path("other-ca.pem"))] {
        options.transport.ca_file = ca_file;
        let connector = ApnsConnector::new(options.clone()).unwrap();
        let error = connector.connect().await.err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, ConnectError::Unreachable(_)));
        assert!(text.contains(&world.simulator.address().to_string()), "{text}");
        assert!(text.contains("certificate"), "{text}");
    }
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    let address = world.simulator.address();
    world.simulator.shutdown().await;
    let error = connector.connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::Unreachable(_)));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = world(|options| options.tls = false).await;
    let mut options = world.apns();
    options.transport.endpoint = format!("http://{}", silent.local_addr().unwrap());
    options.transport.connect_timeout = Duration::from_millis(200);
    let error = ApnsConnector::new(options).unwrap().connect().await.err().unwrap();
    assert!(error.to_string().contains("no connection within 200ms"), "{error}");
}

/// Sends everything until accepted, opening new connections as told.
async fn deliver(connector: &ApnsConnector, numbers: std::ops::Range<u64>) -> u32 {
    let mut open = pushes(numbers);
    let mut connections = 0;
    while !open.is_empty() {
        let link = connector.connect().await.unwrap();
        connections += 1;
        assert!(connections < 100, "{} pushes are not taken", open.len());
        while !open.is_empty() && !link.is_closed() {
            let answers = send_all(&link, open.clone()).await;
            for answer in &answers {
                let fine = matches!(answer, Answer::Accepted | Answer::RetryElsewhere { .. });
                assert!(fine, "{answer:?}");
            }
            let mut answers = answers.into_iter();
            open.retain(|_| answers.next() != Some(Answer::Accepted));
        }
    }
    connections
}

#[tokio::test]
async fn goaway_loses_nothing_and_repeats_nothing_that_was_taken() {
    let world = world(|options| {
        options.behaviour =
            Behaviour { goaway_after_requests: 100, latency_ms: 2, ..Behaviour::default() };
    })
    .await;
    let connections = deliver(&connector(&world), 0..1_000).await;
    let books = world.simulator.books();
    assert!(connections > 1, "{connections}");
    assert_eq!(books.unique_deliveries, 1_000);
    assert_eq!(books.duplicates, 0);
}

#[tokio::test]
async fn goaway_on_an_idle_connection_closes_it_and_a_new_one_works() {
    let world = world(|_| {}).await;
    let connector = connector(&world);
    let link = connector.connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
    world.simulator.goaway();
    until("GOAWAY", || link.is_closed() && link.capacity() == 0).await;
    let link = connector.connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Apns, 2)).await, Answer::Accepted);
}

#[tokio::test]
async fn a_refused_stream_goes_elsewhere_and_any_other_reset_is_unknown() {
    let world = world(|_| {}).await;
    let link = connector(&world).connect().await.unwrap();
    for (reset_reason, expected) in [
        (ResetReason::RefusedStream, Answer::RetryElsewhere { reason: "refused_stream" }),
        (ResetReason::InternalError, Answer::Unknown { reason: "stream_reset" }),
        (ResetReason::Cancel, Answer::Unknown { reason: "stream_reset" }),
        (ResetReason::EnhanceYourCalm, Answer::Unknown { reason: "enhance_your_calm" }),
    ] {
        world.behave(Behaviour { reset_share: 1.0, reset_reason, ..Behaviour::default() });
        assert_eq!(send(&link, push(Platform::Apns, 1)).await, expected);
    }
    world.behave(Behaviour::default());
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
}

fn hanging() -> Behaviour {
    Behaviour { hang_share: 1.0, ..Behaviour::default() }
}

#[tokio::test]
async fn no_answer_is_unknown_after_the_deadline_and_the_link_lives_on() {
    let world = world(|options| options.behaviour = hanging()).await;
    let mut options = world.apns();
    options.transport.request_timeout = Duration::from_millis(150);
    let link = ApnsConnector::new(options).unwrap().connect().await.unwrap();
    let answer = send(&link, push(Platform::Apns, 1)).await;
    assert_eq!(answer, Answer::Unknown { reason: "timeout" });
    world.behave(Behaviour::default());
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
}

#[tokio::test]
async fn answers_that_come_too_late_do_not_cost_the_connection() {
    let world = world(|_| {}).await;
    let mut options = world.apns();
    options.transport.request_timeout = Duration::from_millis(400);
    let link = ApnsConnector::new(options).unwrap().connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
    world.behave(Behaviour { latency_ms: 500, ..Behaviour::default() });
    for round in 0..3 {
        let answers = send_all(&link, pushes(1_000 * round..1_000 * round + 800)).await;
        let reason = "timeout";
        assert_eq!(answers, vec![Answer::Unknown { reason }; 800]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.behave(Behaviour::default());
    assert!(!link.is_closed());
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
}

#[tokio::test]
async fn a_request_that_never_got_a_stream_goes_elsewhere() {
    let world = world(|options| {
        options.max_concurrent_streams = 1;
        options.behaviour = hanging();
    })
    .await;
    let mut options = world.apns();
    options.transport.request_timeout = Duration::from_millis(150);
    let link = ApnsConnector::new(options).unwrap().connect().await.unwrap();
    let answers = send_all(&link, pushes(0..2)).await;
    assert_eq!(answers[0], Answer::Unknown { reason: "timeout" });
    assert_eq!(answers[1], Answer::RetryElsewhere { reason: "no_stream_free" });
}

#[tokio::test]
async fn a_lost_connection_leaves_its_requests_unknown_and_is_closed() {
    let world = world(|options| options.behaviour = hanging()).await;
    let link = connector(&world).connect().await.unwrap();
    let sending = {
        let link: Arc<dyn Link> = Arc::clone(&link);
        tokio::spawn(async move { send(&link, push(Platform::Apns, 1)).await })
    };
    until("the request", || world.simulator.books().hung == 1).await;
    world.simulator.disconnect();
    assert_eq!(sending.await.unwrap(), Answer::Unknown { reason: "connection_lost" });
    until("the end", || link.is_closed()).await;
}

#[tokio::test]
async fn a_dead_path_is_noticed_by_ping() {
    let world = world(|options| options.tls = false).await;
    let (address, cut) = wire(world.simulator.address()).await;
    let mut options = world.apns();
    options.transport.endpoint = format!("http://{address}");
    options.transport.keep_alive_idle = Duration::from_millis(100);
    options.transport.keep_alive_timeout = Duration::from_millis(200);
    let link = ApnsConnector::new(options).unwrap().connect().await.unwrap();
    assert_eq!(send(&link, push(Platform::Apns, 1)).await, Answer::Accepted);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!link.is_closed(), "PINGs are answered");
    cut.send(true).unwrap();
    until("the end", || link.is_closed()).await;
}

/// A wire to `target` that can be cut: it then swallows everything.
async fn wire(
    target: std::net::SocketAddr,
) -> (std::net::SocketAddr, tokio::sync::watch::Sender<bool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, mut is_cut) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut.changed() => tokio::time::sleep(Duration::from_secs(60)).await,
        }
    });
    (address, cut)
}
