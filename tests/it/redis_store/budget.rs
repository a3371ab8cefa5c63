//! The budget of a route that several nodes share: together they start what it
//! allows, whoever asks how often.

use std::sync::Arc;
use std::time::Duration;

use araldo::store::redis::{RedisStore, Servers};
use araldo_actors::domain::id::RouteId;
use araldo_actors::policy::rate::{Purse, Rate};
use araldo_actors::port::budget::Budget;
use araldo_actors::port::store::StoreError;
use tokio::time::{Instant, sleep};

use crate::redis_kit::{Server, own, shared_server};

const TIME: Duration = Duration::from_secs(3);

/// Spends all it can get, as a route does, until `until`.
async fn spend(budget: Arc<dyn Budget>, rate: Rate, until: Instant) -> u64 {
    let (route, mut purse, mut spent) = (RouteId::parse("apple").unwrap(), Purse::new(rate), 0);
    while Instant::now() < until {
        let grant = budget.draw(&route, rate, purse.wants()).await.unwrap();
        purse.fill(grant.granted);
        while purse.spend() {
            spent += 1;
        }
        sleep(grant.again).await;
    }
    spent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_together_get_the_rate_and_each_its_part() {
    for attempts in [40, 2_000, 100_000] {
        let rate = Rate::per_second(attempts).unwrap();
        let options = own(Servers::Single(shared_server().url()));
        let mut nodes = Vec::new();
        let (began, until) = (Instant::now(), Instant::now() + TIME);
        for _ in 0..3 {
            let node: Arc<dyn Budget> = Arc::new(RedisStore::open(&options).await.unwrap());
            nodes.push(tokio::spawn(spend(node, rate, until)));
        }
        let mut spent = Vec::new();
        for node in nodes {
            spent.push(node.await.unwrap());
        }
        let took = began.elapsed();
        let sum: u64 = spent.iter().sum();
        let portion = u64::from(rate.portion());
        let most = u64::from(attempts) * took.as_millis() as u64 / 1_000 + portion + 1;
        assert!(sum <= most, "{spent:?} in {took:?}");
        assert!(sum * 10 >= u64::from(attempts) * 3 * 8, "{spent:?} in {took:?}");
        assert!(spent.iter().all(|one| *one * 12 >= sum), "one was left out: {spent:?}");
    }
}

#[tokio::test]
async fn while_redis_is_away_nothing_is_given() {
    let server = Server::start(&[]);
    let store = RedisStore::open(&own(Servers::Single(server.url()))).await.unwrap();
    let (route, rate) = (RouteId::parse("apple").unwrap(), Rate::per_second(100).unwrap());
    assert_eq!(Budget::draw(&store, &route, rate, 4).await.unwrap().granted, 4);
    drop(server);
    let error = Budget::draw(&store, &route, rate, 4).await;
    assert!(
        matches!(error, Err(StoreError::Unavailable(_) | StoreError::Unconfirmed(_))),
        "{error:?}"
    );
}
