//! Lanes: who overtakes a running alert, and two of them at once.

use super::{alert_everyone, counts, end, stage, submission, submit, walk};
use crate::engine::MINUTE;
use crate::engine::harness::{Harness, citizen, token};
use araldo_actors::domain::alert::{AlertStatus, Audience};
use araldo_actors::domain::id::{MessageId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::service::Service;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const COUNT: usize = 2_000;

/// The service whose personal messages are emergencies.
async fn emergency(harness: &Harness) -> Arc<Service> {
    let service = Service {
        id: ServiceId::parse("protezione-civile").unwrap(),
        lane: Lane::Emergency,
        ..(*harness.service).clone()
    };
    harness.running.engine.put_service(service.clone()).await.unwrap();
    Arc::new(service)
}

/// Attempts made between two, by place.
fn place(harness: &Harness, number: usize, message: MessageId) -> Option<usize> {
    let wanted = (token(number), message);
    harness.provider.attempts().iter().position(|attempt| *attempt == wanted)
}

#[tokio::test(start_paused = true)]
async fn a_personal_emergency_overtakes_a_running_alert() {
    let (harness, _) = stage(COUNT).await;
    let service = emergency(&harness).await;
    harness.provider.window.store(10, Ordering::Relaxed);
    *harness.provider.latency.lock().unwrap() = Duration::from_millis(50);
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for round in 0..20 {
        let mut urgent = harness.submission(citizen(1_999 - round).fiscal_code);
        urgent.service = Arc::clone(&service);
        let before = harness.provider.count();
        let message = harness.running.engine.submit(urgent).await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let place = place(&harness, 1_999 - round, message).expect("within 150 ms");
        // What was in the windows, and a share of one in ten.
        assert!(place - before <= 2 * 10 + 4, "{} went before it", place - before);
    }
    assert!(walk(&harness, id, "apple").await.visited < 2_000, "the alert still walks");
    assert_eq!(end(&harness, id, 60 * MINUTE).await.status, AlertStatus::Completed);
    assert_eq!(harness.provider.count(), COUNT + 20);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_emergency_to_everyone_overtakes_a_bulk_alert_which_still_goes_on() {
    let (harness, _) = stage(COUNT).await;
    harness.provider.window.store(10, Ordering::Relaxed);
    *harness.provider.latency.lock().unwrap() = Duration::from_millis(50);
    let bulk = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut urgent = submission(&harness, Audience::Everyone);
    urgent.lane = Lane::Emergency;
    let urgent = submit(&harness, urgent).await;
    let at_begin = walk(&harness, bulk, "apple").await.deliveries.delivered;
    end(&harness, urgent, 10 * MINUTE).await;
    let meanwhile = walk(&harness, bulk, "apple").await.deliveries.delivered - at_begin;
    assert!((100..600).contains(&meanwhile), "a tenth or so is reserved: {meanwhile}");
    end(&harness, bulk, 10 * MINUTE).await;
    let attempts = harness.provider.attempts();
    for alert in [bulk, urgent] {
        let mine = attempts.iter().filter(|(_, message)| *message == alert).cloned().collect();
        let counts = counts(mine);
        assert!((0..COUNT).all(|number| counts.get(&token(number)) == Some(&1)));
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn however_many_emergencies_a_bulk_alert_goes_on() {
    let (harness, _) = stage(COUNT).await;
    harness.provider.window.store(10, Ordering::Relaxed);
    *harness.provider.latency.lock().unwrap() = Duration::from_millis(50);
    let mut alerts = vec![alert_everyone(&harness).await];
    for _ in 0..6 {
        let mut urgent = submission(&harness, Audience::Everyone);
        urgent.lane = Lane::Emergency;
        alerts.push(submit(&harness, urgent).await);
    }
    // Seven alerts at 400 deliveries a second.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let bulk = walk(&harness, alerts[0], "apple").await.deliveries.delivered;
    assert!((400..1_600).contains(&bulk), "a tenth or so is reserved: {bulk}");
    for id in alerts {
        end(&harness, id, 10 * MINUTE).await;
    }
    assert_eq!(harness.provider.count(), 7 * COUNT);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn many_alerts_at_once_reach_everyone_once_each() {
    let (harness, _) = stage(500).await;
    harness.provider.slow(Duration::from_millis(2));
    let mut alerts = Vec::new();
    for _ in 0..12 {
        alerts.push(alert_everyone(&harness).await);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    for id in &alerts {
        assert_eq!(end(&harness, *id, 60 * MINUTE).await.status, AlertStatus::Completed);
    }
    let ids: std::collections::HashSet<_> = harness.provider.deliveries().into_iter().collect();
    assert_eq!((ids.len(), harness.provider.count()), (12 * 500, 12 * 500));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_a_personal_delivery_in_the_air_gets_the_alert_after_it() {
    let (harness, _) = stage(200).await;
    harness.provider.slow(Duration::from_secs(3));
    let code = citizen(5).fiscal_code;
    let personal = harness.submit(code).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(harness.provider.count(), 1);
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    harness.provider.fast();
    assert_eq!(end(&harness, id, 10 * MINUTE).await.status, AlertStatus::Completed);
    let order = (place(&harness, 5, personal).unwrap(), place(&harness, 5, id).unwrap());
    assert!(order.0 < order.1);
    let apart = {
        let requests = harness.provider.requests.lock().unwrap();
        requests[order.1].1 - requests[order.0].1
    };
    assert!(apart >= Duration::from_secs(3), "not beside it: {apart:?}");
    assert_eq!(harness.provider.count(), 201);
    harness.assert_conserved().await;
}
