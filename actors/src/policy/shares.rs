//! Shares: how many of a bounded number of places each lane may take, so that
//! none of them takes all (promises 4 and 5).
//!
//! Each lane has a reserve of one place in [`ROUND`], as in the queue of a
//! route (`lanes`); what is beyond the reserves is common, and goes to whoever
//! asks first: the most urgent, where the lanes are served in their order. So
//! a more urgent lane finds places whatever the others hold, and a less urgent
//! one is slowed, not starved.

use crate::domain::lane::{ByLane, Lane};
use crate::policy::lanes::ROUND;

/// Places shared by the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    total: usize,
    reserve: usize,
}

impl Shares {
    /// `total` places. Fewer than one for each lane are all common.
    #[must_use]
    pub const fn new(total: usize) -> Self {
        let share = total / ROUND as usize;
        let one_each = if total < Lane::ALL.len() { 0 } else { 1 };
        Self { total, reserve: if share > one_each { share } else { one_each } }
    }

    /// All places.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Places that only one lane may take; the same for each.
    #[must_use]
    pub const fn reserve(&self) -> usize {
        self.reserve
    }

    /// How many more `lane` may take.
    #[must_use]
    pub fn room(&self, lane: Lane, taken: &ByLane<usize>) -> usize {
        self.room_beside(lane, taken, |_| true)
    }

    /// How many more `lane` may take where only the lanes that `keep` names
    /// keep their reserve free: where places soon come back, those that nobody
    /// asks for need not stay empty.
    #[must_use]
    pub fn room_beside(
        &self,
        lane: Lane,
        taken: &ByLane<usize>,
        keep: impl Fn(Lane) -> bool,
    ) -> usize {
        let held = |(other, &count): (Lane, &usize)| {
            if other == lane || keep(other) { count.max(self.reserve) } else { count }
        };
        let common = self.total.saturating_sub(taken.iter().map(held).sum());
        let own = self.reserve.saturating_sub(taken[lane]);
        let free = self.total.saturating_sub(taken.values().sum());
        (own + common).min(free)
    }
}

#[cfg(test)]
mod tests {
    use super::{ByLane, Lane, Shares};
    use proptest::prelude::*;

    fn taken(counts: [usize; 4]) -> ByLane<usize> {
        ByLane::from_fn(|lane| counts[lane.index()])
    }

    #[test]
    fn a_lane_takes_all_but_the_reserves_of_the_others() {
        let shares = Shares::new(64);
        for (counts, room) in [
            // Emergency, urgent, normal, bulk: what each may still take.
            ([0, 0, 0, 0], [46, 46, 46, 46]),
            ([0, 0, 0, 46], [6, 6, 6, 0]),
            ([0, 0, 0, 40], [12, 12, 12, 6]),
            ([6, 0, 0, 46], [0, 6, 6, 0]),
            ([46, 0, 0, 0], [0, 6, 6, 6]),
            ([10, 6, 6, 42], [0, 0, 0, 0]),
            ([0, 10, 6, 42], [6, 0, 0, 0]),
        ] {
            let taken = taken(counts);
            let found = Lane::ALL.map(|lane| shares.room(lane, &taken));
            assert_eq!(found, room, "{counts:?}");
        }
    }

    #[test]
    fn a_reserve_that_nobody_keeps_is_common() {
        let shares = Shares::new(64);
        let room = |lane, counts, kept: &[Lane]| {
            shares.room_beside(lane, &taken(counts), |other| kept.contains(&other))
        };
        assert_eq!(room(Lane::Normal, [0; 4], &[]), 64);
        assert_eq!(room(Lane::Normal, [0; 4], &[Lane::Bulk]), 58);
        assert_eq!(room(Lane::Emergency, [0, 0, 64, 0], &[Lane::Normal]), 0);
        assert_eq!(room(Lane::Emergency, [0, 0, 60, 0], &[Lane::Normal]), 4);
    }

    #[test]
    fn few_places_are_shared_as_far_as_there_are_any() {
        for (total, reserve) in [(0, 0), (3, 0), (4, 1), (9, 1), (16, 1), (20, 2), (64, 6)] {
            assert_eq!(Shares::new(total).reserve(), reserve, "{total}");
        }
        assert_eq!(Shares::new(3).room(Lane::Bulk, &taken([0; 4])), 3);
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_every_lane_finds_its_reserve(
            total in 4_usize..200,
            moves in proptest::collection::vec((0_usize..4, any::<bool>()), 0..400),
        ) {
            let shares = Shares::new(total);
            let mut taken = ByLane::default();
            for (place, comes) in moves {
                let lane = Lane::ALL[place];
                if comes && shares.room(lane, &taken) > 0 {
                    taken[lane] += 1;
                } else if !comes && taken[lane] > 0 {
                    taken[lane] -= 1;
                    // Whoever gives a place back may take it again.
                    prop_assert!(shares.room(lane, &taken) > 0);
                }
                prop_assert!(taken.values().sum::<usize>() <= total);
                for lane in Lane::ALL {
                    let room = shares.room(lane, &taken);
                    prop_assert!(taken[lane] + room >= shares.reserve());
                    prop_assert!(taken.values().sum::<usize>() + room <= total);
                }
            }
        }

        #[test]
        fn no_room_is_given_twice_whatever_is_kept(
            total in 0_usize..100,
            kept in proptest::array::uniform4(any::<bool>()),
            asks in proptest::collection::vec(0_usize..4, 0..200),
        ) {
            let shares = Shares::new(total);
            let mut taken = ByLane::default();
            for place in asks {
                let lane = Lane::ALL[place];
                taken[lane] += shares.room_beside(lane, &taken, |other| kept[other.index()]);
                prop_assert!(taken.values().sum::<usize>() <= total);
            }
        }
    }
}
