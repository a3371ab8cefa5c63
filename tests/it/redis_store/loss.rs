//! Answers lost on the way: what was written once is not written twice.

use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::alert::AlertStatus;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::ledger::Mark;
use araldo_actors::domain::outcome::Outcome;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::{AlertAcceptance, AlertStore};
use araldo_actors::port::store::{Acceptance, Store, StoreError, Swap, Written};

use super::proxy::Proxy;
use crate::redis_kit::{Server, own, shared_server};
use crate::store_alert::fixture::{accepted, alert, id, one_step, push_step};
use crate::store_fixture::{
    api_key, citizen, claim, code, due_ids, endpoint, erasure, everywhere, inbox, message, open,
    processed, reachable, service, state_of, step, stored,
};

/// An own store behind a way that loses answers.
async fn behind_proxy() -> (RedisStore, Proxy) {
    let proxy = Proxy::start(shared_server().port).await;
    let store = RedisStore::open(&own(proxy.servers())).await.unwrap();
    (store, proxy)
}

/// Runs `call` with the first `count` answers lost, and makes sure they were.
async fn lossy<T>(proxy: &Proxy, count: u32, call: impl Future<Output = T>) -> T {
    let before = proxy.lost();
    proxy.lose(count);
    let done = call.await;
    assert!(proxy.lost() > before, "an answer was lost");
    proxy.lose(0);
    done
}

const READ: MarkChange = MarkChange { read: true, archived: None };

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_accepted_once() {
    let (store, proxy) = behind_proxy().await;
    for (n, lost) in [(1, 1), (2, 2), (3, 5)] {
        let done = lossy(&proxy, lost, store.accept(message(n, 1), None)).await.unwrap();
        let expected = Acceptance::Accepted { id: message(n, 1).id, sequence: n - 1 };
        assert_eq!(done, expected, "it was this very call that wrote it");
    }
    // With a claim: the claim's answer lost, the message's, and both.
    for key in [4, 5, 6] {
        let (n, lost) = (u64::from(key), u32::from(key) - 3);
        let claim = Some(claim(key, 0));
        let done = lossy(&proxy, lost, store.accept(message(n, 1), claim)).await.unwrap();
        assert!(matches!(done, Acceptance::Accepted { sequence, .. } if sequence == n - 1));
        let again = store.accept(message(n + 10, 1), claim).await.unwrap();
        assert!(matches!(again, Acceptance::Replayed { .. }), "{again:?}");
    }
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.accepted, 6);
    assert_eq!(store.addressed(code(1), None, 99).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_message_that_was_there_before_is_not_taken_for_one_whose_answer_was_lost() {
    let (store, proxy) = behind_proxy().await;
    store.accept(message(1, 1), None).await.unwrap();
    let again = lossy(&proxy, 2, store.accept(message(1, 1), None)).await;
    assert_eq!(again, Ok(Acceptance::Replayed { id: message(1, 1).id }));
}

#[tokio::test]
async fn a_step_whose_answer_was_lost_is_applied_once() {
    let (store, proxy) = behind_proxy().await;
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    accepted(&store, 1).await;
    store.accept(message(1, 1), None).await.unwrap();
    let (partition, epoch) = open(&store, 1).await;
    let push = endpoint(1);
    let defer = |due| {
        let message = message(1, 1).id;
        Effect::Deferred { message, endpoint: push, due: Millis(due), retry: true }
    };
    let settle =
        Effect::Settled { message: message(1, 1).id, endpoint: push, outcome: Outcome::Delivered };
    let steps = [
        vec![processed(1, 1, 10)],
        vec![defer(20), defer(30)],
        vec![defer(40)],
        vec![one_step(1, 1, 0, &[Mark::Delivered]), push_step(1, "apple", 1, 0, &[Mark::Waiting])],
        vec![settle],
    ];
    for (lost, effects) in (1..).zip(steps) {
        lossy(&proxy, lost, store.commit(partition, epoch, step(effects))).await.unwrap();
        if lost == 3 {
            assert_eq!(due_ids(&store, partition, 99).await, vec![(40, push)]);
        }
    }
    let books = store.books(&everywhere()).await.unwrap();
    let push_totals = books.deliveries[0];
    assert_eq!((push_totals.planned, push_totals.delivered, push_totals.retried), (2, 1, 3));
    assert_eq!(
        (books.messages.processed, state_of(&store, 1, 1).await.deliveries[1].retries),
        (1, 3)
    );
    assert_eq!(due_ids(&store, partition, 99).await, vec![]);
    // The message, then the alert: a place each, and no third.
    let places: Vec<u64> = inbox(&store, 1).await.iter().map(|one| one.entry.sequence).collect();
    assert_eq!(places, [2, 1]);
    assert_eq!(store.events(code(1), None, 9).await.unwrap().newest, 2);
}

#[tokio::test]
async fn what_any_node_writes_is_written_once() {
    let (store, proxy) = behind_proxy().await;
    store.accept(message(1, 1), None).await.unwrap();
    let new = lossy(&proxy, 3, store.put_citizens(vec![reachable(1, "one@example.org")])).await;
    assert_eq!(new.unwrap()[0].written, Written::Inserted);
    let first = stored(&store, 1).await;
    assert_eq!(first.version, 0);
    let again = lossy(&proxy, 2, store.put_citizens(vec![reachable(1, "two@example.org")])).await;
    assert_eq!(again.unwrap()[0].written, Written::Updated);
    let second = stored(&store, 1).await;
    assert_eq!((second.version, second.revision), (1, first.revision + 1));
    let mut third = second.clone();
    third.inbox_enabled = !third.inbox_enabled;
    let swap = store.swap_citizen(third.clone(), Some(second.revision));
    let Swap::Stored(third) = lossy(&proxy, 2, swap).await.unwrap() else { panic!("a conflict") };
    assert!(*third == stored(&store, 1).await && third.revision == second.revision + 1);

    let (partition, epoch) = open(&store, 1).await;
    store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await.unwrap();
    let marked = lossy(&proxy, 2, store.mark(code(1), message(1, 1).id, READ)).await.unwrap();
    assert_eq!(marked.unwrap().marked, 2);
    assert_eq!(store.events(code(1), None, 9).await.unwrap().newest, 2);

    lossy(&proxy, 2, store.put_service(service("service-1"))).await.unwrap();
    lossy(&proxy, 2, store.put_key(api_key("one"))).await.unwrap();
    assert_eq!(lossy(&proxy, 2, store.remove_key("one")).await, Ok(true));
    assert_eq!(store.remove_key("one").await, Ok(false));
    let registry = store.registry().await.unwrap();
    assert_eq!((registry.services.len(), registry.keys.len()), (1, 0));
}

#[tokio::test]
async fn alerts_takeovers_and_erasures_are_carried_out_once() {
    let (store, proxy) = behind_proxy().await;
    store.put_citizens(vec![reachable(1, "one@example.org")]).await.unwrap();
    for (n, key) in [(1, None), (2, Some(claim(9, 0)))] {
        let done = lossy(&proxy, 2, store.accept_alert(alert(n), key)).await.unwrap();
        assert!(matches!(done, AlertAcceptance::Accepted(_)), "{done:?}");
    }
    assert_eq!(store.open_alerts().await.unwrap().len(), 2);
    let from = [AlertStatus::Running];
    let paused = store.set_alert_status(id(1), &from, AlertStatus::Paused, Millis(9));
    let paused = lossy(&proxy, 2, paused).await.unwrap().unwrap();
    assert_eq!((paused.status, paused.updated_at), (AlertStatus::Paused, Millis(9)));

    store.accept(message(1, 1), None).await.unwrap();
    let (partition, epoch) = lossy(&proxy, 2, open(&store, 1)).await;
    store.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await.unwrap();
    let all = ByLane::from_fn(|_| u64::MAX);
    let erased = store.erase(partition, epoch, code(1), all, erasure(1, 7));
    let erased = lossy(&proxy, 12, erased).await.unwrap();
    assert_eq!((erased.messages, erased.cancelled[0].pending), (1, 1));
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!(books.all_deliveries().cancelled, 1);
    assert_eq!(store.erasures(9).await.unwrap().len(), 1);
    assert_eq!(store.citizen(code(1)).await.unwrap(), None);
    let taken = reachable(2, "one@example.org");
    assert!(!store.put_citizens(vec![taken]).await.unwrap()[0].address_taken, "it is free again");
    assert!(lossy(&proxy, 2, store.forget_claims(Millis(u64::MAX))).await.unwrap() <= 1);
    assert_eq!(store.forget_claims(Millis(u64::MAX)).await, Ok(0));
}

#[tokio::test]
async fn a_copy_that_arrives_after_its_sender_gave_up_changes_nothing_more() {
    let server = Server::start(&[]);
    let options = own(Servers::Single(server.url()));
    let patient = RedisStore::open(&options).await.unwrap();
    patient.put_citizens(vec![citizen(1)]).await.unwrap();
    patient.accept(message(1, 1), None).await.unwrap();
    let answered_within = Duration::from_millis(300);
    let hasty = RedisOptions { answered_within, ..options.clone() };
    let hasty = Arc::new(RedisStore::open(&hasty).await.unwrap());
    let (partition, epoch) = open(&*hasty, 1).await;
    // Connected, and the rows a step needs are known.
    hasty.arrivals(partition, araldo_actors::domain::lane::Lane::Normal, 0, 9).await.unwrap();
    hasty.commit(partition, epoch, step(vec![])).await.unwrap();

    server.signal("STOP");
    let began = Instant::now();
    let accepted = hasty.accept(message(2, 1), Some(claim(1, 0))).await;
    assert!(matches!(accepted, Err(StoreError::Unconfirmed(_))), "{accepted:?}");
    let committed = hasty.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await;
    assert!(matches!(committed, Err(StoreError::Unconfirmed(_) | StoreError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(5), "nobody hangs");
    server.signal("CONT");

    let settled = patient.accept(message(3, 1), Some(claim(1, 0))).await.unwrap();
    let (Acceptance::Replayed { id } | Acceptance::Accepted { id, .. }) = settled else {
        panic!("{settled:?}")
    };
    assert!(patient.message(code(1), id).await.unwrap().is_some());
    let (_, epoch) = open(&patient, 1).await;
    patient.commit(partition, epoch, step(vec![processed(1, 1, 10)])).await.unwrap();
    let books = patient.books(&everywhere()).await.unwrap();
    assert_eq!((books.messages.accepted, books.messages.processed), (2, 1));
    assert_eq!(inbox(&patient, 1).await.len(), 1);
}
