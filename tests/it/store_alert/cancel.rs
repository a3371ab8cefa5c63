//! Ends of alerts that many owners have a part in: the wish to cancel one, and
//! who has nothing left of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use araldo_actors::domain::alert::AlertStatus;
use araldo_actors::domain::books::Books;
use araldo_actors::domain::id::PartitionId;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertStore;
use araldo_actors::port::store::{Store, StoreError};

use super::fixture::{accepted, alert};
use crate::store_fixture::{PARTITIONS, accept, contract, embedded, everywhere, folder, home};

contract!(
    an_alert_is_to_be_cancelled_since_it_was_first_asked_for,
    an_alert_that_ended_is_not_to_be_cancelled,
    an_alert_is_closed_once_every_partition_has_nothing_left_of_it,
    partitions_there_are_none_of_close_nothing,
    books_are_those_of_the_partitions_asked_for,
);

async fn an_alert_is_to_be_cancelled_since_it_was_first_asked_for(store: &dyn Store) {
    let before = accepted(store, 1).await;
    let id = before.alert.id;
    assert_eq!(before.cancelling_since, None);
    let cancelled = store.cancel_alert(id, Millis(70)).await.unwrap().unwrap();
    assert_eq!(cancelled.cancelling_since, Some(Millis(70)));
    assert_eq!((cancelled.status, cancelled.updated_at), (before.status, before.updated_at));
    let paused = [AlertStatus::Running];
    store.set_alert_status(id, &paused, AlertStatus::Paused, Millis(75)).await.unwrap();
    let again = store.cancel_alert(id, Millis(80)).await.unwrap().unwrap();
    assert_eq!(again.cancelling_since, Some(Millis(70)), "the first time counts");
    assert_eq!(again.status, AlertStatus::Paused);
    assert_eq!(store.alert(id).await.unwrap().as_ref(), Some(&again));
    assert_eq!(store.open_alerts().await.unwrap(), vec![again.clone()]);
    assert_eq!(store.alerts(None, 9).await.unwrap(), vec![again]);
}

async fn an_alert_that_ended_is_not_to_be_cancelled(store: &dyn Store) {
    let id = accepted(store, 1).await.alert.id;
    let from = [AlertStatus::Running];
    let ended = store.set_alert_status(id, &from, AlertStatus::Expired, Millis(60)).await.unwrap();
    assert_eq!(store.cancel_alert(id, Millis(70)).await.unwrap(), ended);
    assert_eq!(ended.unwrap().cancelling_since, None);
    assert_eq!(store.cancel_alert(alert(2).id, Millis(70)).await.unwrap(), None);
}

async fn an_alert_is_closed_once_every_partition_has_nothing_left_of_it(store: &dyn Store) {
    let id = accepted(store, 1).await.alert.id;
    for partition in 1..PARTITIONS {
        for _ in 0..2 {
            assert!(!store.close_alert(id, PartitionId(partition)).await.unwrap());
        }
    }
    for _ in 0..2 {
        assert!(store.close_alert(id, PartitionId(0)).await.unwrap());
    }
    let from = [AlertStatus::Running];
    store.set_alert_status(id, &from, AlertStatus::Completed, Millis(60)).await.unwrap();
    assert!(store.close_alert(id, PartitionId(1)).await.unwrap(), "it is final");
    assert!(!store.close_alert(alert(2).id, PartitionId(0)).await.unwrap(), "there is none");
}

async fn partitions_there_are_none_of_close_nothing(store: &dyn Store) {
    let id = accepted(store, 1).await.alert.id;
    let error = store.close_alert(id, PartitionId(PARTITIONS)).await;
    assert!(matches!(error, Err(StoreError::Unavailable(_))), "{error:?}");
}

async fn books_are_those_of_the_partitions_asked_for(store: &dyn Store) {
    accept(store, 1, 1).await;
    let home = home(1);
    let accepted = |books: Books| books.messages.accepted;
    assert_eq!(accepted(store.books(&[home]).await.unwrap()), 1);
    let others: Vec<_> = everywhere().into_iter().filter(|one| *one != home).collect();
    assert_eq!(accepted(store.books(&others).await.unwrap()), 0);
    assert_eq!(accepted(store.books(&[]).await.unwrap()), 0);
    let beyond = store.books(&[home, PartitionId(PARTITIONS)]).await;
    assert!(matches!(beyond, Err(StoreError::Unavailable(_))), "{beyond:?}");
}

#[tokio::test]
async fn the_wish_to_cancel_survives_a_restart() {
    let folder = folder();
    let id = {
        let store = embedded(folder.path());
        let id = accepted(&*store, 1).await.alert.id;
        store.cancel_alert(id, Millis(70)).await.unwrap();
        id
    };
    let store = embedded(folder.path());
    let found = store.alert(id).await.unwrap().unwrap();
    assert_eq!(found.cancelling_since, Some(Millis(70)));
}
