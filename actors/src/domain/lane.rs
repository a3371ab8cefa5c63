//! Priority classes.

use serde::{Deserialize, Serialize};
use std::ops::{Index, IndexMut};

/// Priority class of a delivery, the most urgent first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Danger to life; overtakes everything.
    Emergency,
    /// Time-critical, such as one-time codes and cancelled appointments.
    Urgent,
    /// Ordinary personal messages.
    #[default]
    Normal,
    /// Mass communications that can wait.
    Bulk,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Emergency, Self::Urgent, Self::Normal, Self::Bulk];

    /// Its name in metrics, the same as on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// Index into arrays that hold one item per lane.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its number in stored keys: the lower, the more urgent.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The lane of a number; none when no lane has it.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// One item for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByLane<T>([T; 4]);

impl<T> ByLane<T> {
    /// What `make` makes for each lane.
    pub fn from_fn(make: impl FnMut(Lane) -> T) -> Self {
        Self(Lane::ALL.map(make))
    }

    /// Each item with its lane, the most urgent first.
    pub fn iter(&self) -> impl Iterator<Item = (Lane, &T)> {
        Lane::ALL.into_iter().zip(&self.0)
    }

    /// The items, the most urgent lane's first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// What `make` makes of each item.
    pub fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> ByLane<U> {
        ByLane::from_fn(|lane| make(&self[lane]))
    }
}

impl<T: Default> ByLane<T> {
    /// `item` for `lane`, and the default for the others.
    pub fn only(lane: Lane, item: T) -> Self {
        let mut all = Self::from_fn(|_| T::default());
        all[lane] = item;
        all
    }
}

impl<T> Index<Lane> for ByLane<T> {
    type Output = T;

    fn index(&self, lane: Lane) -> &T {
        &self.0[lane.index()]
    }
}

impl<T> IndexMut<Lane> for ByLane<T> {
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::{ByLane, Lane};

    #[test]
    fn numbers_are_in_the_order_of_urgency_and_lead_back() {
        assert!(Lane::ALL.is_sorted());
        assert!(Lane::ALL.is_sorted_by_key(|lane| lane.number()));
        assert!(Lane::ALL.iter().all(|lane| Lane::of_number(lane.number()) == Some(*lane)));
        assert_eq!(Lane::of_number(4), None);
    }

    #[test]
    fn each_lane_has_its_own_item() {
        let mut counts = ByLane::only(Lane::Bulk, 3);
        counts[Lane::Urgent] += 1;
        assert_eq!(counts.values().copied().collect::<Vec<_>>(), [0, 1, 0, 3]);
        assert_eq!(counts.map(|count| count + 1)[Lane::Bulk], 4);
    }
}
