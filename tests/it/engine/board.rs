//! What a route shows of itself: whether it is held, and since when the first
//! in its queue waits.

use super::harness::{Harness, START, citizen};
use super::{MINUTE, REASON, with_citizens};
use araldo_actors::board::{RouteState, RouteView};
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::time::Millis;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn apple(harness: &Harness) -> RouteView {
    harness.running.engine.board().routes().remove(0)
}

/// Milliseconds from the start to when the first of a lane began to wait.
fn waits_since(view: &RouteView, lane: Lane) -> Option<u64> {
    view.waits_since[lane].map(|Millis(at)| at - START)
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_shown_while_it_lasts_with_the_age_of_what_waits() {
    let harness = with_citizens(10).await;
    harness.provider.window.store(1, Ordering::Relaxed);
    harness.provider.answer_with(|number, _| match number {
        0 => Answer::RetryRoute { after: Some(MINUTE), reason: REASON },
        _ => Answer::Accepted,
    });
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        (apple(&harness).is_paused, apple(&harness).waits_since),
        (false, ByLane::default())
    );
    for number in 0..10 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(30 * SECOND).await;
    let held = apple(&harness);
    assert!(held.is_paused && held.state == RouteState::Up, "{held:?}");
    let since = waits_since(&held, Lane::Normal).expect("something waits");
    assert!((1_000..1_100).contains(&since), "since acceptance: {since}");
    assert_eq!(waits_since(&held, Lane::Emergency), None);
    harness.settle(5 * MINUTE).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        (apple(&harness).is_paused, apple(&harness).waits_since),
        (false, ByLane::default())
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_nothing_waited_for_ends_in_time() {
    let harness = with_citizens(1).await;
    harness.provider.answer_with(|number, _| match number {
        0 => Answer::RetryRoute { after: Some(SECOND), reason: REASON },
        _ => Answer::Accepted,
    });
    harness.submit(citizen(0).fiscal_code).await;
    tokio::time::sleep(SECOND / 2).await;
    assert!(apple(&harness).is_paused);
    // The next try waits for its back-off, not in the queue.
    tokio::time::sleep(SECOND).await;
    let view = apple(&harness);
    assert!(!view.is_paused && view.detail.is_empty(), "{view:?}");
}

#[tokio::test(start_paused = true)]
async fn a_later_try_waits_since_it_was_due() {
    let harness = with_citizens(1).await;
    harness.provider.answer_with(|number, _| match number {
        0 => Answer::RetryDelivery { after: Some(MINUTE), reason: REASON },
        _ => Answer::Accepted,
    });
    harness.submit(citizen(0).fiscal_code).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(apple(&harness).waits_since, ByLane::default(), "it waits in the store");
    harness.provider.cut();
    tokio::time::sleep(2 * MINUTE).await;
    let since = waits_since(&apple(&harness), Lane::Normal).expect("no connection takes it");
    assert!((60_000..90_000).contains(&since), "{since}");
}
