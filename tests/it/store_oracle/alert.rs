//! Alerts among the random operations: accepted, walked, marked, ended.
//!
//! A walk's step is made as its owner would: from the stored cursor, over
//! ordinals that there were when the alert was accepted, with totals that only
//! grow. What a crash does is a step committed twice.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use araldo_actors::domain::alert::{AlertRecord, AlertStatus, Cursor, Walk};
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::{MessageId, PartitionId};
use araldo_actors::domain::inbox::MarkChange;
use araldo_actors::domain::lane::ByLane;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::alert_store::Visit;
use araldo_actors::port::store::{Step, Store};

use super::{Known, PEOPLE, shown};
use crate::store_alert::fixture::{alert, counted, straggler};
use crate::store_fixture::{PARTITIONS, claim, code, route};

#[derive(Clone, Debug)]
pub enum Operation {
    Accept { n: u64, key: Option<(u8, u8)> },
    Status { alert: usize, to: AlertStatus, at: u64 },
    Cancel { alert: usize, at: u64 },
    Close { alert: usize, first: u16 },
    Walk { partition: u16, alert: usize, via: Option<bool>, step: WalkStep },
    Mark { alert: usize, person: u32, change: MarkChange },
    Item { alert: usize, person: u32 },
    Visit { partition: u16, from: u32, end: u32, limit: usize, members_of: Option<usize> },
    List { before: Option<usize>, limit: usize },
}

/// What a step of a walk does, wherever its cursor stands.
#[derive(Clone, Debug)]
pub struct WalkStep {
    marks: Vec<Mark>,
    /// Stragglers that end, of those there are, and any other ordinals.
    ends: usize,
    others: Vec<u32>,
    /// It was made from another cursor.
    stale: bool,
    /// Committed twice, as after a crash.
    twice: bool,
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        3 => Just(Mark::None),
        5 => Just(Mark::Delivered),
        1 => Just(Mark::Suppressed),
        1 => Just(Mark::Failed),
        2 => Just(Mark::Waiting),
    ]
}

fn walk_step() -> impl Strategy<Value = WalkStep> {
    (
        proptest::collection::vec(mark(), 0..6),
        0..3_usize,
        proptest::collection::vec(0..9_u32, 0..2),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(marks, ends, others, stale, twice)| WalkStep {
            marks,
            ends,
            others,
            stale,
            twice,
        })
}

pub fn operation() -> impl Strategy<Value = Operation> {
    let alert = 0..4_usize;
    // Some keys are used for messages too.
    let key = proptest::option::weighted(0.3, (3..6_u8, 0..2_u8));
    let to = prop_oneof![
        Just(AlertStatus::Running),
        Just(AlertStatus::Paused),
        Just(AlertStatus::Completed),
        Just(AlertStatus::Cancelled),
    ];
    let change = (any::<bool>(), proptest::option::of(any::<bool>()))
        .prop_map(|(read, archived)| MarkChange { read, archived });
    let via = proptest::option::of(any::<bool>());
    prop_oneof![
        1 => (0..6_u64, key).prop_map(|(n, key)| Operation::Accept { n, key }),
        1 => (alert.clone(), to, 1..99_u64)
            .prop_map(|(alert, to, at)| Operation::Status { alert, to, at }),
        1 => (alert.clone(), 1..99_u64).prop_map(|(alert, at)| Operation::Cancel { alert, at }),
        1 => (alert.clone(), 0..PARTITIONS)
            .prop_map(|(alert, first)| Operation::Close { alert, first }),
        10 => (0..PARTITIONS, alert.clone(), via, walk_step()).prop_map(
            |(partition, alert, via, step)| Operation::Walk { partition, alert, via, step }
        ),
        4 => (alert.clone(), 0..PEOPLE, change)
            .prop_map(|(alert, person, change)| Operation::Mark { alert, person, change }),
        1 => (alert.clone(), 0..PEOPLE).prop_map(|(alert, person)| Operation::Item { alert, person }),
        2 => (0..PARTITIONS, 0..6_u32, 0..9_u32, 0..4_usize, proptest::option::of(alert.clone()))
            .prop_map(|(partition, from, end, limit, members_of)| Operation::Visit {
                partition,
                from,
                end,
                limit,
                members_of
            }),
        1 => (proptest::option::of(alert), 0..4_usize)
            .prop_map(|(before, limit)| Operation::List { before, limit }),
    ]
}

/// One of the alerts that there are.
async fn pick(store: &dyn Store, at: usize) -> Option<AlertRecord> {
    let alerts = store.alerts(None, 100).await.unwrap();
    alerts.get(at % alerts.len().max(1)).cloned()
}

fn name(via: bool) -> &'static str {
    if via { "apple" } else { "google" }
}

/// The step as the walk's owner makes it.
async fn walked(
    store: &dyn Store,
    partition: PartitionId,
    record: &AlertRecord,
    via: Option<bool>,
    step: &WalkStep,
) -> Effect {
    let (walk, channel) = match via {
        None => (Walk::Inbox, Channel::InApp),
        Some(via) => (Walk::Route(route(name(via))), Channel::Push),
    };
    let alert = record.alert.id;
    let cursors = store.cursors(partition, alert).await.unwrap();
    let held = cursors.into_iter().find(|(held, _)| *held == walk);
    let mut cursor = held.map_or_else(Cursor::default, |(_, cursor)| cursor);
    let mut changed = Vec::new();
    if via.is_some() {
        for ended in cursor.stragglers.drain(..step.ends.min(cursor.stragglers.len())) {
            changed.push((ended.ordinal, Mark::Delivered));
            cursor.totals.delivered += 1;
        }
        changed.extend(step.others.iter().map(|ordinal| (*ordinal, Mark::Expired)));
    }
    // Beyond that nobody is.
    let left = record.ends[usize::from(partition.0)].saturating_sub(cursor.next);
    let mut marks = step.marks.clone();
    marks.truncate(usize::try_from(left).unwrap());
    let (recipients, totals) = counted(&marks);
    cursor.recipients += recipients;
    cursor.totals += totals;
    let waiting = (cursor.next..).zip(&marks).filter(|(_, mark)| **mark == Mark::Waiting);
    let waiting: Vec<_> = waiting.map(|(ordinal, _)| straggler(ordinal)).collect();
    cursor.stragglers.extend(waiting);
    let run = Run { first: cursor.next, marks };
    cursor.next += u32::try_from(run.marks.len()).unwrap();
    cursor.revision += 1 + u64::from(step.stale);
    let run = (!run.marks.is_empty()).then_some(run);
    Effect::Walked { alert, walk, channel, cursor, run, changed }
}

/// Runs one operation against one store; the answer as text, to compare.
pub async fn run(store: &dyn Store, operation: &Operation, known: &Known) -> String {
    match operation {
        Operation::Accept { n, key } => {
            let claim = key.map(|(key, body)| claim(key, body));
            format!("{:?}", store.accept_alert(alert(*n), claim).await)
        }
        Operation::List { before, limit } => {
            let before = match before {
                Some(at) => pick(store, *at).await.map(|record| record.alert.id),
                None => None,
            };
            format!("{:?}", store.alerts(before, *limit).await)
        }
        Operation::Visit { partition, from, end, limit, members_of } => {
            let partition = PartitionId(*partition);
            let members_of = match members_of {
                Some(at) => pick(store, *at).await.map(|record| record.alert.id),
                None => None,
            };
            told(store.visit(partition, *from, *end, *limit, members_of).await.unwrap())
        }
        Operation::Status { alert, .. }
        | Operation::Cancel { alert, .. }
        | Operation::Close { alert, .. }
        | Operation::Walk { alert, .. }
        | Operation::Mark { alert, .. }
        | Operation::Item { alert, .. } => match pick(store, *alert).await {
            Some(record) => run_on(store, operation, known, &record).await,
            None => String::new(),
        },
    }
}

async fn run_on(
    store: &dyn Store,
    operation: &Operation,
    known: &Known,
    record: &AlertRecord,
) -> String {
    let id = record.alert.id;
    match operation {
        Operation::Status { to, at, .. } => {
            let from = [AlertStatus::Running, AlertStatus::Paused];
            format!("{:?}", store.set_alert_status(id, &from, *to, Millis(*at)).await)
        }
        Operation::Cancel { at, .. } => {
            format!("{:?}", store.cancel_alert(id, Millis(*at)).await)
        }
        // All of them, since a restart may forget some; the last answer counts.
        Operation::Close { first, .. } => {
            let mut closed = None;
            for n in 0..PARTITIONS {
                let partition = PartitionId((first + n) % PARTITIONS);
                closed = Some(store.close_alert(id, partition).await);
            }
            format!("{closed:?}")
        }
        Operation::Walk { partition, via, step, .. } => {
            let partition = PartitionId(*partition);
            let effects = vec![walked(store, partition, record, *via, step).await];
            let one = Step { effects, checkpoints: ByLane::default(), at: Millis(6_000) };
            let mut answers = Vec::new();
            for _ in 0..=u8::from(step.twice) {
                let epoch = known.epoch(partition, false);
                answers.push(store.commit(partition, epoch, one.clone()).await);
            }
            format!("{answers:?}")
        }
        Operation::Mark { person, change, .. } => {
            format!("{:?}", store.mark(code(*person), id, *change).await)
        }
        Operation::Item { person, .. } => {
            let item = store.inbox_item(code(*person), id).await;
            format!("{item:?} {:?}", store.message(code(*person), id).await)
        }
        _ => unreachable!("the other operations are run elsewhere"),
    }
}

/// A visit in full: a debug print hides people.
fn told(visit: Visit) -> String {
    let citizens = visit.citizens.iter().map(|(ordinal, one)| format!("{ordinal} {}", shown(one)));
    format!("{} up to {}", citizens.collect::<Vec<_>>().join(", "), visit.next)
}

/// Everything that can be asked about alerts.
pub async fn compare(one: &dyn Store, other: &dyn Store) -> Result<(), TestCaseError> {
    let alerts = one.alerts(None, 100).await.unwrap();
    prop_assert_eq!(&alerts, &other.alerts(None, 100).await.unwrap());
    prop_assert_eq!(one.open_alerts().await.unwrap(), other.open_alerts().await.unwrap());
    for partition in (0..PARTITIONS).map(PartitionId) {
        compare_visits(one, other, partition, None).await?;
    }
    for record in alerts {
        let id = record.alert.id;
        prop_assert_eq!(one.alert(id).await.unwrap(), Some(record));
        let progress = one.alert_progress(id).await.unwrap();
        prop_assert_eq!(progress, other.alert_progress(id).await.unwrap());
        for partition in (0..PARTITIONS).map(PartitionId) {
            let cursors = one.cursors(partition, id).await.unwrap();
            prop_assert_eq!(&cursors, &other.cursors(partition, id).await.unwrap());
            for (_, cursor) in cursors {
                let found = one.straggling(partition, &cursor.stragglers).await.unwrap();
                let too = other.straggling(partition, &cursor.stragglers).await.unwrap();
                prop_assert!(found == too);
            }
            compare_visits(one, other, partition, Some(id)).await?;
        }
        for code in (0..PEOPLE).map(code) {
            let item = one.inbox_item(code, id).await.unwrap();
            prop_assert_eq!(item, other.inbox_item(code, id).await.unwrap());
            let message = one.message(code, id).await.unwrap();
            prop_assert_eq!(message, other.message(code, id).await.unwrap());
        }
    }
    Ok(())
}

async fn compare_visits(
    one: &dyn Store,
    other: &dyn Store,
    partition: PartitionId,
    members_of: Option<MessageId>,
) -> Result<(), TestCaseError> {
    for limit in [1, 100] {
        let visit = one.visit(partition, 0, 50, limit, members_of).await.unwrap();
        let too = other.visit(partition, 0, 50, limit, members_of).await.unwrap();
        prop_assert_eq!(told(visit), told(too));
    }
    Ok(())
}

/// Deliveries of alerts that have no outcome yet.
pub async fn pending(store: &dyn Store) -> u64 {
    let mut pending = 0;
    for record in store.alerts(None, 100).await.unwrap() {
        let progress = store.alert_progress(record.alert.id).await.unwrap();
        pending += progress.walks.iter().map(|(_, walk)| walk.deliveries.open()).sum::<u64>();
    }
    pending
}
