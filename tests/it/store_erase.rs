//! Erasing a citizen: the contract of the store, and a walk over every row of
//! the embedded one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use araldo_actors::domain::data_request::DataRequestStatus;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::{AddressId, Epoch, PartitionId};
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::{MessageStatus, RejectionReason};
use araldo_actors::domain::outcome::Outcome;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Backlog, Erased, Journal, Store, StoreError, Swap};
use fjall::{Database, KeyspaceCreateOptions, Readable};

use crate::store_fixture::{
    accept, citizen, claim, code, contract, device, due_ids, embedded, endpoint, erasure,
    everywhere, folder, home, inbox, journal, leaving, message, message_in, open, plan, processed,
    reachable, route, state_of, step, stored, up_to,
};

contract!(
    nothing_is_left_that_can_be_asked_for,
    the_books_stay_whole_when_messages_are_erased,
    what_waits_is_cancelled_and_told_by_route,
    an_older_owner_erases_nothing,
    a_message_whose_turn_is_not_taken_is_left,
    erasing_waits_until_the_journal_lets_go,
    erasing_waits_for_the_journals_of_all_lanes,
    what_comes_late_for_an_erased_message_changes_nothing,
    whoever_comes_back_begins_anew,
    messages_to_the_unknown_are_erased_too,
    where_nothing_is_held_nothing_is_recorded,
    records_of_erasures_are_listed_from_the_newest,
    a_citizen_of_another_partition_is_refused,
);

/// A person other than 1 in the same partition.
fn neighbour() -> u32 {
    (2..100).find(|other| home(*other) == home(1)).unwrap()
}

/// Person 1 with all there can be, and a neighbour with as much: messages 1 to
/// 6 (processed, processed, rejected, expired, quarantined, cancelled), marks,
/// a validated address, a request to be deleted; the neighbour's from 11 on.
/// All journal entries are done with but not yet removed.
async fn filled(store: &dyn Store) -> (PartitionId, Epoch) {
    let (partition, epoch) = open(store, 1).await;
    for (person, first) in [(1, 0), (neighbour(), 10)] {
        let address = format!("person{person}@example.org");
        let given = leaving(reachable(person, &address), DataRequestStatus::Pending, 30);
        store.put_citizens(vec![given]).await.unwrap();
        for n in first + 1..=first + 6 {
            accept(store, n, person).await;
        }
        let id = |n: u64| message(first + n, person).id;
        let google = plan(person, "google", 20, 0);
        let effects = vec![
            processed(first + 1, person, 10),
            Effect::Processed {
                message: id(2),
                citizen: code(person),
                lane: Lane::Normal,
                deliveries: google,
            },
            Effect::Rejected { message: id(3), reason: RejectionReason::ServiceNotAllowed },
            Effect::Expired { message: id(4) },
            Effect::Quarantined { message: id(5), reason: "panicked".to_owned() },
            processed(first + 6, person, 40),
            Effect::Quarantined { message: id(6), reason: "panicked".to_owned() },
            Effect::Deferred {
                message: id(1),
                endpoint: endpoint(person),
                due: Millis(15),
                retry: true,
            },
        ];
        store.commit(partition, epoch, step(effects)).await.unwrap();
        for change in [Some(true), Some(false), Some(true)] {
            let change = MarkChange { read: true, archived: change };
            store.mark(code(person), id(1), change).await.unwrap().unwrap();
        }
    }
    (partition, epoch)
}

async fn erase(store: &dyn Store, owner: (PartitionId, Epoch), person: u32) -> Erased {
    store.erase(owner.0, owner.1, code(person), up_to(u64::MAX), erasure(1, 9_000)).await.unwrap()
}

async fn nothing_is_left_that_can_be_asked_for(store: &dyn Store) {
    let owner = filled(store).await;
    let other = neighbour();
    let kept = (stored(store, other).await, inbox(store, other).await);
    assert_eq!(erase(store, owner, 1).await.messages, 6);
    assert_eq!(store.citizen(code(1)).await.unwrap(), None);
    assert_eq!(inbox(store, 1).await, vec![]);
    assert_eq!(store.events(code(1), Some(0), 99).await.unwrap().events, vec![]);
    assert_eq!(store.addressed(code(1), None, 99).await.unwrap(), vec![]);
    for n in 1..=6 {
        let id = message(n, 1).id;
        assert_eq!(store.message(code(1), id).await.unwrap(), None);
        assert_eq!(store.inbox_item(code(1), id).await.unwrap(), None);
        assert_eq!(store.mark(code(1), id, MarkChange::default()).await.unwrap(), None);
    }
    let address = AddressId::of("person1@example.org");
    assert_eq!(store.address_owner(address).await.unwrap(), None);
    assert_eq!(store.arrivals(owner.0, Lane::Normal, 0, 99).await.unwrap(), vec![]);
    // The neighbour keeps everything.
    assert!((stored(store, other).await, inbox(store, other).await) == kept);
    assert_eq!(store.erasures_due(Millis(99), 9).await.unwrap(), vec![code(other)]);
    assert_eq!(due_ids(store, owner.0, 99).await, vec![(15, endpoint(other))]);
    assert_eq!(store.addressed(code(other), None, 99).await.unwrap().len(), 6);
    let address = AddressId::of(&format!("person{other}@example.org"));
    assert_eq!(store.address_owner(address).await.unwrap(), Some(code(other)));
    // And what is kept of the erased one names nobody.
    let mut record = erasure(1, 9_000);
    record.messages = 6;
    assert_eq!(store.erasures(9).await.unwrap(), vec![record]);
}

async fn the_books_stay_whole_when_messages_are_erased(store: &dyn Store) {
    let owner = filled(store).await;
    let before = store.books(&everywhere()).await.unwrap();
    let mut expected = before;
    // Two pushes of person 1 waited.
    expected.deliveries[0].cancelled += 2;
    erase(store, owner, 1).await;
    assert_eq!(store.books(&everywhere()).await.unwrap(), expected);
    assert_eq!(expected.messages.open(), 0);
    let opened = store.open_partition(owner.0).await.unwrap();
    let pending: u64 = opened.backlogs.iter().map(|route| route.pending).sum();
    assert_eq!(pending, expected.all_deliveries().open());
    assert_eq!(journal(&opened), Journal { checkpoint: 12, tail: 12, unprocessed: 0 });
    let again = accept(store, 21, neighbour()).await;
    assert_eq!(
        format!("{again:?}"),
        format!("Accepted {{ id: {:?}, sequence: 12 }}", message(21, 1).id)
    );
    assert_eq!(
        store.books(&everywhere()).await.unwrap().messages.accepted,
        before.messages.accepted + 1
    );
}

async fn what_waits_is_cancelled_and_told_by_route(store: &dyn Store) {
    let owner = filled(store).await;
    let erased = erase(store, owner, 1).await;
    let cancelled = ["apple", "google"].map(|name| Backlog { route: route(name), pending: 1 });
    assert_eq!(erased.cancelled, cancelled);
    let opened = store.open_partition(owner.0).await.unwrap();
    assert_eq!(opened.backlogs, cancelled);
}

async fn an_older_owner_erases_nothing(store: &dyn Store) {
    let (partition, old) = filled(store).await;
    let (_, new) = open(store, 1).await;
    let record = erasure(1, 9_000);
    let refused = store.erase(partition, old, code(1), up_to(u64::MAX), record).await;
    assert_eq!(refused, Err(StoreError::Fenced(partition)));
    assert_eq!(inbox(store, 1).await.len(), 3);
    assert_eq!(store.arrivals(partition, Lane::Normal, 0, 99).await.unwrap().len(), 12);
    assert_eq!(store.erasures(9).await.unwrap(), vec![]);
    assert_eq!(erase(store, (partition, new), 1).await.messages, 6);
}

async fn a_message_whose_turn_is_not_taken_is_left(store: &dyn Store) {
    let (partition, epoch) = filled(store).await;
    accept(store, 7, 1).await;
    let erased =
        store.erase(partition, epoch, code(1), up_to(12), erasure(1, 9_000)).await.unwrap();
    assert_eq!(erased.messages, 6);
    let left = store.addressed(code(1), None, 9).await.unwrap();
    assert_eq!(left.iter().map(|(message, _)| message.id).collect::<Vec<_>>(), [message(7, 1).id]);
    // The journal is whole, and its turn comes: nobody is there any more.
    let opened = store.open_partition(partition).await.unwrap();
    assert_eq!(journal(&opened), Journal { checkpoint: 12, tail: 13, unprocessed: 1 });
    let arrivals = store.arrivals(partition, Lane::Normal, 0, 9).await.unwrap();
    assert_eq!((arrivals.len(), arrivals[0].sequence, &arrivals[0].citizen), (1, 12, &None));
    let late = step(vec![processed(7, 1, 10)]);
    store.commit(partition, opened.epoch, late).await.unwrap();
    let ended = state_of(store, 7, 1).await.status;
    assert_eq!(ended, MessageStatus::Rejected(RejectionReason::UserNotFound));
    // Now it can go as well.
    assert_eq!(erase(store, (partition, opened.epoch), 1).await.messages, 1);
    assert_eq!(store.addressed(code(1), None, 9).await.unwrap(), vec![]);
    assert_eq!(store.books(&everywhere()).await.unwrap().messages.open(), 0);
}

async fn erasing_waits_until_the_journal_lets_go(store: &dyn Store) {
    let (partition, epoch) = filled(store).await;
    // Entries 0 to 5 are person 1's.
    for checkpoint in [0, 5] {
        let early =
            store.erase(partition, epoch, code(1), up_to(checkpoint), erasure(1, 9_000)).await;
        assert!(matches!(early, Err(StoreError::Unavailable(_))), "{early:?}");
        assert_eq!(inbox(store, 1).await.len(), 3);
        assert_eq!(store.arrivals(partition, Lane::Normal, 0, 99).await.unwrap().len(), 12);
    }
    let erased = store.erase(partition, epoch, code(1), up_to(6), erasure(1, 9_000)).await.unwrap();
    assert_eq!(erased.messages, 6);
    let opened = store.open_partition(partition).await.unwrap();
    assert_eq!(journal(&opened), Journal { checkpoint: 6, tail: 12, unprocessed: 0 });
    assert_eq!(store.arrivals(partition, Lane::Normal, 0, 99).await.unwrap().len(), 6);
}

async fn erasing_waits_for_the_journals_of_all_lanes(store: &dyn Store) {
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    let owner = open(store, 1).await;
    for (n, lane) in (1..).zip(Lane::ALL) {
        store.accept(message_in(lane, n, 1), None).await.unwrap();
        let deliveries = plan(1, "apple", 10, 0);
        let effect =
            Effect::Processed { message: message(n, 1).id, citizen: code(1), lane, deliveries };
        store.commit(owner.0, owner.1, step(vec![effect])).await.unwrap();
    }
    let erase =
        |checkpoints| store.erase(owner.0, owner.1, code(1), checkpoints, erasure(1, 9_000));
    for lane in Lane::ALL {
        let but_one = ByLane::from_fn(|other| u64::from(other != lane));
        let early = erase(but_one).await;
        assert!(matches!(early, Err(StoreError::Unavailable(_))), "{lane:?} {early:?}");
    }
    let erased = erase(ByLane::from_fn(|_| 1)).await.unwrap();
    assert_eq!(erased.messages, 4);
    assert_eq!(erased.cancelled, [Backlog { route: route("apple"), pending: 4 }]);
    let opened = store.open_partition(owner.0).await.unwrap();
    let done = Journal { checkpoint: 1, tail: 1, unprocessed: 0 };
    assert!(opened.journals.values().all(|journal| *journal == done), "{opened:?}");
    assert_eq!(opened.backlogs, vec![]);
    for lane in Lane::ALL {
        let due = store.due(owner.0, &route("apple"), lane, Millis(99), 9, &[]).await.unwrap();
        assert_eq!(due, (vec![], None));
    }
}

async fn what_comes_late_for_an_erased_message_changes_nothing(store: &dyn Store) {
    let owner = filled(store).await;
    erase(store, owner, 1).await;
    let books = store.books(&everywhere()).await.unwrap();
    let id = message(1, 1).id;
    let effects = vec![
        processed(1, 1, 10),
        Effect::Settled { message: id, endpoint: endpoint(1), outcome: Outcome::Delivered },
        Effect::Deferred { message: id, endpoint: endpoint(1), due: Millis(77), retry: true },
        Effect::Quarantined { message: id, reason: "panicked".to_owned() },
        Effect::DeviceDropped {
            citizen: code(1),
            device: device(1, 0).id(),
            registered_before: Millis(u64::MAX),
        },
        Effect::AddressRefused { citizen: code(1), address: AddressId::of("person1@example.org") },
    ];
    store.commit(owner.0, owner.1, step(effects)).await.unwrap();
    assert_eq!(store.books(&everywhere()).await.unwrap(), books);
    assert_eq!(store.message(code(1), id).await.unwrap(), None);
    assert_eq!(store.citizen(code(1)).await.unwrap(), None);
    assert_eq!(due_ids(store, owner.0, 99).await, vec![(15, endpoint(neighbour()))]);
}

async fn whoever_comes_back_begins_anew(store: &dyn Store) {
    let owner = filled(store).await;
    let newest = store.events(code(1), None, 0).await.unwrap().newest;
    let before = stored(store, 1).await;
    erase(store, owner, 1).await;
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    let anew = stored(store, 1).await;
    assert_eq!((anew.version, anew.data_requests.len()), (0, 0));
    assert_eq!(inbox(store, 1).await, vec![]);
    // Whoever read the record that is gone cannot bring it back.
    let stale = store.swap_citizen(before.clone(), Some(before.revision)).await.unwrap();
    assert_eq!(stale, Swap::Conflict);
    accept(store, 9, 1).await;
    store.commit(owner.0, owner.1, step(vec![processed(9, 1, 60)])).await.unwrap();
    let inbox = inbox(store, 1).await;
    assert_eq!((inbox.len(), inbox[0].entry.sequence), (1, newest + 1));
}

async fn messages_to_the_unknown_are_erased_too(store: &dyn Store) {
    accept(store, 1, 1).await;
    accept(store, 2, 1).await;
    let owner = open(store, 1).await;
    store.commit(owner.0, owner.1, step(vec![processed(1, 1, 10)])).await.unwrap();
    assert_eq!(erase(store, owner, 1).await, Erased { messages: 1, cancelled: vec![] });
    assert_eq!(store.addressed(code(1), None, 9).await.unwrap().len(), 1);
    assert_eq!(store.erasures(9).await.unwrap().len(), 1);
}

async fn where_nothing_is_held_nothing_is_recorded(store: &dyn Store) {
    let owner = filled(store).await;
    assert_eq!(erase(store, owner, 1).await.messages, 6);
    // Repeated, because the first answer was lost.
    let again = store.erase(owner.0, owner.1, code(1), up_to(u64::MAX), erasure(1, 9_500)).await;
    assert_eq!(again, Ok(Erased::default()));
    assert_eq!(store.erasures(9).await.unwrap().len(), 1);
}

async fn records_of_erasures_are_listed_from_the_newest(store: &dyn Store) {
    let people: Vec<u32> = (1..100).filter(|n| home(*n) == home(1)).take(4).collect();
    let owner = open(store, 1).await;
    for (n, at) in people.iter().zip([300, 100, 400, 200]) {
        store.put_citizens(vec![citizen(*n)]).await.unwrap();
        let record = erasure(u8::try_from(*n).unwrap(), at);
        store.erase(owner.0, owner.1, code(*n), up_to(0), record).await.unwrap();
    }
    let listed = |limit| async move {
        let records = store.erasures(limit).await.unwrap();
        records.iter().map(|record| record.erased_at.0).collect::<Vec<_>>()
    };
    assert_eq!(listed(9).await, [400, 300, 200, 100]);
    assert_eq!(listed(2).await, [400, 300]);
}

async fn a_citizen_of_another_partition_is_refused(store: &dyn Store) {
    let owner = open(store, 1).await;
    let elsewhere = (2..100).find(|other| home(*other) != home(1)).unwrap();
    store.put_citizens(vec![citizen(elsewhere)]).await.unwrap();
    let refused = store.erase(owner.0, owner.1, code(elsewhere), up_to(0), erasure(1, 1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.citizen(code(elsewhere)).await.unwrap().is_some());
}

/// Keys and values of a table.
pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Every row of the store in `path`, by table.
pub(crate) fn rows(path: &Path) -> BTreeMap<String, Rows> {
    let database = Database::builder(path.join("db")).open().unwrap();
    let snapshot = database.snapshot();
    let mut tables = BTreeMap::new();
    for name in database.list_keyspace_names() {
        let table = database.keyspace(&name, KeyspaceCreateOptions::default).unwrap();
        let rows = snapshot.iter(&table).map(|row| row.into_inner().unwrap());
        let rows = rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        tables.insert(name.to_string(), rows);
    }
    tables
}

/// What tells a person's rows, and the tables where it stands before.
fn traces(person: u32, ordinal: u32, messages: &[u64]) -> Vec<(&'static str, Vec<u8>)> {
    let address = format!("person{person}@example.org");
    let mut mine = home(person).0.to_be_bytes().to_vec();
    mine.extend_from_slice(&ordinal.to_be_bytes());
    let mut traces = vec![
        ("citizens", code(person).as_bytes().to_vec()),
        ("citizen_index", code(person).as_bytes().to_vec()),
        ("addressed", code(person).as_bytes().to_vec()),
        ("addresses", code(person).as_bytes().to_vec()),
        ("erasures", code(person).as_bytes().to_vec()),
        ("messages", code(person).as_bytes().to_vec()),
        ("citizens", device(person, 0).token.into_bytes()),
        ("citizens", address.clone().into_bytes()),
        ("addresses", AddressId::of(&address).0.to_vec()),
        ("due", device(person, 0).id().0.to_be_bytes().to_vec()),
    ];
    traces.extend(["citizens", "inbox", "changes"].map(|table| (table, mine.clone())));
    for n in messages {
        let id = message(*n, person).id.to_bytes().to_vec();
        traces.extend(["messages", "states", "addressed", "intake"].map(|t| (t, id.clone())));
    }
    traces
}

pub(crate) fn holds(bytes: &[u8], trace: &[u8]) -> bool {
    bytes.windows(trace.len()).any(|window| window == trace)
}

#[tokio::test]
async fn a_walk_over_every_row_finds_nothing_of_an_erased_citizen() {
    let folder = folder();
    let store = embedded(folder.path());
    let owner = filled(&*store).await;
    // One more with an idempotency key, whose claim outlives the message.
    let mut keyed = message(8, 1);
    keyed.content.subject = "Once only".to_owned();
    store.accept(keyed.clone(), Some(claim(7, 7))).await.unwrap();
    let claimed = araldo::store::claimed_id(keyed.accepted_at, &claim(7, 7));
    let rejected = Effect::Rejected { message: claimed, reason: RejectionReason::Unknown };
    store.commit(owner.0, owner.1, step(vec![rejected])).await.unwrap();
    drop(store);

    let messages: Vec<u64> = (1..=6).collect();
    let mine = traces(1, 0, &messages);
    let before = rows(folder.path());
    for (table, trace) in &mine {
        let found =
            before[*table].iter().any(|(key, value)| holds(key, trace) || holds(value, trace));
        assert!(found, "the test must find in '{table}' what it looks for: {trace:?}");
    }

    let store = embedded(folder.path());
    let epoch = store.open_partition(owner.0).await.unwrap().epoch;
    assert_eq!(erase(&*store, (owner.0, epoch), 1).await.messages, 7);
    drop(store);
    let after = rows(folder.path());
    assert_eq!(after.len(), before.len());
    for (table, rows) in &after {
        for (key, value) in rows {
            for (_, trace) in &mine {
                // Numbers of a few bytes tell a person's rows only at the
                // beginning of a key; the rest is looked for everywhere.
                let short = trace.len() == 6;
                let counted = ["citizens", "inbox", "changes"].contains(&table.as_str());
                let found = if short {
                    counted && key.starts_with(trace)
                } else {
                    holds(key, trace) || holds(value, trace)
                };
                assert!(!found, "'{table}' still has {trace:?} in {key:?}");
            }
            let id = claimed.to_bytes();
            assert!(table == "claims" || !(holds(key, &id) || holds(value, &id)), "{table}");
            assert!(!holds(value, b"Once only"), "{table}");
        }
    }
    let left: usize = after.values().map(Vec::len).sum();
    assert!(left > 40, "the neighbour and the store's own rows are there: {left}");
}

#[tokio::test]
async fn an_erasure_survives_a_restart() {
    let folder = folder();
    let store = embedded(folder.path());
    let owner = filled(&*store).await;
    erase(&*store, owner, 1).await;
    let books = store.books(&everywhere()).await.unwrap();
    drop(store);
    let store = embedded(folder.path());
    assert_eq!(store.books(&everywhere()).await.unwrap(), books);
    assert_eq!(store.citizen(code(1)).await.unwrap(), None);
    assert_eq!(store.addressed(code(1), None, 9).await.unwrap(), vec![]);
    assert_eq!(store.erasures(9).await.unwrap().len(), 1);
    let opened = store.open_partition(owner.0).await.unwrap();
    assert_eq!(journal(&opened), Journal { checkpoint: 12, tail: 12, unprocessed: 0 });
    assert_eq!(due_ids(&*store, owner.0, 99).await, vec![(15, endpoint(neighbour()))]);
}
