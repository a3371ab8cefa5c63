//! Opening: what is refused, and installations that do not meet.

use araldo::store::redis::{OpenError, RedisOptions, RedisStore, Servers};
use araldo_actors::port::store::Store;
use std::time::Duration;
use tokio::time::Instant;

use crate::redis_kit::{free_port, own, shared_server};
use crate::store_fixture::{PARTITIONS, accept, citizen, code, everywhere};

fn options() -> RedisOptions {
    own(Servers::Single(shared_server().url()))
}

async fn refusal(options: &RedisOptions) -> OpenError {
    match RedisStore::open(options).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_store_keeps_its_number_of_partitions() {
    let first = options();
    RedisStore::open(&first).await.unwrap();
    let other = RedisOptions { partitions: PARTITIONS + 1, ..first.clone() };
    let error = refusal(&other).await;
    let expected = (PARTITIONS, PARTITIONS + 1);
    let told = matches!(error, OpenError::Partitions { stored, configured, .. } if (stored, configured) == expected);
    assert!(told, "{error}");
    RedisStore::open(&first).await.unwrap();
}

#[tokio::test]
async fn another_format_is_refused() {
    let first = options();
    RedisStore::open(&first).await.unwrap();
    let format = format!("{}:{{all}}:format", first.prefix);
    shared_server().ask(&["HSET", &format, "version", "9"]);
    let error = refusal(&first).await;
    assert!(matches!(error, OpenError::Version { found: 9, .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_a_store_is_refused_with_a_reason() {
    for partitions in [0, 4_097] {
        let error = refusal(&RedisOptions { partitions, ..options() }).await;
        assert!(error.to_string().contains("1 to 4096 partitions"), "{error}");
    }
    for prefix in ["", "a:b", "{p1}", "with space"] {
        let error = refusal(&RedisOptions { prefix: prefix.to_owned(), ..options() }).await;
        assert!(matches!(error, OpenError::Prefix), "{error}");
    }
    let secret = Servers::Single("http://user:secret@host".to_owned());
    let error = refusal(&RedisOptions { servers: secret, ..options() }).await.to_string();
    assert!(error.contains("redis://") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_soon() {
    let nobody = Servers::Single(format!("redis://127.0.0.1:{}", free_port()));
    let answered_within = Duration::from_millis(900);
    let began = Instant::now();
    let error = refusal(&RedisOptions { servers: nobody, answered_within, ..options() }).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let text = error.to_string();
    assert!(text.contains("127.0.0.1") && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn installations_with_their_own_prefix_do_not_meet() {
    let one = RedisStore::open(&options()).await.unwrap();
    let other = RedisStore::open(&options()).await.unwrap();
    one.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(&one, 1, 1).await;
    assert_eq!(other.citizen(code(1)).await.unwrap(), None);
    assert_eq!(other.books(&everywhere()).await.unwrap().messages.accepted, 0);
    assert_eq!(other.addressed(code(1), None, 9).await.unwrap(), vec![]);
}
