//! The ledger of an alert: who was reached, in a few bits each.
//!
//! A walk through a partition leaves *runs*: stretches of ordinals visited in
//! one step, each with a mark for every citizen in the audience. A run is
//! written once, with the cursor, and keyed by its first ordinal; a citizen's
//! mark is found in the last run that begins at or before their ordinal. Only
//! a straggler's end changes a run later.
//!
//! Three forms, whichever is shortest: all alike, four bits for each ordinal
//! (dense), or a gap and a mark for each that has one (sparse).

use serde::{Deserialize, Serialize};

use super::delivery::Endpoint;
use super::outcome::Outcome;
use super::time::Millis;

/// What the ledger says of one citizen on one walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mark {
    /// Not in the audience, or nothing to deliver on this walk.
    #[default]
    None = 0,
    /// Nothing was attempted, by choice.
    Suppressed = 1,
    /// Too late.
    Expired = 2,
    /// Stopped by its sender.
    Cancelled = 3,
    /// Failed for good.
    Failed = 4,
    /// To be tried again.
    Waiting = 5,
    /// Accepted by the provider, or in the inbox.
    Delivered = 6,
}

impl Mark {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Suppressed,
        Self::Expired,
        Self::Cancelled,
        Self::Failed,
        Self::Waiting,
        Self::Delivered,
    ];

    /// The mark of an outcome.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Expired => Self::Expired,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Suppressed(_) => Self::Suppressed,
        }
    }

    fn read(bits: u8) -> Option<Self> {
        Self::ALL.get(usize::from(bits)).copied()
    }
}

/// A delivery of an alert that is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Straggler {
    /// Whose it is.
    pub ordinal: u32,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// Attempts that ended without an outcome.
    pub retries: u16,
    /// When the next attempt is due.
    pub due: Millis,
}

/// The marks of a stretch of ordinals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first ordinal.
    pub first: u32,
    /// A mark for each ordinal from the first on; never empty.
    pub marks: Vec<Mark>,
}

/// Longest run: what a step may visit.
pub const LONGEST_RUN: usize = 65_536;

const UNIFORM: u8 = 0;
const DENSE: u8 = 1;
const SPARSE: u8 = 2;

impl Run {
    /// The mark of `ordinal`, if the run covers it.
    #[must_use]
    pub fn mark(&self, ordinal: u32) -> Option<Mark> {
        let place = ordinal.checked_sub(self.first)?;
        self.marks.get(usize::try_from(place).ok()?).copied()
    }

    /// Changes the mark of `ordinal`; false when the run does not cover it.
    /// Who was reached stays so, whatever becomes of a second delivery.
    pub fn set(&mut self, ordinal: u32, mark: Mark) -> bool {
        let place = ordinal.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(held) = place.and_then(|place| self.marks.get_mut(place)) else { return false };
        if *held != Mark::Delivered {
            *held = mark;
        }
        true
    }

    /// Appends the shortest form to `out`; the first ordinal is in the key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = self.marks.len();
        if let Some(first) = self.marks.first()
            && self.marks.iter().all(|mark| mark == first)
        {
            out.push(UNIFORM);
            varint(out, length);
            out.push(*first as u8);
            return;
        }
        let marked = self.marks.iter().filter(|mark| **mark != Mark::None).count();
        // A gap takes at least a byte, and so does its mark with it: a gap
        // below 16 shares the byte.
        let sparse = self.sparse(marked);
        if sparse.len() < length.div_ceil(2) {
            out.push(SPARSE);
            varint(out, length);
            out.extend_from_slice(&sparse);
        } else {
            out.push(DENSE);
            varint(out, length);
            for pair in self.marks.chunks(2) {
                let high = pair.get(1).map_or(0, |mark| *mark as u8);
                out.push(pair[0] as u8 | high << 4);
            }
        }
    }

    /// Each marked ordinal as `gap * 8 + mark`, the gap being the number of
    /// unmarked ones before it.
    fn sparse(&self, marked: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(marked);
        let mut gap = 0;
        for mark in &self.marks {
            if *mark == Mark::None {
                gap += 1;
            } else {
                varint(&mut out, gap << 3 | usize::from(*mark as u8));
                gap = 0;
            }
        }
        out
    }

    /// The mark of `ordinal` in what [`Run::encode`] wrote, without reading all
    /// of it: [`Run::decode`] and [`Run::mark`] in one. The outer none: it
    /// cannot be right, as far as it was read; the inner one: the run does
    /// not cover the ordinal.
    #[must_use]
    pub fn find(first: u32, bytes: &[u8], ordinal: u32) -> Option<Option<Mark>> {
        let (form, mut rest) = bytes.split_first()?;
        let length = read_varint(&mut rest)?;
        if length == 0 || length > LONGEST_RUN {
            return None;
        }
        let place = ordinal.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        let Some(place) = place.filter(|place| *place < length) else { return Some(None) };
        let mark = match *form {
            UNIFORM => Mark::read(*rest.first()?)?,
            DENSE => Mark::read(rest.get(place / 2)? >> (place % 2 * 4) & 0x0f)?,
            SPARSE => {
                let mut at = 0;
                loop {
                    if rest.is_empty() {
                        break Mark::None;
                    }
                    let word = read_varint(&mut rest)?;
                    at += word >> 3;
                    if at == place {
                        break Mark::read(u8::try_from(word & 7).ok()?)?;
                    }
                    if at > place {
                        break Mark::None;
                    }
                    at += 1;
                }
            }
            _ => return None,
        };
        Some(Some(mark))
    }

    /// Reads what [`Run::encode`] wrote; none when it cannot be right.
    #[must_use]
    pub fn decode(first: u32, bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        let length = read_varint(&mut rest)?;
        if length == 0 || length > LONGEST_RUN {
            return None;
        }
        let marks = match *form {
            UNIFORM => match rest {
                [bits] => vec![Mark::read(*bits)?; length],
                _ => return None,
            },
            DENSE if rest.len() == length.div_ceil(2) => {
                let bits = |place: usize| rest[place / 2] >> (place % 2 * 4) & 0x0f;
                (0..length).map(|place| Mark::read(bits(place))).collect::<Option<_>>()?
            }
            SPARSE => {
                let mut marks = vec![Mark::None; length];
                let mut place = 0;
                while !rest.is_empty() {
                    let word = read_varint(&mut rest)?;
                    place += word >> 3;
                    *marks.get_mut(place)? = Mark::read(u8::try_from(word & 7).ok()?)?;
                    place += 1;
                }
                marks
            }
            _ => return None,
        };
        Some(Self { first, marks })
    }
}

/// LEB128, as in postcard.
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_RUN, Mark, Run};
    use proptest::prelude::*;

    fn encoded(run: &Run) -> Vec<u8> {
        let mut out = Vec::new();
        run.encode(&mut out);
        out
    }

    fn any_mark() -> impl Strategy<Value = Mark> {
        (0_u8..7).prop_filter_map("a mark", Mark::read)
    }

    #[test]
    fn the_shortest_form_is_taken() {
        let all = Run { first: 7, marks: vec![Mark::Delivered; 4_096] };
        assert!(encoded(&all).len() <= 4, "everybody");
        let mut few = vec![Mark::None; 4_096];
        few[9] = Mark::Delivered;
        few[4_000] = Mark::Failed;
        assert!(encoded(&Run { first: 0, marks: few }).len() <= 8, "two of many");
        let mut most = vec![Mark::Delivered; 4_096];
        most[5] = Mark::Suppressed;
        assert!(encoded(&Run { first: 0, marks: most }).len() <= 2_052, "half a byte each");
    }

    #[test]
    fn a_mark_is_found_and_changed_by_ordinal() {
        let mut run = Run { first: 10, marks: vec![Mark::None, Mark::Waiting] };
        assert_eq!(run.mark(9), None);
        assert_eq!(run.mark(11), Some(Mark::Waiting));
        assert_eq!(run.mark(12), None);
        assert!(run.set(11, Mark::Delivered));
        assert!(!run.set(12, Mark::Delivered));
        assert_eq!(run.mark(11), Some(Mark::Delivered));
        assert!(run.set(11, Mark::Failed));
        assert_eq!(run.mark(11), Some(Mark::Delivered), "who was reached stays so");
    }

    proptest! {
        #[test]
        fn runs_survive_the_round_trip(
            first in any::<u32>(),
            marks in prop::collection::vec(any_mark(), 1..600),
            thinned in 0_usize..40,
        ) {
            let thin = |(place, mark): (usize, Mark)| {
                if thinned > 0 && place % thinned != 0 { Mark::None } else { mark }
            };
            let marks = marks.into_iter().enumerate().map(thin).collect();
            let run = Run { first, marks };
            prop_assert_eq!(Run::decode(first, &encoded(&run)), Some(run));
        }

        #[test]
        fn a_mark_is_found_without_reading_the_whole_run(
            first in 0_u32..1_000,
            marks in prop::collection::vec(any_mark(), 1..300),
            thinned in 0_usize..40,
            ordinal in 0_u32..1_400,
        ) {
            let thin = |(place, mark): (usize, Mark)| {
                if thinned > 0 && place % thinned != 0 { Mark::None } else { mark }
            };
            let marks = marks.into_iter().enumerate().map(thin).collect();
            let run = Run { first, marks };
            let found = Run::find(first, &encoded(&run), ordinal);
            prop_assert_eq!(found, Some(run.mark(ordinal)));
        }

        #[test]
        fn what_cannot_be_right_is_refused_and_nothing_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            ordinal in 0_u32..100,
        ) {
            if let Some(run) = Run::decode(0, &bytes) {
                prop_assert_eq!(Run::find(0, &bytes, ordinal), Some(run.mark(ordinal)));
            }
            if let Some(run) = Run::decode(0, &bytes) {
                prop_assert!((1..=LONGEST_RUN).contains(&run.marks.len()));
            }
        }
    }
}
