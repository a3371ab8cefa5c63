//! A walk's step: the cursor, the books, the ledger and the inbox's index.

use araldo_actors::domain::alert::Walk;
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::Overlay;
use super::row::{self, CursorKey, INBOX, Piece, PieceKey, Publication, damaged};
use crate::store::check_walk;
use crate::store::embedded::group::Group;
use crate::store::embedded::overlay::Cell;
use crate::store::embedded::row::{decode, encode};
use crate::store::embedded::table::{Table, Tables};

/// Bytes of one straggler in memory.
const STRAGGLER_BYTES: usize = 32;

/// Bytes that an effect holds beyond those of any other.
pub(in crate::store::embedded) fn weight(effect: &Effect) -> usize {
    let Effect::Walked { cursor, run, .. } = effect else { return 0 };
    run.as_ref().map_or(0, |run| run.marks.len()) + cursor.stragglers.len() * STRAGGLER_BYTES
}

impl Group {
    /// Loads what a walk's step needs.
    pub(in crate::store::embedded) fn load_walk(
        &mut self,
        partition: u16,
        effect: &Effect,
    ) -> Result<(), StoreError> {
        let Effect::Walked { alert, walk, cursor, run, changed, .. } = effect else {
            return Ok(());
        };
        check_walk(walk, cursor, run.as_ref(), changed)?;
        if !self.has_alert(*alert)? {
            return Ok(());
        }
        if let Walk::Route(route) = walk {
            row::route_walk(self.number_route(route)?)?;
        }
        let Some(at) = self.walk_key(partition, *alert, walk) else { return Ok(()) };
        self.load_cursor(at)?;
        changed.iter().try_for_each(|(ordinal, _)| self.load_piece(at, *ordinal))
    }

    fn walk_key(&self, partition: u16, alert: MessageId, walk: &Walk) -> Option<CursorKey> {
        let number = match walk {
            Walk::Inbox => INBOX,
            Walk::Route(route) => row::route_walk(self.known_route(route)?).ok()?,
        };
        Some((partition, alert, number))
    }

    fn load_cursor(&mut self, at: CursorKey) -> Result<(), StoreError> {
        if self.overlay.alerts.cursors.contains_key(&at) {
            return Ok(());
        }
        let found = self.tables.latest(Table::Cursors, &row::cursor(at))?;
        let (partition, alert, walk) = at;
        let place = || format!("partition {partition}, alert {alert}, walk {walk}");
        let cursor = found.map(|row| decode(Table::Cursors, &row, place)).transpose()?;
        self.overlay.alerts.cursors.insert(at, Cell::read(cursor.unwrap_or_default()));
        Ok(())
    }

    /// Makes the stored run that may cover `ordinal` available.
    fn load_piece(&mut self, at: CursorKey, ordinal: u32) -> Result<(), StoreError> {
        if let Some((at, row)) = self.tables.last_piece(at, ordinal)?
            && !self.overlay.alerts.pieces.contains_key(&at)
        {
            let piece = Piece::decode(at, &row)?;
            self.overlay.alerts.pieces.insert(at, Cell::read(piece));
        }
        Ok(())
    }

    /// Where an alert was published in the inbox of the citizen with
    /// `ordinal`; none if it was not.
    pub(in crate::store::embedded) fn alert_publication(
        &mut self,
        partition: u16,
        alert: MessageId,
        ordinal: u32,
    ) -> Result<Option<(u64, Millis)>, StoreError> {
        let at = (partition, alert, INBOX);
        self.load_piece(at, ordinal)?;
        let piece = self.overlay.alerts.piece(at, ordinal).map(|cell| &cell.value);
        let member = piece.filter(|piece| piece.run.mark(ordinal) == Some(Mark::Delivered));
        let publication = member.and_then(|piece| piece.publication);
        Ok(publication.map(|one| (one.sequence, one.published_at)))
    }

    /// Applies a walk's step, if it was made from the stored cursor.
    pub(in crate::store::embedded) fn walk(&mut self, partition: u16, effect: Effect, at: Millis) {
        let Effect::Walked { alert, walk, channel, cursor, run, changed } = effect else { return };
        let Some(key) = self.walk_key(partition, alert, &walk) else { return };
        let Some(cell) = self.overlay.alerts.cursors.get_mut(&key) else { return };
        if cell.value.revision.checked_add(1) != Some(cursor.revision) {
            return;
        }
        let gained = gained(&cursor.totals, &cell.value.totals);
        *cell = Cell::written(cursor);
        *self.partition_mut(partition).books.channel(channel) += gained;
        match (walk, run) {
            (Walk::Inbox, Some(run)) => self.publish(key, run, at),
            (Walk::Route(_), Some(run)) => self.add_piece(key, Piece { publication: None, run }),
            (_, None) => {}
        }
        for (ordinal, mark) in changed {
            if let Some(cell) = self.overlay.alerts.piece(key, ordinal) {
                cell.changed |= cell.value.run.set(ordinal, mark);
            }
        }
    }

    /// Puts a run of the inbox walk into the inboxes of its members.
    fn publish(&mut self, key: CursorKey, run: Run, at: Millis) {
        let (partition, alert, _) = key;
        let counters = self.partition_mut(partition);
        counters.events += 1;
        let publication = Publication { sequence: counters.events, published_at: at };
        for run in row::cut(run) {
            if let Some(members) = row::members(&run) {
                let at = row::shown(partition, run.first, publication.sequence);
                let row = row::encode_shown(alert, publication.published_at, &members);
                self.put(Table::AlertOrder, at.as_slice(), row);
            }
            self.add_piece(key, Piece { publication: Some(publication), run });
        }
    }

    fn add_piece(&mut self, (partition, alert, walk): CursorKey, piece: Piece) {
        if piece.run.marks.iter().any(|mark| *mark != Mark::None) {
            let at = (partition, alert, walk, piece.run.first);
            self.overlay.alerts.pieces.insert(at, Cell::written(piece));
        }
    }

    /// Puts cursors and runs into the batch.
    pub(super) fn write_walks(
        &mut self,
        overlay: &mut Overlay,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        for (at, cell) in overlay.cursors.drain().filter(|(_, cell)| cell.changed) {
            encode(Table::Cursors, &cell.value, buffer)?;
            self.put(Table::Cursors, row::cursor(at).as_slice(), buffer.as_slice());
        }
        for (at, cell) in std::mem::take(&mut overlay.pieces) {
            if cell.changed {
                cell.value.encode(buffer);
                self.put(Table::Ledger, row::piece(at).as_slice(), buffer.as_slice());
            }
        }
        Ok(())
    }
}

impl Overlay {
    /// The run that may cover `ordinal`, of those loaded and made.
    fn piece(
        &mut self,
        (partition, alert, walk): CursorKey,
        ordinal: u32,
    ) -> Option<&mut Cell<Piece>> {
        let from = (partition, alert, walk, 0);
        let to = (partition, alert, walk, ordinal);
        self.pieces.range_mut(from..=to).next_back().map(|(_, cell)| cell)
    }
}

impl Tables {
    /// The last run of a walk that begins at `ordinal` or before it, as last
    /// written. For the writer alone.
    fn last_piece(
        &self,
        (partition, alert, walk): CursorKey,
        ordinal: u32,
    ) -> Result<Option<(PieceKey, fjall::UserValue)>, StoreError> {
        let from = row::piece((partition, alert, walk, 0));
        let to = row::piece((partition, alert, walk, ordinal));
        let Some(found) = self.latest_range(Table::Ledger, &from, &to).next_back() else {
            return Ok(None);
        };
        let (at, row) = found?;
        let first = row::piece_first(&at).ok_or_else(|| damaged((partition, alert, walk, 0)))?;
        Ok(Some(((partition, alert, walk, first), row)))
    }
}

/// What `now` has beyond `before`. Totals of a walk only grow.
fn gained(now: &DeliveryTotals, before: &DeliveryTotals) -> DeliveryTotals {
    let DeliveryTotals { planned, delivered, failed, expired, cancelled, suppressed, retried } =
        *now;
    DeliveryTotals {
        planned: planned.saturating_sub(before.planned),
        delivered: delivered.saturating_sub(before.delivered),
        failed: failed.saturating_sub(before.failed),
        expired: expired.saturating_sub(before.expired),
        cancelled: cancelled.saturating_sub(before.cancelled),
        suppressed: suppressed.saturating_sub(before.suppressed),
        retried: retried.saturating_sub(before.retried),
    }
}
