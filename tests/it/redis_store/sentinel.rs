//! A master that Sentinels replace: the store finds the new one, with all that
//! a replica had confirmed.

use std::time::Duration;
use tokio::time::Instant;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::port::cluster::Cluster;
use araldo_actors::port::store::Store;

use super::bus::{notice, up_to_now};
use crate::redis_kit::{Server, eventually, own};
use crate::store_fixture::{code, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_replaced_by_sentinels_is_followed() {
    let mut master = Server::start(&[]);
    let follow = format!("127.0.0.1 {}", master.port);
    let replicas: Vec<Server> = (0..2).map(|_| Server::start(&["--replicaof", &follow])).collect();
    let sentinels: Vec<Server> = (0..3).map(|_| Server::sentinel(&master)).collect();
    for replica in &replicas {
        eventually("a replica is online", || {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
        });
    }
    for sentinel in &sentinels {
        eventually("the sentinels know each other", || {
            let known = sentinel.ask(&["SENTINEL", "CKQUORUM", "araldo"]);
            known.starts_with("OK 3") && sentinel.ask(&["INFO"]).contains("slaves=2")
        });
    }
    let servers = Servers::Sentinel {
        sentinels: sentinels.iter().map(|one| one.url()).collect(),
        name: "araldo".to_owned(),
        master: "redis://master".to_owned(),
    };
    let answered_within = Duration::from_millis(900);
    let options = RedisOptions { replicas: 1, answered_within, ..own(servers) };
    let store = RedisStore::open(&options).await.unwrap();
    let other = RedisStore::open(&RedisOptions { incarnation: 2, ..options }).await.unwrap();
    let mut heard = store.listen();
    up_to_now(&mut heard).await;
    let mut accepted = Vec::new();
    for n in 0..50 {
        if store.accept(message(n, 1), None).await.is_ok() {
            accepted.push(message(n, 1).id);
        }
    }
    assert!(!accepted.is_empty());
    tokio::task::block_in_place(|| master.kill());
    let began = Instant::now();
    while store.accept(message(99, 1), None).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "another took over");
    }
    while other.tell(&[notice(1, 1)]).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "the bus too");
    }
    let (_, gaps) = up_to_now(&mut heard).await;
    assert!(gaps > 0, "what was told meanwhile may have been missed");
    other.tell(&[notice(1, 2)]).await.unwrap();
    assert_eq!(up_to_now(&mut heard).await.0, [notice(1, 2)]);
    let found = store.addressed(code(1), None, 100).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|(message, _)| message.id).collect();
    let lost = accepted.iter().filter(|id| !found.contains(id)).count();
    assert_eq!(lost, 0, "of {}", accepted.len());
}
