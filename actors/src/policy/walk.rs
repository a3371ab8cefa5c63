//! The walks of an alert through a partition: who belongs to the audience,
//! what a step leaves in the ledger, and when a walk may go on.
//!
//! Two kinds (DESIGN §6). The inbox walk decides once for each citizen and
//! stores the answer; a route's walk follows it, visits only its members, and
//! has one [`Load`] of new deliveries on the way at a time and one of
//! stragglers. A load is a step of the cursor: it is stored when every delivery
//! of it has ended or become a straggler, so a crash repeats at most one load
//! of each kind, together [`LOAD`] and [`RETRIES`].

use crate::domain::alert::{Alert, Cursor, Members};
use crate::domain::citizen::Citizen;
use crate::domain::ledger::{Mark, Run};
use crate::domain::service::Service;
use crate::domain::time::Millis;
use crate::policy::routing;

mod load;

pub use load::{Answers, Item, Load};

/// New deliveries of one walk under way at one time. With [`RETRIES`] 256: what
/// a crash may repeat for each partition and route (promise 2).
pub const LOAD: usize = 192;
/// Stragglers of one walk under way at one time.
pub const RETRIES: usize = 64;
/// Stragglers of one walk: 24 KB in its cursor at most. Beyond, it visits
/// nobody new.
pub const MAX_STRAGGLERS: usize = 1_024;
/// Citizens that an inbox walk visits at once when no route follows it.
pub const AHEAD: usize = 1_024;

/// A step of a walk, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// How far the walk is after it.
    pub cursor: Cursor,
    /// The ordinals visited, if anybody among them has a mark.
    pub run: Option<Run>,
    /// Marks that changed in earlier runs.
    pub changed: Vec<(u32, Mark)>,
}

/// What the inbox walk of `alert`, which is for `members`, says of one citizen: the alert is in the inbox, or may
/// not enter it, or the citizen is not in the audience.
#[must_use]
pub fn judge(
    alert: &Alert,
    members: &Members,
    citizen: &Citizen,
    service: Option<&Service>,
    now: Millis,
) -> Mark {
    if !members.include(citizen) {
        return Mark::None;
    }
    let routing = service.map(|service| {
        let secure = routing::needs_secure(alert.require_secure_channels, service);
        routing::route(citizen, service, secure, now)
    });
    if matches!(routing, Some(Ok(_))) { Mark::Delivered } else { Mark::Suppressed }
}

/// The step of an inbox walk from `cursor` up to `next`, with what was said of
/// each citizen on the way, in their order.
#[must_use]
pub fn publish(cursor: &Cursor, next: u32, judged: &[(u32, Mark)]) -> Landing {
    let mut after = advanced(cursor, next);
    let mut marks = marks(cursor.next, next);
    for &(ordinal, mark) in judged {
        raise(&mut marks, cursor.next, ordinal, mark);
        if mark != Mark::None {
            after.recipients += 1;
            after.totals.planned += 1;
        }
        match mark {
            Mark::Delivered => after.totals.delivered += 1,
            Mark::Failed => after.totals.failed += 1,
            Mark::Suppressed => after.totals.suppressed += 1,
            Mark::None | Mark::Expired | Mark::Cancelled | Mark::Waiting => {}
        }
    }
    Landing { cursor: after, run: run(cursor.next, marks), changed: Vec::new() }
}

/// Ends the stragglers that `which` picks: the alert was stopped.
#[must_use]
pub fn give_up(
    cursor: &Cursor,
    outcome: crate::domain::outcome::Outcome,
    which: impl Fn(&crate::domain::ledger::Straggler) -> bool,
) -> Option<Landing> {
    let picked = cursor.stragglers.iter().filter(|one| which(one)).copied();
    let mut load = Load::stragglers(picked.collect(), 0);
    if load.is_empty() {
        return None;
    }
    load.give_up(outcome);
    Some(load.finish(cursor))
}

/// The step that only says how far a walk is.
#[must_use]
pub fn pass(cursor: &Cursor, next: u32) -> Landing {
    Landing { cursor: advanced(cursor, next), run: None, changed: Vec::new() }
}

/// Whether a route's walk may take a new load.
#[must_use]
pub const fn has_room(cursor: &Cursor) -> bool {
    cursor.stragglers.len() + LOAD <= MAX_STRAGGLERS
}

/// Whether nothing is left for a walk that ends at `end`.
#[must_use]
pub const fn is_over(cursor: &Cursor, end: u32) -> bool {
    cursor.next >= end && cursor.stragglers.is_empty()
}

/// When the first straggler is due.
#[must_use]
pub fn next_due(cursor: &Cursor) -> Option<Millis> {
    cursor.stragglers.iter().map(|one| one.due).min()
}

fn advanced(cursor: &Cursor, next: u32) -> Cursor {
    Cursor { next: next.max(cursor.next), revision: cursor.revision + 1, ..cursor.clone() }
}

/// No marks from `from` up to `next`.
fn marks(from: u32, next: u32) -> Vec<Mark> {
    vec![Mark::None; usize::try_from(next.saturating_sub(from)).unwrap_or(0)]
}

/// A citizen's mark is the best of their deliveries'.
fn raise(marks: &mut [Mark], from: u32, ordinal: u32, mark: Mark) {
    let place = ordinal.checked_sub(from).and_then(|place| usize::try_from(place).ok());
    if let Some(held) = place.and_then(|place| marks.get_mut(place)) {
        *held = mark.max(*held);
    }
}

/// The run of these marks; none when nobody has one.
fn run(first: u32, marks: Vec<Mark>) -> Option<Run> {
    marks.iter().any(|mark| *mark != Mark::None).then_some(Run { first, marks })
}

#[cfg(test)]
mod tests;
