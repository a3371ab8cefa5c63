//! The end of an alert in Redis: nothing of how it came to it is left.

use araldo::store::redis::{RedisStore, Servers};
use araldo_actors::domain::alert::AlertStatus;
use araldo_actors::domain::id::PartitionId;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertStore;

use super::proxy::Proxy;
use crate::redis_kit::{own, shared_server};
use crate::store_alert::fixture::{accepted, id};
use crate::store_fixture::PARTITIONS;

#[tokio::test]
async fn closed_partitions_are_kept_until_the_final_status_and_no_longer() {
    let options = own(Servers::Single(shared_server().url()));
    let (one, two) =
        (RedisStore::open(&options).await.unwrap(), RedisStore::open(&options).await.unwrap());
    accepted(&one, 1).await;
    let set = format!("{}:{{all}}:closed:{}", options.prefix, id(1));
    let kept = || shared_server().ask(&["SCARD", &set]).trim().to_owned();
    for n in 0..PARTITIONS {
        let store = if n % 2 == 0 { &one } else { &two };
        let all = store.close_alert(id(1), PartitionId(n)).await.unwrap();
        assert_eq!(all, n + 1 == PARTITIONS);
    }
    assert_eq!(kept(), PARTITIONS.to_string());
    let from = [AlertStatus::Running];
    one.set_alert_status(id(1), &from, AlertStatus::Completed, Millis(9)).await.unwrap();
    assert_eq!(kept(), "0");
    assert!(two.close_alert(id(1), PartitionId(0)).await.unwrap());
    assert_eq!(kept(), "0", "who comes late leaves nothing");
}

#[tokio::test]
async fn the_wish_to_cancel_whose_answer_was_lost_is_noted_once() {
    let proxy = Proxy::start(shared_server().port).await;
    let store = RedisStore::open(&own(proxy.servers())).await.unwrap();
    accepted(&store, 1).await;
    proxy.lose(3);
    let first = store.cancel_alert(id(1), Millis(5)).await.unwrap().unwrap();
    proxy.lose(3);
    let again = store.cancel_alert(id(1), Millis(6)).await.unwrap().unwrap();
    assert_eq!(
        (first.cancelling_since, again.cancelling_since),
        (Some(Millis(5)), Some(Millis(5)))
    );
    proxy.lose(2);
    for n in 0..PARTITIONS {
        let all = store.close_alert(id(1), PartitionId(n)).await.unwrap();
        assert_eq!(all, n + 1 == PARTITIONS);
    }
    assert!(proxy.lost() >= 8, "{}", proxy.lost());
}
