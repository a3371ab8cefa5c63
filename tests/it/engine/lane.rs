//! Lanes from the intake to the provider: what an emergency overtakes, what
//! bulk keeps meanwhile, and that a crash in the middle keeps both.

use super::MINUTE;
use super::harness::{Harness, OPTIONS, START, citizen, content, token};
use araldo::store::memory::MemoryStore;
use araldo_actors::domain::id::{MessageId, PartitionId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{FeatureLevel, Message};
use araldo_actors::domain::service::Service;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::Store;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const COUNT: usize = 10_000;
/// Both connections together.
const WINDOW: usize = 2 * 10;

fn name(lane: Lane) -> ServiceId {
    ServiceId::parse(&format!("lane-{}", lane.index())).unwrap()
}

/// A service for each lane.
async fn services(harness: &Harness) -> [Arc<Service>; 4] {
    let services =
        Lane::ALL.map(|lane| Service { id: name(lane), lane, ..(*harness.service).clone() });
    for service in &services {
        harness.running.engine.put_service(service.clone()).await.unwrap();
    }
    services.map(Arc::new)
}

async fn submit(harness: &Harness, service: &Arc<Service>, to: usize) -> MessageId {
    let mut submission = harness.submission(citizen(to).fiscal_code);
    submission.service = Arc::clone(service);
    harness.running.engine.submit(submission).await.unwrap()
}

/// An engine whose provider makes `WINDOW` attempts at a time, each this long.
async fn stage(citizens: usize, latency: Duration) -> (Harness, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new(OPTIONS.partitions));
    let harness = Harness::start_with(OPTIONS, Arc::clone(&store)).await;
    harness.register((0..citizens).map(citizen).collect()).await;
    slow(&harness, latency);
    (harness, store)
}

fn slow(harness: &Harness, latency: Duration) {
    harness.provider.window.store(WINDOW / 2, Ordering::Relaxed);
    *harness.provider.latency.lock().unwrap() = latency;
}

/// Messages in the order in which their first attempts started.
fn started(harness: &Harness) -> Vec<MessageId> {
    harness.provider.attempts().into_iter().map(|(_, message)| message).collect()
}

#[tokio::test(start_paused = true)]
async fn an_emergency_overtakes_ten_thousand_due_deliveries_of_a_slow_provider() {
    let (harness, _) = stage(COUNT, Duration::from_millis(100)).await;
    let [emergency, .., bulk] = services(&harness).await;
    for number in 0..COUNT {
        submit(&harness, &bulk, number).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let books = harness.books().await;
    assert_eq!(books.messages.processed, COUNT as u64);
    assert!(books.all_deliveries().open() > 9_000, "{books:?}");
    for round in 0..20 {
        let before = harness.provider.count();
        let id = submit(&harness, &emergency, COUNT - 1 - round).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let place = started(&harness).iter().position(|one| *one == id).expect("within 150 ms");
        // What was in the windows, and a share of one in ten.
        assert!(place - before <= WINDOW + 4, "{} went before it", place - before);
    }

    let before = harness.provider.count();
    let mut urgent = HashSet::new();
    for number in 0..1_000 {
        urgent.insert(submit(&harness, &emergency, number).await);
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let meanwhile = started(&harness).split_off(before);
    let last = meanwhile.iter().rposition(|id| urgent.contains(id)).unwrap();
    let others = meanwhile[..last].iter().filter(|id| !urgent.contains(*id)).count();
    assert_eq!(meanwhile[..=last].len() - others, 1_000, "all of them in 6 s");
    assert!((80..=200).contains(&others), "a tenth or so is reserved: {others}");
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!(books.all_deliveries().delivered, 2 * (COUNT as u64 + 1_020));
    assert_eq!(harness.provider.count(), COUNT + 1_020);
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_one_lane_refuses_that_lane_alone() {
    let mut options = OPTIONS;
    options.admission.backlog = 10;
    // Nothing is ever read.
    options.partition.max_active = 0;
    let store = Arc::new(MemoryStore::new(options.partitions));
    let harness = Harness::start_with(options, Arc::clone(&store)).await;
    let services = services(&harness).await;
    let submit = async |lane: Lane| {
        let mut submission = harness.submission(citizen(0).fiscal_code);
        submission.service = Arc::clone(&services[lane.index()]);
        let accepted = harness.running.engine.submit(submission).await;
        // The partition hears of it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        accepted.is_ok()
    };
    let mut bulk = 0;
    while submit(Lane::Bulk).await {
        bulk += 1;
    }
    assert_eq!(bulk, 7);
    for lane in [Lane::Emergency, Lane::Urgent, Lane::Normal] {
        assert!(submit(lane).await, "its place is kept");
        assert!(!submit(lane).await, "and the backlog full");
    }
    harness.assert_conserved().await;
    harness.running.shutdown(MINUTE).await;
    let harness = Harness::start_with(OPTIONS, store).await;
    assert_eq!(harness.settle(MINUTE).await.messages.rejected, [0, 10, 0], "nobody has that code");
    harness.assert_conserved().await;
}

/// Writes messages to the store before any engine runs: message `n` to citizen
/// `n`, in the lane that `lane` names.
async fn backlog(
    store: &MemoryStore,
    count: usize,
    lane: impl Fn(usize) -> Lane,
) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let at = Millis(START);
        let message = Message {
            id: MessageId::new(at, number as u128),
            fiscal_code: citizen(number).fiscal_code,
            service: name(lane(number)),
            accepted_at: at,
            time_to_live: 3_600,
            lane: lane(number),
            feature_level: FeatureLevel::Standard,
            content: content(),
        };
        ids.push(message.id);
        store.accept(message, None).await.unwrap();
    }
    ids
}

/// A store with citizens and the services of all lanes.
async fn prepared(citizens: usize) -> Arc<MemoryStore> {
    let (harness, store) = stage(citizens, Duration::from_millis(1)).await;
    services(&harness).await;
    harness.running.shutdown(MINUTE).await;
    store
}

/// The partition of a citizen, and the place of their message in its order of
/// publication.
async fn published(store: &MemoryStore, number: usize, id: MessageId) -> (PartitionId, u64) {
    let code = citizen(number).fiscal_code;
    let (_, state) = store.message(code, id).await.unwrap().unwrap();
    (PartitionId::of(&code, OPTIONS.partitions), state.published)
}

#[tokio::test(start_paused = true)]
async fn an_accepted_emergency_does_not_wait_for_the_turns_of_a_backlog() {
    let store = prepared(COUNT).await;
    let lane = |n| if n >= COUNT - 40 { Lane::Emergency } else { Lane::ALL[1 + n % 3] };
    let ids = backlog(&store, COUNT, lane).await;
    let harness = Harness::start_with(OPTIONS, Arc::clone(&store)).await;
    let books = harness.settle(10 * MINUTE).await;
    assert_eq!(books.messages.processed, COUNT as u64);
    for (number, id) in ids.into_iter().enumerate().skip(COUNT - 40) {
        let (partition, place) = published(&store, number, id).await;
        let active = OPTIONS.partition.max_active as u64;
        assert!(place <= active, "{place} in partition {partition}");
    }
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_emergencies_leaves_the_others_their_turns() {
    const EACH: usize = 1_000;
    let store = prepared(4 * EACH).await;
    let ids = backlog(&store, 4 * EACH, |n| Lane::ALL[n % 4]).await;
    let harness = Harness::start_with(OPTIONS, Arc::clone(&store)).await;
    harness.settle(10 * MINUTE).await;
    // Of the first 150 turns in each partition: who had how many?
    let mut early: HashMap<usize, u64> = HashMap::new();
    for (number, id) in ids.iter().enumerate() {
        if published(&store, number, *id).await.1 <= 150 {
            *early.entry(number % 4).or_default() += 1;
        }
    }
    let all = 150 * u64::from(OPTIONS.partitions);
    assert!(early[&0] * 10 >= all * 6, "{early:?}");
    assert!((1..4).all(|lane| early[&lane] * 100 >= all * 8), "{early:?}");
    harness.assert_conserved().await;
}

#[tokio::test(start_paused = true)]
async fn each_lane_keeps_its_order_to_one_device() {
    let (harness, _) = stage(5, Duration::from_millis(50)).await;
    harness.provider.window.store(3, Ordering::Relaxed);
    let services = services(&harness).await;
    let mut accepted: HashMap<(usize, usize), Vec<MessageId>> = HashMap::new();
    for number in 0..800 {
        let (to, lane) = (number % 5, number / 5 % 4);
        let id = submit(&harness, &services[lane], to).await;
        accepted.entry((to, lane)).or_default().push(id);
    }
    harness.settle(10 * MINUTE).await;
    let attempts = harness.provider.attempts();
    assert_eq!(attempts.len(), 800);
    for ((to, lane), expected) in &accepted {
        let own =
            attempts.iter().filter(|(device, id)| *device == token(*to) && expected.contains(id));
        let order: Vec<_> = own.map(|(_, id)| *id).collect();
        assert_eq!(&order, expected, "citizen {to}, lane {lane}");
    }
    // And an emergency accepted last goes before bulk accepted first.
    let place = |id: &MessageId| attempts.iter().position(|(_, one)| one == id).unwrap();
    let last = accepted[&(0, 0)].last().unwrap();
    let behind = accepted[&(0, 3)].iter().filter(|id| place(id) > place(last)).count();
    assert!(behind >= 20, "{behind} of 40 bulk messages went after the last emergency");
}

/// Lets the engine take a few turns, but no time pass.
async fn breathe(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_keeps_every_lane() {
    const MESSAGES: usize = 2_000;
    let store = prepared(MESSAGES).await;
    let ids = backlog(&store, MESSAGES, |n| Lane::ALL[n % 4]).await;
    let mut asked: HashMap<MessageId, usize> = HashMap::new();
    let (mut kills, mut in_turns) = (0, 0);
    loop {
        let harness = Harness::start_with(OPTIONS, Arc::clone(&store)).await;
        slow(&harness, Duration::from_millis(100));
        // First while turns are taken, then while deliveries are in flight.
        if kills < 10 {
            breathe(8 * kills).await;
        } else if kills < 20 {
            tokio::time::sleep(Duration::from_millis(370)).await;
        } else {
            harness.settle(10 * MINUTE).await;
        }
        let books = harness.books().await;
        in_turns += usize::from((1..MESSAGES as u64).contains(&books.messages.processed));
        started(&harness).into_iter().for_each(|id| *asked.entry(id).or_default() += 1);
        if kills == 20 {
            harness.assert_conserved().await;
            break;
        }
        harness.running.shutdown(Duration::ZERO).await;
        kills += 1;
    }
    assert!(in_turns >= 3, "killed {in_turns} times while turns were taken");
    let ids: HashSet<_> = ids.into_iter().collect();
    assert_eq!(asked.keys().copied().collect::<HashSet<_>>(), ids);
    let repeated: usize = asked.values().map(|count| count - 1).sum();
    assert!((1..=kills * WINDOW).contains(&repeated), "{repeated}");
    let all: Vec<_> = (0..OPTIONS.partitions).map(PartitionId).collect();
    let books = store.books(&all).await.unwrap();
    assert_eq!((books.messages.processed, books.messages.open()), (MESSAGES as u64, 0));
    assert_eq!(books.all_deliveries().delivered, 2 * MESSAGES as u64);
    assert_eq!(books.all_deliveries().open(), 0);
}
