//! Providers that fail: what is wrong with one delivery is tried again later,
//! what is wrong with a route holds its walk and writes nothing.

use super::{alert_everyone, books, counts, end, stage, walk};
use crate::engine::harness::{citizen, token};
use crate::engine::{MINUTE, REASON};
use araldo_actors::domain::alert::AlertStatus;
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::notification::Notification;
use araldo_actors::domain::outcome::Failure;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

const COUNT: usize = 2_000;

fn to(notification: &Notification) -> &str {
    match notification {
        Notification::Push(push) => &push.token,
        Notification::Email(email) => &email.to,
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_out_of_reach_holds_its_own_walk_only() {
    let (harness, _) = stage(COUNT).await;
    harness.provider.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(5 * MINUTE).await;
    let relay = walk(&harness, id, "relay").await;
    assert_eq!((relay.visited, relay.deliveries.delivered), (2_000, 2_000));
    let inbox = walk(&harness, id, "inbox").await;
    assert_eq!((inbox.visited, inbox.deliveries.delivered), (2_000, 2_000));
    let apple = walk(&harness, id, "apple").await;
    assert_eq!((apple.visited, apple.deliveries.planned, apple.stragglers), (0, 0, 0));
    harness.assert_conserved().await;
    harness.provider.reachable.store(true, Ordering::Relaxed);
    assert_eq!(end(&harness, id, 10 * MINUTE).await.status, AlertStatus::Completed);
    assert_eq!(harness.provider.count(), COUNT, "each once");
    let apple = walk(&harness, id, "apple").await.deliveries;
    assert_eq!((apple.planned, apple.delivered, apple.retried), (2_000, 2_000, 0));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_is_waited_for_and_makes_no_heap_of_retries() {
    for (failing, most) in [
        // One probe a step.
        (Answer::Unknown { reason: REASON }, 60),
        (Answer::ProviderFailed { after: None, reason: REASON }, 60),
        // A window of them after each pause that was asked for.
        (
            Answer::RetryRoute { after: Some(Duration::from_secs(20)), reason: REASON },
            10 * 3 * 40 + 40,
        ),
        // Never processed, so nobody is spared: a load of each partition after
        // each pause.
        (Answer::RetryElsewhere { reason: REASON }, 4 * 192 * 32),
    ] {
        let (harness, _) = stage(COUNT).await;
        harness.provider.window.store(20, Ordering::Relaxed);
        let answer = failing.clone();
        harness.provider.answer_with(move |number, _| match number {
            0..700 => Answer::Accepted,
            _ => answer.clone(),
        });
        let id = alert_everyone(&harness).await;
        tokio::time::sleep(10 * MINUTE).await;
        let apple = walk(&harness, id, "apple").await;
        assert_eq!(apple.stragglers, 0, "{failing:?}");
        assert!(apple.deliveries.delivered <= 700, "{failing:?}");
        assert_eq!(walk(&harness, id, "relay").await.deliveries.delivered, 2_000);
        let tried = harness.provider.count();
        assert!(tried <= 700 + most, "{failing:?}: {tried} attempts");
        harness.assert_conserved().await;
        harness.provider.answer_with(|_, _| Answer::Accepted);
        assert_eq!(end(&harness, id, 20 * MINUTE).await.status, AlertStatus::Completed);
        let push = books(&harness, Channel::Push).await;
        assert_eq!((push.planned, push.delivered, push.open()), (2_000, 2_000, 0), "{failing:?}");
        assert_eq!(counts(harness.provider.attempts()).len(), COUNT);
        harness.assert_conserved().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_ours_holds_the_walk_and_a_cancel_still_works() {
    let (harness, _) = stage(COUNT).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    harness.provider.answer_with(|_, _| Answer::Halt { reason: "InvalidProviderToken" });
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(10 * MINUTE).await;
    assert!(harness.provider.count() <= 2);
    let apple = walk(&harness, id, "apple").await;
    assert_eq!((apple.deliveries.planned, apple.stragglers), (0, 0));
    let record = harness.running.engine.cancel_alert(id).await.unwrap();
    assert_eq!(record.status, AlertStatus::Cancelled);
    tokio::time::sleep(MINUTE).await;
    harness.assert_conserved().await;
    assert_eq!(harness.books().await.all_deliveries().open(), 0);
}

#[tokio::test(start_paused = true)]
async fn single_failures_are_tried_again_under_the_same_id_and_hold_up_nobody() {
    let (harness, _) = stage(COUNT).await;
    let failing: HashSet<_> = (0..COUNT).step_by(20).map(token).collect();
    let seen = std::sync::Mutex::new(HashSet::new());
    let late = failing.clone();
    harness.provider.answer_with(move |_, asked| {
        if late.contains(to(asked)) && seen.lock().unwrap().insert(to(asked).to_owned()) {
            Answer::RetryDelivery { after: Some(5 * MINUTE), reason: REASON }
        } else {
            Answer::Accepted
        }
    });
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(MINUTE).await;
    let apple = walk(&harness, id, "apple").await;
    assert_eq!((apple.visited, apple.stragglers), (2_000, 100));
    assert_eq!((apple.deliveries.delivered, apple.deliveries.open()), (1_900, 100));
    harness.assert_conserved().await;
    assert_eq!(end(&harness, id, 20 * MINUTE).await.status, AlertStatus::Completed);
    let push = books(&harness, Channel::Push).await;
    assert_eq!((push.planned, push.delivered, push.retried), (2_000, 2_000, 100));
    let ids: HashSet<_> = harness.provider.deliveries().into_iter().collect();
    assert_eq!((ids.len(), harness.provider.count()), (COUNT, COUNT + 100));
    let counts = counts(harness.provider.attempts());
    assert!(failing.iter().all(|token| counts[token] == 2));
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_always_fails_gives_up_in_the_end_and_holds_up_nobody() {
    let (harness, _) = stage(COUNT).await;
    let poisoned = token(77);
    harness.provider.answer_with(move |_, asked| {
        if to(asked) == poisoned { Answer::Unknown { reason: REASON } } else { Answer::Accepted }
    });
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(walk(&harness, id, "apple").await.visited, 2_000);
    harness.assert_conserved().await;
    // As long as the route works for others it is known to be alone.
    let ended = async {
        while !super::record(&harness, id).await.status.is_final() {
            harness.submit(citizen(5).fiscal_code).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::time::timeout(60 * MINUTE, ended).await.unwrap();
    let apple = walk(&harness, id, "apple").await.deliveries;
    assert_eq!((apple.delivered, apple.failed, apple.open()), (1_999, 1, 0));
    // Three in the first load, then its budget, and those that fell into a
    // moment in which nobody else was served.
    let tried = harness.provider.attempts_to(&token(77));
    assert!((13..=40).contains(&tried), "{tried}");
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_gone_device_is_dropped_and_a_refused_one_counted() {
    let (harness, _) = stage(300).await;
    let (gone, refused) = (token(3), token(4));
    harness.provider.answer_with(move |_, asked| {
        if to(asked) == gone {
            Answer::DropToken { registered_before: None, reason: "Unregistered" }
        } else if to(asked) == refused {
            Answer::Fail { failure: Failure::RefusedEndpoint, reason: "BadDeviceToken" }
        } else {
            Answer::Accepted
        }
    });
    let id = alert_everyone(&harness).await;
    end(&harness, id, 10 * MINUTE).await;
    let push = books(&harness, Channel::Push).await;
    assert_eq!((push.delivered, push.failed, push.planned), (298, 2, 300));
    let known = |number: usize| harness.running.engine.citizen(citizen(number).fiscal_code);
    assert!(known(3).await.unwrap().unwrap().devices.is_empty());
    assert_eq!(known(4).await.unwrap().unwrap().devices.len(), 1);
    let again = alert_everyone(&harness).await;
    end(&harness, again, 10 * MINUTE).await;
    assert_eq!(harness.provider.attempts_to(&token(3)), 1);
    harness.assert_conserved().await;
}
