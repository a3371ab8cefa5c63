//! What each effect does to the rows of a partition: written once for every
//! store but the reference, which decides for itself to be compared with.
//!
//! A store loads the rows a step names, lends them as [`Rows`], and writes what
//! changed, all of it in one atomic step. Nothing here can fail, and nothing
//! here does anything but look at those rows and change them.

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{DeliveryRecord, Endpoint, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, DeviceId, MessageId, RouteId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::ledger::Run;
use araldo_actors::domain::message::{MessageStatus, RejectionReason};
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::time::Millis;

use super::index::Indexed;
use super::ledger::{Piece, Publication};

mod walk;

/// A row in memory, and whether it must be written.
#[derive(Clone)]
pub(super) struct Cell<T> {
    pub(super) value: T,
    pub(super) changed: bool,
}

impl<T> Cell<T> {
    /// A row as it is stored.
    pub(super) const fn read(value: T) -> Self {
        Self { value, changed: false }
    }

    /// A row to be written.
    pub(super) const fn written(value: T) -> Self {
        Self { value, changed: true }
    }
}

/// A delivery that waits for its route: what its due entry is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) lane: Lane,
    pub(super) due: Millis,
    /// The message's place in the order of publication.
    pub(super) published: u64,
    pub(super) message: MessageId,
    pub(super) endpoint: Endpoint,
    pub(super) route: RouteId,
}

impl Waiting {
    /// None when the delivery waits for nothing.
    fn of(message: MessageId, state: &MessageState, delivery: &DeliveryRecord) -> Option<Self> {
        let (route, due) = (delivery.route.clone()?, delivery.status.due()?);
        let (lane, published) = (state.lane, state.published);
        Some(Self { lane, due, published, message, endpoint: delivery.endpoint, route })
    }
}

/// The deliveries of a message that wait.
pub(super) fn waiting(id: MessageId, state: &MessageState) -> impl Iterator<Item = Waiting> {
    state.deliveries.iter().filter_map(move |delivery| Waiting::of(id, state, delivery))
}

/// The rows of one partition that a step names, loaded before.
pub(super) trait Rows {
    /// The state of a message; none: the partition does not hold it.
    fn state(&mut self, id: MessageId) -> Option<&mut Cell<MessageState>>;
    /// The books, to be changed.
    fn books(&mut self) -> &mut Books;
    /// Whether the citizen is known, and of this partition.
    fn is_resident(&mut self, citizen: &FiscalCode) -> bool;
    /// Takes the next place in the order of events.
    fn next_place(&mut self) -> u64;
    /// Puts a message into the inbox of a resident.
    fn publish(&mut self, citizen: &FiscalCode, message: MessageId, at: &Publication);
    /// Writes (or removes) a due entry.
    fn set_due(&mut self, waiting: Waiting, live: bool);
    /// The record of a resident.
    fn citizen(&mut self, code: &FiscalCode) -> Option<&mut Cell<Citizen>>;
    /// Brings the indexes in step with a record that changed.
    fn reindex(&mut self, code: &FiscalCode, before: Indexed, after: Indexed);
    /// The cursor of a walk; none: there is no such alert.
    fn cursor(&mut self, alert: MessageId, walk: &Walk) -> Option<&mut Cell<Cursor>>;
    /// The run of a route's walk that may cover `ordinal`.
    fn piece(&mut self, alert: MessageId, walk: &Walk, ordinal: u32) -> Option<&mut Cell<Piece>>;
    /// Writes a run.
    fn add_piece(&mut self, alert: MessageId, walk: &Walk, piece: Piece);
    /// Puts an alert into the inboxes of the members of a block.
    fn show(&mut self, alert: MessageId, publication: &Publication, members: &Run);
}

/// Applies one effect, recorded at `at`.
pub(super) fn apply(rows: &mut impl Rows, effect: Effect, at: Millis) {
    match effect {
        Effect::Processed { message, citizen, lane, deliveries } => {
            process(rows, message, &citizen, (lane, deliveries), at);
        }
        Effect::Rejected { message, reason } => reject(rows, message, reason, at),
        Effect::Expired { message } => {
            if end(rows, message, MessageStatus::Expired, at) {
                rows.books().messages.expired += 1;
            }
        }
        Effect::Quarantined { message, reason } => {
            if end(rows, message, MessageStatus::Quarantined(reason), at) {
                rows.books().messages.quarantined += 1;
            }
            cancel_pending(rows, message, at);
        }
        Effect::Settled { message, endpoint, outcome } => {
            settle(rows, message, endpoint, outcome, at);
        }
        Effect::Deferred { message, endpoint, due, retry } => {
            defer(rows, message, endpoint, (due, retry), at);
        }
        Effect::AddressRefused { citizen, address } => refuse_address(rows, &citizen, address),
        Effect::DeviceDropped { citizen, device, registered_before } => {
            drop_device(rows, &citizen, device, registered_before);
        }
        walked @ Effect::Walked { .. } => walk::step(rows, walked, at),
    }
}

fn process(
    rows: &mut impl Rows,
    id: MessageId,
    citizen: &FiscalCode,
    (lane, deliveries): (Lane, Vec<DeliveryRecord>),
    at: Millis,
) {
    if !rows.is_resident(citizen) {
        return reject(rows, id, RejectionReason::UserNotFound, at);
    }
    let accepted = |cell: &mut Cell<MessageState>| cell.value.status == MessageStatus::Accepted;
    if !rows.state(id).is_some_and(accepted) {
        return;
    }
    let published = rows.next_place();
    let books = rows.books();
    books.messages.processed += 1;
    for delivery in &deliveries {
        let totals = books.channel(delivery.endpoint.channel());
        totals.planned += 1;
        if let DeliveryStatus::Ended { outcome, .. } = delivery.status {
            totals.end(outcome);
        }
    }
    let status = MessageStatus::Processed;
    let state = MessageState { status, deliveries, lane, published, updated_at: at };
    for waiting in waiting(id, &state) {
        rows.set_due(waiting, true);
    }
    rows.publish(citizen, id, &Publication { sequence: published, published_at: at });
    if let Some(cell) = rows.state(id) {
        *cell = Cell::written(state);
    }
}

fn reject(rows: &mut impl Rows, id: MessageId, reason: RejectionReason, at: Millis) {
    if end(rows, id, MessageStatus::Rejected(reason), at) {
        rows.books().messages.reject(reason);
    }
}

/// Ends a message whose turn was not taken; whether it did.
fn end(rows: &mut impl Rows, id: MessageId, status: MessageStatus, at: Millis) -> bool {
    let Some(cell) = rows.state(id) else { return false };
    if cell.value.status != MessageStatus::Accepted {
        return false;
    }
    cell.value.status = status;
    cell.value.updated_at = at;
    cell.changed = true;
    true
}

fn cancel_pending(rows: &mut impl Rows, id: MessageId, at: Millis) {
    let Some(cell) = rows.state(id) else { return };
    let pending = cell.value.deliveries.iter().filter(|one| one.status.due().is_some());
    let endpoints: Vec<Endpoint> = pending.map(|one| one.endpoint).collect();
    for endpoint in endpoints {
        settle(rows, id, endpoint, Outcome::Cancelled, at);
    }
}

/// The delivery of a message to an endpoint.
fn find(state: &MessageState, endpoint: Endpoint) -> Option<usize> {
    state.deliveries.iter().position(|one| one.endpoint == endpoint)
}

fn settle(rows: &mut impl Rows, id: MessageId, endpoint: Endpoint, outcome: Outcome, at: Millis) {
    let Some(cell) = rows.state(id) else { return };
    let Some(place) = find(&cell.value, endpoint) else { return };
    let waited = Waiting::of(id, &cell.value, &cell.value.deliveries[place]);
    if !cell.value.deliveries[place].status.settle(outcome, at) {
        return;
    }
    cell.value.updated_at = at;
    cell.changed = true;
    rows.books().channel(endpoint.channel()).end(outcome);
    if let Some(waited) = waited {
        rows.set_due(waited, false);
    }
}

fn defer(
    rows: &mut impl Rows,
    id: MessageId,
    endpoint: Endpoint,
    (due, retry): (Millis, bool),
    at: Millis,
) {
    let Some(cell) = rows.state(id) else { return };
    let Some(place) = find(&cell.value, endpoint) else { return };
    let waited = Waiting::of(id, &cell.value, &cell.value.deliveries[place]);
    let delivery = &mut cell.value.deliveries[place];
    if delivery.status.due().is_none_or(|recorded| recorded == due) {
        return;
    }
    delivery.status = DeliveryStatus::Pending { due };
    delivery.retries = delivery.retries.saturating_add(u16::from(retry));
    cell.value.updated_at = at;
    cell.changed = true;
    if let Some(waited) = waited {
        let waits = Waiting { due, ..waited.clone() };
        rows.set_due(waited, false);
        rows.set_due(waits, true);
    }
    if retry {
        rows.books().channel(endpoint.channel()).retried += 1;
    }
}

/// Changes a record; `change` tells whether it did.
fn amend(rows: &mut impl Rows, code: &FiscalCode, change: impl FnOnce(&mut Citizen) -> bool) {
    let Some(cell) = rows.citizen(code) else { return };
    let before = Indexed::of(&cell.value);
    if change(&mut cell.value) {
        cell.value.revision = cell.value.revision.saturating_add(1);
        cell.changed = true;
        let after = Indexed::of(&cell.value);
        rows.reindex(code, before, after);
    }
}

fn drop_device(
    rows: &mut impl Rows,
    code: &FiscalCode,
    device: DeviceId,
    registered_before: Millis,
) {
    amend(rows, code, |citizen| {
        let held = citizen.devices.len();
        citizen
            .devices
            .retain(|known| known.registered_at >= registered_before || known.id() != device);
        citizen.devices.len() < held
    });
}

fn refuse_address(rows: &mut impl Rows, code: &FiscalCode, address: AddressId) {
    amend(rows, code, |citizen| {
        let refused = citizen.email_validated && citizen.address() == Some(address);
        citizen.email_validated &= !refused;
        refused
    });
}
