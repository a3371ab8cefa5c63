//! What the embedded store keeps of alerts when it is opened again, and what it
//! says when rows of them cannot be right.

use std::path::Path;

use araldo_actors::domain::alert::{AlertStatus, Cursor, Walk};
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::PartitionId;
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertStore;
use araldo_actors::port::store::Store;

use super::fixture::{accepted, id, one_step, push_step, register, residents, walked, who};
use crate::store_damage::{damage, refusal, tamper};
use crate::store_fixture::{embedded, everywhere, folder, inbox, open, route, step};

/// Everything of an alert that a store keeps, of partition 1.
async fn filled(path: &Path) {
    let store = embedded(path);
    let people = residents(1, 6);
    register(&*store, &people).await;
    accepted(&*store, 1).await;
    accepted(&*store, 2).await;
    let from = [AlertStatus::Running];
    store.set_alert_status(id(2), &from, AlertStatus::Completed, Millis(9)).await.unwrap();
    let (partition, epoch) = open(&*store, people[0]).await;
    let marks = [Mark::Delivered, Mark::None, Mark::Delivered, Mark::Delivered];
    let push = [Mark::Delivered, Mark::None, Mark::Waiting, Mark::Failed];
    let first = vec![one_step(1, 1, 0, &marks), push_step(1, "apple", 1, 0, &push)];
    store.commit(partition, epoch, step(first)).await.unwrap();
    let read = MarkChange { read: true, archived: None };
    store.mark(who(people[3]), id(1), read).await.unwrap().unwrap();
    store
        .commit(partition, epoch, step(vec![one_step(1, 2, 4, &[Mark::Delivered])]))
        .await
        .unwrap();
}

/// The straggler of ordinal 2 was delivered.
fn ended() -> Effect {
    let totals = DeliveryTotals { planned: 3, delivered: 2, failed: 1, ..<_>::default() };
    let cursor = Cursor { next: 4, revision: 2, recipients: 3, totals, stragglers: Vec::new() };
    let changed = [(2, Mark::Delivered), (77, Mark::Delivered)];
    walked(1, Walk::Route(route("apple")), Channel::Push, cursor, None, &changed)
}

/// The key of a row of partition 1 and alert 1.
fn key(rest: &[u8]) -> Vec<u8> {
    [&[0, 1], id(1).to_bytes().as_slice(), rest].concat()
}

#[tokio::test]
async fn everything_of_an_alert_is_there_after_a_restart() {
    let folder = folder();
    filled(folder.path()).await;
    let here = PartitionId(1);
    let people = residents(1, 6);
    let seen = async || {
        let store = embedded(folder.path());
        let mut shown = vec![
            format!("{:?}", store.alert(id(1)).await),
            format!("{:?}", store.alerts(None, 9).await),
            format!("{:?}", store.open_alerts().await),
            format!("{:?}", store.cursors(here, id(1)).await),
            format!("{:?}", store.alert_progress(id(1)).await),
            format!("{:?}", store.books(&everywhere()).await),
            format!("{:?}", store.visit(here, 0, 9, 9, Some(id(1))).await),
        ];
        for person in &people {
            shown.push(format!("{:?}", inbox(&*store, *person).await));
            shown.push(format!("{:?}", store.events(who(*person), Some(0), 9).await));
        }
        shown
    };
    let first = seen().await;
    assert!(first.iter().all(|answer| !answer.starts_with("Err")), "{first:?}");
    assert_eq!(seen().await, first);
    let store = embedded(folder.path());
    let items = inbox(&*store, people[3]).await;
    assert_eq!((items.len(), items[0].entry.marks.read), (1, true));
    assert_eq!(inbox(&*store, people[4]).await.len(), 1);
    assert_eq!(inbox(&*store, people[5]).await.len(), 0);
}

#[tokio::test]
async fn a_stragglers_end_is_marked_in_the_run_it_is_in() {
    let folder = folder();
    filled(folder.path()).await;
    let marks = || {
        let mut found = None;
        tamper(folder.path(), "ledger", |ledger| {
            found = ledger.get(key(&[0, 1, 0, 0, 0, 0])).unwrap();
        });
        Run::decode(0, &found.unwrap()).unwrap().marks
    };
    let before = [Mark::Delivered, Mark::None, Mark::Waiting, Mark::Failed];
    assert_eq!(marks(), before);
    let store = embedded(folder.path());
    let (partition, epoch) = open(&*store, residents(1, 1)[0]).await;
    store.commit(partition, epoch, step(vec![ended()])).await.unwrap();
    store.commit(partition, epoch, step(vec![ended()])).await.unwrap();
    let books = store.books(&everywhere()).await.unwrap();
    assert_eq!(books.deliveries[Channel::Push.index()].open(), 0);
    drop(store);
    assert_eq!(marks(), [Mark::Delivered, Mark::None, Mark::Delivered, Mark::Failed]);
}

#[tokio::test]
async fn a_run_that_cannot_be_read_is_found_and_named() {
    let folder = folder();
    filled(folder.path()).await;
    tamper(folder.path(), "ledger", |ledger| {
        ledger.insert(key(&[0, 0, 0, 0, 0, 0]), [0; 19]).unwrap();
        ledger.insert(key(&[0, 1, 0, 0, 0, 0]), [9]).unwrap();
    });
    let store = embedded(folder.path());
    let person = residents(1, 1)[0];
    let place = format!("partition 1, alert {}, walk 0, from ordinal 0 on", id(1));
    let read = MarkChange { read: true, archived: None };
    let visit = store.visit(PartitionId(1), 0, 9, 9, Some(id(1))).await;
    for what in [
        damage(visit),
        damage(store.inbox_item(who(person), id(1)).await),
        damage(store.mark(who(person), id(1), read).await),
    ] {
        assert!(what.contains(&place), "{what}");
    }
    let (partition, epoch) = open(&*store, person).await;
    let what = damage(store.commit(partition, epoch, step(vec![ended()])).await);
    assert!(what.contains("walk 1, from ordinal 0 on"), "{what}");
    assert_eq!(store.cursors(partition, id(1)).await.unwrap()[1].1.revision, 1);
}

#[tokio::test]
async fn a_row_of_the_inboxs_index_that_cannot_be_read_is_found() {
    let folder = folder();
    filled(folder.path()).await;
    let at = [&[0, 1, 0, 0, 0, 0], 1_u64.to_be_bytes().as_slice()].concat();
    tamper(folder.path(), "alert_order", |order| order.insert(at, [7; 27]).unwrap());
    let store = embedded(folder.path());
    let person = residents(1, 1)[0];
    let range = araldo_actors::domain::inbox::InboxRange { limit: 9, ..<_>::default() };
    for what in [
        damage(store.inbox(who(person), range).await),
        damage(store.events(who(person), Some(0), 9).await),
        damage(store.addressed(who(person), None, 9).await),
    ] {
        assert!(what.contains("table 'alert_order', partition 1, block 0"), "{what}");
    }
}

#[tokio::test]
async fn cursors_and_records_that_cannot_be_read_are_found() {
    let folder = folder();
    filled(folder.path()).await;
    let record = [&[1_u8], id(1).to_bytes().as_slice()].concat();
    tamper(folder.path(), "alerts", |alerts| alerts.insert(record.clone(), [1]).unwrap());
    tamper(folder.path(), "cursors", |cursors| {
        cursors.insert(key(&[0, 0]), [255]).unwrap();
        cursors.insert(key(&[0, 9]), [0]).unwrap();
    });
    let store = embedded(folder.path());
    let person = residents(1, 1)[0];
    let from = [AlertStatus::Running];
    for what in [
        damage(store.alert(id(1)).await),
        damage(store.alerts(None, 9).await),
        damage(store.open_alerts().await),
        damage(store.inbox_item(who(person), id(1)).await),
        damage(store.set_alert_status(id(1), &from, AlertStatus::Paused, Millis(1)).await),
    ] {
        assert!(what.contains(&format!("table 'alerts', alert {}", id(1))), "{what}");
    }
    let what = damage(store.cursors(PartitionId(1), id(1)).await);
    assert!(what.contains(&format!("table 'cursors', partition 1, alert {}", id(1))), "{what}");
    let (partition, epoch) = open(&*store, person).await;
    let next = one_step(1, 3, 5, &[Mark::Delivered]);
    let what = damage(store.commit(partition, epoch, step(vec![next])).await);
    assert!(what.contains("table 'cursors'"), "{what}");
    drop(store);
    tamper(folder.path(), "alerts", |alerts| alerts.remove(record).unwrap());
    let store = embedded(folder.path());
    let what = damage(store.open_alerts().await);
    assert!(what.contains("which is listed as running or paused"), "{what}");
}

#[tokio::test]
async fn a_ledger_without_its_newest_commit_is_refused() {
    for table in ["ledger", "cursors", "alerts", "alert_order"] {
        let folder = folder();
        filled(folder.path()).await;
        tamper(folder.path(), table, |rows| {
            rows.insert(b"\xff\xff commit", 2_u64.to_be_bytes()).unwrap();
        });
        let error = refusal(folder.path()).to_string();
        assert!(error.contains(&format!("table '{table}' is at commit 2")), "{error}");
    }
}
