//! Erasing a citizen: at rest, with work in flight, at their own request.

use super::email::change;
use super::harness::{Harness, OPTIONS, START, address, citizen, token, with_address};
use super::{MINUTE, REASON};
use araldo::store::memory::MemoryStore;
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::data_request::{DataChoice, DataRequest, DataRequestStatus};
use araldo_actors::domain::inbox::InboxRange;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

async fn with_addresses(count: usize) -> Harness {
    let harness = Harness::start().await;
    harness.register((0..count).map(with_address).collect()).await;
    harness
}

/// Nothing of the n-th citizen can be read any more.
async fn assert_gone(harness: &Harness, number: usize) {
    let engine = &harness.running.engine;
    let code = citizen(number).fiscal_code;
    assert_eq!(engine.citizen(code).await, Ok(None));
    let all = InboxRange { limit: 100, ..InboxRange::default() };
    assert_eq!(engine.inbox(code, all).await, Ok(vec![]));
    assert_eq!(engine.addressed(code, None, 100).await, Ok(vec![]));
    assert_eq!(engine.events(code, Some(0), 100).await.unwrap().events, []);
}

fn attempts(harness: &Harness, number: usize) -> usize {
    harness.provider.attempts_to(&token(number)) + harness.relay.attempts_to(&address(number))
}

#[tokio::test(start_paused = true)]
async fn at_rest_every_row_goes_and_a_record_without_a_name_stays() {
    let harness = with_addresses(2).await;
    let engine = &harness.running.engine;
    let (code, other) = (citizen(0).fiscal_code, citizen(1).fiscal_code);
    for _ in 0..5 {
        harness.submit(code).await;
        harness.submit(other).await;
    }
    harness.settle(MINUTE).await;
    let mut session = engine.live(code).await.unwrap();
    let before = harness.books().await;
    let at = engine.now();
    assert_eq!(engine.erase(code).await, Ok(5));
    assert_gone(&harness, 0).await;
    assert!(timeout(MINUTE, async { while session.changed().await {} }).await.is_ok());
    let records = engine.erasures(10).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].messages, records[0].erased_at), (5, at));
    assert_eq!(records[0].subject, OPTIONS.erasure_key.subject(&code));
    // The books keep what was counted, and the other citizen everything.
    assert_eq!(harness.books().await, before);
    assert_eq!(engine.addressed(other, None, 10).await.unwrap().len(), 5);
    harness.assert_conserved().await;
    // A second time there is nothing to erase, and no second record.
    assert_eq!(engine.erase(code).await, Ok(0));
    assert_eq!(engine.erasures(10).await.unwrap().len(), 1);
    // Whoever writes to them is told that there is no such citizen.
    harness.submit(code).await;
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.messages.rejected, [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn with_work_in_flight_it_waits_for_what_has_started_and_nothing_else_starts() {
    let harness = with_addresses(20).await;
    let engine = &harness.running.engine;
    harness.provider.slow(Duration::from_secs(2));
    harness.relay.slow(Duration::from_secs(2));
    for number in 0..400 {
        harness.submit(citizen(number % 20).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Citizens whose attempt is under way, whose deliveries are in a route's
    // queue, and whose deliveries are in the store only.
    let before: Vec<_> = (0..20).map(|number| attempts(&harness, number)).collect();
    assert!(before.contains(&0) && before.iter().any(|&count| count > 0), "{before:?}");
    let begun = Instant::now();
    let erasing = (0..10).map(|number| engine.erase(citizen(number).fiscal_code));
    assert_eq!(futures_util::future::join_all(erasing).await, vec![Ok(20); 10]);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for number in 0..10 {
        assert_gone(&harness, number).await;
    }
    let after: Vec<_> = (0..10).map(|number| attempts(&harness, number)).collect();
    harness.assert_conserved().await;
    harness.provider.fast();
    harness.relay.fast();
    let books = harness.settle(60 * MINUTE).await;
    assert_eq!(books.all_deliveries().open(), 0, "{books:?}");
    assert_eq!(books.messages.processed, 400);
    let finally: Vec<_> = (0..20).map(|number| attempts(&harness, number)).collect();
    assert_eq!(finally[..10], after);
    assert_eq!(finally[10..], [40; 10], "the others got everything");
    harness.assert_conserved().await;
    assert_eq!(engine.board().active_citizens(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_is_waited_for_and_its_answer_lost_to_nobody() {
    let harness = with_addresses(1).await;
    harness.provider.slow(Duration::from_secs(30));
    let code = citizen(0).fiscal_code;
    harness.submit(code).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert_eq!(harness.running.engine.erase(code).await, Ok(1));
    assert!(begun.elapsed() >= Duration::from_secs(28), "{:?}", begun.elapsed());
    let books = harness.books().await;
    assert_eq!(books.all_deliveries().delivered, 3, "inbox, push and mail");
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_out_of_reach_does_not_hold_it_up() {
    let harness = with_addresses(50).await;
    harness.provider.cut();
    harness
        .relay
        .answer_with(|_, _| Answer::RetryDelivery { after: Some(20 * MINUTE), reason: REASON });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..500 {
        harness.submit(citizen(number % 50).fiscal_code).await;
    }
    tokio::time::sleep(MINUTE).await;
    let open = harness.books().await.all_deliveries().open();
    assert_eq!(open, 1_000, "all wait, by route and by time");
    let begun = Instant::now();
    // Ten queued for each device: they are not let go of one by one.
    for number in 0..25 {
        assert_eq!(harness.running.engine.erase(citizen(number).fiscal_code).await, Ok(10));
        assert_gone(&harness, number).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(25 * 300), "{:?}", begun.elapsed());
    assert_eq!(harness.books().await.all_deliveries().open(), 500);
    harness.assert_conserved().await;
    harness.provider.reachable.store(true, Ordering::Relaxed);
    harness.relay.answer_with(|_, _| Answer::Accepted);
    let books = harness.settle(60 * MINUTE).await;
    assert_eq!(books.all_deliveries().open(), 0);
    assert_eq!(harness.provider.count(), 250);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_meanwhile_find_nobody_and_delay_nothing() {
    let harness = with_addresses(2).await;
    harness.provider.slow(Duration::from_secs(5));
    let (code, other) = (citizen(0).fiscal_code, citizen(1).fiscal_code);
    harness.submit(code).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let engine = harness.running.engine.clone();
    let erasing = tokio::spawn(async move { engine.erase(code).await });
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        harness.submit(code).await;
        harness.submit(other).await;
    }
    let erased = timeout(MINUTE, erasing).await.unwrap().unwrap().unwrap();
    assert!(erased >= 1, "{erased}");
    harness.provider.fast();
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!(books.messages.processed, 101);
    assert_eq!(books.messages.rejected, [0, 100, 0]);
    assert_eq!(harness.provider.attempts_to(&token(0)), 1);
    assert_eq!(harness.running.engine.citizen(code).await, Ok(None));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn partitions_that_fall_meanwhile_erase_nevertheless_and_lose_no_count() {
    let harness = with_addresses(40).await;
    harness.clock.panic_every.store(97, Ordering::Relaxed);
    let mut erasing = tokio::task::JoinSet::new();
    for number in 0..800 {
        let submission = harness.submission(citizen(number % 40).fiscal_code);
        let engine = harness.running.engine.clone();
        // The clock may panic under the submission itself, too.
        drop(tokio::spawn(async move { engine.submit(submission).await }).await);
        if number % 40 == 39 && number / 40 < 20 {
            let engine = harness.running.engine.clone();
            let code = citizen(number / 40).fiscal_code;
            erasing.spawn(async move { engine.erase(code).await });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    harness.clock.panic_every.store(0, Ordering::Relaxed);
    while let Some(erased) = timeout(10 * MINUTE, erasing.join_next()).await.unwrap() {
        assert!(erased.unwrap().is_ok());
    }
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!((books.messages.open(), books.all_deliveries().open()), (0, 0), "{books:?}");
    let engine = &harness.running.engine;
    for number in 0..20 {
        assert_eq!(engine.citizen(citizen(number).fiscal_code).await, Ok(None));
    }
    assert_eq!(engine.erasures(100).await.unwrap().len(), 20);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn all_accepted_before_the_request_goes_with_it_though_its_turn_is_still_to_come() {
    let harness = with_addresses(2).await;
    let code = citizen(0).fiscal_code;
    // Without a pause in between: no partition has seen any of them.
    for _ in 0..500 {
        harness.submit(code).await;
    }
    assert_eq!(harness.running.engine.erase(code).await, Ok(500));
    assert_gone(&harness, 0).await;
    let books = harness.settle(MINUTE).await;
    assert_eq!((books.messages.accepted, books.messages.open()), (500, 0));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_to_others_does_not_hold_it_up() {
    let mut options = OPTIONS;
    options.partitions = 1;
    options.partition.max_active = 4;
    let harness = Harness::start_with(options, Arc::new(MemoryStore::new(1))).await;
    harness.register((0..100).map(citizen).collect()).await;
    let code = citizen(0).fiscal_code;
    harness.submit(code).await;
    harness.settle(MINUTE).await;
    let engine = harness.running.engine.clone();
    let erasing = tokio::spawn(async move { engine.erase(code).await });
    // The journal is never read to its end while this goes on.
    let mut flood = 0;
    while !erasing.is_finished() {
        for number in 1..99 {
            harness.submit(citizen(number).fiscal_code).await;
        }
        flood += 98;
        assert!(flood < 10_000, "still waiting");
        tokio::task::yield_now().await;
    }
    assert_eq!(erasing.await.unwrap(), Ok(1));
    let books = harness.settle(MINUTE).await;
    assert_eq!(books.messages.processed, flood + 1);
    harness.assert_conserved().await;
}

fn request(status: DataRequestStatus, due: Millis) -> DataRequest {
    let at = Millis(START);
    DataRequest { status, created_at: at, updated_at: at, version: 0, due }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_carried_out_when_due_unless_taken_back() {
    let harness = with_addresses(4).await;
    let due = Millis(START).after(10 * MINUTE);
    let ask = |status| {
        move |citizen: &mut araldo_actors::domain::citizen::Citizen| {
            citizen.data_requests.insert(DataChoice::Delete, request(status, due));
        }
    };
    for number in 0..3 {
        harness.submit(citizen(number).fiscal_code).await;
        change(&harness, number, ask(DataRequestStatus::Pending)).await;
    }
    tokio::time::sleep(9 * MINUTE).await;
    let known = |number: usize| harness.running.engine.citizen(citizen(number).fiscal_code);
    assert!(known(0).await.unwrap().is_some(), "not due yet");
    change(&harness, 1, ask(DataRequestStatus::Aborted)).await;
    tokio::time::sleep(3 * MINUTE).await;
    assert_gone(&harness, 0).await;
    assert!(known(1).await.unwrap().is_some(), "taken back");
    assert_gone(&harness, 2).await;
    assert!(known(3).await.unwrap().is_some(), "never asked");
    let records = harness.running.engine.erasures(10).await.unwrap();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record.requested_at == Millis(START)));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_taken_back_while_an_attempt_is_waited_for_erases_nothing() {
    let harness = with_addresses(1).await;
    harness.relay.slow(3 * MINUTE);
    let code = citizen(0).fiscal_code;
    let ask = |status| {
        move |citizen: &mut araldo_actors::domain::citizen::Citizen| {
            citizen.data_requests.insert(DataChoice::Delete, request(status, Millis(START)));
        }
    };
    harness.submit(code).await;
    change(&harness, 0, ask(DataRequestStatus::Pending)).await;
    tokio::time::sleep(2 * MINUTE).await;
    change(&harness, 0, ask(DataRequestStatus::Aborted)).await;
    tokio::time::sleep(5 * MINUTE).await;
    let engine = &harness.running.engine;
    assert!(engine.citizen(code).await.unwrap().is_some());
    assert_eq!(engine.erasures(10).await, Ok(vec![]));
    // They are known again, and reached.
    harness.submit(code).await;
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!((books.messages.processed, books.all_deliveries().delivered), (2, 6));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_can_wait_are_refused_and_left_as_they_are() {
    let mut options = OPTIONS;
    options.partitions = 1;
    options.partition.credits = 128;
    options.partition.max_active = 128;
    let harness = Harness::start_with(options, Arc::new(MemoryStore::new(1))).await;
    harness.register((0..70).map(citizen).collect()).await;
    *harness.provider.latency.lock().unwrap() = MINUTE;
    for number in 0..70 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(harness.provider.count(), 70);
    let engine = &harness.running.engine;
    let all = (0..70).map(|number| engine.erase(citizen(number).fiscal_code));
    let answers = futures_util::future::join_all(all).await;
    let refused = answers.iter().filter(|a| matches!(a, Err(StoreError::Unavailable(_))));
    assert_eq!(refused.count(), 6);
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(1)).count(), 64);
    harness.assert_conserved().await;
}
