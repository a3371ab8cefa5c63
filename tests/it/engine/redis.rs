//! The engine over Redis, on the real clock: the same promises, over a store
//! that answers when it does.

use super::harness::{Harness, OPTIONS, citizen, with_address};
use crate::redis_kit::{own, shared_server};
use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::alert::{AlertText, Audience};
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::id::DeliveryId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::engine::AlertSubmission;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const PEOPLE: usize = 300;
const PATIENCE: Duration = Duration::from_secs(90);

fn options() -> RedisOptions {
    let servers = Servers::Single(shared_server().url());
    RedisOptions { partitions: OPTIONS.partitions, ..own(servers) }
}

async fn start(options: &RedisOptions, incarnation: u128) -> Harness {
    let options = RedisOptions { incarnation, ..options.clone() };
    let store = RedisStore::open(&options).await.unwrap();
    let harness = Harness::start_with(OPTIONS, Arc::new(store)).await;
    harness.rng.reseed(u64::try_from(incarnation).unwrap() << 32);
    harness
}

fn alert(harness: &Harness) -> AlertSubmission {
    let text = AlertText {
        subject: "Allerta meteo".to_owned(),
        markdown: "Piogge intense nelle prossime ore. ".repeat(3),
    };
    AlertSubmission {
        service: Arc::clone(&harness.service),
        expires_at: harness.running.engine.now().after(Duration::from_secs(24 * 3_600)),
        lane: Lane::Bulk,
        texts: [(Language::Italian, text)].into(),
        fallback: Language::Italian,
        audience: Audience::Everyone,
        require_secure_channels: None,
        claim: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_an_alert_reach_everybody_once() {
    let harness = start(&options(), 1).await;
    harness.register((0..PEOPLE).map(with_address).collect()).await;
    for number in 0..PEOPLE {
        harness.submit(citizen(number).fiscal_code).await;
    }
    let alert = harness.running.engine.submit_alert(alert(&harness)).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !harness
        .running
        .engine
        .alert(alert.record.alert.id)
        .await
        .unwrap()
        .unwrap()
        .status
        .is_final()
    {
        assert!(Instant::now() < deadline, "{:?}", harness.books().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let books = harness.settle(PATIENCE).await;
    assert_eq!(books.messages.processed, PEOPLE as u64);
    // Inbox, push and mail, of the message and of the alert.
    assert_eq!(books.all_deliveries().delivered, 6 * PEOPLE as u64);
    assert_eq!((harness.provider.count(), harness.relay.count()), (2 * PEOPLE, 2 * PEOPLE));
    harness.assert_conserved().await;
    harness.running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_killed_on_redis_is_followed_by_another_that_loses_nothing() {
    let options = options();
    let mut harness = start(&options, 1).await;
    harness.register((0..PEOPLE).map(citizen).collect()).await;
    let mut providers = vec![Arc::clone(&harness.provider)];
    for incarnation in 2..5 {
        for number in 0..PEOPLE {
            harness.submit(citizen(number).fiscal_code).await;
        }
        harness.running.shutdown(Duration::ZERO).await;
        harness = start(&options, incarnation).await;
        providers.push(Arc::clone(&harness.provider));
    }
    let books = harness.settle(PATIENCE).await;
    let pushed = providers.iter().flat_map(|provider| provider.deliveries());
    let pushed: HashSet<DeliveryId> = pushed.collect();
    assert_eq!(books.messages.processed, 3 * PEOPLE as u64);
    assert_eq!(books.all_deliveries().delivered, 6 * PEOPLE as u64);
    assert_eq!(pushed.len(), 3 * PEOPLE, "each was pushed");
    harness.assert_conserved().await;
}
