//! A store that went back to an earlier state while its owner lived: what it
//! lost is not built on.

use std::time::Duration;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::id::{Epoch, PartitionId};
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::ledger::Mark;
use araldo_actors::port::store::{Store, StoreError};

use super::proxy::Proxy;
use crate::redis_kit::{Server, own, shared_server};
use crate::store_alert::fixture::{accepted, id, one_step};
use crate::store_fixture::{
    PARTITIONS, accept, citizen, code, erasure, home, inbox, open, processed, step,
};

/// An own store with person 1, whose partition is owned after a step.
async fn owned() -> (RedisOptions, RedisStore, (PartitionId, Epoch)) {
    let options = own(Servers::Single(shared_server().url()));
    let store = RedisStore::open(&options).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(&store, 1, 1).await;
    accept(&store, 2, 1).await;
    let (partition, epoch) = open(&store, 1).await;
    assert_eq!(store.arrivals(partition, Lane::Normal, 0, 9).await.unwrap().len(), 2);
    store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await.unwrap();
    (options, store, (partition, epoch))
}

fn key(options: &RedisOptions, partition: PartitionId, name: &str) -> String {
    format!("{}:{{p{}}}:{name}", options.prefix, partition.0)
}

fn set(options: &RedisOptions, partition: PartitionId, field: &str, value: &str) {
    shared_server().ask(&["HSET", &key(options, partition, "counters"), field, value]);
}

fn is_refused<T: std::fmt::Debug>(done: Result<T, StoreError>) {
    assert!(
        matches!(&done, Err(StoreError::Unavailable(why)) if why.contains("went back") || why.contains("gone back")),
        "{done:?}"
    );
}

#[tokio::test]
async fn an_owner_whose_last_step_is_lost_goes_on_only_after_a_takeover() {
    let (options, store, (partition, epoch)) = owned().await;
    set(&options, partition, "step", "0");
    for _ in 0..2 {
        is_refused(store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await);
        let all = ByLane::from_fn(|_| u64::MAX);
        is_refused(store.erase(partition, epoch, code(1), all, erasure(1, 7)).await);
    }
    assert_eq!(inbox(&store, 1).await.len(), 1, "nothing was written");
    let (partition, epoch) = open(&store, 1).await;
    store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await.unwrap();
    assert_eq!(inbox(&store, 1).await.len(), 2);
}

#[tokio::test]
async fn another_step_under_the_same_number_is_not_taken_for_ones_own() {
    let (options, store, (partition, epoch)) = owned().await;
    // It arrived late, and made what the next step would.
    set(&options, partition, "step", "2");
    is_refused(store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await);
    assert_eq!(inbox(&store, 1).await.len(), 1, "it was not said to be done");
    // From now on it is known: what follows it is carried out.
    store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await.unwrap();
    assert_eq!(inbox(&store, 1).await.len(), 2);
}

#[tokio::test]
async fn arrivals_that_are_lost_are_not_processed() {
    let (options, store, (partition, epoch)) = owned().await;
    let tail = format!("tail:{}", Lane::Normal.number());
    set(&options, partition, &tail, "1");
    is_refused(store.arrivals(partition, Lane::Normal, 2, 9).await);
    is_refused(store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await);
    is_refused(store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await);
    assert_eq!(inbox(&store, 1).await.len(), 1, "nothing was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_run_of_a_server_told_is_not_used_with_another() {
    let mut server = Server::start(&[]);
    let store = RedisStore::open(&own(Servers::Single(server.url()))).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(&store, 1, 1).await;
    let (partition, epoch) = open(&store, 1).await;
    tokio::task::block_in_place(|| {
        server.kill();
        server.restart();
    });
    is_refused(store.arrivals(partition, Lane::Normal, 0, 9).await);
    let refused = store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_) | StoreError::Unconfirmed(_))));
    is_refused(store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await);
    assert_eq!(inbox(&store, 1).await.len(), 0);
    let (partition, epoch) = open(&store, 1).await;
    store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await.unwrap();
    assert_eq!(inbox(&store, 1).await.len(), 1);
}

#[tokio::test]
async fn an_ordinal_that_is_somebodys_is_not_given_to_another() {
    let (options, store, owner) = owned().await;
    let other = (2..).find(|person| home(*person) == owner.0).unwrap();
    set(&options, owner.0, "ordinals", "0");
    store.put_citizens(vec![citizen(other)]).await.unwrap();
    let first = store.citizen(code(1)).await.unwrap().unwrap();
    assert_eq!(first.fiscal_code, code(1), "still there");
    assert_eq!(store.citizen(code(other)).await.unwrap().unwrap().fiscal_code, code(other));
    assert_eq!(inbox(&store, 1).await.len(), 1);
    assert_eq!(inbox(&store, other).await.len(), 0);
    // Made by hand: two under one ordinal. Nobody is shown another's message.
    let index = key(&options, owner.0, "index");
    let codes = [code(1), code(other)];
    let script = "redis.call('HSET', KEYS[1], ARGV[2], redis.call('HGET', KEYS[1], ARGV[1]))";
    shared_server().ask(&["EVAL", script, "1", &index, codes[0].as_str(), codes[1].as_str()]);
    assert_eq!(inbox(&store, other).await.len(), 0);
    assert_eq!(inbox(&store, 1).await.len(), 1);
}

#[tokio::test]
async fn a_takeover_that_fails_gives_its_lease_back() {
    let (options, store, owner) = owned().await;
    let journal = key(&options, owner.0, &format!("journal:{}", Lane::Normal.number()));
    shared_server().ask(&["XDEL", &journal, "1-0"]);
    let leased = RedisOptions { lease: Duration::from_secs(60), ..options };
    drop(store);
    for incarnation in [2, 3] {
        let store = RedisStore::open(&RedisOptions { incarnation, ..leased.clone() }).await;
        let opened = store.unwrap().open_partition(owner.0).await;
        assert!(matches!(opened, Err(StoreError::Damaged(_))), "{opened:?}");
    }
}

#[tokio::test]
async fn a_mark_that_an_erasure_overtakes_leaves_nothing() {
    let proxy = Proxy::start(shared_server().port).await;
    let options = own(proxy.servers());
    let slow = RedisStore::open(&options).await.unwrap();
    let servers = Servers::Single(shared_server().url());
    let store = RedisStore::open(&RedisOptions { servers, ..options.clone() }).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accepted(&store, 1).await;
    let (partition, epoch) = open(&store, 1).await;
    let shown = vec![one_step(1, 1, 0, &[Mark::Delivered])];
    store.commit(partition, epoch, step(shown)).await.unwrap();
    assert!(slow.message(code(1), id(1)).await.unwrap().is_some());
    // Between the last of its four reads and its write.
    proxy.slow(Duration::from_millis(300));
    let read = MarkChange { read: true, archived: None };
    let (marked, ()) = tokio::join!(slow.mark(code(1), id(1), read), async {
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let all = ByLane::from_fn(|_| u64::MAX);
        store.erase(partition, epoch, code(1), all, erasure(1, 7)).await.unwrap();
    });
    assert_eq!(marked, Ok(None));
    for name in ["inbox:0", "changes:0"] {
        let name = key(&options, partition, name);
        assert_eq!(shared_server().ask(&["EXISTS", &name]).trim(), "0", "{name}");
    }
    assert!(partition.0 < PARTITIONS);
}
