//! Who waits for an answer is told in time, however many questions it takes.

use std::time::Duration;
use tokio::time::Instant;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::port::alert_store::AlertStore;
use araldo_actors::port::store::{Store, StoreError};

use super::proxy::Proxy;
use crate::redis_kit::{own, shared_server};
use crate::store_alert::fixture::alert;
use crate::store_fixture::{citizen, claim, code, message};

const ANSWERED: Duration = Duration::from_millis(1_000);
/// Each question is answered in time, three of them are not.
const EACH: Duration = Duration::from_millis(400);

#[tokio::test]
async fn an_operation_of_several_questions_has_one_deadline() {
    let proxy = Proxy::start(shared_server().port).await;
    let options = own(proxy.servers());
    RedisStore::open(&options).await.unwrap();
    let store =
        RedisStore::open(&RedisOptions { answered_within: ANSWERED, ..options }).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    // Connected in all ways.
    for n in 0..4 {
        store.accept(message(n, 1), None).await.unwrap();
        store.citizen(code(1)).await.unwrap();
    }
    proxy.slow(EACH);
    let began = Instant::now();
    assert!(store.citizen(code(1)).await.is_ok(), "one question is answered in time");
    assert!(began.elapsed() >= EACH);
    let began = Instant::now();
    let accepted = store.accept_alert(alert(1), Some(claim(1, 1))).await;
    assert!(matches!(accepted, Err(StoreError::Unconfirmed(_))), "{accepted:?}");
    let took = began.elapsed();
    assert!(took < ANSWERED + EACH / 2, "{took:?}");
}

#[tokio::test]
async fn the_protocol_of_answers_is_not_the_addresss_to_choose() {
    let url = format!("{}/?protocol=resp3", shared_server().url().trim_end_matches('/'));
    let store = RedisStore::open(&own(Servers::Single(url))).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    assert_eq!(store.erasures_due(araldo_actors::domain::time::Millis(9), 9).await, Ok(vec![]));
    assert!(store.citizen(code(1)).await.unwrap().is_some());
}
