//! Random sequences of operations, run against the reference store and another
//! one side by side: every answer must be the same, after a restart too, and
//! the books must agree with what is pending.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tempfile::TempDir;

use araldo::store::embedded::EmbeddedStore;
use araldo::store::memory::MemoryStore;
use araldo::store::redis::{RedisOptions, RedisStore, Servers};
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::data_request::DataRequestStatus;
use araldo_actors::domain::delivery::Endpoint;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::{AddressId, Epoch, MessageId, PartitionId};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::RejectionReason;
use araldo_actors::domain::outcome::{Failure, Outcome};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Acceptance, Journal, Step, Store, Swap};

use crate::redis_kit::{own, shared_cluster, shared_server};
use crate::redis_store::proxy::Proxy;
use crate::store_fixture::{
    PARTITIONS, citizen, claim, code, device, embedded, endpoint, erasure, everywhere, folder,
    home, inbox, journal, leaving, message, message_in, plan, route,
};

mod alert;
mod moving;
mod operation;

use operation::{ADDRESSES, Change, Operation, PEOPLE, Profile, address, operation};

/// People and alerts to begin with: found by chance, they would take long.
fn population() -> Vec<Operation> {
    let everyone = (0..PEOPLE - 1).map(|person| (person, 100, Profile::NONE)).collect();
    let accept = |n| Operation::Alert(alert::Operation::Accept { n, key: None });
    vec![Operation::Put(everyone), accept(0), accept(1)]
}

/// The lane of message number `n`.
fn lane(n: u64) -> Lane {
    Lane::ALL[usize::try_from(n).unwrap() % Lane::ALL.len()]
}

/// Every other journal up to here, and the rest not as far.
fn checkpoints(reached: u64) -> ByLane<u64> {
    ByLane::from_fn(|lane| reached >> (lane.number() % 2))
}

/// What the test knows: which messages exist, and the owners' epochs.
#[derive(Default)]
struct Known {
    messages: Vec<(MessageId, u32)>,
    lanes: HashMap<MessageId, Lane>,
    epochs: [u64; PARTITIONS as usize],
}

impl Known {
    fn effect(&self, change: &Change) -> Option<Effect> {
        let pick = |at: &usize| {
            let count = self.messages.len().max(1);
            self.messages.get(at % count).copied()
        };
        let name = |via: bool| if via { "apple" } else { "google" };
        Some(match change {
            Change::Process { message, via, due } => {
                let (message, to) = pick(message)?;
                let deliveries = plan(to, name(*via), *due, 9);
                let lane = self.lanes[&message];
                Effect::Processed { message, citizen: code(to), lane, deliveries }
            }
            Change::Reject(at) => Effect::Rejected {
                message: pick(at)?.0,
                reason: RejectionReason::ServiceNotAllowed,
            },
            Change::Expire(at) => Effect::Expired { message: pick(at)?.0 },
            Change::Quarantine(at) => {
                Effect::Quarantined { message: pick(at)?.0, reason: "panicked".to_owned() }
            }
            Change::Settle { message, inbox, delivered } => {
                let (message, to) = pick(message)?;
                let endpoint = if *inbox { Endpoint::Inbox } else { endpoint(to) };
                let failed = Outcome::Failed(Failure::RetriesExhausted);
                let outcome = if *delivered { Outcome::Delivered } else { failed };
                Effect::Settled { message, endpoint, outcome }
            }
            Change::Defer { message, due, retry } => {
                let (message, to) = pick(message)?;
                let due = Millis(*due);
                Effect::Deferred { message, endpoint: endpoint(to), due, retry: *retry }
            }
            Change::DropDevice { person, before } => Effect::DeviceDropped {
                citizen: code(*person),
                device: device(*person, 0).id(),
                registered_before: Millis(*before),
            },
            Change::RefuseAddress { person, address: n } => Effect::AddressRefused {
                citizen: code(*person),
                address: AddressId::of(&address(*n)),
            },
        })
    }

    fn epoch(&self, partition: PartitionId, stale: bool) -> Epoch {
        Epoch(self.epochs[usize::from(partition.0)] + u64::from(stale))
    }
}

/// A record in full: a debug print hides people.
fn shown(citizen: &Citizen) -> String {
    serde_json::to_string(citizen).unwrap()
}

async fn swap(
    store: &dyn Store,
    person: u32,
    stale: bool,
    profile: Profile,
    deletion: Option<(bool, u64)>,
) -> String {
    let found = store.citizen(code(person)).await.unwrap();
    let expected = found.as_ref().map(|found| found.revision + u64::from(stale));
    let mut changed = profile.apply(found.unwrap_or_else(|| citizen(person)));
    if let Some((pending, due)) = deletion {
        let status = if pending { DataRequestStatus::Pending } else { DataRequestStatus::Aborted };
        changed = leaving(changed, status, due);
    }
    match store.swap_citizen(changed, expected).await {
        Ok(Swap::Stored(stored)) => shown(&stored),
        other => format!("{other:?}"),
    }
}

/// Runs one operation against one store; the answer as text, to compare.
async fn run(store: &dyn Store, operation: &Operation, known: &Known) -> String {
    match operation {
        Operation::Put(people) => {
            let citizens = people.iter().map(|(person, at, profile)| {
                let mut citizen = profile.apply(citizen(*person));
                citizen.devices = vec![device(*person, *at), device(*person + 50, *at)];
                citizen
            });
            format!("{:?}", store.put_citizens(citizens.collect()).await)
        }
        Operation::Accept { n, to, key } => {
            // The recipient is part of what was asked for: a claim that is not yet
            // noted as done is carried out again, and must mean the same.
            let asked = |body| u8::try_from(*to).unwrap() * 16 + body;
            let claim = key.map(|(key, body)| claim(key, asked(body)));
            format!("{:?}", store.accept(message_in(lane(*n), *n, *to), claim).await)
        }
        Operation::Open(partition) => {
            format!("{:?}", store.open_partition(PartitionId(*partition)).await)
        }
        Operation::Commit { partition, stale, changes, checkpoint } => {
            let epoch = known.epoch(PartitionId(*partition), *stale);
            let effects = changes.iter().filter_map(|change| known.effect(change)).collect();
            let checkpoints = checkpoints(checkpoint.unwrap_or(0));
            let step = Step { effects, checkpoints, at: Millis(5_000) };
            format!("{:?}", store.commit(PartitionId(*partition), epoch, step).await)
        }
        Operation::Due { partition, lane, until, limit, skip } => {
            let except: Vec<_> = known
                .messages
                .iter()
                .take(*skip)
                .map(|(message, to)| (*message, endpoint(*to)))
                .collect();
            let (partition, until) = (PartitionId(*partition), Millis(*until));
            let apple = route("apple");
            format!("{:?}", store.due(partition, &apple, *lane, until, *limit, &except).await)
        }
        Operation::Arrivals { partition, lane, from, limit } => {
            format!("{:?}", store.arrivals(PartitionId(*partition), *lane, *from, *limit).await)
        }
        Operation::Forget(before) => format!("{:?}", store.forget_claims(Millis(*before)).await),
        Operation::Alert(operation) => alert::run(store, operation, known).await,
        Operation::Restart | Operation::Kill | Operation::Move => String::new(),
        _ => run_citizens_own(store, operation, known).await,
    }
}

async fn run_citizens_own(store: &dyn Store, operation: &Operation, known: &Known) -> String {
    match operation {
        Operation::Swap { person, stale, profile, deletion } => {
            swap(store, *person, *stale, *profile, *deletion).await
        }
        Operation::Mark { message, change } => {
            let picked = known.messages.get(message % known.messages.len().max(1));
            let Some((id, to)) = picked else { return String::new() };
            format!("{:?}", store.mark(code(*to), *id, *change).await)
        }
        Operation::Inbox { person, range } => {
            format!("{:?}", store.inbox(code(*person), *range).await)
        }
        Operation::Events { person, after, limit } => {
            format!("{:?}", store.events(code(*person), *after, *limit).await)
        }
        Operation::Addressed { person, after, limit } => {
            let after = after.and_then(|at| known.messages.get(at)).map(|(id, _)| *id);
            format!("{:?}", store.addressed(code(*person), after, *limit).await)
        }
        Operation::Erase { person, stale, checkpoint, at } => {
            let epoch = known.epoch(home(*person), *stale);
            let record = erasure(u8::try_from(*person).unwrap(), *at);
            let checkpoints = checkpoint.map_or(ByLane::from_fn(|_| u64::MAX), checkpoints);
            let partition = home(*person);
            format!("{:?}", store.erase(partition, epoch, code(*person), checkpoints, record).await)
        }
        Operation::ErasuresDue { until, limit } => {
            let due = store.erasures_due(Millis(*until), *limit).await.unwrap();
            due.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => unreachable!("the other operations are run elsewhere"),
    }
}

/// Everything that can be asked, field by field (debug prints hide people).
async fn compare_all(
    one: &dyn Store,
    other: &dyn Store,
    known: &Known,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        one.books(&everywhere()).await.unwrap(),
        other.books(&everywhere()).await.unwrap()
    );
    for person in 0..PEOPLE {
        let code = code(person);
        prop_assert!(one.citizen(code).await.unwrap() == other.citizen(code).await.unwrap());
        prop_assert_eq!(inbox(one, person).await, inbox(other, person).await);
        let events = one.events(code, Some(0), 1_000).await.unwrap();
        prop_assert_eq!(events, other.events(code, Some(0), 1_000).await.unwrap());
        let addressed = one.addressed(code, None, 1_000).await.unwrap();
        prop_assert_eq!(addressed, other.addressed(code, None, 1_000).await.unwrap());
    }
    for address in (0..ADDRESSES).map(|n| AddressId::of(&address(n))) {
        let owner = one.address_owner(address).await.unwrap();
        prop_assert!(owner == other.address_owner(address).await.unwrap());
    }
    let leaving = one.erasures_due(Millis(u64::MAX), 100).await.unwrap();
    prop_assert!(leaving == other.erasures_due(Millis(u64::MAX), 100).await.unwrap());
    prop_assert_eq!(one.erasures(100).await.unwrap(), other.erasures(100).await.unwrap());
    for (id, to) in &known.messages {
        let found = one.message(code(*to), *id).await.unwrap();
        prop_assert!(found.is_some());
        prop_assert_eq!(found, other.message(code(*to), *id).await.unwrap());
    }
    for partition in (0..PARTITIONS).map(PartitionId) {
        for lane in Lane::ALL {
            let arrivals = one.arrivals(partition, lane, 0, 100).await.unwrap();
            prop_assert_eq!(arrivals, other.arrivals(partition, lane, 0, 100).await.unwrap());
            for name in ["apple", "google"] {
                let (until, name) = (Millis(u64::MAX), route(name));
                let due = one.due(partition, &name, lane, until, 100, &[]).await.unwrap();
                let same = other.due(partition, &name, lane, until, 100, &[]).await.unwrap();
                prop_assert_eq!(due, same);
            }
        }
    }
    alert::compare(one, other).await
}

/// The two conservation laws, against what is counted when partitions open.
async fn conserved(store: &dyn Store, known: &mut Known) -> Result<(), TestCaseError> {
    let (mut unprocessed, mut pending) = (0, 0);
    for partition in 0..PARTITIONS {
        let opened = store.open_partition(PartitionId(partition)).await.unwrap();
        known.epochs[usize::from(partition)] = opened.epoch.0;
        unprocessed += opened.journals.values().map(|journal| journal.unprocessed).sum::<u64>();
        pending += opened.backlogs.iter().map(|route| route.pending).sum::<u64>();
    }
    let books = store.books(&everywhere()).await.unwrap();
    prop_assert!(unprocessed <= books.messages.open());
    pending += alert::pending(store).await;
    prop_assert_eq!(pending, books.all_deliveries().open());
    Ok(())
}

/// What a killed process leaves: the files as they are while it has them open.
fn left_behind(path: &Path) -> TempDir {
    let copy = folder();
    copy_files(path, copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_files(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The store that is compared with the reference.
enum Candidate {
    Embedded { folder: TempDir, store: Option<Arc<EmbeddedStore>> },
    Redis { options: Box<RedisOptions>, store: Arc<RedisStore>, proxy: Option<Proxy> },
}

impl Candidate {
    fn embedded() -> Self {
        let folder = folder();
        let store = Some(embedded(folder.path()));
        Self::Embedded { folder, store }
    }

    async fn redis(options: RedisOptions) -> Self {
        let store = Arc::new(RedisStore::open(&options).await.unwrap());
        Self::Redis { options: Box::new(options), store, proxy: None }
    }

    /// The same, on a way that can lose answers.
    async fn lossy() -> Self {
        let proxy = Proxy::start(shared_server().port).await;
        let options = own(proxy.servers());
        let store = Arc::new(RedisStore::open(&options).await.unwrap());
        Self::Redis { options: Box::new(options), store, proxy: Some(proxy) }
    }

    /// Has the next answers lost: not of new citizens, who get other ordinals when
    /// they are repeated.
    fn lose(&self, operation: &Operation, count: u32) {
        let quiet = matches!(operation, Operation::Put(_) | Operation::Swap { .. });
        if let Self::Redis { proxy: Some(proxy), .. } = self {
            proxy.lose(if quiet { 0 } else { count });
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded { store, .. } => Arc::clone(store.as_ref().unwrap()) as _,
            Self::Redis { store, .. } => Arc::clone(store) as _,
        }
    }

    /// Closed (`killed`: not even that) and opened again. Nothing of Redis ends:
    /// only what this process remembered is gone.
    async fn restart(&mut self, killed: bool) {
        match self {
            Self::Embedded { folder, store } => {
                let left = killed.then(|| left_behind(folder.path()));
                drop(store.take());
                if let Some(left) = left {
                    *folder = left;
                }
                *store = Some(embedded(folder.path()));
            }
            Self::Redis { options, store, .. } => {
                *store = Arc::new(RedisStore::open(options).await.unwrap());
            }
        }
    }
}

async fn side_by_side(
    candidate: Candidate,
    operations: Vec<Operation>,
    losses: &[u32],
) -> Result<(), TestCaseError> {
    side_by_side_moved(candidate, operations, losses, &mut None).await
}

/// The same, `target` being where the candidate is moved to.
async fn side_by_side_moved(
    mut candidate: Candidate,
    operations: Vec<Operation>,
    losses: &[u32],
    target: &mut Option<Servers>,
) -> Result<(), TestCaseError> {
    let oracle = MemoryStore::new(PARTITIONS);
    let mut known = Known::default();
    for (operation, losses) in operations.iter().zip(losses.iter().cycle()) {
        if let Operation::Restart | Operation::Kill = operation {
            candidate.restart(matches!(operation, Operation::Kill)).await;
            continue;
        }
        if let Operation::Move = operation {
            candidate = candidate.moved(target.take().expect("a target")).await;
            compare_all(&oracle, &*candidate.store(), &known).await?;
            continue;
        }
        let expected = run(&oracle, operation, &known).await;
        candidate.lose(operation, *losses);
        let found = run(&*candidate.store(), operation, &known).await;
        candidate.lose(operation, 0);
        prop_assert_eq!(&found, &expected, "{:?}", operation);
        match operation {
            Operation::Accept { n, to, .. } if expected.starts_with("Ok(Accepted") => {
                let id = accepted_id(&oracle, lane(*n), *to).await;
                known.messages.push((id, *to));
                known.lanes.insert(id, lane(*n));
            }
            Operation::Erase { .. } => {
                let mut left = Vec::new();
                for (id, to) in known.messages {
                    if oracle.message(code(to), id).await.unwrap().is_some() {
                        left.push((id, to));
                    }
                }
                known.messages = left;
            }
            Operation::Open(partition) => known.epochs[usize::from(*partition)] += 1,
            _ => {}
        }
    }
    compare_all(&oracle, &*candidate.store(), &known).await?;
    candidate.restart(false).await;
    compare_all(&oracle, &*candidate.store(), &known).await?;
    conserved(&*candidate.store(), &mut known).await
}

/// Runs operations, on a store that was populated or not.
fn compare<F: Future<Output = Candidate>>(
    candidate: impl FnOnce() -> F,
    populated: bool,
    operations: Vec<Operation>,
    losses: &[u32],
) -> Result<(), TestCaseError> {
    // Nobody writes to a partition without having taken it over.
    let mut beginning: Vec<_> = (0..PARTITIONS).map(Operation::Open).collect();
    beginning.extend(if populated { population() } else { Vec::new() });
    let operations = beginning.into_iter().chain(operations).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { side_by_side(candidate().await, operations, losses).await })
}

/// Id of the newest journal entry of a person's partition.
async fn accepted_id(oracle: &MemoryStore, lane: Lane, person: u32) -> MessageId {
    oracle.arrivals(home(person), lane, 0, usize::MAX).await.unwrap().last().unwrap().message.id
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_answers_as_the_reference_does(
        populated in proptest::bool::weighted(0.8),
        operations in proptest::collection::vec(operation(), 10..100)
    ) {
        compare(async || Candidate::embedded(), populated, operations, &[0])?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_redis_store_answers_as_the_reference_does(
        populated in proptest::bool::weighted(0.8),
        operations in proptest::collection::vec(operation(), 10..100)
    ) {
        let options = own(Servers::Single(shared_server().url()));
        compare(|| Candidate::redis(options), populated, operations, &[0])?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_redis_store_on_a_cluster_answers_as_the_reference_does(
        populated in proptest::bool::weighted(0.8),
        operations in proptest::collection::vec(operation(), 10..100)
    ) {
        let options = own(shared_cluster().servers());
        compare(|| Candidate::redis(options), populated, operations, &[0])?;
    }

    #[test]
    fn the_redis_store_answers_as_the_reference_does_whatever_answers_are_lost(
        operations in proptest::collection::vec(operation(), 10..100),
        losses in proptest::collection::vec(0..4_u32, 1..20),
    ) {
        compare(Candidate::lossy, true, operations, &losses)?;
    }
}

#[tokio::test]
async fn concurrent_submissions_keep_one_contiguous_journal() {
    let folder = folder();
    let store = embedded(folder.path());
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16_u64 {
        let store = std::sync::Arc::clone(&store);
        tasks.spawn(async move {
            let mut sequences = Vec::new();
            for n in 0..25 {
                // Every worker submits each claimed message once more.
                let message = message(worker * 100 + n, 1);
                let mine = store.accept(message, None).await.unwrap();
                if let Acceptance::Accepted { sequence, .. } = mine {
                    sequences.push(sequence);
                }
                let key = u8::try_from(n).unwrap();
                store
                    .accept(crate::store_fixture::message(9_000 + n, 1), Some(claim(key, 0)))
                    .await
                    .unwrap();
            }
            sequences
        });
    }
    let mut sequences = tasks.join_all().await.concat();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), 16 * 25);
    let opened = store.open_partition(home(1)).await.unwrap();
    let all = 16 * 25 + 25;
    assert_eq!(journal(&opened), Journal { checkpoint: 0, tail: all, unprocessed: all });
}
