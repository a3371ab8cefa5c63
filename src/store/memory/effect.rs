//! What each effect does to a partition of the reference store.

use araldo_actors::domain::delivery::{DeliveryRecord, Endpoint};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, DeviceId, MessageId};
use araldo_actors::domain::inbox::{InboxEntry, Marks};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{MessageStatus, RejectionReason};
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::time::Millis;

use super::Partition;

impl Partition {
    pub(super) fn apply(&mut self, effect: Effect, at: Millis) {
        match effect {
            Effect::Processed { message, citizen, lane, deliveries } => {
                self.process(message, citizen, (lane, deliveries), at);
            }
            Effect::Rejected { message, reason } => {
                self.end(message, MessageStatus::Rejected(reason), at);
            }
            Effect::Expired { message } => self.end(message, MessageStatus::Expired, at),
            Effect::Quarantined { message, reason } => {
                self.end(message, MessageStatus::Quarantined(reason), at);
                self.cancel_pending(message, at);
            }
            Effect::Settled { message, endpoint, outcome } => {
                self.settle(message, endpoint, outcome, at);
            }
            Effect::Deferred { message, endpoint, due, retry } => {
                self.defer(message, endpoint, due, retry, at);
            }
            Effect::AddressRefused { citizen, address } => self.refuse_address(&citizen, address),
            Effect::DeviceDropped { citizen, device, registered_before } => {
                self.drop_device(&citizen, device, registered_before);
            }
            walked @ Effect::Walked { .. } => self.walk(walked, at),
        }
    }

    fn process(
        &mut self,
        id: MessageId,
        citizen: FiscalCode,
        (lane, deliveries): (Lane, Vec<DeliveryRecord>),
        at: Millis,
    ) {
        if !self.ordinals.contains_key(&citizen) {
            let reason = RejectionReason::UserNotFound;
            return self.end(id, MessageStatus::Rejected(reason), at);
        }
        let Some((_, state)) = self.messages.get_mut(&id) else { return };
        if state.status != MessageStatus::Accepted {
            return;
        }
        self.events += 1;
        let sequence = self.events;
        state.status = MessageStatus::Processed;
        state.deliveries = deliveries;
        state.lane = lane;
        state.published = sequence;
        state.updated_at = at;
        self.inbox.push((
            citizen,
            InboxEntry {
                sequence,
                message: id,
                published_at: at,
                marks: Marks::default(),
                marked: 0,
            },
        ));
    }

    fn end(&mut self, id: MessageId, status: MessageStatus, at: Millis) {
        let Some((_, state)) = self.messages.get_mut(&id) else { return };
        if state.status == MessageStatus::Accepted {
            state.status = status;
            state.updated_at = at;
        }
    }

    fn cancel_pending(&mut self, id: MessageId, at: Millis) {
        let Some((_, state)) = self.messages.get_mut(&id) else { return };
        for delivery in &mut state.deliveries {
            if delivery.status.settle(Outcome::Cancelled, at) {
                state.updated_at = at;
            }
        }
    }

    fn settle(&mut self, id: MessageId, endpoint: Endpoint, outcome: Outcome, at: Millis) {
        let Some((_, state)) = self.messages.get_mut(&id) else { return };
        let found = state.deliveries.iter_mut().find(|delivery| delivery.endpoint == endpoint);
        if found.is_some_and(|delivery| delivery.status.settle(outcome, at)) {
            state.updated_at = at;
        }
    }

    fn defer(&mut self, id: MessageId, endpoint: Endpoint, due: Millis, retry: bool, at: Millis) {
        let Some((_, state)) = self.messages.get_mut(&id) else { return };
        let found = state.deliveries.iter_mut().find(|delivery| delivery.endpoint == endpoint);
        let Some(delivery) = found else { return };
        if delivery.status.due().is_none_or(|recorded| recorded == due) {
            return;
        }
        delivery.status = DeliveryStatus::Pending { due };
        state.updated_at = at;
        if retry {
            delivery.retries = delivery.retries.saturating_add(1);
            self.retried[endpoint.channel().index()] += 1;
        }
    }

    fn drop_device(&mut self, code: &FiscalCode, device: DeviceId, registered_before: Millis) {
        let Some(citizen) = self.citizen_mut(code) else { return };
        let held = citizen.devices.len();
        citizen
            .devices
            .retain(|known| known.id() != device || known.registered_at >= registered_before);
        if citizen.devices.len() < held {
            citizen.revision = citizen.revision.saturating_add(1);
        }
    }

    fn refuse_address(&mut self, code: &FiscalCode, address: AddressId) {
        let Some(citizen) = self.citizen_mut(code) else { return };
        if citizen.email_validated && citizen.address() == Some(address) {
            citizen.email_validated = false;
            citizen.revision = citizen.revision.saturating_add(1);
        }
    }
}
