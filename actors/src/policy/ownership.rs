//! Which node a partition is meant for: rendezvous hashing (Thaler and
//! Ravishankar, 1998).
//!
//! Each node reckons it by itself from the names of the living ones. A node that
//! joins takes only what becomes its own, one that leaves gives up only what was
//! its own: nothing else moves.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::id::{NodeId, PartitionId};

/// The node that `partition` is meant for, among those that live; none when
/// none lives. The order of the names does not matter.
pub fn owner<'a>(
    partition: PartitionId,
    nodes: impl IntoIterator<Item = &'a NodeId>,
) -> Option<&'a NodeId> {
    let weight = |node: &NodeId| xxh3_64_with_seed(node.as_str().as_bytes(), seed(partition));
    nodes.into_iter().max_by_key(|node| (weight(node), node.as_str()))
}

/// Spread over all bits: the hash mixes a small seed into a short name too
/// little to be fair among few nodes.
const fn seed(partition: PartitionId) -> u64 {
    (partition.0 as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NodeId, PartitionId, owner};

    const PARTITIONS: u16 = 64;

    fn nodes(count: usize) -> Vec<NodeId> {
        (1..=count).map(|n| NodeId::parse(&format!("node-{n}")).expect("a name")).collect()
    }

    fn owners(nodes: &[NodeId]) -> Vec<Option<&NodeId>> {
        (0..PARTITIONS).map(|partition| owner(PartitionId(partition), nodes)).collect()
    }

    #[test]
    fn nobody_owns_anything_when_nobody_lives_and_one_owns_all() {
        assert_eq!(owner(PartitionId(0), &[]), None);
        let alone = nodes(1);
        assert!(owners(&alone).iter().all(|owner| *owner == alone.first()));
    }

    #[test]
    fn every_node_gets_its_share() {
        for count in 2..=8 {
            let nodes = nodes(count);
            let owners = owners(&nodes);
            for node in &nodes {
                let held = owners.iter().filter(|owner| **owner == Some(node)).count();
                let fair = usize::from(PARTITIONS) / count;
                assert!(held * 3 >= fair, "{node} of {count} has {held} of {PARTITIONS}");
                assert!(held <= fair * 2, "{node} of {count} has {held} of {PARTITIONS}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_node_that_leaves_moves_only_what_was_its_own(
            count in 2_usize..10, gone in any::<prop::sample::Index>(), order in any::<u64>()
        ) {
            let all = nodes(count);
            let mut rest = all.clone();
            let gone = rest.remove(gone.index(count));
            let turn = usize::try_from(order % rest.len() as u64).expect("small");
            rest.rotate_left(turn);
            for (before, after) in owners(&all).into_iter().zip(owners(&rest)) {
                prop_assert!(before == after || before == Some(&gone));
                prop_assert!(after.is_some());
            }
        }
    }
}
