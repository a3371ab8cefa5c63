//! Replicas that must have a write: too few, and it is not confirmed.

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertStore;
use araldo_actors::port::store::{Acceptance, Store, StoreError};
use std::time::Duration;

use crate::redis_kit::{Server, eventually, own};
use crate::store_alert::fixture::{accepted, alert, id};
use crate::store_fixture::{
    citizen, claim, code, everywhere, message, open, processed, service, step,
};

fn confirmed_by_one(server: &Server) -> RedisOptions {
    let confirmed_within = Duration::from_millis(400);
    RedisOptions { replicas: 1, confirmed_within, ..own(Servers::Single(server.url())) }
}

fn is_unconfirmed<T: std::fmt::Debug>(done: Result<T, StoreError>) {
    assert!(matches!(done, Err(StoreError::Unconfirmed(_))), "{done:?}");
}

#[tokio::test]
async fn a_write_that_too_few_replicas_have_is_unconfirmed_and_a_retry_settles_it() {
    let server = Server::start(&[]);
    let alone = RedisStore::open(&confirmed_by_one(&server)).await;
    assert!(alone.is_err(), "nobody could confirm that the store was made");
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", server.port)]);
    let caught_up = || server.ask(&["INFO", "replication"]).contains("state=online");
    eventually("a replica is online", caught_up);
    let store = RedisStore::open(&confirmed_by_one(&server)).await.unwrap();
    let first = store.accept(message(1, 1), None).await.unwrap();
    assert!(matches!(first, Acceptance::Accepted { sequence: 0, .. }));
    let (partition, epoch) = open(&store, 1).await;

    accepted(&store, 1).await;
    store.put_citizens(vec![citizen(2)]).await.unwrap();

    replica.signal("STOP");
    // The first of each pair writes, the second finds what the first wrote.
    for _ in 0..2 {
        is_unconfirmed(store.cancel_alert(id(1), Millis(5)).await);
        is_unconfirmed(store.accept_alert(alert(2), None).await);
        is_unconfirmed(store.remove_key("no-key").await);
    }
    is_unconfirmed(store.accept(message(2, 1), Some(claim(1, 1))).await);
    is_unconfirmed(store.commit(partition, epoch, step(vec![processed(1, 1, 9)])).await);
    is_unconfirmed(store.put_service(service("service-1")).await);
    // What was written before rests on no replica either.
    is_unconfirmed(store.accept(message(1, 1), None).await);

    replica.signal("CONT");
    eventually("the replica is back", caught_up);
    let again = store.accept(message(3, 1), Some(claim(1, 1))).await.unwrap();
    let (Acceptance::Replayed { id } | Acceptance::Accepted { id, .. }) = again else {
        panic!("{again:?}")
    };
    assert!(store.message(code(1), id).await.unwrap().is_some());
    store.commit(partition, epoch, step(vec![processed(1, 1, 9)])).await.unwrap();
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!(books.messages.accepted, 2, "each once");
}
