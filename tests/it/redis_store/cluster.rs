//! A Cluster that changes under a store: slots that move, masters that die.

use std::time::Duration;
use tokio::time::Instant;

use araldo::store::redis::{RedisOptions, RedisStore};
use araldo_actors::domain::id::Epoch;
use araldo_actors::port::store::{Step, Store, StoreError};

use crate::redis_kit::{Cluster, Server, eventually, own};
use crate::store_fixture::{
    accept, citizen, code, everywhere, home, inbox, message, open, processed, step,
};

/// The id of a node, as the Cluster knows it.
fn node_id(server: &Server) -> String {
    server.ask(&["CLUSTER", "MYID"]).trim().to_owned()
}

fn is_master(server: &Server) -> bool {
    server.ask(&["ROLE"]).starts_with("master")
}

/// The slot of the partition of person 1, and which nodes hold it and could.
fn slot_of_person(nodes: &[Server]) -> (String, usize, usize) {
    let key = format!("{{p{}}}", home(1).0);
    let slot = nodes[0].ask(&["CLUSTER", "KEYSLOT", &key]).trim().to_owned();
    let holds = |server: &Server| {
        is_master(server) && !server.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).starts_with('0')
    };
    let from = nodes.iter().position(holds).unwrap();
    let to = (0..nodes.len()).find(|at| *at != from && is_master(&nodes[*at])).unwrap();
    (slot, from, to)
}

/// Commits a step to the partition of person 1, taking it over again when told
/// to.
async fn commit_anew(store: &RedisStore, mut epoch: Epoch, make: impl Fn() -> Step) {
    let began = Instant::now();
    loop {
        match store.commit(home(1), epoch, make()).await {
            Ok(()) => return,
            Err(StoreError::Unavailable(_) | StoreError::Unconfirmed(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it is taken over in the end");
        if let Ok(opened) = store.open_partition(home(1)).await {
            epoch = opened.epoch;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_goes_on_while_and_after_its_slot_is_moved() {
    let mut cluster = Cluster::start();
    let store = RedisStore::open(&own(cluster.servers())).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accept(&store, 1, 1).await;
    let (partition, epoch) = open(&store, 1).await;
    let (slot, from, to) = slot_of_person(cluster.nodes());
    let nodes = cluster.nodes();
    let ids = (node_id(&nodes[from]), node_id(&nodes[to]));
    nodes[to].ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids.0]);
    nodes[from].ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids.1]);
    // Writes that meet the move wait for its end and are carried out once; its
    // owner takes the partition over anew, where it is now.
    let writes = async {
        accept(&store, 2, 1).await;
        commit_anew(&store, epoch, || step(vec![processed(1, 1, 10)])).await;
        let (_, epoch) = open(&store, 1).await;
        store.commit(partition, epoch, step(vec![processed(2, 1, 20)])).await.unwrap();
    };
    let port = nodes[to].port.to_string();
    let moving = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| {
            loop {
                let keys = nodes[from].ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
                let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
                if keys.is_empty() {
                    break;
                }
                let fixed = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
                nodes[from].ask(&[&fixed[..], &keys].concat());
            }
        });
        for node in [to, from] {
            nodes[node].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids.1]);
        }
    };
    tokio::join!(writes, moving);
    assert_eq!(inbox(&store, 1).await.len(), 2);
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!((books.messages.accepted, books.messages.processed), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_goes_on_when_its_master_dies_with_all_that_was_confirmed() {
    let mut cluster = Cluster::start();
    let answered_within = Duration::from_millis(900);
    let options = RedisOptions { replicas: 1, answered_within, ..own(cluster.servers()) };
    let store = RedisStore::open(&options).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    let mut accepted = Vec::new();
    for n in 0..50 {
        if store.accept(message(n, 1), None).await.is_ok() {
            accepted.push(message(n, 1).id);
        }
    }
    let (_, from, _) = slot_of_person(cluster.nodes());
    cluster.nodes()[from].kill();
    // Its replica takes over. It has none itself, so that nothing can be
    // confirmed; reading goes on.
    let began = Instant::now();
    loop {
        if let Ok(found) = store.addressed(code(1), None, 100).await {
            let found: Vec<_> = found.into_iter().map(|(message, _)| message.id).collect();
            let lost = accepted.iter().filter(|id| !found.contains(id)).count();
            assert_eq!(lost, 0, "of {}", accepted.len());
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the replica took over");
    }
    cluster.nodes()[from].restart();
    let back =
        || cluster.nodes()[from].ask(&["INFO", "replication"]).contains("master_link_status:up");
    eventually("the old master follows", back);
    let began = Instant::now();
    while store.accept(message(99, 1), None).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "writes are confirmed again");
    }
}
