//! The contract of the store about alerts: records, walks and the books.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use araldo::store::claimed_id;
use araldo_actors::domain::alert::{AlertStatus, Cursor, Walk};
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::ledger::{LONGEST_RUN, Mark, Run};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::{AlertAcceptance, WalkTotals};
use araldo_actors::port::store::{Acceptance, Store, StoreError};

use crate::store_fixture::{
    accept, claim, contract, everywhere, home, message, open, processed, route, step,
};
use fixture::{accepted, alert, id, one_step, push_step, register, residents, walked};

mod cancel;
mod damage;
pub mod fixture;
mod inbox;
mod visit;

contract!(
    an_alert_is_accepted_once_and_answered_as_it_is_now,
    a_claim_of_an_alert_is_honoured_once,
    walks_end_at_the_ordinals_that_were_highest,
    the_status_changes_only_from_one_of_those_expected,
    alerts_are_listed_newest_first_and_open_ones_apart,
    a_step_is_applied_once_and_only_to_the_cursor_it_was_made_from,
    the_books_get_what_a_walk_gained,
    a_step_that_would_make_the_ledger_wrong_is_refused_whole,
    walks_of_unknown_alerts_change_nothing,
    every_run_of_an_inbox_walk_takes_a_place,
    progress_adds_the_partitions_up,
    walks_are_told_apart_by_route,
    a_routes_first_step_is_there_whole_or_not_at_all,
);

async fn an_alert_is_accepted_once_and_answered_as_it_is_now(store: &dyn Store) {
    let first = store.accept_alert(alert(1), None).await.unwrap();
    let AlertAcceptance::Accepted(record) = first else { panic!("{first:?}") };
    assert_eq!((&record.alert, record.status), (&alert(1), AlertStatus::Running));
    assert_eq!(record.updated_at, alert(1).accepted_at);
    let from = [AlertStatus::Running];
    store.set_alert_status(id(1), &from, AlertStatus::Paused, Millis(9)).await.unwrap();
    let again = store.accept_alert(alert(1), None).await.unwrap();
    let AlertAcceptance::Replayed(again) = again else { panic!("{again:?}") };
    assert_eq!((again.status, again.updated_at), (AlertStatus::Paused, Millis(9)));
    assert_eq!(store.alert(id(1)).await.unwrap(), Some(*again));
    assert_eq!(store.alert(id(2)).await.unwrap(), None);
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.accepted, 0);
}

async fn a_claim_of_an_alert_is_honoured_once(store: &dyn Store) {
    let expected = claimed_id(alert(1).accepted_at, &claim(7, 1));
    assert_eq!(store.claimed_alert(claim(7, 1)).await.unwrap(), None);
    let first = store.accept_alert(alert(1), Some(claim(7, 1))).await.unwrap();
    let AlertAcceptance::Accepted(record) = first else { panic!("{first:?}") };
    assert_eq!(record.alert.id, expected);
    let again = store.accept_alert(alert(2), Some(claim(7, 1))).await.unwrap();
    assert_eq!(again, AlertAcceptance::Replayed(record.clone()));
    let asked = store.claimed_alert(claim(7, 1)).await.unwrap();
    assert_eq!(asked, Some(AlertAcceptance::Replayed(record)));
    let asked = store.claimed_alert(claim(7, 2)).await.unwrap();
    assert_eq!(asked, Some(AlertAcceptance::KeyReused));
    let other = store.accept_alert(alert(3), Some(claim(7, 2))).await.unwrap();
    assert_eq!(other, AlertAcceptance::KeyReused);
    assert_eq!(store.alerts(None, 10).await.unwrap().len(), 1);
    // One table of claims: a message under the same key does not pass.
    let message = store.accept(message(1, 1), Some(claim(7, 2))).await.unwrap();
    assert_eq!(message, Acceptance::KeyReused);
    assert_eq!(store.forget_claims(Millis(1_000_000)).await.unwrap(), 1);
    let fresh = store.accept_alert(alert(3), Some(claim(7, 2))).await.unwrap();
    assert!(matches!(fresh, AlertAcceptance::Accepted(_)), "{fresh:?}");
}

async fn walks_end_at_the_ordinals_that_were_highest(store: &dyn Store) {
    for (partition, count) in [(0, 3), (2, 1)] {
        register(store, &residents(partition, count)).await;
    }
    assert_eq!(accepted(store, 1).await.ends, [3, 0, 1]);
    register(store, &residents(0, 5)).await;
    assert_eq!(store.alert(id(1)).await.unwrap().unwrap().ends, [3, 0, 1]);
    assert_eq!(accepted(store, 2).await.ends, [5, 0, 1]);
}

async fn the_status_changes_only_from_one_of_those_expected(store: &dyn Store) {
    use AlertStatus::{Cancelled, Completed, Paused, Running};
    accepted(store, 1).await;
    let set = async |from: &[AlertStatus], to, at| {
        let record = store.set_alert_status(id(1), from, to, Millis(at)).await.unwrap().unwrap();
        (record.status, record.updated_at.0)
    };
    assert_eq!(set(&[Running], Paused, 10).await, (Paused, 10));
    assert_eq!(set(&[Running], Paused, 11).await, (Paused, 10));
    assert_eq!(set(&[Running, Paused], Cancelled, 12).await, (Cancelled, 12));
    assert_eq!(set(&[Running, Paused], Completed, 13).await, (Cancelled, 12));
    let unknown = store.set_alert_status(id(2), &[Running], Paused, Millis(1)).await;
    assert_eq!(unknown, Ok(None));
}

async fn alerts_are_listed_newest_first_and_open_ones_apart(store: &dyn Store) {
    for n in [3, 1, 4, 2] {
        accepted(store, n).await;
    }
    let end = async |n, to| {
        let from = [AlertStatus::Running];
        store.set_alert_status(id(n), &from, to, Millis(9)).await.unwrap();
    };
    end(2, AlertStatus::Completed).await;
    end(3, AlertStatus::Paused).await;
    let listed = async |before, limit| -> Vec<u64> {
        let alerts = store.alerts(before, limit).await.unwrap();
        alerts.iter().map(|one| one.alert.accepted_at.0 - 2_000).collect()
    };
    assert_eq!(listed(None, 10).await, [4, 3, 2, 1]);
    assert_eq!(listed(None, 2).await, [4, 3]);
    assert_eq!(listed(Some(id(3)), 10).await, [2, 1]);
    assert_eq!(listed(Some(id(1)), 10).await, [] as [u64; 0]);
    let open = store.open_alerts().await.unwrap();
    let open: Vec<u64> = open.iter().map(|one| one.alert.accepted_at.0 - 2_000).collect();
    assert_eq!(open, [1, 3, 4]);
}

async fn a_step_is_applied_once_and_only_to_the_cursor_it_was_made_from(store: &dyn Store) {
    register(store, &residents(0, 4)).await;
    accepted(store, 1).await;
    let (partition, epoch) = open(store, residents(0, 1)[0]).await;
    assert_eq!(store.cursors(partition, id(1)).await.unwrap(), []);
    let first = one_step(1, 1, 0, &[Mark::Delivered, Mark::None]);
    store.commit(partition, epoch, step(vec![first.clone()])).await.unwrap();
    let cursors = store.cursors(partition, id(1)).await.unwrap();
    let Effect::Walked { cursor, .. } = first.clone() else { panic!("{first:?}") };
    assert_eq!(cursors, [(Walk::Inbox, cursor)]);
    // Again, and one that leaves a step out.
    let leap = one_step(1, 3, 2, &[Mark::Delivered]);
    store.commit(partition, epoch, step(vec![first.clone(), first, leap])).await.unwrap();
    assert_eq!(store.cursors(partition, id(1)).await.unwrap(), cursors);
    assert_eq!(store.books(&everywhere()).await.unwrap().all_deliveries().delivered, 1);
    // Two steps in one.
    let more = vec![one_step(1, 2, 2, &[Mark::Delivered]), one_step(1, 3, 3, &[Mark::Delivered])];
    store.commit(partition, epoch, step(more)).await.unwrap();
    let cursors = store.cursors(partition, id(1)).await.unwrap();
    assert_eq!((cursors[0].1.revision, cursors[0].1.next), (3, 4));
    let stale = store.commit(partition, araldo_actors::domain::id::Epoch(0), step(vec![])).await;
    assert_eq!(stale, Err(StoreError::Fenced(partition)));
}

async fn the_books_get_what_a_walk_gained(store: &dyn Store) {
    register(store, &residents(0, 4)).await;
    accepted(store, 1).await;
    let (partition, epoch) = open(store, residents(0, 1)[0]).await;
    let at = |revision, totals| {
        let cursor = Cursor { revision, totals, ..Cursor::default() };
        walked(1, Walk::Route(route("apple")), Channel::Push, cursor, None, &[])
    };
    let first = DeliveryTotals { planned: 4, delivered: 1, ..DeliveryTotals::default() };
    store.commit(partition, epoch, step(vec![at(1, first)])).await.unwrap();
    let second = DeliveryTotals { delivered: 2, failed: 1, retried: 5, ..first };
    store.commit(partition, epoch, step(vec![at(2, second), at(2, second)])).await.unwrap();
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!(books.deliveries[Channel::Push.index()], second);
    assert_eq!(books.all_deliveries().open(), 1);
}

async fn a_step_that_would_make_the_ledger_wrong_is_refused_whole(store: &dyn Store) {
    let person = residents(0, 1)[0];
    register(store, &[person]).await;
    accepted(store, 1).await;
    accept(store, 1, person).await;
    let (partition, epoch) = open(store, person).await;
    let apple = || Walk::Route(route("apple"));
    let with = |walk, next, run: Option<(u32, usize)>, changed: &[(u32, Mark)]| {
        let cursor = Cursor { next, revision: 1, ..Cursor::default() };
        let marked = |(first, length)| Run { first, marks: vec![Mark::Delivered; length] };
        walked(1, walk, Channel::Push, cursor, run.map(marked), changed)
    };
    for (wrong, why) in [
        (with(Walk::Inbox, 1, None, &[(0, Mark::Failed)]), "the marks of an inbox walk"),
        (with(apple(), 1, Some((0, 0)), &[]), "a run has 1 to 65,536 marks"),
        (with(apple(), u32::MAX, Some((0, LONGEST_RUN + 1)), &[]), "a run has 1 to 65,536 marks"),
        (with(apple(), 4, Some((2, 3)), &[]), "does not lie before its cursor"),
        (with(apple(), u32::MAX, Some((u32::MAX, 2)), &[]), "does not lie before its cursor"),
    ] {
        let refused = store.commit(partition, epoch, step(vec![processed(1, person, 10), wrong]));
        let Err(StoreError::Unavailable(text)) = refused.await else { panic!("{why}") };
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(store.cursors(partition, id(1)).await.unwrap(), []);
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.processed, 0);
}

async fn walks_of_unknown_alerts_change_nothing(store: &dyn Store) {
    register(store, &residents(0, 2)).await;
    let (partition, epoch) = open(store, residents(0, 1)[0]).await;
    let unknown = one_step(1, 1, 0, &[Mark::Delivered]);
    store.commit(partition, epoch, step(vec![unknown.clone()])).await.unwrap();
    accepted(store, 1).await;
    assert_eq!(store.cursors(partition, id(1)).await.unwrap(), []);
    assert_eq!(store.books(&everywhere()).await.unwrap().all_deliveries().planned, 0);
    assert_eq!(store.alert_progress(id(2)).await.unwrap().walks, []);
    store.commit(partition, epoch, step(vec![unknown])).await.unwrap();
    assert_eq!(store.cursors(partition, id(1)).await.unwrap().len(), 1);
}

async fn every_run_of_an_inbox_walk_takes_a_place(store: &dyn Store) {
    let people = residents(0, 2);
    register(store, &people).await;
    accepted(store, 1).await;
    let (partition, epoch) = open(store, people[0]).await;
    let newest = async || store.events(fixture::who(people[1]), None, 1).await.unwrap().newest;
    store.commit(partition, epoch, step(vec![one_step(1, 1, 0, &[Mark::None])])).await.unwrap();
    assert_eq!(newest().await, 1);
    store.commit(partition, epoch, step(vec![one_step(1, 2, 1, &[Mark::None])])).await.unwrap();
    store.commit(partition, epoch, step(vec![one_step(1, 2, 1, &[Mark::None])])).await.unwrap();
    assert_eq!(newest().await, 2);
    // A route's run takes none.
    let push = push_step(1, "apple", 1, 0, &[Mark::Delivered, Mark::Delivered]);
    store.commit(partition, epoch, step(vec![push])).await.unwrap();
    assert_eq!(newest().await, 2);
}

async fn progress_adds_the_partitions_up(store: &dyn Store) {
    for partition in 0..3 {
        register(store, &residents(partition, 4)).await;
    }
    accepted(store, 1).await;
    for partition in [0, 2] {
        let (partition, epoch) = open(store, residents(partition, 1)[0]).await;
        let marks = [Mark::Delivered, Mark::None, Mark::Suppressed];
        let push = push_step(1, "apple", 1, 0, &[Mark::Failed, Mark::Waiting]);
        let effects = vec![one_step(1, 1, 0, &marks), push];
        store.commit(partition, epoch, step(effects)).await.unwrap();
    }
    let walks = store.alert_progress(id(1)).await.unwrap().walks;
    let inbox = DeliveryTotals { planned: 4, delivered: 2, suppressed: 2, ..<_>::default() };
    let push = DeliveryTotals { planned: 4, failed: 2, ..<_>::default() };
    let totals = |visited, recipients, deliveries, stragglers| WalkTotals {
        visited,
        end: 12,
        recipients,
        deliveries,
        stragglers,
    };
    assert_eq!(
        walks,
        [
            (Walk::Inbox, totals(6, 4, inbox, 0)),
            (Walk::Route(route("apple")), totals(4, 4, push, 2)),
        ]
    );
}

async fn walks_are_told_apart_by_route(store: &dyn Store) {
    let person = residents(1, 1)[0];
    register(store, &[person]).await;
    accepted(store, 1).await;
    accepted(store, 2).await;
    let (partition, epoch) = open(store, person).await;
    assert_eq!(partition, home(person));
    // Named in an order other than that of their names.
    for (n, name) in [(1, "google"), (1, "apple"), (2, "relay")] {
        let push = push_step(n, name, 1, 0, &[Mark::Delivered]);
        store.commit(partition, epoch, step(vec![push])).await.unwrap();
    }
    let names = async |n| -> Vec<Walk> {
        let cursors = store.cursors(partition, id(n)).await.unwrap();
        cursors.into_iter().map(|(walk, _)| walk).collect()
    };
    assert_eq!(names(1).await, ["apple", "google"].map(|name| Walk::Route(route(name))));
    assert_eq!(names(2).await, [Walk::Route(route("relay"))]);
    assert_eq!(names(3).await, [] as [Walk; 0]);
    let beyond = araldo_actors::domain::id::PartitionId(crate::store_fixture::PARTITIONS);
    assert!(store.cursors(beyond, id(1)).await.is_err());
}

async fn a_routes_first_step_is_there_whole_or_not_at_all(store: &dyn Store) {
    const ROUTES: usize = 150;
    let person = residents(0, 1)[0];
    register(store, &[person]).await;
    accepted(store, 1).await;
    let (partition, epoch) = open(store, person).await;
    let done = std::cell::Cell::new(false);
    let stores = async {
        for n in 0..ROUTES {
            let first = push_step(1, &format!("route-{n}"), 1, 0, &[Mark::Delivered]);
            store.commit(partition, epoch, step(vec![first])).await.unwrap();
        }
        done.set(true);
    };
    let looks = async {
        while !done.get() {
            let walks = store.alert_progress(id(1)).await.unwrap().walks;
            assert!(walks.len() <= store.cursors(partition, id(1)).await.unwrap().len());
        }
    };
    tokio::join!(stores, looks);
    assert_eq!(store.alert_progress(id(1)).await.unwrap().walks.len(), ROUTES);
}
