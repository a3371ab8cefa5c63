//! What the embedded store does with a folder that is not as it was left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use araldo::store::embedded::{EmbeddedOptions, EmbeddedStore, OpenError};
use araldo_actors::domain::id::AddressId;
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::lane::Lane;
use araldo_actors::port::store::{Store, StoreError};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use crate::store_fixture::{
    PARTITIONS, accept, citizen, code, embedded, erasure, folder, home, journal as journal_of,
    message, one_processed, options, reachable, route, up_to,
};

/// A store with one citizen and ten messages to it, one group commit each.
async fn filled(path: &Path) {
    let store = embedded(path);
    store.put_citizens(vec![citizen(1)]).await.unwrap();
    for n in 0..10 {
        accept(&*store, n, 1).await;
    }
}

pub fn refusal(path: &Path) -> OpenError {
    match EmbeddedStore::open(&options(path)) {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

/// The one journal file, and the place in it where the text of message `n`
/// stands (each is stored once).
fn journal(path: &Path, n: u64) -> (PathBuf, u64) {
    let journal = path.join("db/0.jnl");
    let mut content = Vec::new();
    std::fs::File::open(&journal).unwrap().read_to_end(&mut content).unwrap();
    let text = format!("Subject of message {n}");
    let at = content.windows(text.len()).position(|bytes| bytes == text.as_bytes()).unwrap();
    (journal, at as u64)
}

/// Where the batch before the place `at` ends.
fn end_of_batch_before(journal: &Path, at: u64) -> u64 {
    let content = std::fs::read(journal).unwrap();
    let end = usize::try_from(at).unwrap();
    let trailer = content[..end].windows(4).rposition(|bytes| bytes == b"FJL\x03").unwrap();
    trailer as u64 + 4
}

/// Changes rows behind the store's back, past its writer.
pub fn tamper(path: &Path, table: &str, change: impl FnOnce(&fjall::Keyspace)) {
    let database = Database::builder(path.join("db")).open().unwrap();
    change(&database.keyspace(table, KeyspaceCreateOptions::default).unwrap());
    database.persist(PersistMode::SyncAll).unwrap();
}

#[tokio::test]
async fn a_byte_changed_in_mid_journal_is_refused_and_the_journal_named() {
    let folder = folder();
    filled(folder.path()).await;
    let (journal, at) = journal(folder.path(), 4);
    let mut file = OpenOptions::new().read(true).write(true).open(&journal).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(b"X").unwrap();
    let size = file.metadata().unwrap().len();
    for _ in 0..2 {
        let error = refusal(folder.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("0.jnl"), "{error}");
    }
    // What was found is left as it was found.
    assert_eq!(file.metadata().unwrap().len(), size);
}

#[tokio::test]
async fn a_batch_header_changed_in_mid_journal_is_refused() {
    let folder = folder();
    filled(folder.path()).await;
    let (journal, at) = journal(folder.path(), 4);
    let before = end_of_batch_before(&journal, at);
    let mut file = OpenOptions::new().write(true).open(&journal).unwrap();
    file.seek(SeekFrom::Start(before)).unwrap();
    file.write_all(&[0x77]).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("0.jnl"), "{error}");
}

#[tokio::test]
async fn a_journal_cut_short_is_refused_with_the_commit_numbers() {
    let folder = folder();
    filled(folder.path()).await;
    let (journal, at) = journal(folder.path(), 6);
    OpenOptions::new().write(true).open(&journal).unwrap().set_len(at).unwrap();
    for _ in 0..2 {
        let error = refusal(folder.path()).to_string();
        assert!(error.contains("0.jnl has a batch that cannot be read at byte"), "{error}");
    }
}

#[tokio::test]
async fn a_journal_cut_between_two_batches_is_refused_with_the_commit_numbers() {
    let folder = folder();
    filled(folder.path()).await;
    let (journal, at) = journal(folder.path(), 6);
    let at = end_of_batch_before(&journal, at);
    OpenOptions::new().write(true).open(&journal).unwrap().set_len(at).unwrap();
    for _ in 0..2 {
        let error = refusal(folder.path()).to_string();
        // Commit 1 made the store, 2 wrote the citizen, 3 to 12 the messages.
        assert!(error.contains("commit 12 was durable"), "{error}");
        assert!(error.contains("ends with commit 8"), "{error}");
        assert!(error.contains("0.jnl"), "{error}");
    }
}

#[tokio::test]
async fn a_torn_tail_that_nobody_was_told_of_is_dropped() {
    let folder = folder();
    filled(folder.path()).await;
    // As if the process had been killed while it wrote commit 12, before the
    // fsync and so before the mark: the mark still says 11.
    let (journal, at) = journal(folder.path(), 9);
    OpenOptions::new().write(true).open(&journal).unwrap().set_len(at).unwrap();
    let mut mark = OpenOptions::new().write(true).open(folder.path().join("commit-mark")).unwrap();
    mark.write_all(&[0; 12]).unwrap();

    let store = embedded(folder.path());
    let opened = store.open_partition(home(1)).await.unwrap();
    assert_eq!((journal_of(&opened).tail, journal_of(&opened).unprocessed), (9, 9));
    accept(&*store, 9, 1).await;
    drop(store);
    let store = embedded(folder.path());
    let opened = store.open_partition(home(1)).await.unwrap();
    assert_eq!(journal_of(&opened).tail, 10);
}

#[tokio::test]
async fn a_tail_torn_in_its_middle_by_a_power_cut_is_dropped() {
    let folder = folder();
    filled(folder.path()).await;
    // The last batch is complete but for one page that never reached the disk.
    let (journal, at) = journal(folder.path(), 9);
    let mut file = OpenOptions::new().write(true).open(&journal).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[0; 64]).unwrap();
    let mut mark = OpenOptions::new().write(true).open(folder.path().join("commit-mark")).unwrap();
    mark.write_all(&[0; 12]).unwrap();

    let store = embedded(folder.path());
    let opened = store.open_partition(home(1)).await.unwrap();
    assert_eq!(journal_of(&opened).tail, 9);
}

#[tokio::test]
async fn a_missing_journal_is_refused() {
    let folder = folder();
    filled(folder.path()).await;
    std::fs::remove_file(folder.path().join("db/0.jnl")).unwrap();
    let error = refusal(folder.path()).to_string();
    assert!(error.contains("commit 12 was durable"), "{error}");
}

#[tokio::test]
async fn a_missing_database_is_refused_and_an_unfinished_one_made_anew() {
    let folder = folder();
    filled(folder.path()).await;
    std::fs::remove_dir_all(folder.path().join("db")).unwrap();
    let error = refusal(folder.path()).to_string();
    assert!(error.contains("has no database"), "{error}");

    // Killed during the very first start: files, but no `version` yet.
    let fresh = crate::store_fixture::folder();
    std::fs::create_dir_all(fresh.path().join("db/keyspaces")).unwrap();
    std::fs::write(fresh.path().join("db/0.jnl"), b"").unwrap();
    filled(fresh.path()).await;
}

#[tokio::test]
async fn a_table_without_its_newest_commit_is_refused_and_named() {
    let folder = folder();
    filled(folder.path()).await;
    tamper(folder.path(), "intake", |intake| {
        intake.insert(b"\xff\xff commit", 5_u64.to_be_bytes()).unwrap();
    });
    let error = refusal(folder.path()).to_string();
    assert!(error.contains("table 'intake' is at commit 5"), "{error}");
}

#[tokio::test]
async fn a_missing_journal_entry_is_found_when_the_partition_opens() {
    let folder = folder();
    filled(folder.path()).await;
    let mut key = home(1).0.to_be_bytes().to_vec();
    key.push(Lane::Normal.number());
    key.extend_from_slice(&4_u64.to_be_bytes());
    tamper(folder.path(), "intake", |intake| intake.remove(key).unwrap());
    let store = embedded(folder.path());
    let Err(StoreError::Damaged(what)) = store.open_partition(home(1)).await else {
        panic!("the partition opened");
    };
    let place = format!("journal of partition {}, Normal, entry 4", home(1));
    assert!(what.contains(&place), "{what}");
    assert!(store.arrivals(home(1), Lane::Normal, 0, 10).await.is_err());
}

#[tokio::test]
async fn a_changed_message_is_found_when_the_partition_opens() {
    let folder = folder();
    filled(folder.path()).await;
    let mut key = home(1).0.to_be_bytes().to_vec();
    key.extend_from_slice(&message(7, 1).id.to_bytes());
    tamper(folder.path(), "messages", |messages| {
        let mut row = messages.get(&key).unwrap().unwrap().to_vec();
        let last = row.len() - 1;
        row[last] ^= 1;
        messages.insert(key, row).unwrap();
    });
    let store = embedded(folder.path());
    let Err(StoreError::Damaged(what)) = store.open_partition(home(1)).await else {
        panic!("the partition opened");
    };
    assert!(what.contains("entry 7: its message does not match its checksum"), "{what}");
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let folder = folder();
    let store = embedded(folder.path());
    let error = refusal(folder.path());
    assert!(matches!(error, OpenError::InUse(_)));
    assert!(error.to_string().ends_with("is in use by another process"));
    drop(store);
    drop(embedded(folder.path()));
}

#[tokio::test]
async fn another_format_and_another_partition_count_are_refused() {
    let folder = folder();
    filled(folder.path()).await;
    let more = EmbeddedOptions { partitions: PARTITIONS + 1, ..options(folder.path()) };
    let error = EmbeddedStore::open(&more).err().unwrap();
    assert!(matches!(error, OpenError::Partitions { stored: 3, configured: 4, .. }), "{error}");
    tamper(folder.path(), "meta", |meta| meta.insert(b"\x00 format", [99, 3]).unwrap());
    let error = refusal(folder.path());
    assert!(matches!(error, OpenError::Version { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_store_of_an_earlier_format_is_refused_and_left_as_it_was() {
    for earlier in [1, 2, 3] {
        let folder = folder();
        {
            let database = Database::builder(folder.path().join("db")).open().unwrap();
            let meta = database.keyspace("meta", KeyspaceCreateOptions::default).unwrap();
            meta.insert(b"\x00 format", [earlier, 3]).unwrap();
            database.persist(PersistMode::SyncAll).unwrap();
        }
        let error = refusal(folder.path());
        let OpenError::Version { found, .. } = error else { panic!("{error}") };
        assert_eq!(found, u16::from(earlier));
        let sentence = format!(
            "has format {earlier}, and this version reads format 4: \
             use the version that wrote it, or another folder"
        );
        assert!(error.to_string().ends_with(&sentence), "{error}");
        let database = Database::builder(folder.path().join("db")).open().unwrap();
        assert_eq!(database.keyspace_count(), 1);
    }
}

#[tokio::test]
async fn a_due_entry_in_a_lane_its_message_is_not_in_is_damage() {
    let folder = folder();
    let (partition, _) = one_processed(&*embedded(folder.path())).await;
    tamper(folder.path(), "due", |due| {
        let mut key = first_row(due);
        due.remove(key.clone()).unwrap();
        key[4] = Lane::Emergency.number();
        due.insert(key, b"").unwrap();
    });
    let store = embedded(folder.path());
    let (apple, until) = (route("apple"), araldo_actors::domain::time::Millis(99));
    let what = damage(store.due(partition, &apple, Lane::Emergency, until, 9, &[]).await);
    assert!(what.contains("a delivery is due that its state does not have waiting"), "{what}");
    tamper_closed(folder.path(), store, "due", |due| {
        let mut key = first_row(due);
        due.remove(key.clone()).unwrap();
        key[37] = 9;
        due.insert(key, b"").unwrap();
    });
    let store = embedded(folder.path());
    let what = damage(store.due(partition, &apple, Lane::Emergency, until, 9, &[]).await);
    assert!(what.contains("table 'due'"), "{what}");
}

/// The error of a read that met damage.
pub fn damage<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Damaged(what)) => what,
        other => panic!("{other:?}"),
    }
}

/// The first row of a table, but for the one with the commit's number.
fn first_row(table: &fjall::Keyspace) -> Vec<u8> {
    table.iter().next().unwrap().key().unwrap().to_vec()
}

#[tokio::test]
async fn an_inbox_entry_that_cannot_be_read_is_named() {
    let folder = folder();
    one_processed(&*embedded(folder.path())).await;
    tamper(folder.path(), "inbox", |inbox| inbox.insert(first_row(inbox), [9; 33]).unwrap());
    let store = embedded(folder.path());
    let place = format!("inbox of partition {}, entry 1: the row cannot be read", home(1));
    let all = araldo_actors::domain::inbox::InboxRange { limit: 9, ..<_>::default() };
    assert_eq!(damage(store.inbox(code(1), all).await), place);
    assert_eq!(damage(store.inbox_item(code(1), message(1, 1).id).await), place);
    assert_eq!(damage(store.events(code(1), Some(0), 9).await), place);
    damage(store.mark(code(1), message(1, 1).id, MarkChange::default()).await);
    tamper_closed(folder.path(), store, "inbox", |inbox| inbox.remove(first_row(inbox)).unwrap());
    let store = embedded(folder.path());
    let missing = damage(store.inbox_item(code(1), message(1, 1).id).await);
    assert!(missing.ends_with("it is missing, but its message was published"), "{missing}");
}

/// As [`tamper`], closing the store first.
fn tamper_closed(
    path: &Path,
    store: std::sync::Arc<EmbeddedStore>,
    table: &str,
    change: impl FnOnce(&fjall::Keyspace),
) {
    drop(store);
    tamper(path, table, change);
}

#[tokio::test]
async fn a_change_of_marks_that_its_entry_does_not_have_is_damage() {
    let folder = folder();
    let store = embedded(folder.path());
    one_processed(&*store).await;
    let read = MarkChange { read: true, archived: None };
    store.mark(code(1), message(1, 1).id, read).await.unwrap();
    tamper_closed(folder.path(), store, "changes", |changes| {
        changes.insert(first_row(changes), 7_u64.to_be_bytes()).unwrap();
    });
    let store = embedded(folder.path());
    let what = damage(store.events(code(1), Some(1), 9).await);
    assert!(what.contains("entry 7: it does not have the change of its marks at 2"), "{what}");
    tamper_closed(folder.path(), store, "changes", |changes| {
        changes.insert(first_row(changes), b"seven b").unwrap();
    });
    let what = damage(embedded(folder.path()).events(code(1), Some(1), 9).await);
    assert!(what.contains("table 'changes'"), "{what}");
}

#[tokio::test]
async fn what_is_listed_with_its_recipient_and_missing_is_damage() {
    let folder = folder();
    filled(folder.path()).await;
    tamper(folder.path(), "messages", |messages| messages.remove(first_row(messages)).unwrap());
    let store = embedded(folder.path());
    let what = damage(store.addressed(code(1), None, 99).await);
    let place = format!("partition {}, message {}: it is missing", home(1), message(0, 1).id);
    assert!(what.starts_with(&place), "{what}");
    let other = (2..100).find(|other| home(*other) != home(1)).unwrap();
    assert_eq!(store.addressed(code(other), None, 99).await, Ok(vec![]));
}

#[tokio::test]
async fn an_address_without_a_readable_owner_stops_writes_to_it_alone() {
    let folder = folder();
    let store = embedded(folder.path());
    store.put_citizens(vec![reachable(1, "a@example.org")]).await.unwrap();
    tamper_closed(folder.path(), store, "addresses", |addresses| {
        addresses.insert(first_row(addresses), b"nobody").unwrap();
    });
    let store = embedded(folder.path());
    let what = damage(store.address_owner(AddressId::of("a@example.org")).await);
    assert!(what.contains("table 'addresses'"), "{what}");
    damage(store.put_citizens(vec![citizen(3), reachable(2, "a@example.org")]).await);
    // Nothing of the refused write was kept.
    assert_eq!(store.citizen(code(3)).await.unwrap(), None);
    store.put_citizens(vec![reachable(2, "b@example.org")]).await.unwrap();
}

#[tokio::test]
async fn damage_met_while_erasing_removes_nothing() {
    let folder = folder();
    let (partition, epoch) = one_processed(&*embedded(folder.path())).await;
    tamper(folder.path(), "states", |states| states.insert(first_row(states), b"").unwrap());
    let store = embedded(folder.path());
    let what = damage(store.erase(partition, epoch, code(1), up_to(1), erasure(1, 1)).await);
    assert!(what.contains("table 'states'"), "{what}");
    assert!(store.citizen(code(1)).await.unwrap().is_some());
    assert_eq!(store.erasures(9).await.unwrap(), vec![]);
}

#[test]
fn impossible_options_and_folders_are_refused() {
    let folder = folder();
    for partitions in [0, 4_097] {
        let wrong = EmbeddedOptions { partitions, ..options(folder.path()) };
        let refused = EmbeddedStore::open(&wrong).err().unwrap();
        assert!(matches!(refused, OpenError::PartitionRange(_)));
    }
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = refusal(&file);
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[test]
fn the_folder_of_a_new_store_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outer/store");
    drop(embedded(&path));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
