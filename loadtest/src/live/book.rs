//! What one live session got, and the verdict over it.
//!
//! Owns a session's list of messages: 40 bytes each. *Twice*: the same message came again as an event, which a session that
//! goes on after its last event must never see. What the inbox was read for (after `reset`, or when the place was lost)
//! may overlap with events, as for any client: it is merged by id and counts once.

use std::collections::HashSet;

/// A message as a session got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The message's ULID as a number.
    pub message: u128,
    /// Unix microseconds of the event; 0 when it was read from the list.
    pub at_us: u64,
}

/// What one session got.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Events `message`, in their order.
    pub(super) events: Vec<Arrival>,
    /// Messages read from the list.
    pub(super) listed: HashSet<u128>,
    pub(super) expected: HashSet<u128>,
    pub(super) ready: bool,
    pub(super) ended: bool,
    pub(super) connects: u64,
    pub(super) statuses: u64,
    pub(super) resets: u64,
    pub(super) lists: u64,
    pub(super) faults: u64,
}

/// How a session stands against what it should have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) missing: u64,
    pub(super) twice: u64,
    pub(super) unexpected: u64,
}

impl Book {
    /// Different messages it has.
    fn messages(&self) -> HashSet<u128> {
        let events = self.events.iter().map(|arrival| arrival.message);
        events.chain(self.listed.iter().copied()).collect()
    }

    /// Whether nothing expected is missing.
    pub(super) fn is_complete(&self) -> bool {
        if self.expected.len() > self.events.len() + self.listed.len() {
            return false;
        }
        let messages = self.messages();
        self.expected.iter().all(|message| messages.contains(message))
    }

    pub(super) fn verdict(&self) -> Verdict {
        let messages = self.messages();
        let events: HashSet<u128> = self.events.iter().map(|arrival| arrival.message).collect();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Verdict {
            missing: count(self.expected.difference(&messages).count()),
            twice: count(self.events.len() - events.len()),
            unexpected: count(messages.difference(&self.expected).count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_twice_and_unexpected_are_told_apart_and_lists_are_merged() {
        let arrival = |message| Arrival { message, at_us: 1 };
        let mut book = Book {
            events: vec![arrival(1), arrival(2), arrival(2), arrival(9)],
            listed: HashSet::from([1, 3]),
            expected: HashSet::from([1, 2, 3, 4]),
            ..Book::default()
        };
        assert!(!book.is_complete());
        assert_eq!(book.verdict(), Verdict { missing: 1, twice: 1, unexpected: 1 });
        book.listed.insert(4);
        assert!(book.is_complete());
    }
}
