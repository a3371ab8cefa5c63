//! A walk's step: the cursor, the books, the ledger and the inbox's index.

use araldo_actors::domain::alert::Walk;
use araldo_actors::domain::books::DeliveryTotals;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::ledger::{Mark, Run};
use araldo_actors::domain::time::Millis;

use super::{Cell, Rows};
use crate::store::ledger::{Piece, Publication, cut, members};

/// Applies a walk's step, if it was made from the stored cursor.
pub(super) fn step(rows: &mut impl Rows, effect: Effect, at: Millis) {
    let Effect::Walked { alert, walk, channel, cursor, run, changed } = effect else { return };
    let Some(cell) = rows.cursor(alert, &walk) else { return };
    if cell.value.revision.checked_add(1) != Some(cursor.revision) {
        return;
    }
    let gained = gained(&cursor.totals, &cell.value.totals);
    *cell = Cell::written(cursor);
    *rows.books().channel(channel) += gained;
    match run {
        Some(run) if walk == Walk::Inbox => publish(rows, alert, run, at),
        Some(run) => add(rows, alert, &walk, Piece { publication: None, run }),
        None => {}
    }
    for (ordinal, mark) in changed {
        if let Some(cell) = rows.piece(alert, &walk, ordinal) {
            cell.changed |= cell.value.run.set(ordinal, mark);
        }
    }
}

/// Puts a run of the inbox walk into the inboxes of its members.
fn publish(rows: &mut impl Rows, alert: MessageId, run: Run, at: Millis) {
    let publication = Publication { sequence: rows.next_place(), published_at: at };
    for run in cut(run) {
        if let Some(members) = members(&run) {
            rows.show(alert, &publication, &members);
        }
        add(rows, alert, &Walk::Inbox, Piece { publication: Some(publication), run });
    }
}

/// A run in which nobody has a mark is not stored.
fn add(rows: &mut impl Rows, alert: MessageId, walk: &Walk, piece: Piece) {
    if piece.run.marks.iter().any(|mark| *mark != Mark::None) {
        rows.add_piece(alert, walk, piece);
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
