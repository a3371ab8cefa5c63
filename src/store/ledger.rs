//! Runs of the ledger as stores keep them: whole for a route's walk; for the
//! inbox walk cut where a block of [`BLOCK`] ordinals ends, so that a citizen's
//! inbox looks only at rows of its own block.

use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::time::Millis;

/// Ordinals of one block. Fixed: it is in the keys. Smaller, and an alert to
/// everybody costs more rows; larger, and an inbox reads more of what is not
/// its own.
pub(super) const BLOCK: u32 = 4_096;

/// Where an alert stands in the order of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) sequence: u64,
    pub(super) published_at: Millis,
}

/// A row of the ledger: a run, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Of the inbox walk's only.
    pub(super) publication: Option<Publication>,
    pub(super) run: Run,
}

/// A row of the inbox's index, written; its place is in its key.
pub(super) fn encode_shown(alert: MessageId, published_at: Millis, members: &Run) -> Vec<u8> {
    let mut row = Vec::with_capacity(64);
    row.extend_from_slice(&alert.to_bytes());
    row.extend_from_slice(&published_at.0.to_be_bytes());
    row.extend_from_slice(&members.first.to_be_bytes());
    members.encode(&mut row);
    row
}

/// What the index says of one citizen at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) alert: MessageId,
    pub(super) publication: Publication,
    /// Whether the citizen is one of the members.
    pub(super) member: bool,
}

impl Shown {
    /// Reads a row at place `sequence` for the citizen with `ordinal`; none
    /// when it cannot be right.
    pub(super) fn read(sequence: u64, row: &[u8], ordinal: u32) -> Option<Self> {
        let (alert, rest) = row.split_first_chunk::<16>()?;
        let (published_at, rest) = rest.split_first_chunk::<8>()?;
        let (first, members) = rest.split_first_chunk::<4>()?;
        let mark = Run::find(u32::from_be_bytes(*first), members, ordinal)?;
        let published_at = Millis(u64::from_be_bytes(*published_at));
        Some(Self {
            alert: MessageId::from_bytes(*alert),
            publication: Publication { sequence, published_at },
            member: mark == Some(Mark::Delivered),
        })
    }
}

/// The members of a run; none when it has none.
pub(super) fn members(run: &Run) -> Option<Run> {
    let only = |mark: &Mark| if *mark == Mark::Delivered { *mark } else { Mark::None };
    let marks: Vec<Mark> = run.marks.iter().map(only).collect();
    let any = marks.contains(&Mark::Delivered);
    any.then_some(Run { first: run.first, marks })
}

/// Cuts a run where a block ends.
pub(super) fn cut(run: Run) -> Vec<Run> {
    let Run { mut first, mut marks } = run;
    let mut pieces = Vec::new();
    loop {
        let room = usize::try_from(BLOCK - first % BLOCK).unwrap_or(usize::MAX);
        if marks.len() <= room {
            pieces.push(Run { first, marks });
            return pieces;
        }
        let rest = marks.split_off(room);
        pieces.push(Run { first, marks });
        // Behind it lies an ordinal, so this one is no larger than that.
        first = (first / BLOCK + 1) * BLOCK;
        marks = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, MessageId, Millis, Publication, Run, Shown, cut, encode_shown, members};

    const ALERT: MessageId = MessageId::from_bytes([7; 16]);

    #[test]
    fn the_index_tells_members_from_others() {
        let run = Run { first: 300, marks: vec![Mark::Delivered, Mark::None, Mark::Suppressed] };
        let row = encode_shown(ALERT, Millis(77), &members(&run).unwrap());
        for (ordinal, member) in [(299, false), (300, true), (301, false), (302, false)] {
            let publication = Publication { sequence: 9, published_at: Millis(77) };
            let expected = Shown { alert: ALERT, publication, member };
            assert_eq!(Shown::read(9, &row, ordinal), Some(expected));
        }
        assert_eq!(Shown::read(9, &row[..27], 300), None);
        assert_eq!(members(&Run { first: 0, marks: vec![Mark::Suppressed; 3] }), None);
    }

    #[test]
    fn runs_are_cut_where_a_block_ends() {
        let run = |first: u32, length: usize| Run { first, marks: vec![Mark::Delivered; length] };
        let lengths = |first, length| -> Vec<(u32, usize)> {
            let pieces = cut(run(first, length));
            pieces.iter().map(|piece| (piece.first, piece.marks.len())).collect()
        };
        assert_eq!(lengths(0, 4_096), [(0, 4_096)]);
        assert_eq!(lengths(5, 4_096), [(5, 4_091), (4_096, 5)]);
        assert_eq!(lengths(4_095, 4_098), [(4_095, 1), (4_096, 4_096), (8_192, 1)]);
        assert_eq!(lengths(u32::MAX, 1), [(u32::MAX, 1)]);
    }
}
