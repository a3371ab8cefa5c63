//! The contract of the store about the records of citizens: writes, swaps,
//! whose an address is, and who asked to be deleted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use araldo::store::first_revision;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::DataRequestStatus;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::{AddressId, ServiceId};
use araldo_actors::domain::preference::{PreferencesMode, ServicePreference};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Store, Swap, Upsert, Written};

use crate::store_fixture::{
    citizen, code, contract, device, embedded, folder, home, leaving, open, reachable, step, stored,
};

contract!(
    citizens_keep_ordinals_versions_and_registration_times,
    an_import_leaves_what_only_the_citizen_can_set,
    another_mode_ends_the_preferences_stored_until_then,
    a_record_is_swapped_only_if_it_is_the_one_expected,
    a_new_record_is_swapped_in_only_where_there_is_none,
    a_swap_stores_everything_as_given,
    an_address_has_one_owner,
    an_import_that_validates_anothers_address_is_told,
    an_address_is_free_again_when_its_owner_lets_it_go,
    addresses_are_the_same_in_any_case,
    a_refused_address_counts_as_not_validated,
    a_device_is_dropped_only_if_registered_before,
    pending_deletions_are_found_when_due,
);

const INSERTED: Upsert = Upsert { written: Written::Inserted, address_taken: false };
const UPDATED: Upsert = Upsert { written: Written::Updated, address_taken: false };

async fn put(store: &dyn Store, citizen: Citizen) -> Upsert {
    store.put_citizens(vec![citizen]).await.unwrap()[0]
}

/// Swaps in what `change` makes of the stored record.
async fn swap(store: &dyn Store, n: u32, change: impl FnOnce(&mut Citizen)) -> Swap {
    let mut citizen = stored(store, n).await;
    let expected = Some(citizen.revision);
    change(&mut citizen);
    store.swap_citizen(citizen, expected).await.unwrap()
}

async fn owner(store: &dyn Store, address: &str) -> Option<u32> {
    let owner = store.address_owner(AddressId::of(address)).await.unwrap()?;
    (0..20).find(|n| code(*n) == owner)
}

async fn citizens_keep_ordinals_versions_and_registration_times(store: &dyn Store) {
    let written = store.put_citizens(vec![citizen(1), citizen(2), citizen(1)]).await.unwrap();
    assert_eq!(written, vec![INSERTED, INSERTED, UPDATED]);
    let mut changed = citizen(1);
    changed.version = 40;
    changed.revision = 40;
    changed.email = Some("someone@example.org".to_owned());
    changed.devices = vec![device(1, 900), device(11, 900)];
    let before = stored(store, 1).await.revision;
    assert_eq!(put(store, changed).await, UPDATED);
    let now = stored(store, 1).await;
    assert_eq!((now.version, now.revision), (2, before + 1));
    assert_eq!(now.email.as_deref(), Some("someone@example.org"));
    let times: Vec<_> = now.devices.iter().map(|known| known.registered_at.0).collect();
    assert_eq!(times, vec![100, 900]);
    assert_eq!(stored(store, 2).await.version, 0);
    assert_eq!(store.citizen(code(3)).await.unwrap(), None);
}

async fn an_import_leaves_what_only_the_citizen_can_set(store: &dyn Store) {
    let service = ServiceId::parse("service-1").unwrap();
    put(store, citizen(1)).await;
    let own = swap(store, 1, |mine| {
        mine.devices[0].installation = Some("phone".to_owned());
        mine.sessions_revoked_at = Millis(77);
        mine.accepted_tos_version = Some(3);
        mine.settings_version = 8;
        mine.reminders = false;
        mine.last_app_version = Some("2.0".to_owned());
        let quiet = ServicePreference { read_status: false, ..ServicePreference::ALL };
        mine.preferences.insert(service.clone(), quiet);
        *mine = leaving(mine.clone(), DataRequestStatus::Pending, 50);
    });
    let Swap::Stored(own) = own.await else { panic!("not swapped") };

    let mut line = citizen(1);
    line.birth_year = Some(1970);
    line.devices[0].registered_at = Millis(900);
    let switched_off = ServicePreference { push: false, ..ServicePreference::ALL };
    line.preferences.insert(service.clone(), switched_off);
    assert_eq!(put(store, line).await, UPDATED);

    let mut expected = *own;
    expected.version += 1;
    expected.revision += 1;
    expected.birth_year = Some(1970);
    let preference = expected.preferences.get_mut(&service).unwrap();
    assert!(!preference.read_status);
    preference.push = false;
    assert!(stored(store, 1).await == expected);
    assert_eq!(store.erasures_due(Millis(50), 9).await.unwrap(), vec![code(1)]);
}

async fn another_mode_ends_the_preferences_stored_until_then(store: &dyn Store) {
    put(store, citizen(1)).await;
    put(store, citizen(1)).await;
    assert_eq!(stored(store, 1).await.settings_version, 0);
    put(store, Citizen { mode: PreferencesMode::Manual, ..citizen(1) }).await;
    assert_eq!(stored(store, 1).await.settings_version, 1);
}

async fn a_record_is_swapped_only_if_it_is_the_one_expected(store: &dyn Store) {
    put(store, citizen(1)).await;
    let first = stored(store, 1).await;
    let mut second = first.clone();
    second.birth_year = Some(1980);
    let swapped = store.swap_citizen(second.clone(), Some(first.revision)).await.unwrap();
    second.revision += 1;
    assert_eq!(swapped, Swap::Stored(Box::new(second.clone())));
    assert!(stored(store, 1).await == second);
    // Whoever read the first one, or none, has to read again.
    for late in [Some(first.revision), Some(second.revision + 1), None] {
        let refused = store.swap_citizen(first.clone(), late).await.unwrap();
        assert_eq!(refused, Swap::Conflict);
    }
    assert!(stored(store, 1).await == second);
}

async fn a_new_record_is_swapped_in_only_where_there_is_none(store: &dyn Store) {
    assert_eq!(store.swap_citizen(citizen(1), Some(1)).await.unwrap(), Swap::Conflict);
    assert_eq!(store.citizen(code(1)).await.unwrap(), None);
    let Swap::Stored(new) = store.swap_citizen(citizen(1), None).await.unwrap() else {
        panic!("not stored")
    };
    assert_eq!((new.version, new.revision), (0, first_revision(0)));
    assert!(stored(store, 1).await == *new);
    assert_eq!(store.swap_citizen(citizen(1), None).await.unwrap(), Swap::Conflict);
    assert_eq!(put(store, citizen(1)).await, UPDATED);
}

async fn a_swap_stores_everything_as_given(store: &dyn Store) {
    put(store, citizen(1)).await;
    let swapped = swap(store, 1, |mine| {
        mine.version = 41;
        mine.mode = PreferencesMode::Manual;
        mine.devices = vec![device(1, 900), device(12, 901)];
        mine.sessions_revoked_at = Millis(5);
    });
    assert!(matches!(swapped.await, Swap::Stored(_)));
    let now = stored(store, 1).await;
    assert_eq!((now.version, now.settings_version), (41, 0));
    assert_eq!(now.devices[0].registered_at, Millis(900));
    assert_eq!(now.sessions_revoked_at, Millis(5));
}

async fn an_address_has_one_owner(store: &dyn Store) {
    store.put_citizens(vec![reachable(1, "a@example.org"), citizen(2)]).await.unwrap();
    assert_eq!(owner(store, "a@example.org").await, Some(1));
    assert_eq!(owner(store, "b@example.org").await, None);
    let claims = |n, validated| async move {
        swap(store, n, |mine| {
            mine.email = Some("a@example.org".to_owned());
            mine.email_validated = validated;
        })
        .await
    };
    // Somebody else may have the address in the profile, but not validate it.
    assert!(matches!(claims(2, false).await, Swap::Stored(_)));
    let before = stored(store, 2).await;
    assert_eq!(claims(2, true).await, Swap::AddressTaken);
    assert!(stored(store, 2).await == before);
    assert!(matches!(claims(1, true).await, Swap::Stored(_)));
    assert_eq!(
        store.swap_citizen(reachable(3, "a@example.org"), None).await,
        Ok(Swap::AddressTaken)
    );
    assert_eq!(store.citizen(code(3)).await.unwrap(), None);
    // An outdated record is told that first.
    let late = store.swap_citizen(reachable(2, "a@example.org"), Some(7)).await.unwrap();
    assert_eq!(late, Swap::Conflict);
    assert_eq!(owner(store, "a@example.org").await, Some(1));
}

async fn an_import_that_validates_anothers_address_is_told(store: &dyn Store) {
    let people = vec![reachable(1, "a@example.org"), reachable(2, "a@example.org"), citizen(3)];
    let written = store.put_citizens(people).await.unwrap();
    let taken = Upsert { written: Written::Inserted, address_taken: true };
    assert_eq!(written, vec![INSERTED, taken, INSERTED]);
    let second = stored(store, 2).await;
    assert_eq!((second.email.as_deref(), second.email_validated), (Some("a@example.org"), false));
    let again = put(store, reachable(3, "a@example.org")).await;
    assert_eq!(again, Upsert { written: Written::Updated, address_taken: true });
    assert_eq!(put(store, reachable(1, "a@example.org")).await, UPDATED);
    assert_eq!(owner(store, "a@example.org").await, Some(1));
}

async fn an_address_is_free_again_when_its_owner_lets_it_go(store: &dyn Store) {
    put(store, reachable(1, "a@example.org")).await;
    // By another address, by an import that does not validate it, by a swap.
    put(store, reachable(1, "b@example.org")).await;
    assert_eq!(owner(store, "a@example.org").await, None);
    assert_eq!(put(store, reachable(2, "a@example.org")).await, INSERTED);
    put(store, Citizen { email_validated: false, ..reachable(2, "a@example.org") }).await;
    assert_eq!(owner(store, "a@example.org").await, None);
    put(store, reachable(3, "a@example.org")).await;
    swap(store, 3, |mine| mine.email = None).await;
    assert_eq!(owner(store, "a@example.org").await, None);
    assert_eq!(owner(store, "b@example.org").await, Some(1));
    // Handed over within one import.
    let people = vec![citizen(1), reachable(4, "b@example.org"), reachable(1, "c@example.org")];
    let taken: Vec<_> = store.put_citizens(people).await.unwrap();
    assert!(taken.iter().all(|one| !one.address_taken));
    assert_eq!(owner(store, "b@example.org").await, Some(4));
    assert_eq!(owner(store, "c@example.org").await, Some(1));
}

async fn addresses_are_the_same_in_any_case(store: &dyn Store) {
    put(store, reachable(1, "Some.One@Example.org")).await;
    assert!(put(store, reachable(2, "some.one@example.ORG")).await.address_taken);
    assert_eq!(owner(store, "SOME.ONE@EXAMPLE.ORG").await, Some(1));
    put(store, reachable(1, "some.one@example.org")).await;
    assert_eq!(owner(store, "Some.One@Example.org").await, Some(1));
}

async fn a_refused_address_counts_as_not_validated(store: &dyn Store) {
    put(store, reachable(1, "a@example.org")).await;
    let before = stored(store, 1).await;
    let (partition, epoch) = open(store, 1).await;
    let refused = |address: &str| {
        step(vec![Effect::AddressRefused { citizen: code(1), address: AddressId::of(address) }])
    };
    // Another one than the profile's: replaced meanwhile.
    store.commit(partition, epoch, refused("old@example.org")).await.unwrap();
    assert!(stored(store, 1).await == before);
    store.commit(partition, epoch, refused("A@example.org")).await.unwrap();
    store.commit(partition, epoch, refused("a@example.org")).await.unwrap();
    let mut expected = before;
    expected.email_validated = false;
    expected.revision += 1;
    assert!(stored(store, 1).await == expected);
    assert_eq!(owner(store, "a@example.org").await, None);
    assert_eq!(put(store, reachable(2, "a@example.org")).await, INSERTED);
    // The address is another's now.
    store.commit(partition, epoch, refused("a@example.org")).await.unwrap();
    assert_eq!(owner(store, "a@example.org").await, Some(2));
}

async fn a_device_is_dropped_only_if_registered_before(store: &dyn Store) {
    let mut two = citizen(1);
    two.devices.push(device(11, 100));
    put(store, two).await;
    let before = stored(store, 1).await;
    let (partition, epoch) = open(store, 1).await;
    let gone = |before| {
        step(vec![Effect::DeviceDropped {
            citizen: code(1),
            device: device(1, 0).id(),
            registered_before: Millis(before),
        }])
    };
    store.commit(partition, epoch, gone(100)).await.unwrap();
    assert!(stored(store, 1).await == before);
    store.commit(partition, epoch, gone(101)).await.unwrap();
    store.commit(partition, epoch, gone(102)).await.unwrap();
    let now = stored(store, 1).await;
    assert_eq!(now.devices, vec![device(11, 100)]);
    // A write, but not one of the profile.
    assert_eq!((now.version, now.revision), (before.version, before.revision + 1));
}

async fn pending_deletions_are_found_when_due(store: &dyn Store) {
    use DataRequestStatus::{Aborted, Pending};
    for (n, due) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
        put(store, citizen(n)).await;
        swap(store, n, |mine| *mine = leaving(mine.clone(), Pending, due)).await;
    }
    let found =
        |until, limit| async move { store.erasures_due(Millis(until), limit).await.unwrap() };
    assert_eq!(found(9, 9).await, []);
    assert_eq!(found(10, 9).await, [code(2)]);
    assert_eq!(found(20, 9).await, [2, 3, 4].map(code));
    assert_eq!(found(u64::MAX, 9).await, [2, 3, 4, 1].map(code));
    assert_eq!(found(u64::MAX, 2).await, [2, 3].map(code));
    // Taken back, and put off.
    swap(store, 2, |mine| *mine = leaving(mine.clone(), Aborted, 10)).await;
    swap(store, 3, |mine| *mine = leaving(mine.clone(), Pending, 40)).await;
    assert_eq!(found(20, 9).await, [code(4)]);
    assert_eq!(found(40, 9).await, [4, 1, 3].map(code));
    swap(store, 4, |mine| mine.data_requests.clear()).await;
    assert_eq!(found(40, 9).await, [1, 3].map(code));
}

#[tokio::test]
async fn of_many_who_swap_at_once_each_wins_or_is_told() {
    let folder = folder();
    let store = embedded(folder.path());
    put(&*store, citizen(1)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let store = std::sync::Arc::clone(&store);
        tasks.spawn(async move {
            let swapped = swap(&*store, 1, |mine| mine.version += 1).await;
            u32::from(matches!(swapped, Swap::Stored(_)))
        });
    }
    let won: u32 = tasks.join_all().await.into_iter().sum();
    assert!(won >= 1);
    assert_eq!(stored(&*store, 1).await.version, won);
}

#[tokio::test]
async fn addresses_and_deletions_survive_a_restart() {
    let folder = folder();
    let store = embedded(folder.path());
    put(&*store, reachable(1, "a@example.org")).await;
    swap(&*store, 1, |mine| *mine = leaving(mine.clone(), DataRequestStatus::Pending, 5)).await;
    let before = stored(&*store, 1).await;
    drop(store);
    let store = embedded(folder.path());
    assert!(stored(&*store, 1).await == before);
    assert_eq!(owner(&*store, "a@example.org").await, Some(1));
    assert_eq!(store.erasures_due(Millis(5), 9).await.unwrap(), vec![code(1)]);
    let other = (2..100).find(|n| home(*n) != home(1)).unwrap();
    assert!(put(&*store, reachable(other, "a@example.org")).await.address_taken);
}
