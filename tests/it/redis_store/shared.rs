//! Small values that nodes share: one secret, registers, buckets of tokens.

use std::time::Duration;
use tokio::time::Instant;

use araldo::store::redis::{RedisStore, Servers};
use araldo_actors::port::store::StoreError;

use super::proxy::Proxy;
use crate::redis_kit::{cluster, own, shared_server, single};

#[tokio::test]
async fn all_nodes_get_the_secret_of_the_first() {
    for store in [single().await, cluster().await] {
        assert_eq!(store.shared_secret([1; 32]).await, Ok([1; 32]));
        assert_eq!(store.shared_secret([2; 32]).await, Ok([1; 32]));
    }
}

#[tokio::test]
async fn a_secret_of_another_length_is_damage() {
    let options = own(Servers::Single(shared_server().url()));
    let store = RedisStore::open(&options).await.unwrap();
    shared_server().ask(&["SET", &format!("{}:{{all}}:secret", options.prefix), "short"]);
    let error = store.shared_secret([1; 32]).await;
    assert!(matches!(error, Err(StoreError::Damaged(_))), "{error:?}");
}

#[tokio::test]
async fn a_register_changes_only_from_what_its_writer_saw() {
    for store in [single().await, cluster().await] {
        assert_eq!(store.register("a").await, Ok(None));
        assert_eq!(store.swap_register("a", Some(b"x"), b"one").await, Ok(false));
        assert_eq!(store.swap_register("a", None, b"one").await, Ok(true));
        assert_eq!(store.swap_register("a", None, b"two").await, Ok(false));
        assert_eq!(store.swap_register("a", Some(b"on"), b"two").await, Ok(false));
        assert_eq!(store.register("a").await, Ok(Some(b"one".to_vec())));
        assert_eq!(store.swap_register("a", Some(b"one"), b"").await, Ok(true));
        assert_eq!(store.register("a").await, Ok(Some(Vec::new())));
        assert_eq!(store.swap_register("a", Some(b""), b"three").await, Ok(true));
        assert_eq!(store.register("b").await, Ok(None));
    }
}

#[tokio::test]
async fn names_and_values_that_are_too_long_are_refused() {
    let store = single().await;
    let refused = |error| matches!(error, Err(StoreError::Unavailable(_)));
    assert!(refused(store.swap_register("", None, b"x").await));
    assert!(refused(store.swap_register(&"n".repeat(129), None, b"x").await));
    assert!(refused(store.swap_register("a", None, &vec![0; (64 << 10) + 1]).await));
    assert_eq!(store.register("a").await, Ok(None));
}

#[tokio::test]
async fn a_register_whose_answer_was_lost_was_written() {
    let proxy = Proxy::start(shared_server().port).await;
    let store = RedisStore::open(&own(proxy.servers())).await.unwrap();
    proxy.lose(2);
    assert_eq!(store.swap_register("a", None, b"one").await, Ok(true));
    assert!(proxy.lost() > 0);
    proxy.lose(1);
    assert_eq!(store.swap_register("a", None, b"two").await, Ok(false));
}

#[tokio::test]
async fn a_bucket_gives_its_burst_and_then_exactly_its_rate() {
    let options = own(Servers::Single(shared_server().url()));
    let nodes =
        [RedisStore::open(&options).await.unwrap(), RedisStore::open(&options).await.unwrap()];
    let began = Instant::now();
    assert_eq!(nodes[0].draw("r", 200, 30, 25).await.unwrap().0, 25);
    let (mut drawn, mut n) = (25, 0);
    while began.elapsed() < Duration::from_secs(2) {
        n += 1;
        let (got, wait) = nodes[n % 2].draw("r", 200, 30, 7).await.unwrap();
        assert!(got <= 7 && wait <= Duration::from_millis(5), "{got} {wait:?}");
        assert!(got == 7 || !wait.is_zero(), "fewer than wanted: there is none left");
        drawn += got;
        tokio::time::sleep(wait).await;
    }
    let most = 30.0 + 200.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(drawn) <= most, "{drawn} of {most}");
    // Less by what came after the last draw.
    assert!(f64::from(drawn) >= most - 32.0, "{drawn} of {most}");
}

#[tokio::test]
async fn an_empty_bucket_says_when_there_is_one_more() {
    let store = cluster().await;
    assert_eq!(store.draw("slow", 1, 2, 9).await.unwrap().0, 2);
    let (drawn, wait) = store.draw("slow", 1, 2, 9).await.unwrap();
    assert_eq!(drawn, 0);
    assert!(wait > Duration::from_millis(500) && wait <= Duration::from_secs(1), "{wait:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(store.draw("slow", 1, 2, 9).await.unwrap().0, 1);
    assert_eq!(store.draw("other", 1, 1, 1).await.unwrap().0, 1, "each has its own");
    assert_eq!(store.draw("free", 0, 0, 9).await, Ok((9, Duration::ZERO)));
    assert_eq!(store.draw("slow", 1, 2, 0).await.unwrap().0, 0);
}

#[tokio::test]
async fn a_clock_that_went_back_empties_no_bucket_for_long() {
    let options = own(Servers::Single(shared_server().url()));
    let store = RedisStore::open(&options).await.unwrap();
    let key = format!("{}:{{all}}:bucket:r", options.prefix);
    // Full again in the year 2128, it says.
    shared_server().ask(&["SET", &key, "5000000000000000"]);
    let (drawn, wait) = store.draw("r", 10, 3, 1).await.unwrap();
    assert_eq!(drawn, 0);
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
}
