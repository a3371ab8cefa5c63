//! Pause, resume, cancel, expiry: what starts, what ends, who is refused.

use super::{alert_everyone, books, counts, end, record, stage, submission, submit, walk};
use crate::engine::harness::{Harness, OPTIONS, token};
use crate::engine::{MINUTE, REASON};
use araldo::store::memory::MemoryStore;
use araldo_actors::alert::AlertBoard;
use araldo_actors::directory::Directory;
use araldo_actors::domain::alert::{AlertStatus, Audience};
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::engine::AlertError;
use araldo_actors::port::alert_store::{AlertAcceptance, AlertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const COUNT: usize = 1_200;

async fn half_way() -> (Harness, Arc<MemoryStore>, MessageId) {
    let (harness, store) = stage(COUNT).await;
    harness.provider.slow(Duration::from_millis(10));
    harness.relay.slow(Duration::from_millis(10));
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let count = harness.provider.count();
    assert!((400..900).contains(&count), "{count}");
    (harness, store, id)
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_and_a_resume_goes_on_where_it_was() {
    let (harness, _, id) = half_way().await;
    let engine = &harness.running.engine;
    let paused = engine.pause_alert(id).await.unwrap();
    assert_eq!(paused.status, AlertStatus::Paused);
    let started = (harness.provider.count(), harness.relay.count());
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!((harness.provider.count(), harness.relay.count()), started, "nothing started");
    // What is known is in the store: nothing of it would be repeated.
    assert_eq!(walk(&harness, id, "apple").await.deliveries.delivered, started.0 as u64);
    harness.assert_conserved().await;
    let resumed = engine.resume_alert(id).await.unwrap();
    assert_eq!(resumed.status, AlertStatus::Running);
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    let pushed = counts(harness.provider.attempts());
    assert!((0..COUNT).all(|number| pushed.get(&token(number)) == Some(&1)));
    for channel in Channel::ALL {
        let totals = books(&harness, channel).await;
        assert_eq!((totals.planned, totals.delivered), (COUNT as u64, COUNT as u64));
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_alert_stays_paused_over_a_restart_and_repeats_nothing_after() {
    let (harness, store, id) = half_way().await;
    harness.running.engine.pause_alert(id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let Harness { running, provider, .. } = harness;
    running.shutdown(Duration::ZERO).await;
    let again = Harness::start_with(OPTIONS, store).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!((again.provider.count(), again.relay.count()), (0, 0));
    assert_eq!(record(&again, id).await.status, AlertStatus::Paused);
    again.assert_conserved().await;
    again.running.engine.resume_alert(id).await.unwrap();
    end(&again, id, 60 * MINUTE).await;
    assert_eq!(provider.count() + again.provider.count(), COUNT, "no duplicate");
    again.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_once_a_cancel_is_asked_for_and_everything_is_accounted_for() {
    let (harness, _, id) = half_way().await;
    let engine = harness.running.engine.clone();
    let begun = Instant::now();
    let cancelling = tokio::spawn(async move { engine.cancel_alert(id).await });
    tokio::task::yield_now().await;
    let started = (harness.provider.count(), harness.relay.count());
    let record = cancelling.await.unwrap().unwrap();
    assert_eq!(record.status, AlertStatus::Cancelled);
    assert!(begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    tokio::time::sleep(MINUTE).await;
    assert_eq!((harness.provider.count(), harness.relay.count()), started);
    for (channel, started) in [(Channel::Push, started.0), (Channel::Email, started.1)] {
        let totals = books(&harness, channel).await;
        assert_eq!(totals.delivered, started as u64, "{channel:?}");
        assert_eq!(totals.open(), 0, "{channel:?}");
        assert!(totals.cancelled > 0 && totals.planned <= COUNT as u64, "{totals:?}");
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_in_the_air_at_a_cancel_is_in_the_books_when_it_is_answered() {
    let (harness, store) = stage(COUNT).await;
    for provider in [&harness.provider, &harness.relay] {
        *provider.latency.lock().unwrap() = Duration::from_millis(600);
    }
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    harness.running.engine.cancel_alert(id).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    // A crash at once: nothing of this engine is heard any more.
    let Harness { running, provider, relay, .. } = harness;
    running.shutdown(Duration::ZERO).await;
    let again = Harness::start_with(OPTIONS, store).await;
    assert_eq!(record(&again, id).await.status, AlertStatus::Cancelled);
    for (channel, asked) in [(Channel::Push, provider.count()), (Channel::Email, relay.count())] {
        assert!((1..COUNT).contains(&asked), "{asked}");
        assert_eq!(books(&again, channel).await.delivered, asked as u64, "{channel:?}");
    }
    again.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_wait_for_a_provider_that_hangs() {
    let (harness, _) = stage(COUNT).await;
    *harness.provider.latency.lock().unwrap() = MINUTE;
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    harness.running.engine.cancel_alert(id).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    let asked = harness.provider.count() as u64;
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(books(&harness, Channel::Push).await.delivered, asked, "stored when it landed");
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_stragglers_too() {
    let (harness, _) = stage(300).await;
    harness
        .provider
        .answer_with(|_, _| Answer::RetryDelivery { after: Some(60 * MINUTE), reason: REASON });
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(walk(&harness, id, "apple").await.stragglers, 300);
    assert_eq!(books(&harness, Channel::Push).await.open(), 300);
    harness.assert_conserved().await;
    let record = harness.running.engine.cancel_alert(id).await.unwrap();
    assert_eq!(record.status, AlertStatus::Cancelled);
    let push = books(&harness, Channel::Push).await;
    assert_eq!((push.cancelled, push.open()), (300, 0), "when it is answered they have ended");
    assert_eq!(walk(&harness, id, "apple").await.stragglers, 0);
    harness.assert_conserved().await;
    tokio::time::sleep(120 * MINUTE).await;
    assert_eq!(harness.provider.count(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_waits_a_little_for_stragglers_in_the_air_and_not_for_ever() {
    let (harness, _) = stage(20).await;
    harness.provider.answer_with(|number, _| match number {
        0..20 => Answer::RetryDelivery { after: Some(MINUTE), reason: REASON },
        _ => Answer::Accepted,
    });
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    *harness.provider.latency.lock().unwrap() = 10 * MINUTE;
    tokio::time::sleep(2 * MINUTE).await;
    assert!(harness.provider.count() > 20, "some are in the air again");
    let begun = Instant::now();
    let record = harness.running.engine.cancel_alert(id).await.unwrap();
    assert_eq!(record.status, AlertStatus::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(books(&harness, Channel::Push).await.cancelled, 20);
    tokio::time::sleep(30 * MINUTE).await;
    let push = books(&harness, Channel::Push).await;
    assert_eq!((push.cancelled, push.delivered), (20, 0), "an outcome is never replaced");
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_status_does_not_allow_is_refused_with_the_present_one() {
    let (harness, _) = stage(10).await;
    let engine = &harness.running.engine;
    let refused = |status| Err(AlertError::Refused(status));
    let unknown = MessageId::new(engine.now(), 99);
    assert_eq!(engine.pause_alert(unknown).await, Err(AlertError::Unknown));
    assert_eq!(engine.cancel_alert(unknown).await, Err(AlertError::Unknown));
    harness.provider.slow(MINUTE);
    let id = alert_everyone(&harness).await;
    assert_eq!(engine.resume_alert(id).await, refused(AlertStatus::Running));
    engine.pause_alert(id).await.unwrap();
    assert_eq!(engine.pause_alert(id).await, refused(AlertStatus::Paused));
    engine.resume_alert(id).await.unwrap();
    engine.pause_alert(id).await.unwrap();
    engine.cancel_alert(id).await.unwrap();
    for status in
        [engine.pause_alert(id).await, engine.resume_alert(id).await, engine.cancel_alert(id).await]
    {
        assert_eq!(status, refused(AlertStatus::Cancelled));
    }
    harness.provider.fast();
    let done = alert_everyone(&harness).await;
    end(&harness, done, 10 * MINUTE).await;
    assert_eq!(engine.cancel_alert(done).await, refused(AlertStatus::Completed));
    assert_eq!(engine.resume_alert(done).await, refused(AlertStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn an_alert_ends_with_its_time_running_or_paused() {
    for pause in [false, true] {
        let (harness, _) = stage(COUNT).await;
        harness.provider.slow(Duration::from_secs(1));
        harness
            .relay
            .answer_with(|_, _| Answer::RetryDelivery { after: Some(8 * MINUTE), reason: REASON });
        let mut short = submission(&harness, Audience::Everyone);
        short.expires_at = harness.running.engine.now().after(5 * MINUTE);
        let id = submit(&harness, short).await;
        tokio::time::sleep(MINUTE).await;
        if pause {
            harness.running.engine.pause_alert(id).await.unwrap();
        }
        let record = end(&harness, id, 5 * MINUTE).await;
        assert_eq!(record.status, AlertStatus::Expired);
        let started = (harness.provider.count(), harness.relay.count());
        tokio::time::sleep(10 * MINUTE).await;
        assert_eq!((harness.provider.count(), harness.relay.count()), started);
        let books = harness.books().await.all_deliveries();
        assert_eq!(books.open(), 0, "{books:?}");
        assert!(books.expired > 0, "{books:?}");
        harness.assert_conserved().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_expired_while_the_engine_was_down_ends_at_the_start() {
    let (harness, store) = stage(500).await;
    harness
        .provider
        .answer_with(|_, _| Answer::RetryDelivery { after: Some(3 * MINUTE), reason: REASON });
    let mut short = submission(&harness, Audience::Everyone);
    short.expires_at = harness.running.engine.now().after(5 * MINUTE);
    let id = submit(&harness, short).await;
    tokio::time::sleep(MINUTE).await;
    harness.running.shutdown(Duration::ZERO).await;
    // The clock of the next engine begins anew: let its time be over there.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let again = Harness::start_with(OPTIONS, store).await;
    let record = end(&again, id, 10 * MINUTE).await;
    assert!(record.status.is_final());
    assert_eq!(again.books().await.all_deliveries().open(), 0);
    again.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_whose_sender_hung_up_is_taken_up_all_the_same() {
    let (harness, store) = stage(100).await;
    let given = submission(&harness, Audience::Everyone);
    let alert = araldo_actors::domain::alert::Alert {
        id: MessageId::new(harness.running.engine.now(), 3),
        service: given.service.id.clone(),
        accepted_at: harness.running.engine.now(),
        expires_at: given.expires_at,
        lane: given.lane,
        texts: given.texts,
        fallback: given.fallback,
        audience: given.audience,
        require_secure_channels: None,
    };
    let id = alert.id;
    let accepted = store.accept_alert(alert, None).await.unwrap();
    assert!(matches!(accepted, AlertAcceptance::Accepted(_)));
    assert_eq!(end(&harness, id, MINUTE).await.status, AlertStatus::Completed);
    assert_eq!(harness.provider.count(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_has_ended_is_not_taken_up_from_a_record_read_before() {
    let harness = Harness::start().await;
    let store = Arc::new(MemoryStore::new(OPTIONS.partitions));
    let given = submission(&harness, Audience::Everyone);
    let now = harness.running.engine.now();
    let alert = araldo_actors::domain::alert::Alert {
        id: MessageId::new(now, 3),
        service: given.service.id.clone(),
        accepted_at: now,
        expires_at: given.expires_at,
        lane: given.lane,
        texts: given.texts,
        fallback: given.fallback,
        audience: given.audience,
        require_secure_channels: None,
    };
    let AlertAcceptance::Accepted(record) = store.accept_alert(alert, None).await.unwrap() else {
        panic!("it is new");
    };
    let board = AlertBoard::open(store, Arc::new(Directory::default()), Arc::default());
    let board = board.await.unwrap();
    let running = board.adopt((*record).clone()).unwrap();
    // Whoever looks after alerts has read that it runs; meanwhile it ends.
    board.stop(&running, AlertStatus::Cancelled, now).unwrap();
    for partition in 0..OPTIONS.partitions {
        board.close(&running, PartitionId(partition), now).await.unwrap();
    }
    assert!(board.adopt(*record).is_none(), "nobody walks for it again");
    assert!(board.all().is_empty());
}
