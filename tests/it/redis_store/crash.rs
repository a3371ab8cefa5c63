//! Redis killed and started again under writes: nothing acknowledged is lost,
//! nobody hangs, and what could not be written is said so in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::MessageStatus;
use araldo_actors::port::store::{Acceptance, Store, StoreError};

use crate::redis_kit::{Server, own};
use crate::store_fixture::{
    PARTITIONS, citizen, code, everywhere, home, message, open, processed, step,
};

/// Longest a call may take beyond what it is given, on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

fn hasty(server: &Server) -> RedisOptions {
    let answered_within = Duration::from_millis(900);
    RedisOptions { answered_within, ..own(Servers::Single(server.url())) }
}

fn is_in_time(began: Instant) {
    assert!(began.elapsed() < Duration::from_millis(900) + SLACK, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_redis_that_is_away_is_told_in_time_and_used_again_when_it_is_back() {
    let mut server = Server::start(&[]);
    let store = RedisStore::open(&hasty(&server)).await.unwrap();
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    let (partition, epoch) = open(&store, 1).await;
    server.kill();
    let began = Instant::now();
    let accepted = store.accept(message(1, 1), None).await;
    let is_away =
        |done: &StoreError| matches!(done, StoreError::Unavailable(_) | StoreError::Unconfirmed(_));
    assert!(is_away(&accepted.unwrap_err()));
    is_in_time(began);
    // By now it is known that there is no connection: nothing was sent.
    for _ in 0..3 {
        let began = Instant::now();
        let accepted = store.accept(message(2, 1), None).await;
        assert!(matches!(accepted, Err(StoreError::Unavailable(_))), "{accepted:?}");
        let read = store.citizen(code(1)).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        let committed = store.commit(partition, epoch, step(vec![])).await;
        assert!(matches!(committed, Err(StoreError::Unavailable(_))), "{committed:?}");
        assert!(began.elapsed() < 3 * Duration::from_millis(900) + SLACK);
    }
    server.restart();
    let began = Instant::now();
    while store.accept(message(3, 1), None).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(5), "it is back");
    }
    let committed = store.commit(partition, epoch, step(vec![])).await;
    assert!(matches!(committed, Err(StoreError::Unavailable(_))), "another run: {committed:?}");
    let (partition, epoch) = open(&store, 1).await;
    store.commit(partition, epoch, step(vec![])).await.unwrap();
}

/// Sends messages to person `to` until told to stop; which were accepted.
async fn send(store: Arc<RedisStore>, to: u32, stop: Arc<AtomicBool>) -> Vec<MessageId> {
    let mut accepted = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let one = message(u64::from(to) * 1_000_000 + n, to);
        let began = Instant::now();
        match store.accept(one, None).await {
            Ok(Acceptance::Accepted { id, .. } | Acceptance::Replayed { id }) => accepted.push(id),
            Ok(Acceptance::KeyReused) => panic!("no key was used"),
            Err(StoreError::Unavailable(_) | StoreError::Unconfirmed(_)) => {}
            Err(other) => panic!("{other}"),
        }
        is_in_time(began);
    }
    accepted
}

/// Takes the turns of one partition until told to stop; which were taken.
async fn own_partition(
    store: Arc<RedisStore>,
    person: u32,
    stop: Arc<AtomicBool>,
) -> Vec<MessageId> {
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(opened) = store.open_partition(home(person)).await else { continue };
        let mut next = 0;
        while !stop.load(Ordering::Relaxed) {
            let Ok(arrivals) = store.arrivals(home(person), Lane::Normal, next, 20).await else {
                break;
            };
            let mut one = step(vec![]);
            for arrival in arrivals.iter().filter(|arrival| !arrival.done) {
                let (message, n) = (&arrival.message, arrival.message.accepted_at.0 - 1_000);
                let to = u32::try_from(n / 1_000_000).unwrap();
                assert_eq!(message.fiscal_code, code(to));
                one.effects.push(processed(n, to, 10));
            }
            if one.effects.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            one.checkpoints[Lane::Normal] = next;
            if store.commit(home(person), opened.epoch, one).await.is_err() {
                break;
            }
            next = arrivals.last().unwrap().sequence + 1;
            let ids = arrivals.iter().filter(|arrival| !arrival.done);
            taken.extend(ids.map(|arrival| arrival.message.id));
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_redis_is_killed_and_restarted() {
    let mut server = Server::start(&[]);
    let options = hasty(&server);
    let store = Arc::new(RedisStore::open(&options).await.unwrap());
    // One person for each partition.
    let people: Vec<u32> = (0..PARTITIONS)
        .map(|partition| (1..).find(|person| home(*person).0 == partition).unwrap())
        .collect();
    store.put_citizens(people.iter().map(|person| citizen(*person)).collect()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (mut senders, mut owners) = (JoinSet::new(), JoinSet::new());
    for &person in &people {
        let stop = || Arc::clone(&stop);
        senders.spawn(send(Arc::clone(&store), person, stop()));
        owners.spawn(own_partition(Arc::clone(&store), person, stop()));
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(|| server.kill());
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| server.restart());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Relaxed);
    let accepted = senders.join_all().await.concat();
    let taken = owners.join_all().await.concat();
    assert!(accepted.len() > 100 && taken.len() > 50, "{} {}", accepted.len(), taken.len());

    let patient = RedisOptions { answered_within: Duration::from_secs(20), ..options };
    let store = RedisStore::open(&patient).await.unwrap();
    let mut found = HashMap::new();
    for &person in &people {
        let mut after = None;
        loop {
            let page = store.addressed(code(person), after, 500).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.id);
            found.extend(page.into_iter().map(|(message, state)| (message.id, state)));
        }
        // Its journals have no gap, and every place in them was given once.
        store.open_partition(home(person)).await.unwrap();
    }
    let lost = accepted.iter().filter(|id| !found.contains_key(id)).count();
    assert_eq!(lost, 0, "of {} accepted", accepted.len());
    let undone = taken.iter().filter(|id| found[id].status != MessageStatus::Processed).count();
    assert_eq!(undone, 0, "of {} turns", taken.len());
    let books = store.books(&everywhere()).await.unwrap();
    let places: usize = found.values().filter(|state| state.published > 0).count();
    assert_eq!(books.messages.accepted, found.len() as u64);
    assert_eq!(books.messages.processed, places as u64);
}
