//! The queue of a route: four lanes, the most urgent first, each lower one
//! with a reserved share so that it is slowed, not starved (promise 5).
//!
//! Within a lane the order is first in, first out, which keeps a citizen's
//! messages in the order accepted (promise 7).

use std::collections::VecDeque;

use crate::domain::lane::Lane;

/// Out of this many departures each waiting lane gets at least one.
pub(super) const ROUND: u32 = 10;

/// A queue with four lanes. Bounded by the credits its feeders hold.
#[derive(Debug)]
pub struct LaneQueue<T> {
    lanes: [VecDeque<T>; 4],
    /// Departures each waiting lane has seen go to others.
    passed_over: [u32; 4],
}

impl<T> Default for LaneQueue<T> {
    fn default() -> Self {
        Self { lanes: Default::default(), passed_over: [0; 4] }
    }
}

impl<T> LaneQueue<T> {
    /// Adds to the end of a lane.
    pub fn push(&mut self, lane: Lane, item: T) {
        self.lanes[lane.index()].push_back(item);
    }

    /// Puts back what could not leave, to the front of its lane.
    pub fn push_front(&mut self, lane: Lane, item: T) {
        self.lanes[lane.index()].push_front(item);
    }

    /// Takes the next item: the most urgent, unless a lower lane has been
    /// passed over for its share of the round.
    pub fn pop(&mut self) -> Option<T> {
        let waiting = |lane: &&Lane| !self.lanes[lane.index()].is_empty();
        let first = *Lane::ALL.iter().find(waiting)?;
        let starved = Lane::ALL
            .iter()
            .filter(waiting)
            .find(|lane| self.passed_over[lane.index()] + 1 >= ROUND);
        let chosen = starved.copied().unwrap_or(first);
        for lane in Lane::ALL {
            let passed = &mut self.passed_over[lane.index()];
            let waits = lane != chosen && !self.lanes[lane.index()].is_empty();
            *passed = if waits { *passed + 1 } else { 0 };
        }
        self.lanes[chosen.index()].pop_front()
    }

    /// The next item of a lane.
    #[must_use]
    pub fn first(&self, lane: Lane) -> Option<&T> {
        self.lanes[lane.index()].front()
    }

    /// Removes and returns every item that `test` picks.
    pub fn take_if(&mut self, mut test: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for lane in &mut self.lanes {
            // Mostly nothing is picked: no reason to move everything.
            let Some(first) = lane.iter().position(&mut test) else { continue };
            let rest = lane.split_off(first);
            let (out, keep): (VecDeque<T>, VecDeque<T>) = rest.into_iter().partition(&mut test);
            lane.extend(keep);
            taken.extend(out);
        }
        taken
    }

    /// Items waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, LaneQueue};
    use proptest::prelude::*;

    fn filled(counts: [usize; 4]) -> LaneQueue<(Lane, usize)> {
        let mut queue = LaneQueue::default();
        for lane in Lane::ALL {
            for number in 0..counts[lane.index()] {
                queue.push(lane, (lane, number));
            }
        }
        queue
    }

    #[test]
    fn an_emergency_overtakes_all_that_waits() {
        let mut queue = filled([0, 5, 5, 5]);
        queue.push(Lane::Emergency, (Lane::Emergency, 0));
        assert_eq!(queue.pop(), Some((Lane::Emergency, 0)));
    }

    #[test]
    fn bulk_keeps_a_tenth_under_a_flood_of_emergencies() {
        let mut queue = filled([1_000, 0, 0, 1_000]);
        let bulk = (0..1_000).filter_map(|_| queue.pop()).filter(|(l, _)| *l == Lane::Bulk).count();
        assert_eq!(bulk, 100);
    }

    #[test]
    fn emergencies_keep_seven_tenths_when_all_lanes_wait() {
        let mut queue = filled([1_000, 1_000, 1_000, 1_000]);
        let mut left = [0; 4];
        for _ in 0..1_000 {
            if let Some((lane, _)) = queue.pop() {
                left[lane.index()] += 1;
            }
        }
        assert!(left[0] >= 690, "{left:?}");
        assert!(left[1..].iter().all(|&share| share >= 90), "{left:?}");
    }

    proptest! {
        #[test]
        fn every_lane_is_first_in_first_out_and_nothing_is_lost(
            counts in proptest::array::uniform4(0_usize..40),
        ) {
            let mut queue = filled(counts);
            let mut next = [0; 4];
            while let Some((lane, number)) = queue.pop() {
                prop_assert_eq!(number, next[lane.index()]);
                next[lane.index()] += 1;
            }
            prop_assert_eq!(next, counts);
        }
    }
}
