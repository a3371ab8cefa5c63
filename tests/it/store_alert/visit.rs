//! Visits: citizens by ordinal, all of them or an alert's members.

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::delivery::Channel;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::PartitionId;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::port::store::Store;

use super::fixture::{accepted, id, one_step, register, residents, straggler, walked, who};
use crate::store_fixture::{PARTITIONS, contract, erasure, open, step, up_to};

contract!(
    citizens_are_visited_by_ordinal_up_to_the_end,
    erased_citizens_are_passed_over,
    a_visit_looks_at_sixteen_ordinals_for_each_citizen_it_may_return,
    members_are_visited_and_nobody_else,
    a_visit_of_members_stays_behind_the_inbox_walk,
    few_members_among_many_are_found,
    stragglers_are_found_by_ordinal,
    visits_of_unknown_partitions_are_refused,
);

/// Whom a visit finds, and where the next begins.
async fn visit(
    store: &dyn Store,
    partition: PartitionId,
    (from, end, limit): (u32, u32, usize),
    members_of: Option<u64>,
) -> (Vec<u32>, u32) {
    let alert = members_of.map(id);
    let found = store.visit(partition, from, end, limit, alert).await.unwrap();
    for (ordinal, citizen) in &found.citizens {
        let place = usize::try_from(*ordinal).unwrap();
        assert_eq!(citizen.fiscal_code, who(residents(partition.0, place + 1)[place]));
    }
    (found.citizens.iter().map(|(ordinal, _)| *ordinal).collect(), found.next)
}

/// The inbox walk's step from its beginning up to `next`, with these members.
fn members(n: u64, next: u32, ordinals: &[u32]) -> Effect {
    let mark = |ordinal| {
        if ordinals.contains(&ordinal) { Mark::Delivered } else { Mark::None }
    };
    one_step(n, 1, 0, &(0..next).map(mark).collect::<Vec<_>>())
}

async fn citizens_are_visited_by_ordinal_up_to_the_end(store: &dyn Store) {
    let people = residents(2, 10);
    register(store, &people).await;
    register(store, &residents(1, 3)).await;
    let here = PartitionId(2);
    let all: Vec<u32> = (0..10).collect();
    assert_eq!(visit(store, here, (0, 10, 100), None).await, (all.clone(), 10));
    assert_eq!(visit(store, here, (0, 50, 100), None).await, (all.clone(), 50));
    assert_eq!(visit(store, here, (0, 10, 3), None).await, (vec![0, 1, 2], 3));
    assert_eq!(visit(store, here, (3, 5, 3), None).await, (vec![3, 4], 5));
    assert_eq!(visit(store, here, (5, 5, 3), None).await, (vec![], 5));
    assert_eq!(visit(store, here, (7, 5, 3), None).await, (vec![], 7));
    assert_eq!(visit(store, here, (0, 10, 0), None).await, (vec![], 0));
    assert_eq!(visit(store, PartitionId(0), (0, 4, 3), None).await, (vec![], 4));
}

async fn erased_citizens_are_passed_over(store: &dyn Store) {
    let people = residents(2, 6);
    register(store, &people).await;
    let (here, epoch) = open(store, people[0]).await;
    accepted(store, 1).await;
    let effect = members(1, 6, &[1, 2, 5]);
    store.commit(here, epoch, step(vec![effect])).await.unwrap();
    for place in [1, 3] {
        store.erase(here, epoch, who(people[place]), up_to(0), erasure(1, 9)).await.unwrap();
    }
    assert_eq!(visit(store, here, (0, 6, 3), None).await, (vec![0, 2, 4], 5));
    assert_eq!(visit(store, here, (0, 6, 2), Some(1)).await, (vec![2, 5], 6));
    assert_eq!(visit(store, here, (0, 6, 1), Some(1)).await, (vec![2], 3));
}

async fn a_visit_looks_at_sixteen_ordinals_for_each_citizen_it_may_return(store: &dyn Store) {
    let here = PartitionId(2);
    assert_eq!(visit(store, here, (0, 1_000, 1), None).await, (vec![], 16));
    assert_eq!(visit(store, here, (16, 1_000, 10), None).await, (vec![], 176));
    assert_eq!(visit(store, here, (0, 100_000, usize::MAX), None).await, (vec![], 100_000));
    let last = u32::MAX - 1;
    assert_eq!(visit(store, here, (last, u32::MAX, 1), None).await, (vec![], u32::MAX));
    let (_, epoch) = open(store, residents(2, 1)[0]).await;
    register(store, &residents(2, 40)).await;
    accepted(store, 1).await;
    store.commit(here, epoch, step(vec![members(1, 40, &[30, 31])])).await.unwrap();
    assert_eq!(visit(store, here, (0, 40, 1), Some(1)).await, (vec![], 16));
    assert_eq!(visit(store, here, (16, 40, 1), Some(1)).await, (vec![30], 31));
    assert_eq!(visit(store, here, (31, 40, 1), Some(1)).await, (vec![31], 32));
}

async fn members_are_visited_and_nobody_else(store: &dyn Store) {
    let people = residents(2, 8);
    register(store, &people).await;
    let (here, epoch) = open(store, people[0]).await;
    accepted(store, 1).await;
    accepted(store, 2).await;
    let others = [Mark::Suppressed, Mark::Delivered, Mark::None, Mark::Delivered];
    let steps = vec![one_step(1, 1, 0, &others), one_step(1, 2, 4, &[Mark::Delivered; 4])];
    store.commit(here, epoch, step(steps)).await.unwrap();
    let all = visit(store, here, (0, 8, 100), Some(1)).await;
    assert_eq!(all, (vec![1, 3, 4, 5, 6, 7], 8));
    assert_eq!(visit(store, here, (2, 8, 2), Some(1)).await, (vec![3, 4], 5));
    assert_eq!(visit(store, here, (5, 7, 100), Some(1)).await, (vec![5, 6], 7));
    assert_eq!(visit(store, here, (0, 8, 100), Some(2)).await, (vec![], 0));
    assert_eq!(visit(store, here, (0, 8, 100), Some(3)).await, (vec![], 0));
}

async fn a_visit_of_members_stays_behind_the_inbox_walk(store: &dyn Store) {
    let people = residents(2, 8);
    register(store, &people).await;
    let (here, epoch) = open(store, people[0]).await;
    accepted(store, 1).await;
    store.commit(here, epoch, step(vec![members(1, 4, &[0, 1, 2, 3])])).await.unwrap();
    assert_eq!(visit(store, here, (0, 8, 100), Some(1)).await, (vec![0, 1, 2, 3], 4));
    assert_eq!(visit(store, here, (4, 8, 100), Some(1)).await, (vec![], 4));
    assert_eq!(visit(store, here, (6, 8, 100), Some(1)).await, (vec![], 6));
    // The walk went on and found nobody: its run is nowhere, its cursor is.
    store.commit(here, epoch, step(vec![one_step(1, 2, 4, &[Mark::None; 4])])).await.unwrap();
    assert_eq!(visit(store, here, (4, 8, 100), Some(1)).await, (vec![], 8));
}

async fn few_members_among_many_are_found(store: &dyn Store) {
    let people = residents(2, 300);
    register(store, &people).await;
    let (here, epoch) = open(store, people[0]).await;
    accepted(store, 1).await;
    store.commit(here, epoch, step(vec![members(1, 300, &[7, 150, 299])])).await.unwrap();
    assert_eq!(visit(store, here, (0, 300, 100), Some(1)).await, (vec![7, 150, 299], 300));
    assert_eq!(visit(store, here, (8, 300, 20), Some(1)).await, (vec![150, 299], 300));
    assert_eq!(visit(store, here, (0, 300, 2), Some(1)).await, (vec![7], 32));
    assert_eq!(visit(store, here, (100, 299, 100), Some(1)).await, (vec![150], 299));
}

async fn stragglers_are_found_by_ordinal(store: &dyn Store) {
    let people = residents(2, 4);
    register(store, &people).await;
    let (here, epoch) = open(store, people[0]).await;
    store.erase(here, epoch, who(people[2]), up_to(0), erasure(1, 9)).await.unwrap();
    let stragglers = [3, 2, 0, 77].map(straggler);
    let found = store.straggling(here, &stragglers).await.unwrap();
    let codes: Vec<_> = found.iter().map(|one| one.as_ref().map(|one| one.fiscal_code)).collect();
    assert_eq!(codes, [Some(who(people[3])), None, Some(who(people[0])), None]);
    assert_eq!(store.straggling(here, &[]).await.unwrap(), []);
}

async fn visits_of_unknown_partitions_are_refused(store: &dyn Store) {
    let beyond = PartitionId(PARTITIONS);
    assert!(store.visit(beyond, 0, 1, 1, None).await.is_err());
    assert!(store.straggling(beyond, &[straggler(0)]).await.is_err());
    let cursor = Cursor { revision: 1, ..Cursor::default() };
    let run = Run { first: 0, marks: vec![Mark::None] };
    let effect = walked(1, Walk::Inbox, Channel::InApp, cursor, Some(run), &[]);
    let epoch = araldo_actors::domain::id::Epoch(1);
    assert!(store.commit(beyond, epoch, step(vec![effect])).await.is_err());
}
