//! Leases: one process at a time works on a partition, until it says otherwise
//! or falls silent.

use std::time::Duration;
use tokio::time::{Instant, sleep};

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::id::{Epoch, PartitionId};
use araldo_actors::port::cluster::Cluster;
use araldo_actors::port::store::{Store, StoreError};

use super::proxy::Proxy;
use crate::redis_kit::{own, shared_cluster, shared_server};
use crate::store_fixture::{PARTITIONS, step};

const LEASE: Duration = Duration::from_secs(1);
const FIRST: PartitionId = PartitionId(0);

fn everywhere() -> [Servers; 2] {
    [Servers::Single(shared_server().url()), shared_cluster().servers()]
}

fn leased(servers: Servers) -> RedisOptions {
    RedisOptions { lease: LEASE, ..own(servers) }
}

/// Process number `incarnation` of a fleet.
async fn process(options: &RedisOptions, incarnation: u128) -> RedisStore {
    let options = RedisOptions { incarnation, ..options.clone() };
    RedisStore::open(&options).await.unwrap()
}

async fn takes(store: &RedisStore) -> Result<Epoch, StoreError> {
    Ok(store.open_partition(FIRST).await?.epoch)
}

/// Tries until the partition is taken; how long it took.
async fn takes_in_time(store: &RedisStore) -> (Epoch, Duration) {
    let began = Instant::now();
    loop {
        match takes(store).await {
            Ok(epoch) => return (epoch, began.elapsed()),
            Err(StoreError::Leased(_)) => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn two_processes_do_not_hold_a_partition_at_once() {
    for servers in everywhere() {
        let options = leased(servers);
        let (one, two) = (process(&options, 1).await, process(&options, 2).await);
        let first = takes(&one).await.unwrap();
        assert_eq!(takes(&two).await, Err(StoreError::Leased(FIRST)));
        one.commit(FIRST, first, step(vec![])).await.unwrap();
        let again = takes(&one).await.unwrap();
        assert!(again > first, "its own lease does not hinder a process");
        let fenced = one.commit(FIRST, first, step(vec![])).await;
        assert_eq!(fenced, Err(StoreError::Fenced(FIRST)));
        assert!(two.open_partition(PartitionId(1)).await.is_ok(), "each partition has its own");
    }
}

#[tokio::test]
async fn a_lease_that_lapsed_is_taken_and_its_old_holder_writes_nothing() {
    for servers in everywhere() {
        let options = leased(servers);
        let (old, new) = (process(&options, 1).await, process(&options, 2).await);
        let stale = takes(&old).await.unwrap();
        let (epoch, took) = takes_in_time(&new).await;
        assert!(took > LEASE * 8 / 10 && epoch > stale, "{took:?}");
        let zombie = old.commit(FIRST, stale, step(vec![])).await;
        assert_eq!(zombie, Err(StoreError::Fenced(FIRST)));
        assert_eq!(old.renew(&[(FIRST, stale)]).await, [Ok(false)]);
        old.release(FIRST, stale).await.unwrap();
        assert_eq!(takes(&old).await, Err(StoreError::Leased(FIRST)), "not its to give back");
        new.commit(FIRST, epoch, step(vec![])).await.unwrap();
        assert_eq!(new.renew(&[(FIRST, epoch)]).await, [Ok(true)]);
    }
}

#[tokio::test]
async fn a_lease_that_is_renewed_does_not_lapse() {
    let options = leased(Servers::Single(shared_server().url()));
    let (one, two) = (process(&options, 1).await, process(&options, 2).await);
    let epoch = takes(&one).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < LEASE * 3 {
        assert_eq!(one.renew(&[(FIRST, epoch)]).await, [Ok(true)]);
        assert_eq!(takes(&two).await, Err(StoreError::Leased(FIRST)));
        sleep(LEASE / 10).await;
    }
}

#[tokio::test]
async fn a_lapsed_lease_that_nobody_took_is_renewed() {
    let options = leased(Servers::Single(shared_server().url()));
    let (one, two) = (process(&options, 1).await, process(&options, 2).await);
    let epoch = takes(&one).await.unwrap();
    sleep(LEASE * 12 / 10).await;
    assert_eq!(one.renew(&[(FIRST, epoch)]).await, [Ok(true)]);
    assert_eq!(takes(&two).await, Err(StoreError::Leased(FIRST)));
}

#[tokio::test]
async fn a_lease_given_back_is_free_at_once_and_not_taken_by_a_late_renewal() {
    for servers in everywhere() {
        let options = leased(servers);
        let (one, two) = (process(&options, 1).await, process(&options, 2).await);
        let epoch = takes(&one).await.unwrap();
        one.release(FIRST, epoch).await.unwrap();
        one.release(FIRST, epoch).await.unwrap();
        assert_eq!(one.renew(&[(FIRST, epoch)]).await, [Ok(false)]);
        let next = takes(&two).await.unwrap();
        assert!(next > epoch);
        one.release(FIRST, epoch).await.unwrap();
        assert_eq!(takes(&one).await, Err(StoreError::Leased(FIRST)));
        two.release(FIRST, next).await.unwrap();
        let back = takes(&one).await.unwrap();
        assert_eq!(one.renew(&[(FIRST, back)]).await, [Ok(true)], "of this epoch it was not");
    }
}

#[tokio::test]
async fn leases_are_renewed_one_by_one() {
    for servers in everywhere() {
        let options = leased(servers);
        let (one, two) = (process(&options, 1).await, process(&options, 2).await);
        let mut held = Vec::new();
        for n in 0..PARTITIONS {
            let id = PartitionId(n);
            held.push((id, one.open_partition(id).await.unwrap().epoch));
        }
        one.release(held[1].0, held[1].1).await.unwrap();
        two.open_partition(held[1].0).await.unwrap();
        held.push((FIRST, Epoch(held[0].1.0 + 1)));
        held.push((PartitionId(PARTITIONS), Epoch(1)));
        let mut renewed = one.renew(&held).await;
        let unknown = renewed.pop().unwrap();
        assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
        assert_eq!(renewed, [Ok(true), Ok(false), Ok(true), Ok(false)]);
        assert_eq!(one.renew(&[]).await, []);
    }
}

#[tokio::test]
async fn a_takeover_whose_answer_was_lost_raises_the_epoch_once() {
    let proxy = Proxy::start(shared_server().port).await;
    let options = leased(proxy.servers());
    let one = process(&options, 1).await;
    assert_eq!(takes(&one).await, Ok(Epoch(1)));
    proxy.lose(3);
    assert_eq!(takes(&one).await, Ok(Epoch(2)));
    proxy.lose(2);
    assert_eq!(one.renew(&[(FIRST, Epoch(2))]).await, [Ok(true)]);
    proxy.lose(2);
    one.release(FIRST, Epoch(2)).await.unwrap();
    assert!(proxy.lost() >= 7, "{}", proxy.lost());
    assert_eq!(takes(&process(&options, 2).await).await, Ok(Epoch(3)));
}

/// What `script/open.lua` answers to a copy of takeover number `number`.
fn copy(options: &RedisOptions, number: u32) -> String {
    let server = shared_server();
    let key = |name: &str| format!("{}:{{p0}}:{name}", options.prefix);
    let opener = server.ask(&["HGET", &key("counters"), "opener"]);
    let (script, number) =
        (include_str!("../../../src/store/redis/script/open.lua"), number.to_string());
    let keys = [key("counters"), key("lease")];
    let incarnation = format!("{:032x}", 1);
    let call = ["EVAL", script, "2", &keys[0], &keys[1], "1", &incarnation, "1000"];
    server.ask(&[&call[..], &[opener.trim(), &number]].concat()).replace('\n', " ")
}

#[tokio::test]
async fn a_takeover_that_arrives_late_does_nothing() {
    let options = leased(Servers::Single(shared_server().url()));
    let one = process(&options, 1).await;
    takes(&one).await.unwrap();
    let epoch = takes(&one).await.unwrap();
    assert_eq!(copy(&options, 1), "2 ", "a newer call came before");
    assert_eq!(copy(&options, 2), format!("0 {} ", epoch.0), "the same again");
    one.commit(FIRST, epoch, step(vec![])).await.unwrap();
    one.release(FIRST, epoch).await.unwrap();
    assert_eq!(copy(&options, 2), "2 ", "the lease was given back");
    assert!(takes(&process(&options, 2).await).await.is_ok());
    assert_eq!(copy(&options, 2), "1 ");
}

#[tokio::test]
async fn without_leases_none_is_looked_at_or_taken() {
    let options = own(Servers::Single(shared_server().url()));
    let (one, two) = (process(&options, 1).await, process(&options, 2).await);
    let first = takes(&one).await.unwrap();
    let lease = format!("{}:{{p0}}:lease", options.prefix);
    assert_eq!(shared_server().ask(&["EXISTS", &lease]).trim(), "0");
    assert_eq!(one.renew(&[(FIRST, first)]).await, [Ok(true)]);
    shared_server().ask(&["SET", &lease, "somebody"]);
    let second = takes(&two).await.unwrap();
    assert_eq!(one.renew(&[(FIRST, first)]).await, [Ok(false)]);
    assert_eq!(two.renew(&[(FIRST, second)]).await, [Ok(true)]);
}
