//! Fencing: whoever owns a partition no more writes nothing, in the same process
//! or in another, whatever it remembers.

use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::{AddressId, Epoch, PartitionId};
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::ledger::Mark;
use araldo_actors::domain::message::RejectionReason;
use araldo_actors::domain::outcome::Outcome;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::AlertStore;
use araldo_actors::port::store::{Store, StoreError};

use crate::redis_kit::{own, shared_server};
use crate::store_alert::fixture::{accepted, id, one_step, push_step, register, residents};
use crate::store_fixture::{
    accept, code, device, endpoint, erasure, everywhere, home, message, open, processed, reachable,
    state_of, step, up_to,
};

/// Everything an owner can do to person 1, whose message 1 waits for its turn
/// and whose message 2 has had it.
fn every_effect() -> Vec<Effect> {
    let message = |n| message(n, 1).id;
    vec![
        processed(1, 1, 20),
        Effect::Rejected { message: message(1), reason: RejectionReason::Unknown },
        Effect::Expired { message: message(1) },
        Effect::Quarantined { message: message(2), reason: "panicked".to_owned() },
        Effect::Settled { message: message(2), endpoint: endpoint(1), outcome: Outcome::Delivered },
        Effect::Deferred {
            message: message(2),
            endpoint: endpoint(1),
            due: Millis(99),
            retry: true,
        },
        Effect::DeviceDropped {
            citizen: code(1),
            device: device(1, 0).id(),
            registered_before: Millis(u64::MAX),
        },
        Effect::AddressRefused { citizen: code(1), address: AddressId::of("one@example.org") },
        one_step(1, 1, 0, &[Mark::Delivered]),
        push_step(1, "apple", 1, 0, &[Mark::Delivered]),
    ]
}

/// Person 1, messages and an alert; the partition as it can be read.
async fn filled(store: &RedisStore) -> (PartitionId, Epoch) {
    register(store, &residents(home(1).0, 4)).await;
    store.put_citizens(vec![reachable(1, "one@example.org")]).await.unwrap();
    accepted(store, 1).await;
    for n in [1, 2] {
        accept(store, n, 1).await;
    }
    let (partition, epoch) = open(store, 1).await;
    store.commit(partition, epoch, step(vec![processed(2, 1, 10)])).await.unwrap();
    (partition, epoch)
}

async fn seen(store: &RedisStore) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        store.books(&everywhere()).await.unwrap(),
        (state_of(store, 1, 1).await, state_of(store, 2, 1).await),
        serde_json::to_string(&store.citizen(code(1)).await.unwrap()).unwrap(),
        store.events(code(1), Some(0), 99).await.unwrap(),
        store.alert_progress(id(1)).await.unwrap(),
        store.erasures(9).await.unwrap(),
    )
}

async fn is_fenced(stale: &RedisStore, owner: (PartitionId, Epoch), fresh: &RedisStore) {
    let (partition, epoch) = owner;
    let before = seen(fresh).await;
    for effect in every_effect() {
        let what = format!("{effect:?}");
        let done = stale.commit(partition, epoch, step(vec![effect])).await;
        assert_eq!(done, Err(StoreError::Fenced(partition)), "{what}");
    }
    let nothing = stale.commit(partition, epoch, step(vec![])).await;
    assert_eq!(nothing, Err(StoreError::Fenced(partition)));
    let mut passes = step(vec![]);
    passes.checkpoints = up_to(1);
    let passes = stale.commit(partition, epoch, passes).await;
    assert_eq!(passes, Err(StoreError::Fenced(partition)));
    let all = ByLane::from_fn(|_| u64::MAX);
    let erased = stale.erase(partition, epoch, code(1), all, erasure(1, 9)).await;
    assert_eq!(erased, Err(StoreError::Fenced(partition)));
    assert_eq!(seen(fresh).await, before, "nothing was written");
}

#[tokio::test]
async fn every_write_of_an_owner_fenced_by_another_process_is_refused() {
    let options = own(Servers::Single(shared_server().url()));
    let old = RedisStore::open(&options).await.unwrap();
    let owner = filled(&old).await;
    let other = RedisOptions { incarnation: 2, ..options };
    let new = RedisStore::open(&other).await.unwrap();
    let (_, epoch) = open(&new, 1).await;
    assert!(epoch > owner.1);
    is_fenced(&old, owner, &new).await;
    new.commit(owner.0, epoch, step(every_effect())).await.unwrap();
}

#[tokio::test]
async fn every_write_of_an_earlier_generation_in_the_same_process_is_refused() {
    let store = RedisStore::open(&own(Servers::Single(shared_server().url()))).await.unwrap();
    let owner = filled(&store).await;
    let (_, epoch) = open(&store, 1).await;
    is_fenced(&store, owner, &store).await;
    store.commit(owner.0, epoch, step(every_effect())).await.unwrap();
}

#[tokio::test]
async fn an_epoch_given_twice_after_a_failover_does_not_make_two_owners() {
    let options = own(Servers::Single(shared_server().url()));
    let old = RedisStore::open(&options).await.unwrap();
    let owner = filled(&old).await;
    // The failover lost the step that raised the epoch.
    let counters = format!("{}:{{p{}}}:counters", options.prefix, owner.0);
    shared_server().ask(&["HSET", &counters, "epoch", &(owner.1.0 - 1).to_string()]);
    let new = RedisStore::open(&RedisOptions { incarnation: 2, ..options.clone() }).await.unwrap();
    let (_, epoch) = open(&new, 1).await;
    assert_eq!(epoch, owner.1, "the same number");
    is_fenced(&old, owner, &new).await;
    // And no process is given one twice.
    shared_server().ask(&["HSET", &counters, "epoch", "0"]);
    assert!(open(&new, 1).await.1 > epoch);
}
