//! How far an alert is: its cursors, one partition's or all added up.

use std::collections::BTreeMap;

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::port::alert_store::{AlertProgress, WalkTotals};
use araldo_actors::port::store::StoreError;

use super::row::{self, CursorKey};
use crate::store::embedded::row::{decode, unreadable};
use crate::store::embedded::table::{Table, View};

/// Routes with their numbers.
type Routes = [(RouteId, u16)];

impl View<'_> {
    /// The cursors of an alert in one partition, in the order of the walks.
    pub(super) fn cursors(
        &self,
        routes: &Routes,
        partition: u16,
        alert: MessageId,
    ) -> Result<Vec<(Walk, Cursor)>, StoreError> {
        let place = || format!("partition {partition}, alert {alert}");
        let rows = self.prefix(Table::Cursors, &row::cursors(partition, alert));
        let cursors = rows.map(|row| {
            let (at, row) = row?;
            let walk = row::cursor_walk(&at).and_then(|number| row::walk(number, routes));
            let walk = walk.ok_or_else(|| unreadable(Table::Cursors, place))?;
            Ok((walk, decode(Table::Cursors, &row, place)?))
        });
        let mut cursors = cursors.collect::<Result<Vec<_>, StoreError>>()?;
        cursors.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(cursors)
    }

    /// The cursor of one walk; the one it begins with if it stored no step.
    pub(super) fn cursor(&self, at: CursorKey) -> Result<Cursor, StoreError> {
        let (partition, alert, walk) = at;
        let place = || format!("partition {partition}, alert {alert}, walk {walk}");
        let found = self.get(Table::Cursors, &row::cursor(at))?;
        found.map_or_else(|| Ok(Cursor::default()), |row| decode(Table::Cursors, &row, place))
    }

    /// The cursors of an alert, added up walk by walk.
    pub(super) fn progress(
        &self,
        routes: &Routes,
        alert: MessageId,
    ) -> Result<AlertProgress, StoreError> {
        let Some(record) = self.alert(alert)? else { return Ok(AlertProgress::default()) };
        let end = record.ends.iter().copied().map(u64::from).sum();
        let mut walks: BTreeMap<Walk, WalkTotals> = BTreeMap::new();
        for (partition, _) in (0..).zip(&record.ends) {
            for (walk, cursor) in self.cursors(routes, partition, alert)? {
                let totals = walks.entry(walk).or_insert(WalkTotals { end, ..<_>::default() });
                totals.visited += u64::from(cursor.next);
                totals.recipients += cursor.recipients;
                totals.deliveries += cursor.totals;
                totals.stragglers += cursor.stragglers.len() as u64;
            }
        }
        Ok(AlertProgress { walks: walks.into_iter().collect() })
    }
}
