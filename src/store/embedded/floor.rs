//! Where to begin looking for due entries.
//!
//! A settled delivery leaves a tombstone in `due`, and a search from the very
//! beginning of a route would step over all of them until they are compacted
//! away. So each lane of a route in a partition has a floor: no live entry is due before
//! it. A search starts there and afterwards raises it to the first entry it
//! found, unless something earlier was committed while it was looking.
//!
//! The floor is only a hint for speed, rebuilt from nothing after a restart,
//! but one that is too high would hide an entry. Two rules keep it from that:
//! the writer lowers it after a commit is visible and before it is
//! acknowledged; and a search raises it no further than the lowest entry the
//! writer announced since the search began, one search at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;

#[derive(Clone, Copy)]
struct Floor {
    /// No live entry is due before this.
    lowest: u64,
    /// The lowest entry committed since the running search began.
    announced: u64,
}

/// Partition, route and lane.
pub(super) type Place = (u16, u16, Lane);

#[derive(Default)]
struct Queue {
    /// Held for the length of a search.
    search: Mutex<()>,
    floor: Mutex<Option<Floor>>,
}

/// Floors of all places; bounded by the product of partitions, routes and
/// lanes.
#[derive(Default)]
pub(super) struct Floors(Mutex<HashMap<Place, Arc<Queue>>>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floors {
    fn queue(&self, place: Place) -> Arc<Queue> {
        Arc::clone(locked(&self.0).entry(place).or_default())
    }

    /// Announces a committed entry.
    pub(super) fn lower(&self, place: Place, due: Millis) {
        if let Some(floor) = &mut *locked(&self.queue(place).floor) {
            floor.lowest = floor.lowest.min(due.0);
            floor.announced = floor.announced.min(due.0);
        }
    }

    /// Runs `search`, telling it where to begin; it returns its result and
    /// the first live entry it met, none if it met none.
    pub(super) fn search<T, E>(
        &self,
        place: Place,
        search: impl FnOnce(Millis) -> Result<(T, Option<Millis>), E>,
    ) -> Result<T, E> {
        let queue = self.queue(place);
        let _alone = locked(&queue.search);
        let begin = {
            let mut floor = locked(&queue.floor);
            let floor = floor.get_or_insert(Floor { lowest: 0, announced: u64::MAX });
            floor.announced = u64::MAX;
            floor.lowest
        };
        let (result, first) = search(Millis(begin))?;
        if let Some(floor) = &mut *locked(&queue.floor) {
            floor.lowest = first.map_or(u64::MAX, |first| first.0).min(floor.announced);
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::{Floors, Lane, Millis, Place};

    const PLACE: Place = (1, 2, Lane::Normal);

    fn search(floors: &Floors, first: Option<u64>, meanwhile: Option<u64>) -> u64 {
        let begin = floors.search(PLACE, |begin| {
            if let Some(due) = meanwhile {
                floors.lower(PLACE, Millis(due));
            }
            Ok::<_, ()>((begin, first.map(Millis)))
        });
        begin.map_or(u64::MAX, |begin| begin.0)
    }

    #[test]
    fn rises_to_the_first_entry_and_falls_with_a_new_one() {
        let floors = Floors::default();
        assert_eq!(search(&floors, Some(50), None), 0);
        assert_eq!(search(&floors, None, None), 50);
        floors.lower(PLACE, Millis(70));
        assert_eq!(search(&floors, Some(70), None), 70);
        floors.lower(PLACE, Millis(30));
        assert_eq!(search(&floors, Some(30), None), 30);
    }

    #[test]
    fn an_entry_committed_during_the_search_is_not_passed_over() {
        let floors = Floors::default();
        assert_eq!(search(&floors, Some(50), Some(20)), 0);
        assert_eq!(search(&floors, Some(50), None), 20);
    }
}
