//! The bus: everything told is heard, in one order, or its loss is.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::notice::Notice;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::cluster::{Cluster, Heard};

use crate::redis_kit::{self, Server, own, shared_cluster, shared_server};

const PATIENCE: Duration = Duration::from_secs(20);

fn everywhere() -> [Servers; 2] {
    [Servers::Single(shared_server().url()), shared_cluster().servers()]
}

async fn node(options: &RedisOptions, incarnation: u128) -> RedisStore {
    RedisStore::open(&RedisOptions { incarnation, ..options.clone() }).await.unwrap()
}

/// Notice number `n` of node `from`.
pub fn notice(from: u64, n: u64) -> Notice {
    Notice::Alert { id: MessageId::new(Millis(from), u128::from(n)) }
}

async fn next(heard: &mut Receiver<Heard>) -> Heard {
    timeout(PATIENCE, heard.recv()).await.expect("something is heard").expect("it goes on")
}

/// Hears up to an echo of what was sent from now on: notices, and gaps.
pub async fn up_to_now(heard: &mut Receiver<Heard>) -> (Vec<Notice>, usize) {
    let (now, mut notices, mut gaps) = (Instant::now(), Vec::new(), 0);
    loop {
        match next(heard).await {
            Heard::Notice(notice) => notices.push(notice),
            Heard::Gap => gaps += 1,
            Heard::Echo { sent } if sent >= now => return (notices, gaps),
            Heard::Echo { .. } => {}
        }
    }
}

/// Starts to listen.
async fn listening(store: &RedisStore) -> Receiver<Heard> {
    let mut heard = store.listen();
    assert_eq!(next(&mut heard).await, Heard::Gap, "what was told before may have been missed");
    assert_eq!(up_to_now(&mut heard).await, (vec![], 0));
    heard
}

#[tokio::test]
async fn what_is_told_is_heard_by_the_others_in_one_order() {
    for servers in everywhere() {
        let options = own(servers);
        let nodes = [1, 2, 3, 4].map(|incarnation| node(&options, incarnation));
        let nodes = futures_util::future::join_all(nodes).await;
        let mut heard = Vec::new();
        for one in &nodes {
            heard.push(listening(one).await);
        }
        nodes[0].tell(&[]).await.unwrap();
        for n in 0..20 {
            let (one, two) = ([notice(1, 2 * n), notice(1, 2 * n + 1)], [notice(2, n)]);
            let (one, two) = tokio::join!(nodes[0].tell(&one), nodes[1].tell(&two));
            one.unwrap();
            two.unwrap();
        }
        let many: Vec<Notice> = (40..240).map(|n| notice(1, n)).collect();
        nodes[0].tell(&many).await.unwrap();
        let ones: Vec<Notice> = (0..240).map(|n| notice(1, n)).collect();
        let twos: Vec<Notice> = (0..20).map(|n| notice(2, n)).collect();
        assert_eq!(up_to_now(&mut heard[0]).await, (twos.clone(), 0), "not its own");
        assert_eq!(up_to_now(&mut heard[1]).await, (ones.clone(), 0));
        let (third, fourth) = (up_to_now(&mut heard[2]).await, up_to_now(&mut heard[3]).await);
        assert_eq!(third, fourth, "the same order for all");
        assert_eq!(third.0.len(), 260);
        let (from_one, from_two): (Vec<_>, Vec<_>) =
            third.0.into_iter().partition(|notice| ones.contains(notice));
        assert_eq!((from_one, from_two), (ones, twos));
    }
}

#[tokio::test]
async fn an_echo_sent_after_something_was_told_is_heard_after_it() {
    for servers in everywhere() {
        let options = own(servers);
        let (teller, listener) = (node(&options, 1).await, node(&options, 2).await);
        let mut heard = listening(&listener).await;
        for n in 0..10 {
            teller.tell(&[notice(1, n)]).await.unwrap();
            assert_eq!(up_to_now(&mut heard).await, (vec![notice(1, n)], 0));
        }
    }
}

#[tokio::test]
async fn echoes_come_some_times_a_second_and_name_when_they_left() {
    let store = node(&own(Servers::Single(shared_server().url())), 1).await;
    let mut heard = listening(&store).await;
    let (began, mut last, mut echoes) = (Instant::now(), Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        let Heard::Echo { sent } = next(&mut heard).await else { panic!("an echo") };
        assert!(sent <= Instant::now() && sent + Duration::from_secs(1) > last);
        (last, echoes) = (sent, echoes + 1);
    }
    assert!((5..=16).contains(&echoes), "{echoes}");
}

#[tokio::test]
async fn a_server_that_was_killed_leaves_a_gap() {
    let mut server = Server::start(&[]);
    let options = own(Servers::Single(server.url()));
    let (teller, listener) = (node(&options, 1).await, node(&options, 2).await);
    let mut heard = listening(&listener).await;
    server.kill();
    sleep(Duration::from_millis(300)).await;
    while heard.try_recv().is_ok() {}
    let silent = timeout(Duration::from_millis(700), heard.recv()).await;
    assert!(silent.is_err(), "{silent:?}");
    server.restart();
    assert_eq!(next(&mut heard).await, Heard::Gap);
    assert_eq!(up_to_now(&mut heard).await.1, 0);
    teller.tell(&[notice(1, 1)]).await.unwrap();
    assert_eq!(up_to_now(&mut heard).await, (vec![notice(1, 1)], 0));
}

#[tokio::test]
async fn a_server_that_hangs_gives_no_echo_and_a_gap_afterwards() {
    let server = Server::start(&[]);
    let answered_within = Duration::from_millis(500);
    let options = RedisOptions { answered_within, ..own(Servers::Single(server.url())) };
    let store = node(&options, 1).await;
    let mut heard = listening(&store).await;
    server.signal("STOP");
    let stopped = Instant::now();
    sleep(Duration::from_millis(2_500)).await;
    while let Ok(one) = heard.try_recv() {
        let Heard::Echo { sent } = one else { panic!("{one:?}") };
        assert!(sent <= stopped + Duration::from_millis(100), "nobody can have heard it");
    }
    server.signal("CONT");
    assert_eq!(next(&mut heard).await, Heard::Gap);
    up_to_now(&mut heard).await;
}

#[tokio::test]
async fn a_server_whose_replicas_do_not_confirm_gives_no_echo() {
    let server = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", server.port)]);
    redis_kit::eventually("a replica is online", || {
        server.ask(&["INFO", "replication"]).contains("state=online")
    });
    let confirmed_within = Duration::from_millis(200);
    let servers = Servers::Single(server.url());
    let options = RedisOptions { replicas: 1, confirmed_within, ..own(servers) };
    let store = node(&options, 1).await;
    let mut heard = listening(&store).await;
    replica.signal("STOP");
    sleep(Duration::from_millis(500)).await;
    while heard.try_recv().is_ok() {}
    let began = Instant::now();
    while let Ok(one) = timeout(Duration::from_secs(2), heard.recv()).await {
        assert_eq!(one, Some(Heard::Gap), "it may be cut off from the others");
        if began.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    assert!(store.tell(&[notice(1, 1)]).await.is_err(), "nor is it told anything");
    replica.signal("CONT");
    up_to_now(&mut heard).await;
}

#[tokio::test]
async fn a_listener_that_is_too_slow_gets_a_gap() {
    let options = own(Servers::Single(shared_server().url()));
    let (teller, listener) = (node(&options, 1).await, node(&options, 2).await);
    let mut heard = listening(&listener).await;
    let many: Vec<Notice> = (0..3_000).map(|n| notice(1, n)).collect();
    teller.tell(&many).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let mut before = 0;
    loop {
        match next(&mut heard).await {
            Heard::Notice(told) => {
                assert_eq!(told, notice(1, before), "nothing is left out unsaid");
                before += 1;
            }
            Heard::Echo { .. } => {}
            Heard::Gap => break,
        }
    }
    assert!((900..=1_024).contains(&before), "{before}");
    assert_eq!(up_to_now(&mut heard).await, (vec![], 0));
    teller.tell(&[notice(1, 1)]).await.unwrap();
    assert_eq!(up_to_now(&mut heard).await, (vec![notice(1, 1)], 0));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_gap() {
    let options = own(Servers::Single(shared_server().url()));
    let store = node(&options, 1).await;
    let mut heard = listening(&store).await;
    shared_server().ask(&[
        "SPUBLISH",
        &format!("{}:{{all}}:bus", options.prefix),
        "of a later version",
    ]);
    assert_eq!(up_to_now(&mut heard).await, (vec![], 1));
}

#[tokio::test]
async fn listening_ends_with_the_store() {
    let store = Arc::new(node(&own(Servers::Single(shared_server().url())), 1).await);
    let mut heard = listening(&store).await;
    drop(store);
    let rest = async { while heard.recv().await.is_some() {} };
    timeout(PATIENCE, rest).await.unwrap();
}

#[tokio::test]
async fn the_bus_follows_its_slot_to_another_master() {
    let mut cluster = redis_kit::Cluster::start();
    let options = own(cluster.servers());
    let (teller, listener) = (node(&options, 1).await, node(&options, 2).await);
    let mut heard = listening(&listener).await;
    let key = format!("{}:{{all}}:bus", options.prefix);
    let slot: u32 = cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", &key]).trim().parse().unwrap();
    // Its master's name, then a replica of that name.
    let nodes = cluster.nodes()[0].ask(&["CLUSTER", "NODES"]);
    let holds = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((first.parse::<u32>(), last.parse::<u32>()), (Ok(first), Ok(last)) if first <= slot && slot <= last)
    };
    let lines = || nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let master = lines().find(|parts| parts.iter().skip(8).any(|range| holds(range))).unwrap();
    let replica = lines().find(|parts| parts[3] == master[0]).unwrap();
    let port = replica[1].split(['@', ':']).nth(1).unwrap().parse::<u16>().unwrap();
    let replica = cluster.nodes().iter().find(|server| server.port == port).unwrap();
    assert_eq!(replica.ask(&["CLUSTER", "FAILOVER"]).trim(), "OK");
    loop {
        if next(&mut heard).await == Heard::Gap {
            break;
        }
    }
    up_to_now(&mut heard).await;
    teller.tell(&[notice(1, 1)]).await.unwrap();
    assert_eq!(up_to_now(&mut heard).await.0, [notice(1, 1)]);
}
