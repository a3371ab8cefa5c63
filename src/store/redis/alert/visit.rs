//! Citizens by ordinal: what a walk visits.
//!
//! The hot path of an alert: every citizen is read once for each walk, many in
//! one question. With an alert to be members of, the inbox walk's runs are read
//! first, and only members' rows after them.

use araldo_actors::domain::alert::Cursor;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::ledger::Mark;
use araldo_actors::port::alert_store::Visit;
use araldo_actors::port::store::StoreError;

use super::INBOX;
use crate::store::codec::decode;
use crate::store::ledger::BLOCK;
use crate::store::redis::RedisStore;
use crate::store::redis::base::command;
use crate::store::redis::{reply, row};
use crate::store::stretch_end;

/// Citizens read in one question.
const AT_ONCE: usize = 512;

impl RedisStore {
    /// Visits a stretch of a partition's citizens.
    pub(super) async fn visit_stretch(
        &self,
        partition: u16,
        (from, end): (u32, u32),
        limit: usize,
        members_of: Option<MessageId>,
    ) -> Result<Visit, StoreError> {
        let end = stretch_end(from, end, limit);
        let Some(alert) = members_of else {
            return self.visit_each(partition, from..end, end.max(from), limit).await;
        };
        let (members, reached) = self.members(partition, alert, (from, end)).await?;
        let next = end.min(reached).max(from);
        self.visit_each(partition, members.into_iter(), next, limit).await
    }

    /// Reads the citizens with these ordinals, up to `limit` of them; `end` is
    /// where the visit ends if they are fewer.
    async fn visit_each(
        &self,
        partition: u16,
        mut ordinals: impl Iterator<Item = u32>,
        end: u32,
        limit: usize,
    ) -> Result<Visit, StoreError> {
        let mut citizens: Vec<(u32, Citizen)> = Vec::new();
        while citizens.len() < limit {
            let room = (limit - citizens.len()).min(AT_ONCE);
            let some: Vec<u32> = ordinals.by_ref().take(room).collect();
            if some.is_empty() {
                return Ok(Visit { citizens, next: end });
            }
            let found = self.by_ordinal(partition, &some).await?;
            let there = some.into_iter().zip(found);
            citizens.extend(there.filter_map(|(ordinal, found)| Some((ordinal, found?))));
        }
        let next = citizens.last().map_or(end, |(ordinal, _)| ordinal + 1);
        Ok(Visit { citizens, next })
    }

    /// Ordinals within a stretch that the inbox walk of an alert put into its
    /// ledger, and how far that walk is.
    async fn members(
        &self,
        partition: u16,
        alert: MessageId,
        (from, end): (u32, u32),
    ) -> Result<(Vec<u32>, u32), StoreError> {
        let space = self.space(partition);
        // The run that covers `from` begins in the same block.
        let begin = from - from % BLOCK;
        let mut runs = redis::cmd("ZRANGE");
        runs.arg(space.ledger(alert, INBOX)).arg(begin).arg(format!("({end}")).arg("BYSCORE");
        // The cursor first: what is before it is in the runs that follow.
        let cursor = command("HGET", &space.cursors(alert), &[INBOX.as_bytes()]);
        let mut values = self.read(space, vec![cursor, runs]).await?;
        let place = || format!("partition {partition}, alert {alert}");
        let cursor = reply::row(reply::next(&mut values), "a cursor")?;
        let cursor: Option<Cursor> =
            cursor.map(|row| decode("cursors", &row, place)).transpose()?;
        let reached = cursor.map_or(0, |cursor| cursor.next);
        let mut members = Vec::new();
        for member in reply::members(reply::next(&mut values), "runs")? {
            let run = row::read_piece(&member, true)?.run;
            for (ordinal, mark) in (run.first..end.min(reached)).zip(&run.marks) {
                if *mark == Mark::Delivered && ordinal >= from {
                    members.push(ordinal);
                }
            }
        }
        Ok((members, reached))
    }
}
