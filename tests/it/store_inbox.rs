//! The contract of the store about the inbox: pages, marks, and the one order
//! of everything that happens in it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::inbox::{InboxChange, InboxRange, MarkChange, Marks};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::Store;

use crate::store_fixture::{
    accept, citizen, code, contract, embedded, folder, home, inbox, message, open, processed, step,
};

contract!(
    the_inbox_is_paged_from_the_newest,
    a_page_after_a_place_is_the_one_nearest_to_it,
    the_archive_is_paged_on_its_own,
    an_entry_is_shown_to_its_citizen_only,
    marks_change_once_and_reading_is_never_undone,
    events_are_publications_and_changes_of_marks_in_one_order,
    an_entry_marked_twice_has_its_last_change_only,
    events_come_in_runs_that_a_reader_can_follow,
    without_a_place_only_the_newest_is_told,
    messages_to_a_fiscal_code_are_listed_whatever_became_of_them,
);

const READ: MarkChange = MarkChange { read: true, archived: None };
const ARCHIVE: MarkChange = MarkChange { read: false, archived: Some(true) };
const RESTORE: MarkChange = MarkChange { read: false, archived: Some(false) };

/// Persons 1 and 2, and these messages to person 1, processed in this order.
async fn published(store: &dyn Store, messages: &[u64]) {
    store.put_citizens(vec![citizen(1), citizen(2)]).await.unwrap();
    let (partition, epoch) = open(store, 1).await;
    for &n in messages {
        accept(store, n, 1).await;
        store.commit(partition, epoch, step(vec![processed(n, 1, 10)])).await.unwrap();
    }
}

fn id(n: u64) -> MessageId {
    message(n, 1).id
}

async fn page(store: &dyn Store, range: InboxRange) -> Vec<u64> {
    let items = store.inbox(code(1), range).await.unwrap();
    items.into_iter().map(|item| item.message.accepted_at.0 - 1_000).collect()
}

async fn mark(store: &dyn Store, n: u64, change: MarkChange) {
    store.mark(code(1), id(n), change).await.unwrap().unwrap();
}

/// Place, message and kind of each event.
async fn events(store: &dyn Store, after: u64, limit: usize) -> Vec<(u64, u64, InboxChange)> {
    let found = store.events(code(1), Some(after), limit).await.unwrap().events;
    found
        .into_iter()
        .map(|one| (one.sequence, one.item.message.accepted_at.0 - 1_000, one.change))
        .collect()
}

async fn the_inbox_is_paged_from_the_newest(store: &dyn Store) {
    // Published in an order other than that of their ids.
    published(store, &[3, 1, 2]).await;
    let all = inbox(store, 1).await;
    let ids: Vec<_> = all.iter().map(|item| item.entry.message).collect();
    assert_eq!(ids, [2, 1, 3].map(id));
    for item in &all {
        assert_eq!(item.message.id, item.entry.message);
        assert_eq!((item.entry.marks, item.entry.marked), (Marks::default(), 0));
        assert_eq!(item.entry.published_at, Millis(5_000));
    }
    let places: Vec<_> = all.iter().map(|item| item.entry.sequence).collect();
    assert!(places.windows(2).all(|pair| pair[0] > pair[1]) && places[2] > 0, "{places:?}");
    let before = |before, limit| InboxRange { before: Some(before), limit, ..<_>::default() };
    assert_eq!(page(store, before(places[0], 1)).await, [1]);
    assert_eq!(page(store, before(places[0], 10)).await, [1, 3]);
    assert_eq!(page(store, before(places[2], 10)).await, [] as [u64; 0]);
    assert_eq!(page(store, before(0, 10)).await, [] as [u64; 0]);
    assert_eq!(page(store, before(u64::MAX, 0)).await, [] as [u64; 0]);
    assert_eq!(inbox(store, 2).await, vec![]);
    assert_eq!(inbox(store, 9).await, vec![]);
}

async fn a_page_after_a_place_is_the_one_nearest_to_it(store: &dyn Store) {
    published(store, &[1, 2, 3, 4, 5]).await;
    let places: Vec<_> = inbox(store, 1).await.iter().map(|item| item.entry.sequence).collect();
    let oldest = places[4];
    let range = |after, before, limit| InboxRange { after, before, archived: None, limit };
    assert_eq!(page(store, range(Some(oldest), None, 2)).await, [3, 2]);
    assert_eq!(page(store, range(Some(oldest), None, 10)).await, [5, 4, 3, 2]);
    assert_eq!(page(store, range(Some(0), None, 1)).await, [1]);
    assert_eq!(page(store, range(Some(places[0]), None, 10)).await, [] as [u64; 0]);
    assert_eq!(page(store, range(Some(u64::MAX), None, 10)).await, [] as [u64; 0]);
    // Between two places the newest come first.
    assert_eq!(page(store, range(Some(oldest), Some(places[0]), 2)).await, [4, 3]);
    assert_eq!(page(store, range(Some(oldest), Some(places[0]), 9)).await, [4, 3, 2]);
    assert_eq!(page(store, range(Some(places[0]), Some(oldest), 9)).await, [] as [u64; 0]);
}

async fn the_archive_is_paged_on_its_own(store: &dyn Store) {
    published(store, &[1, 2, 3, 4, 5]).await;
    for n in [2, 4, 5] {
        mark(store, n, ARCHIVE).await;
    }
    mark(store, 5, RESTORE).await;
    let places: Vec<_> = inbox(store, 1).await.iter().map(|item| item.entry.sequence).collect();
    let range = |archived, after, before, limit| InboxRange { archived, after, before, limit };
    assert_eq!(page(store, range(Some(true), None, None, 9)).await, [4, 2]);
    assert_eq!(page(store, range(Some(false), None, None, 9)).await, [5, 3, 1]);
    assert_eq!(page(store, range(Some(false), None, None, 2)).await, [5, 3]);
    assert_eq!(page(store, range(Some(true), None, Some(places[1]), 9)).await, [2]);
    assert_eq!(page(store, range(Some(true), Some(0), None, 1)).await, [2]);
    assert_eq!(page(store, range(Some(false), Some(places[4]), None, 1)).await, [3]);
    assert_eq!(page(store, range(None, None, None, 9)).await, [5, 4, 3, 2, 1]);
}

async fn an_entry_is_shown_to_its_citizen_only(store: &dyn Store) {
    published(store, &[1]).await;
    accept(store, 2, 1).await;
    let stranger = (2..100).find(|other| home(*other) == home(1)).unwrap();
    store.put_citizens(vec![citizen(stranger)]).await.unwrap();
    let item = store.inbox_item(code(1), id(1)).await.unwrap().unwrap();
    assert_eq!(vec![item], inbox(store, 1).await);
    for (who, which) in [(stranger, 1), (9, 1), (1, 2), (1, 7)] {
        assert_eq!(store.inbox_item(code(who), id(which)).await.unwrap(), None);
        assert_eq!(store.mark(code(who), id(which), READ).await.unwrap(), None);
    }
    let marks = store.inbox_item(code(1), id(1)).await.unwrap().unwrap().entry.marks;
    assert_eq!(marks, Marks::default());
}

async fn marks_change_once_and_reading_is_never_undone(store: &dyn Store) {
    published(store, &[1]).await;
    let published = inbox(store, 1).await[0].entry;
    let change = |change| store.mark(code(1), id(1), change);
    let read = change(READ).await.unwrap().unwrap();
    assert_eq!(read.marks, Marks { read: true, archived: false });
    assert!(read.marked > published.sequence);
    assert_eq!((read.sequence, read.published_at), (published.sequence, published.published_at));
    assert_eq!(change(READ).await.unwrap(), Some(read));
    assert_eq!(change(MarkChange::default()).await.unwrap(), Some(read));
    assert_eq!(change(RESTORE).await.unwrap(), Some(read));
    let both = change(ARCHIVE).await.unwrap().unwrap();
    assert_eq!(both.marks, Marks { read: true, archived: true });
    assert!(both.marked > read.marked);
    let back = change(RESTORE).await.unwrap().unwrap();
    assert_eq!(back.marks, Marks { read: true, archived: false });
    assert_eq!(inbox(store, 1).await[0].entry, back);
}

async fn events_are_publications_and_changes_of_marks_in_one_order(store: &dyn Store) {
    use InboxChange::{Marked, Published};
    published(store, &[1, 2]).await;
    mark(store, 1, READ).await;
    published(store, &[3]).await;
    mark(store, 3, ARCHIVE).await;
    let all = events(store, 0, 100).await;
    let expected = [(1, Published), (2, Published), (1, Marked), (3, Published), (3, Marked)];
    assert_eq!(all.iter().map(|one| (one.1, one.2)).collect::<Vec<_>>(), expected);
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "{all:?}");
    // Each event shows the entry as it is now.
    let found = store.events(code(1), Some(0), 100).await.unwrap();
    assert!(found.events[0].item.entry.marks.read);
    assert_eq!(found.newest, all[4].0);
    // Nothing of another citizen.
    let other = store.events(code(2), Some(0), 100).await.unwrap();
    assert_eq!(other.events, vec![]);
    let nobody = store.events(code(9), Some(0), 100).await.unwrap();
    assert_eq!(nobody.events, vec![]);
}

async fn an_entry_marked_twice_has_its_last_change_only(store: &dyn Store) {
    use InboxChange::{Marked, Published};
    published(store, &[1, 2]).await;
    for change in [READ, ARCHIVE, RESTORE, READ, ARCHIVE] {
        mark(store, 1, change).await;
    }
    let all = events(store, 0, 100).await;
    let kinds: Vec<_> = all.iter().map(|one| (one.1, one.2)).collect();
    assert_eq!(kinds, [(1, Published), (2, Published), (1, Marked)]);
    let newest = store.events(code(1), None, 0).await.unwrap().newest;
    assert_eq!(all[2].0, newest);
    // Four of the five changed something.
    assert_eq!(newest, all[1].0 + 4);
}

async fn events_come_in_runs_that_a_reader_can_follow(store: &dyn Store) {
    published(store, &[1, 2, 3]).await;
    for n in [2, 1, 3] {
        mark(store, n, READ).await;
    }
    let all = events(store, 0, 100).await;
    assert_eq!(all.len(), 6);
    for limit in 1..=7 {
        let (mut seen, mut place) = (Vec::new(), 0);
        loop {
            let run = events(store, place, limit).await;
            seen.extend(run.iter().copied());
            match run.last() {
                Some(last) => place = last.0,
                None => break,
            }
        }
        assert_eq!(seen, all, "in runs of {limit}");
    }
    assert_eq!(events(store, all[5].0, 9).await, []);
    assert_eq!(events(store, u64::MAX, 9).await, []);
    assert_eq!(events(store, 0, 0).await, []);
}

async fn without_a_place_only_the_newest_is_told(store: &dyn Store) {
    published(store, &[]).await;
    let none = store.events(code(1), None, 9).await.unwrap();
    assert_eq!((none.events, none.newest), (vec![], 0));
    published(store, &[1]).await;
    mark(store, 1, READ).await;
    let told = store.events(code(1), None, 9).await.unwrap();
    let entry = inbox(store, 1).await[0].entry;
    assert_eq!((told.events, told.newest), (vec![], entry.marked));
}

async fn messages_to_a_fiscal_code_are_listed_whatever_became_of_them(store: &dyn Store) {
    published(store, &[4]).await;
    for (n, to) in [(2, 1), (6, 1), (1, 2), (3, 9)] {
        accept(store, n, to).await;
    }
    let listed = |person, after: Option<u64>, limit| async move {
        let after = after.map(id);
        let found = store.addressed(code(person), after, limit).await.unwrap();
        for (message, state) in &found {
            let alone = store.message(code(person), message.id).await.unwrap().unwrap();
            assert_eq!((message, state), (&alone.0, &alone.1));
        }
        found.iter().map(|(message, _)| message.accepted_at.0 - 1_000).collect::<Vec<_>>()
    };
    assert_eq!(listed(1, None, 9).await, [2, 4, 6]);
    assert_eq!(listed(1, None, 2).await, [2, 4]);
    assert_eq!(listed(1, Some(2), 9).await, [4, 6]);
    assert_eq!(listed(1, Some(3), 1).await, [4]);
    assert_eq!(listed(1, Some(6), 9).await, [] as [u64; 0]);
    assert_eq!(listed(9, None, 9).await, [3]);
    assert_eq!(listed(8, None, 9).await, [] as [u64; 0]);
    assert_eq!(listed(1, None, 0).await, [] as [u64; 0]);
}

#[tokio::test]
async fn marks_and_their_order_survive_a_restart() {
    let folder = folder();
    let store = embedded(folder.path());
    published(&*store, &[1, 2, 3]).await;
    mark(&*store, 2, READ).await;
    mark(&*store, 1, ARCHIVE).await;
    mark(&*store, 2, ARCHIVE).await;
    let before = (inbox(&*store, 1).await, store.events(code(1), Some(0), 99).await.unwrap());
    drop(store);
    let store = embedded(folder.path());
    let after = (inbox(&*store, 1).await, store.events(code(1), Some(0), 99).await.unwrap());
    assert_eq!(before, after);
    mark(&*store, 3, READ).await;
    assert_eq!(events(&*store, before.1.newest, 9).await.len(), 1);
}

#[tokio::test]
async fn changes_of_one_group_commit_count_each() {
    let folder = folder();
    let store = embedded(folder.path());
    published(&*store, &(1..=20).collect::<Vec<_>>()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100_u64 {
        let store = std::sync::Arc::clone(&store);
        let change = if n % 2 == 0 { ARCHIVE } else { RESTORE };
        tasks.spawn(async move { store.mark(code(1), id(n % 20 + 1), change).await });
    }
    for marked in tasks.join_all().await {
        marked.unwrap().unwrap();
    }
    // At most one change an entry, and each entry knows the place of its own.
    let found = store.events(code(1), Some(0), 1_000).await.unwrap().events;
    let marked: Vec<_> = found.iter().filter(|event| event.change == InboxChange::Marked).collect();
    assert!(marked.len() <= 20);
    for event in marked {
        assert_eq!(event.item.entry.marked, event.sequence);
    }
}
