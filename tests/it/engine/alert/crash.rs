//! Crashes in the middle of an alert: of partitions, routes and connections
//! again and again, and of the whole engine.

use super::{alert_everyone, books, end, stage};
use crate::engine::harness::{Harness, OPTIONS, citizen};
use crate::engine::{MINUTE, REASON};
use araldo_actors::domain::alert::AlertStatus;
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::delivery::{Channel, Endpoint};
use araldo_actors::domain::id::{DeliveryId, MessageId};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

const COUNT: usize = 3_000;
/// What a crash may repeat: the windows, and a load and its stragglers for each
/// partition and route (promise 2).
const REPEATED: usize = 2 * 100 + 256 * OPTIONS.partitions as usize;

/// Every member once in the books of every channel, all delivered.
async fn assert_exact(harness: &Harness) {
    for channel in Channel::ALL {
        let totals = books(harness, channel).await;
        assert_eq!(totals.planned, COUNT as u64, "{channel:?} {totals:?}");
        assert_eq!(totals.delivered, COUNT as u64, "{channel:?} {totals:?}");
    }
    harness.assert_conserved().await;
}

/// The ids of the pushes of an alert to everyone.
fn expected(id: MessageId) -> HashSet<DeliveryId> {
    let device = |number| Endpoint::Device(citizen(number).devices[0].id());
    (0..COUNT).map(|number| device(number).delivery_id(id)).collect()
}

#[tokio::test(start_paused = true)]
async fn actors_that_panic_at_random_reach_everyone_once_in_the_books() {
    for every in [53, 97, 211, 1_009] {
        let (harness, _) = stage(COUNT).await;
        let id = alert_everyone(&harness).await;
        harness.clock.panic_every.store(every, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(20)).await;
        harness.clock.panic_every.store(0, Ordering::Relaxed);
        assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
        assert_exact(&harness).await;
        let asked: HashSet<_> = harness.provider.deliveries().into_iter().collect();
        assert_eq!(asked, expected(id), "under the same ids, and nobody else");
    }
}

#[tokio::test(start_paused = true)]
async fn panics_beside_failures_lose_and_double_nothing_in_the_books() {
    let (harness, _) = stage(COUNT).await;
    harness.provider.answer_with(|number, _| match number % 7 {
        0 => Answer::RetryDelivery { after: Some(Duration::from_secs(5)), reason: REASON },
        1 => Answer::RetryElsewhere { reason: REASON },
        _ => Answer::Accepted,
    });
    let id = alert_everyone(&harness).await;
    harness.clock.panic_every.store(151, Ordering::Relaxed);
    tokio::time::sleep(MINUTE).await;
    harness.clock.panic_every.store(0, Ordering::Relaxed);
    harness.provider.answer_with(|_, _| Answer::Accepted);
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    assert_exact(&harness).await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_killed_again_and_again_goes_on_where_it_was() {
    let (mut harness, store) = stage(COUNT).await;
    let id = alert_everyone(&harness).await;
    let mut asked: HashMap<DeliveryId, usize> = HashMap::new();
    let mut kills = 0;
    loop {
        harness.provider.window.store(100, Ordering::Relaxed);
        *harness.provider.latency.lock().unwrap() = Duration::from_millis(40);
        tokio::time::sleep(Duration::from_millis(110 + 37 * kills)).await;
        let done = super::record(&harness, id).await.status.is_final();
        for delivery in harness.provider.deliveries() {
            *asked.entry(delivery).or_default() += 1;
        }
        if done {
            break;
        }
        harness.running.shutdown(Duration::ZERO).await;
        kills += 1;
        harness = Harness::start_with(OPTIONS, store.clone()).await;
    }
    assert!(kills >= 4, "{kills}");
    let keys: HashSet<_> = asked.keys().copied().collect();
    assert_eq!(keys, expected(id));
    let repeated: usize = asked.values().map(|count| count - 1).sum();
    assert!(repeated <= usize::try_from(kills).unwrap() * REPEATED, "{repeated}");
    assert_exact(&harness).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_the_middle_repeats_nothing() {
    let (harness, store) = stage(COUNT).await;
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_millis(65)).await;
    let Harness { running, provider, relay, .. } = harness;
    running.shutdown(MINUTE).await;
    let (pushed, mailed) = (provider.deliveries(), relay.deliveries());
    assert!((300..COUNT).contains(&pushed.len()), "{}", pushed.len());
    let again = Harness::start_with(OPTIONS, store).await;
    assert_eq!(end(&again, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    for (before, after) in [(pushed, &again.provider), (mailed, &again.relay)] {
        let all: Vec<_> = before.into_iter().chain(after.deliveries()).collect();
        assert_eq!(all.len(), COUNT);
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), COUNT);
    }
    assert_exact(&again).await;
}
