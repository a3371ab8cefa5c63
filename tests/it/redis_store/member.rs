//! Signs of life: who is there, by Redis' clock.

use std::time::Duration;
use tokio::time::{Instant, sleep};

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::id::{Epoch, NodeId, PartitionId, RouteId};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::node::{Holding, NodeView};
use araldo_actors::domain::route::{RouteState, RouteView};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::cluster::{BeatError, Cluster};

use crate::redis_kit::{own, shared_cluster, shared_server};

fn view(name: &str, incarnation: u128) -> NodeView {
    NodeView {
        id: NodeId::parse(name).unwrap(),
        incarnation,
        address: "10.0.0.1:8080".to_owned(),
        version: "0.5.0".to_owned(),
        started_at: Millis(1_700_000_000_000),
        leaving: false,
        partitions: vec![Holding {
            partition: PartitionId(2),
            epoch: Epoch(7),
            lag: 3,
            lease_ms: 14_000,
        }],
        messages: ByLane::only(Lane::Urgent, 5),
        deliveries: 6,
        routes: vec![RouteView {
            id: RouteId::parse("apple").unwrap(),
            kind: "apns".to_owned(),
            state: RouteState::Up,
            connections: 2,
            queued: 9,
            waits_since: ByLane::only(Lane::Bulk, Some(Millis(8))),
            is_paused: true,
            detail: String::new(),
        }],
    }
}

async fn names(store: &RedisStore, own: &NodeView) -> Vec<String> {
    let nodes = store.beat(own).await.unwrap();
    nodes.iter().map(|node| node.id.to_string()).collect()
}

async fn fleet(servers: Servers) -> (RedisOptions, RedisStore, RedisStore) {
    let options = own(servers);
    let one = RedisStore::open(&options).await.unwrap();
    let two = RedisStore::open(&RedisOptions { incarnation: 2, ..options.clone() }).await.unwrap();
    (options, one, two)
}

#[tokio::test]
async fn nodes_that_live_are_listed_by_name_with_what_they_told() {
    for servers in [Servers::Single(shared_server().url()), shared_cluster().servers()] {
        let (_, one, two) = fleet(servers).await;
        let (b, a) = (view("b", u128::MAX), view("a", 2));
        assert_eq!(one.beat(&b).await.unwrap(), vec![b.clone()]);
        assert_eq!(two.beat(&a).await.unwrap(), vec![a.clone(), b.clone()]);
        let leaving = NodeView { leaving: true, ..b };
        assert_eq!(one.beat(&leaving).await.unwrap(), vec![a.clone(), leaving]);
        one.leave().await.unwrap();
        one.leave().await.unwrap();
        assert_eq!(names(&two, &a).await, ["a"]);
    }
}

#[tokio::test]
async fn a_name_has_one_process_at_a_time() {
    let (_, one, two) = fleet(Servers::Single(shared_server().url())).await;
    one.beat(&view("a", 1)).await.unwrap();
    let taken = two.beat(&view("a", 2)).await;
    assert_eq!(taken, Err(BeatError::NameTaken("a".to_owned())));
    two.leave().await.unwrap();
    assert_eq!(names(&one, &view("a", 1)).await, ["a"], "who was refused takes nothing back");
    one.leave().await.unwrap();
    assert_eq!(names(&two, &view("a", 2)).await, ["a"]);
    one.leave().await.unwrap();
    assert_eq!(names(&two, &view("a", 2)).await, ["a"], "the name is another's now");
}

#[tokio::test]
async fn a_node_that_died_is_gone_in_time_and_its_name_free() {
    let (_, one, two) = fleet(Servers::Single(shared_server().url())).await;
    one.beat(&view("a", 1)).await.unwrap();
    let died = Instant::now();
    while names(&two, &view("b", 2)).await.len() == 2 {
        sleep(Duration::from_millis(100)).await;
    }
    let took = died.elapsed();
    assert!(took >= Duration::from_secs(5) - Duration::from_millis(50), "{took:?}");
    assert!(took < Duration::from_secs(7), "{took:?}");
    assert_eq!(names(&two, &view("a", 3)).await, ["a", "b"]);
}

#[tokio::test]
async fn a_sign_of_life_of_another_version_is_left_out() {
    let (options, one, _) = fleet(Servers::Single(shared_server().url())).await;
    let key = |name: &str| format!("{}:{{all}}:{name}", options.prefix);
    let strange = format!("{:032x}{{\"id\":\"x\"}}", 9);
    shared_server().ask(&["HSET", &key("nodes"), "x", &strange]);
    // Lapses in the year 2128, it says.
    shared_server().ask(&["ZADD", &key("nodes_by_time"), "5000000000000", "x"]);
    assert_eq!(names(&one, &view("a", 1)).await, ["a"]);
    let lapses = shared_server().ask(&["ZSCORE", &key("nodes_by_time"), "x"]);
    assert!(lapses.trim().parse::<f64>().unwrap() < 5e12, "a clock that went back");
}
