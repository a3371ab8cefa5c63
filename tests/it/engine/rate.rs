//! Rates: no more attempts a second than the budget gives, whoever draws from
//! it, and none while it cannot be asked.

use super::harness::{Harness, START, TestClock, citizen};
use super::{MINUTE, REASON};
use araldo_actors::budget::LocalBudget;
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::id::RouteId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::service::Service;
use araldo_actors::domain::time::Millis;
use araldo_actors::policy::rate::Rate;
use araldo_actors::port::budget::{Budget, Grant};
use araldo_actors::port::clock::Clock;
use araldo_actors::port::store::StoreError;
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

async fn limited(attempts: u32, citizens: usize) -> Harness {
    let harness = Harness::start_limited(Rate::per_second(attempts), None).await;
    harness.register((0..citizens).map(citizen).collect()).await;
    harness
}

/// When attempts started, since the start.
fn starts(harness: &Harness) -> Vec<Duration> {
    harness.provider.requests.lock().unwrap().iter().map(|(_, at)| *at).collect()
}

/// Most attempts in any stretch of this length.
fn most_within(starts: &[Duration], length: Duration) -> usize {
    let within = |first: &Duration| {
        starts.iter().filter(|at| **at >= *first && **at < *first + length).count()
    };
    starts.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_route_starts_no_more_than_its_rate_and_not_much_less() {
    let harness = limited(200, 1_000).await;
    for number in 0..1_000 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    harness.settle(MINUTE).await;
    let starts = starts(&harness);
    assert_eq!(starts.len(), 1_000);
    // A portion in the bucket, one in the purse.
    let most = most_within(&starts, SECOND);
    assert!(most <= 240, "{most} in one second");
    let took = *starts.last().unwrap() - starts[0];
    let (least, limit) = (Duration::from_millis(4_750), Duration::from_millis(5_150));
    assert!((least..=limit).contains(&took), "1,000 at 200 a second took {took:?}");
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_one_a_second_is_kept() {
    let harness = limited(1, 10).await;
    for number in 0..10 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    harness.settle(MINUTE).await;
    let starts = starts(&harness);
    assert_eq!(starts.len(), 10);
    let took = *starts.last().unwrap() - starts[0];
    assert!((Duration::from_secs(8)..=Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn repeated_attempts_count_like_first_ones() {
    let harness = limited(100, 100).await;
    harness.provider.answer_with(|number, _| match number % 2 {
        0 => Answer::RetryDelivery { after: None, reason: REASON },
        _ => Answer::Accepted,
    });
    for number in 0..100 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    let books = harness.settle(5 * MINUTE).await;
    assert_eq!(books.all_deliveries().open(), 0);
    let starts = starts(&harness);
    assert!(starts.len() > 150);
    assert!(most_within(&starts, SECOND) <= 120);
}

#[tokio::test(start_paused = true)]
async fn within_the_rate_an_emergency_goes_first() {
    let harness = limited(100, 1_001).await;
    let emergency = Service { lane: Lane::Emergency, ..(*harness.service).clone() };
    for number in 0..1_000 {
        harness.submit(citizen(number).fiscal_code).await;
    }
    tokio::time::sleep(SECOND).await;
    harness.running.engine.put_service(emergency.clone()).await.unwrap();
    let mut submission = harness.submission(citizen(1_000).fiscal_code);
    submission.service = Arc::new(emergency);
    let began = starts(&harness).len();
    let id = harness.running.engine.submit(submission).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let place = harness.provider.attempts().iter().position(|(_, one)| *one == id);
    let place = place.expect("within 300 ms, at 10 attempts in 100 ms");
    assert!(place - began <= 30, "{} went before it", place - began);
}

/// A budget that can be cut off, and counts how often it was asked.
struct Fickle {
    inner: LocalBudget,
    fails: AtomicBool,
    hangs: AtomicBool,
    asked: AtomicU32,
}

#[async_trait]
impl Budget for Fickle {
    async fn draw(&self, route: &RouteId, rate: Rate, want: u32) -> Result<Grant, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(want <= rate.portion(), "more than a portion is asked for");
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("cut off by the test".into()));
        }
        self.inner.draw(route, rate, want).await
    }
}

fn fickle(start: Instant) -> Arc<Fickle> {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::at(start));
    assert_eq!(clock.now(), Millis(START));
    Arc::new(Fickle {
        inner: LocalBudget::new(clock),
        fails: AtomicBool::new(false),
        hangs: AtomicBool::new(false),
        asked: AtomicU32::new(0),
    })
}

/// An engine whose routes draw from `budget`.
async fn drawing(attempts: u32, budget: &Arc<Fickle>) -> Harness {
    Harness::start_limited(Rate::per_second(attempts), Some(budget.clone())).await
}

#[tokio::test(start_paused = true)]
async fn while_the_budget_cannot_be_asked_nothing_leaves_beyond_what_is_held() {
    let budget = fickle(Instant::now());
    let harness = drawing(200, &budget).await;
    harness.register((0..200).map(citizen).collect()).await;
    for cut in [&budget.fails, &budget.hangs] {
        tokio::time::sleep(SECOND).await;
        let (before, asked) = (harness.provider.count(), budget.asked.load(Ordering::Relaxed));
        cut.store(true, Ordering::Relaxed);
        for number in 0..100 {
            harness.submit(citizen(number).fiscal_code).await;
        }
        tokio::time::sleep(10 * SECOND).await;
        let left = harness.provider.count() - before;
        assert!((1..=20).contains(&left), "{left} attempts left");
        let asked = budget.asked.load(Ordering::Relaxed) - asked;
        assert!((3..=60).contains(&asked), "asked {asked} times in 10 s");
        cut.store(false, Ordering::Relaxed);
        harness.settle(MINUTE).await;
        assert_eq!(harness.provider.count() - before, 100);
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_route_asks_for_nothing() {
    let budget = fickle(Instant::now());
    let harness = drawing(200, &budget).await;
    tokio::time::sleep(MINUTE).await;
    // Two routes, once each.
    assert_eq!(budget.asked.load(Ordering::Relaxed), 2);
    drop(harness);
}

#[tokio::test(start_paused = true)]
async fn nodes_together_start_no_more_than_the_rate_and_none_is_left_out() {
    let budget = fickle(Instant::now());
    let nodes =
        [drawing(200, &budget).await, drawing(200, &budget).await, drawing(200, &budget).await];
    for node in &nodes {
        node.register((0..500).map(citizen).collect()).await;
        for number in 0..500 {
            node.submit(citizen(number).fiscal_code).await;
        }
    }
    for node in &nodes {
        node.settle(MINUTE).await;
    }
    let mut all: Vec<Duration> = nodes.iter().flat_map(starts).collect();
    all.sort_unstable();
    assert_eq!(all.len(), 1_500);
    // A portion in the bucket, one in each purse.
    let most = most_within(&all, SECOND);
    assert!(most <= 280, "{most} in one second");
    let took = *all.last().unwrap() - all[0];
    assert!(took <= Duration::from_millis(7_750), "{took:?}");
    for node in &nodes {
        let middle = starts(node).iter().filter(|at| **at < 3 * SECOND).count();
        assert!(middle >= 100, "one node got {middle} of 600");
    }
}
