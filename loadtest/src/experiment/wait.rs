//! How long messages waited for their first arrival at a provider, around events such as the death of a node.
//!
//! Pure.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::driver::Accepted;
use crate::simulator::Record;

/// A message that waited longer was held up by something.
const LATE_US: u64 = 1_000_000;

/// What followed an event, up to the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Unix microseconds of the event.
    pub at_us: u64,
    /// The longest wait for an arrival after the event, counted from the acceptance or the event, whichever was later.
    pub longest_us: u64,
    /// Messages that waited more than a second.
    pub late: u64,
    /// From the event to the last arrival of those: then every partition delivers again, and what had waited is gone.
    pub resumed_us: u64,
}

impl Waits {
    /// In words, for an event of this name.
    pub(super) fn told(&self, event: &str) -> String {
        format!(
            "{event}: longest wait {:.2} s; {} messages waited over a second, the last until {:.2} s after it",
            self.longest().as_secs_f64(),
            self.late,
            self.resumed().as_secs_f64()
        )
    }

    /// See [`Waits::longest_us`].
    #[must_use]
    pub const fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us)
    }

    /// See [`Waits::resumed_us`].
    #[must_use]
    pub const fn resumed(&self) -> Duration {
        Duration::from_micros(self.resumed_us)
    }
}

/// First arrivals by message.
pub(super) fn first_arrivals(records: &[Record]) -> HashMap<u128, u64> {
    let mut first = HashMap::with_capacity(records.len());
    for record in records {
        let at = first.entry(record.message).or_insert(record.first_accept_us);
        *at = record.first_accept_us.min(*at);
    }
    first
}

/// The waits after each of the events, which are in order of time; and the longest wait of any message.
#[must_use]
pub fn waits(accepted: &[Accepted], records: &[Record], events: &[u64]) -> (Vec<Waits>, Duration) {
    let first = first_arrivals(records);
    let mut all: Vec<Waits> =
        events.iter().map(|at| Waits { at_us: *at, ..Waits::default() }).collect();
    let mut longest = 0;
    for message in accepted {
        let Some(arrival) = first.get(&message.id).copied() else { continue };
        let waited = arrival.saturating_sub(message.at_us);
        longest = longest.max(waited);
        let Some(last) = events.partition_point(|at| *at <= arrival).checked_sub(1) else {
            continue;
        };
        let waits = &mut all[last];
        let since = message.at_us.max(waits.at_us);
        waits.longest_us = waits.longest_us.max(arrival.saturating_sub(since));
        if waited > LATE_US {
            waits.late += 1;
            waits.resumed_us = waits.resumed_us.max(arrival - waits.at_us);
        }
    }
    (all, Duration::from_micros(longest))
}

/// From an event to the first span of 100 ms in which at least `per_second` happened, by the times of what happened; none if
/// that never came.
pub(super) fn rate_is_back(times: &[u64], event_us: u64, per_second: f64) -> Option<Duration> {
    const SPAN_US: u64 = 100_000;
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for at in times.iter().filter(|at| **at >= event_us) {
        *counts.entry((at - event_us) / SPAN_US).or_default() += 1;
    }
    let enough = per_second / 10.0;
    let spans = counts.into_iter().filter(|(_, count)| super::as_f64(*count) >= enough);
    spans.map(|(span, _)| span).min().map(|span| Duration::from_micros((span + 1) * SPAN_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn told(id: u128, at_us: u64) -> Accepted {
        Accepted { index: 0, id, at_us }
    }

    fn arrival(message: u128, first_accept_us: u64) -> Record {
        Record { delivery: message + 90, message, device: 0, first_accept_us, accepted: 1 }
    }

    #[test]
    fn a_wait_counts_from_the_event_or_the_acceptance_to_the_arrival() {
        let accepted = [
            told(1, SECOND),
            told(2, 9 * SECOND),
            told(3, 12 * SECOND),
            told(4, 31 * SECOND),
            told(5, 40 * SECOND),
        ];
        let records = [
            arrival(1, SECOND + 10),
            // In hand when the node died at 10 s; accepted after that; after the death at 30 s.
            arrival(2, 15 * SECOND),
            arrival(3, 16 * SECOND),
            arrival(4, 31 * SECOND + 20),
        ];
        let (waits, longest) = waits(&accepted, &records, &[10 * SECOND, 30 * SECOND]);
        assert_eq!((waits[0].longest_us, waits[0].late), (5 * SECOND, 2));
        assert_eq!(waits[0].resumed(), Duration::from_secs(6));
        assert_eq!((waits[1].longest_us, waits[1].late), (20, 0));
        assert_eq!(longest, Duration::from_secs(6));
    }

    #[test]
    fn a_rate_is_back_at_the_end_of_the_first_span_that_has_it() {
        let mut times: Vec<u64> = (0..5).map(|n| 100_000 + n).collect();
        times.extend((0..10).map(|n| 350_000 + n));
        let back = |event, rate| rate_is_back(&times, event, rate);
        assert_eq!(back(0, 100.0), Some(Duration::from_millis(400)));
        assert_eq!(back(50_000, 50.0), Some(Duration::from_millis(100)));
        assert_eq!(back(0, 200.0), None);
    }
}
