//! The engine's promises, on a paused clock.

mod alert;
mod board;
mod cluster;
mod email;
mod erasure;
mod harness;
mod lane;
mod live;
mod preference;
mod provider;
mod rate;
mod redis;

use araldo::store::memory::MemoryStore;
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::inbox::InboxRange;
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::domain::service::Service;
use araldo_actors::engine::SubmitError;
use harness::{Harness, OPTIONS, citizen, token};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const REASON: &str = "Test";

async fn with_citizens(count: usize) -> Harness {
    let harness = Harness::start().await;
    harness.register((0..count).map(citizen).collect()).await;
    harness
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_inbox_and_device() {
    let harness = with_citizens(1).await;
    let code = citizen(0).fiscal_code;
    let id = harness.submit(code).await;
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.messages.processed, 1);
    assert_eq!(books.all_deliveries().delivered, 2);
    assert_eq!(harness.provider.count(), 1);
    let (_, state) = harness.running.engine.message(code, id).await.unwrap().unwrap();
    assert_eq!(state.status, MessageStatus::Processed);
    let all = InboxRange { limit: 10, ..InboxRange::default() };
    let inbox = harness.running.engine.inbox(code, all).await.unwrap();
    assert_eq!(inbox.iter().map(|item| item.entry.message).collect::<Vec<_>>(), [id]);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_citizen_is_accepted_and_then_rejected() {
    let harness = with_citizens(0).await;
    harness.submit(citizen(0).fiscal_code).await;
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.messages.rejected, [0, 1, 0]);
    assert_eq!(harness.provider.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_messages_end_once_each_and_actors_leave() {
    let harness = with_citizens(2_000).await;
    for number in 0..5_000 {
        harness.submit(citizen(number % 2_000).fiscal_code).await;
    }
    let books = harness.settle(MINUTE).await;
    assert_eq!((books.messages.processed, books.all_deliveries().delivered), (5_000, 10_000));
    let unique: HashSet<_> = harness.provider.deliveries().into_iter().collect();
    assert_eq!((unique.len(), harness.provider.count()), (5_000, 5_000));
    harness.assert_conserved().await;
    assert_eq!(harness.running.engine.board().active_citizens(), 0);
}

#[tokio::test(start_paused = true)]
async fn never_more_attempts_at_once_than_the_windows_of_the_connections() {
    let harness = with_citizens(500).await;
    harness.provider.window.store(3, Ordering::Relaxed);
    for number in 0..500 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    harness.settle(MINUTE).await;
    assert_eq!(harness.provider.count(), 500);
    assert!(harness.provider.busiest.load(Ordering::Relaxed) <= 6);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_repeated_later_under_the_same_id() {
    let harness = with_citizens(1).await;
    harness.provider.answer_with(|number, _| match number {
        0 => Answer::RetryDelivery { after: Some(Duration::from_secs(30)), reason: REASON },
        1 => Answer::Unknown { reason: REASON },
        _ => Answer::Accepted,
    });
    harness.submit(citizen(0).fiscal_code).await;
    let books = harness.settle(5 * MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 2);
    assert_eq!(books.all_deliveries().retried, 2);
    let requests = harness.provider.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|(push, _)| push.delivery() == requests[0].0.delivery()));
    assert!(requests[1].1 - requests[0].1 >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_time_to_live() {
    let harness = with_citizens(1).await;
    harness.provider.answer_with(|_, _| Answer::RetryDelivery {
        after: Some(Duration::from_secs(1_500)),
        reason: REASON,
    });
    harness.submit(citizen(0).fiscal_code).await;
    let books = harness.settle(120 * MINUTE).await;
    assert_eq!(books.all_deliveries().expired, 1);
    assert_eq!(harness.provider.count(), 3);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_out_of_reach_holds_messages_and_loses_none() {
    let harness = with_citizens(600).await;
    harness.provider.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..600 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    let books = harness.settle(MINUTE).await;
    assert_eq!((books.messages.processed, books.all_deliveries().open()), (600, 600));
    harness.assert_conserved().await;
    // Only the window onto the store is in memory.
    assert!(harness.running.engine.board().active_citizens() <= 4 * 64);
    harness.provider.reachable.store(true, Ordering::Relaxed);
    let books = harness.settle(5 * MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 1_200);
    assert_eq!(harness.provider.count(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_is_probed_once_per_step() {
    let harness = with_citizens(200).await;
    harness.provider.answer_with(|_, _| Answer::Unknown { reason: REASON });
    *harness.provider.latency.lock().unwrap() = Duration::ZERO;
    harness.provider.window.store(1, Ordering::Relaxed);
    for number in 0..200 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(MINUTE).await;
    // Five failures open it; then one probe after 1, 2, 4, 8, 16 s …
    assert!(harness.provider.count() <= 5 + 2 + 7, "{}", harness.provider.count());
    harness.provider.answer_with(|_, _| Answer::Accepted);
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 400);
}

#[tokio::test(start_paused = true)]
async fn a_pause_asked_by_the_provider_holds_the_whole_route() {
    let harness = with_citizens(100).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    harness.provider.answer_with(|number, _| match number {
        0 => Answer::RetryRoute { after: Some(MINUTE), reason: REASON },
        _ => Answer::Accepted,
    });
    for number in 0..100 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(harness.provider.count() <= 2, "{}", harness.provider.count());
    let books = harness.settle(5 * MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_ours_stops_the_route_and_keeps_the_messages() {
    let harness = with_citizens(10).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    harness.provider.answer_with(|_, _| Answer::Halt { reason: "InvalidProviderToken" });
    for number in 0..10 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    let books = harness.settle(MINUTE).await;
    assert!(harness.provider.count() <= 2);
    assert_eq!(books.all_deliveries().open(), 10);
    let routes = harness.running.engine.board().routes();
    assert_eq!(routes[0].state, araldo_actors::board::RouteState::Halted);
    assert!(routes[0].detail.contains("InvalidProviderToken"));
}

#[tokio::test(start_paused = true)]
async fn a_gone_device_is_dropped_and_not_tried_again() {
    let harness = with_citizens(1).await;
    harness
        .provider
        .answer_with(|_, _| Answer::DropToken { registered_before: None, reason: "Unregistered" });
    let code = citizen(0).fiscal_code;
    harness.submit(code).await;
    harness.settle(MINUTE).await;
    harness.submit(code).await;
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.all_deliveries().failed, 1);
    assert_eq!(harness.provider.count(), 1);
    let known = harness.running.engine.citizen(code).await.unwrap().unwrap();
    assert!(known.devices.is_empty());
}

#[tokio::test(start_paused = true)]
async fn once_a_change_is_answered_no_attempt_starts_against_it() {
    let harness = with_citizens(200).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    *harness.provider.latency.lock().unwrap() = Duration::from_millis(100);
    for number in 0..200 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let changed = (0..200).map(citizen).map(|mut citizen| {
        citizen.push_enabled = false;
        citizen
    });
    harness.register(changed.collect()).await;
    let started = harness.provider.count();
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!(harness.provider.count(), started);
    let deliveries = books.all_deliveries();
    assert_eq!(deliveries.suppressed, 200 - u64::try_from(started).unwrap());
    assert_eq!(deliveries.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_switched_off_stops_what_is_queued() {
    let harness = with_citizens(200).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    *harness.provider.latency.lock().unwrap() = Duration::from_millis(100);
    for number in 0..200 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let off = Service { enabled: false, ..(*harness.service).clone() };
    harness.running.engine.put_service(off).await.unwrap();
    let started = harness.provider.count();
    harness.settle(10 * MINUTE).await;
    assert_eq!(harness.provider.count(), started);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn first_attempts_to_a_citizen_go_out_in_the_order_accepted() {
    let harness = with_citizens(5).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    let mut accepted: Vec<Vec<_>> = vec![vec![]; 5];
    for number in 0..200 {
        accepted[number % 5].push(harness.submit(citizen(number % 5).fiscal_code).await);
    }
    harness.settle(MINUTE).await;
    let attempts = harness.provider.attempts();
    for (number, expected) in accepted.iter().enumerate() {
        let own = attempts.iter().filter(|(to, _)| *to == token(number));
        assert_eq!(&own.map(|(_, message)| *message).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn overload_is_refused_before_it_is_accepted() {
    let mut options = OPTIONS;
    options.admission.backlog = 0;
    let harness = Harness::start_with(options, Arc::new(MemoryStore::new(4))).await;
    let refused = harness.running.engine.submit(harness.submission(citizen(0).fiscal_code)).await;
    assert!(matches!(refused, Err(SubmitError::Overloaded { .. })), "{refused:?}");
    assert_eq!(harness.books().await.messages.accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_keeps_failing_is_set_aside_and_hurts_nobody_else() {
    let harness = with_citizens(2).await;
    harness.rng.poisoned.store(true, Ordering::Relaxed);
    harness.provider.answer_with(|_, _| Answer::Accepted);
    // The turn of an answer draws a number: with the rng poisoned it falls
    // each time.
    let (first, second) = (citizen(0).fiscal_code, citizen(1).fiscal_code);
    let engine = &harness.running.engine;
    let id = engine.submit(harness.submission(first)).await.unwrap();
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.all_deliveries().failed, 1);
    assert!(engine.message(first, id).await.unwrap().is_some());
    harness.rng.poisoned.store(false, Ordering::Relaxed);
    engine.submit(harness.submission(second)).await.unwrap();
    engine.submit(harness.submission(first)).await.unwrap();
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 3 + 2);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn actors_that_panic_at_random_lose_nothing() {
    let harness = with_citizens(300).await;
    let mut submitted = Vec::new();
    harness.clock.panic_every.store(97, Ordering::Relaxed);
    for number in 0..1_500 {
        let submission = harness.submission(citizen(number % 300).fiscal_code);
        let engine = harness.running.engine.clone();
        // The clock may panic under the submission itself, too.
        if let Ok(Ok(id)) = tokio::spawn(async move { engine.submit(submission).await }).await {
            submitted.push(id);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    harness.clock.panic_every.store(0, Ordering::Relaxed);
    let books = harness.settle(10 * MINUTE).await;
    assert!(submitted.len() > 1_000);
    assert_eq!(books.messages.open(), 0, "{books:?}");
    assert_eq!(books.all_deliveries().open(), 0, "{books:?}");
    assert!(books.messages.accepted >= u64::try_from(submitted.len()).unwrap());
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_finishes_what_is_in_flight_and_repeats_nothing() {
    let store = Arc::new(MemoryStore::new(OPTIONS.partitions));
    let harness = Harness::start_with(OPTIONS, Arc::clone(&store)).await;
    harness.register((0..300).map(citizen).collect()).await;
    harness.provider.window.store(10, Ordering::Relaxed);
    for number in 0..300 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_millis(60)).await;
    let Harness { running, provider, .. } = harness;
    running.shutdown(MINUTE).await;
    let before = provider.deliveries();
    assert!(!before.is_empty() && before.len() < 300, "{}", before.len());
    let again = Harness::start_with(OPTIONS, store).await;
    let books = again.settle(MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 600);
    let all: Vec<_> = before.into_iter().chain(again.provider.deliveries()).collect();
    assert_eq!(all.len(), 300);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 300);
}
