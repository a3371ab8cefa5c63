//! Citizens by ordinal: what a walk visits.
//!
//! The hot path of an alert: every citizen is read once for each walk. Without
//! an alert to be members of, one scan over a stretch of the table. With one,
//! the inbox walk's runs are read first, and only members' rows are decoded:
//! by a scan that steps over the others while members are many, one by one
//! when they are few.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::ledger::Mark;
use araldo_actors::port::alert_store::Visit;
use araldo_actors::port::store::StoreError;

use super::row::{self, INBOX, Piece};
use crate::store::embedded::key;
use crate::store::embedded::row::{decode, unreadable};
use crate::store::embedded::table::{Table, View};
use crate::store::stretch_end;

/// A scan steps over a row in about this part of the time that looking one up
/// takes.
const LOOK_UP_COST: usize = 8;

/// Citizens for which room is made before they are found.
const MOST_RESERVED: usize = 1_024;

/// Which ordinals to visit.
pub(super) struct Stretch {
    pub(super) partition: u16,
    pub(super) from: u32,
    pub(super) end: u32,
    pub(super) limit: usize,
}

fn place(partition: u16, ordinal: u32) -> String {
    format!("partition {partition}, citizen number {ordinal}")
}

fn read(partition: u16, ordinal: u32, row: &[u8]) -> Result<Citizen, StoreError> {
    decode(Table::Citizens, row, || place(partition, ordinal))
}

impl View<'_> {
    /// The citizen with an ordinal; none: erased, or not there yet.
    pub(super) fn numbered(
        &self,
        partition: u16,
        ordinal: u32,
    ) -> Result<Option<Citizen>, StoreError> {
        let found = self.get(Table::Citizens, &key::citizen(partition, ordinal))?;
        found.map(|row| read(partition, ordinal, &row)).transpose()
    }

    /// Visits a stretch of a partition's citizens.
    pub(super) fn visit(
        &self,
        stretch: &Stretch,
        members_of: Option<MessageId>,
    ) -> Result<Visit, StoreError> {
        let &Stretch { partition, from, end, limit } = stretch;
        let end = stretch_end(from, end, limit);
        let Some(alert) = members_of else {
            return self.visit_rows(stretch, end, |_| true);
        };
        let end = end.min(self.cursor((partition, alert, INBOX))?.next);
        let members = self.members(partition, alert, from, end)?;
        let (Some(&first), Some(&last)) = (members.first(), members.last()) else {
            return Ok(Visit { citizens: Vec::new(), next: end.max(from) });
        };
        let span = usize::try_from(last - first).unwrap_or(usize::MAX);
        if members.len().saturating_mul(LOOK_UP_COST) < span {
            return self.visit_each(stretch, end, &members);
        }
        let mut waiting = members.iter().copied().peekable();
        let narrowed = Stretch { partition, from: first, end, limit };
        self.visit_rows(&narrowed, end, |ordinal| {
            while waiting.next_if(|member| *member < ordinal).is_some() {}
            waiting.next_if_eq(&ordinal).is_some()
        })
    }

    /// Reads the rows of a stretch that are `wanted`.
    fn visit_rows(
        &self,
        stretch: &Stretch,
        end: u32,
        mut wanted: impl FnMut(u32) -> bool,
    ) -> Result<Visit, StoreError> {
        let &Stretch { partition, from, limit, .. } = stretch;
        let Some(last) = end.checked_sub(1).filter(|last| *last >= from) else {
            return Ok(Visit { citizens: Vec::new(), next: from });
        };
        let room = usize::try_from(end - from).unwrap_or(usize::MAX).min(limit);
        let mut citizens = Vec::with_capacity(room.min(MOST_RESERVED));
        let (first, last) = (key::citizen(partition, from), key::citizen(partition, last));
        for row in self.range(Table::Citizens, &first, &last) {
            let (at, row) = row?;
            let ordinal = key::citizen_ordinal(&at)
                .ok_or_else(|| unreadable(Table::Citizens, || format!("partition {partition}")))?;
            if wanted(ordinal) {
                citizens.push((ordinal, read(partition, ordinal, &row)?));
                if citizens.len() == limit {
                    return Ok(Visit { citizens, next: ordinal + 1 });
                }
            }
        }
        Ok(Visit { citizens, next: end })
    }

    /// Looks `members` up one by one.
    fn visit_each(
        &self,
        stretch: &Stretch,
        end: u32,
        members: &[u32],
    ) -> Result<Visit, StoreError> {
        let mut citizens = Vec::new();
        for &ordinal in members {
            if let Some(citizen) = self.numbered(stretch.partition, ordinal)? {
                citizens.push((ordinal, citizen));
                if citizens.len() == stretch.limit {
                    return Ok(Visit { citizens, next: ordinal + 1 });
                }
            }
        }
        Ok(Visit { citizens, next: end })
    }

    /// Ordinals from `from` on and before `end` that the inbox walk of an
    /// alert put into its ledger.
    fn members(
        &self,
        partition: u16,
        alert: MessageId,
        from: u32,
        end: u32,
    ) -> Result<Vec<u32>, StoreError> {
        let mut members = Vec::new();
        if end <= from {
            return Ok(members);
        }
        // The run that covers `from` begins in the same block.
        let begin = from - from % row::BLOCK;
        let first = row::piece((partition, alert, INBOX, begin));
        let last = row::piece((partition, alert, INBOX, end - 1));
        for row in self.range(Table::Ledger, &first, &last) {
            let (at, row) = row?;
            let first = row::piece_first(&at)
                .ok_or_else(|| row::damaged((partition, alert, INBOX, begin)))?;
            let run = Piece::decode((partition, alert, INBOX, first), &row)?.run;
            for (ordinal, mark) in (first..end).zip(&run.marks) {
                if *mark == Mark::Delivered && ordinal >= from {
                    members.push(ordinal);
                }
            }
        }
        Ok(members)
    }
}
