//! The checkpoint of a journal whose entries are finished out of order.

use std::collections::BTreeSet;

/// Everything below the mark is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    mark: u64,
    /// Entries at or above the mark that are done. Bounded by the entries in
    /// hand: an entry is read only while few are unfinished.
    done: BTreeSet<u64>,
}

impl Watermark {
    /// A mark with nothing done above it.
    #[must_use]
    pub const fn new(mark: u64) -> Self {
        Self { mark, done: BTreeSet::new() }
    }

    /// Marks `sequence` as done.
    pub fn complete(&mut self, sequence: u64) {
        if sequence >= self.mark {
            self.done.insert(sequence);
        }
        while self.done.remove(&self.mark) {
            self.mark += 1;
        }
    }

    /// All entries below this are done.
    #[must_use]
    pub const fn mark(&self) -> u64 {
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::Watermark;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_mark_is_the_first_unfinished_entry(
            order in Just((0_u64..50).collect::<Vec<_>>()).prop_shuffle(),
            count in 0_usize..50,
        ) {
            let mut watermark = Watermark::new(0);
            let finished = &order[..count];
            for &sequence in finished {
                watermark.complete(sequence);
                watermark.complete(sequence);
            }
            let first_open = (0..).find(|n| !finished.contains(n));
            prop_assert_eq!(Some(watermark.mark()), first_open);
        }
    }
}
