//! How far an alert is: its cursors, one partition's or all added up.

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::id::{MessageId, RouteId};
use araldo_actors::port::alert_store::{AlertProgress, WalkTotals};
use araldo_actors::port::store::StoreError;
use std::collections::BTreeMap;

use super::INBOX;
use crate::store::codec::decode;
use crate::store::redis::RedisStore;
use crate::store::redis::base::some_at_once;
use crate::store::redis::reply;

/// Cursors read at once.
const CURSORS: usize = 256;

fn read_walk(name: &[u8]) -> Option<Walk> {
    let name = std::str::from_utf8(name).ok()?;
    if name == INBOX { Some(Walk::Inbox) } else { RouteId::parse(name).ok().map(Walk::Route) }
}

impl RedisStore {
    /// The cursors of an alert in one partition, in the order of the walks.
    pub(super) async fn read_cursors(
        &self,
        partition: u16,
        alert: MessageId,
    ) -> Result<Vec<(Walk, Cursor)>, StoreError> {
        let space = self.space(partition);
        let place = || format!("partition {partition}, alert {alert}");
        let scanned = self.scan(space, "HSCAN", &space.cursors(alert), CURSORS).await?;
        let mut scanned = scanned.into_iter();
        let mut cursors = BTreeMap::new();
        while let (Some(name), Some(row)) = (scanned.next(), scanned.next()) {
            let walk = read_walk(&name).ok_or_else(|| reply::unexpected("a cursor"))?;
            cursors.insert(walk, decode("cursors", &row, place)?);
        }
        Ok(cursors.into_iter().collect())
    }

    /// The cursors of an alert, added up walk by walk.
    pub(super) async fn progress_of(&self, alert: MessageId) -> Result<AlertProgress, StoreError> {
        let Some(record) = self.alert_record(alert).await? else {
            return Ok(AlertProgress::default());
        };
        let end = record.ends.iter().copied().map(u64::from).sum();
        let partitions = 0..self.count().min(u16::try_from(record.ends.len()).unwrap_or(u16::MAX));
        let reads = partitions.map(|one| self.read_cursors(one, alert)).collect();
        let read = some_at_once(reads).await?;
        let mut walks: BTreeMap<Walk, WalkTotals> = BTreeMap::new();
        for (walk, cursor) in read.into_iter().flatten() {
            let totals = walks.entry(walk).or_insert(WalkTotals { end, ..<_>::default() });
            totals.visited += u64::from(cursor.next);
            totals.recipients += cursor.recipients;
            totals.deliveries += cursor.totals;
            totals.stragglers += cursor.stragglers.len() as u64;
        }
        Ok(AlertProgress { walks: walks.into_iter().collect() })
    }
}
