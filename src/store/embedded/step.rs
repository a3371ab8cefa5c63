//! A step of a partition's owner: what each effect does to the rows.

use araldo_actors::domain::delivery::{DeliveryRecord, Endpoint, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::inbox::Marks;
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::message::{MessageStatus, RejectionReason};
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Step, StoreError};

use super::group::Group;
use super::key::{self, DueKey};
use super::row::{InboxRow, JournalRow};
use super::table::Table;

/// Journal entries removed in one step, of all lanes together: keeps a group
/// small. A checkpoint further on is reached by the steps that follow; entries
/// it has passed are `done`, so that nothing is repeated meanwhile.
const REMOVED_AT_ONCE: u64 = 65_536;

impl Group {
    /// Applies a step, if `epoch` is the newest.
    pub(super) fn step(
        &mut self,
        id: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError> {
        let counters = *self.partition(id)?;
        if counters.epoch != epoch.0 {
            return Err(StoreError::Fenced(id));
        }
        for effect in &step.effects {
            self.load(id.0, effect)?;
        }
        for effect in step.effects {
            self.apply(id.0, effect, step.at);
        }
        self.remove_done(id.0, &counters.journals, &step.checkpoints, REMOVED_AT_ONCE);
        Ok(())
    }

    /// Moves the checkpoints of `journals` on, as far as that removes no more
    /// than `most` entries, and removes what they pass.
    pub(super) fn remove_done(
        &mut self,
        partition: u16,
        journals: &ByLane<JournalRow>,
        checkpoints: &ByLane<u64>,
        mut most: u64,
    ) {
        for (lane, journal) in journals.iter() {
            let within = journal.checkpoint.saturating_add(most);
            let reached = checkpoints[lane].min(journal.tail).min(within);
            if reached <= journal.checkpoint {
                continue;
            }
            for sequence in journal.checkpoint..reached {
                self.remove(Table::Intake, key::intake(partition, lane, sequence).as_slice());
            }
            most -= reached - journal.checkpoint;
            self.partition_mut(partition).journals[lane].checkpoint = reached;
        }
    }

    /// Loads what `effect` needs: all that can fail happens here.
    fn load(&mut self, partition: u16, effect: &Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Processed { message, citizen, deliveries, .. } => {
                self.load_state(partition, *message)?;
                self.ordinal(citizen)?;
                for route in deliveries.iter().filter_map(|delivery| delivery.route.as_ref()) {
                    self.number_route(route)?;
                }
                Ok(())
            }
            Effect::Rejected { message, .. }
            | Effect::Expired { message }
            | Effect::Quarantined { message, .. }
            | Effect::Settled { message, .. }
            | Effect::Deferred { message, .. } => self.load_state(partition, *message),
            Effect::DeviceDropped { citizen, .. } => self.load_record(partition, citizen),
            Effect::AddressRefused { citizen, address } => {
                self.load_record(partition, citizen)?;
                self.load_address(*address)
            }
            Effect::Walked { .. } => self.load_walk(partition, effect),
        }
    }

    fn apply(&mut self, partition: u16, effect: Effect, at: Millis) {
        match effect {
            Effect::Processed { message, citizen, lane, deliveries } => {
                self.process(partition, message, &citizen, (lane, deliveries), at);
            }
            Effect::Rejected { message, reason } => self.reject(partition, message, reason, at),
            Effect::Expired { message } => {
                if self.end(partition, message, MessageStatus::Expired, at) {
                    self.partition_mut(partition).books.messages.expired += 1;
                }
            }
            Effect::Quarantined { message, reason } => {
                if self.end(partition, message, MessageStatus::Quarantined(reason), at) {
                    self.partition_mut(partition).books.messages.quarantined += 1;
                }
                self.cancel_pending(partition, message, at);
            }
            Effect::Settled { message, endpoint, outcome } => {
                self.settle(partition, message, endpoint, outcome, at);
            }
            Effect::Deferred { message, endpoint, due, retry } => {
                self.defer(partition, message, endpoint, due, retry, at);
            }
            Effect::AddressRefused { citizen, address } => {
                self.refuse_address(partition, &citizen, address);
            }
            Effect::DeviceDropped { citizen, device, registered_before } => {
                self.drop_device(partition, &citizen, device, registered_before);
            }
            walked @ Effect::Walked { .. } => self.walk(partition, walked, at),
        }
    }

    fn process(
        &mut self,
        partition: u16,
        id: MessageId,
        citizen: &FiscalCode,
        (lane, deliveries): (Lane, Vec<DeliveryRecord>),
        at: Millis,
    ) {
        let ordinal = self.known_ordinal(citizen).filter(|_| self.home(citizen) == partition);
        let Some(ordinal) = ordinal else {
            return self.reject(partition, id, RejectionReason::UserNotFound, at);
        };
        let published = self.partition_mut(partition).events + 1;
        let Some(cell) = self.state(partition, id) else { return };
        if cell.value.status != MessageStatus::Accepted {
            return;
        }
        let waiting: Vec<(Endpoint, RouteId, Millis)> =
            deliveries.iter().filter_map(waiting).collect();
        let planned: Vec<(Endpoint, DeliveryStatus)> =
            deliveries.iter().map(|delivery| (delivery.endpoint, delivery.status)).collect();
        cell.value = MessageState {
            status: MessageStatus::Processed,
            deliveries,
            lane,
            published,
            updated_at: at,
        };
        cell.changed = true;

        let counters = self.partition_mut(partition);
        counters.events = published;
        counters.books.messages.processed += 1;
        for (endpoint, status) in planned {
            let totals = counters.books.channel(endpoint.channel());
            totals.planned += 1;
            if let DeliveryStatus::Ended { outcome, .. } = status {
                totals.end(outcome);
            }
        }
        let row = InboxRow { message: id, published_at: at, marked: 0, marks: Marks::default() };
        self.add_entry((partition, ordinal, published), row);
        for (endpoint, route, due) in waiting {
            self.mark_due(partition, (lane, published, id), endpoint, &route, due, true);
        }
    }

    fn reject(&mut self, partition: u16, id: MessageId, reason: RejectionReason, at: Millis) {
        if self.end(partition, id, MessageStatus::Rejected(reason), at) {
            self.partition_mut(partition).books.messages.reject(reason);
        }
    }

    /// Ends a message whose turn was not taken; whether it did.
    fn end(&mut self, partition: u16, id: MessageId, status: MessageStatus, at: Millis) -> bool {
        let Some(cell) = self.state(partition, id) else { return false };
        if cell.value.status != MessageStatus::Accepted {
            return false;
        }
        cell.value.status = status;
        cell.value.updated_at = at;
        cell.changed = true;
        true
    }

    fn cancel_pending(&mut self, partition: u16, id: MessageId, at: Millis) {
        let Some(cell) = self.state(partition, id) else { return };
        let pending = cell.value.deliveries.iter().filter(|one| one.status.due().is_some());
        let endpoints: Vec<Endpoint> = pending.map(|one| one.endpoint).collect();
        for endpoint in endpoints {
            self.settle(partition, id, endpoint, Outcome::Cancelled, at);
        }
    }

    fn settle(
        &mut self,
        partition: u16,
        id: MessageId,
        endpoint: Endpoint,
        outcome: Outcome,
        at: Millis,
    ) {
        let Some(cell) = self.state(partition, id) else { return };
        let found = cell.value.deliveries.iter_mut().find(|one| one.endpoint == endpoint);
        let Some(delivery) = found else { return };
        let waited = waiting(delivery);
        if !delivery.status.settle(outcome, at) {
            return;
        }
        cell.value.updated_at = at;
        cell.changed = true;
        let message = (cell.value.lane, cell.value.published, id);
        self.partition_mut(partition).books.channel(endpoint.channel()).end(outcome);
        if let Some((_, route, due)) = waited {
            self.mark_due(partition, message, endpoint, &route, due, false);
        }
    }

    fn defer(
        &mut self,
        partition: u16,
        id: MessageId,
        endpoint: Endpoint,
        due: Millis,
        retry: bool,
        at: Millis,
    ) {
        let Some(cell) = self.state(partition, id) else { return };
        let found = cell.value.deliveries.iter_mut().find(|one| one.endpoint == endpoint);
        let Some(delivery) = found else { return };
        if delivery.status.due().is_none_or(|recorded| recorded == due) {
            return;
        }
        let waited = waiting(delivery);
        delivery.status = DeliveryStatus::Pending { due };
        delivery.retries = delivery.retries.saturating_add(u16::from(retry));
        cell.value.updated_at = at;
        cell.changed = true;
        let message = (cell.value.lane, cell.value.published, id);
        if let Some((_, route, before)) = waited {
            self.mark_due(partition, message, endpoint, &route, before, false);
            self.mark_due(partition, message, endpoint, &route, due, true);
        }
        if retry {
            self.partition_mut(partition).books.channel(endpoint.channel()).retried += 1;
        }
    }

    fn mark_due(
        &mut self,
        partition: u16,
        (lane, published, message): (Lane, u64, MessageId),
        endpoint: Endpoint,
        route: &RouteId,
        due: Millis,
        live: bool,
    ) {
        if let Some(route) = self.known_route(route) {
            let entry = DueKey { partition, route, lane, due, published, message, endpoint };
            self.set_due(entry, live);
        }
    }
}

/// The due entry of a delivery that waits for its route.
pub(super) fn waiting(delivery: &DeliveryRecord) -> Option<(Endpoint, RouteId, Millis)> {
    Some((delivery.endpoint, delivery.route.clone()?, delivery.status.due()?))
}
