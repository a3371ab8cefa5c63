//! The citizen's turn: what becomes of a message when it arrives, of a
//! delivery when its attempt is due, and of an attempt when it is answered.
//!
//! The same functions serve a citizen's actor and, later, an alert's walk.
//! Each looks at the citizen and service *as they are now*: what was planned
//! an hour ago is not attempted against a preference changed since
//! (promise 3).

use std::sync::Arc;

use crate::domain::answer::Answer;
use crate::domain::citizen::{Citizen, Device, Platform};
use crate::domain::delivery::{DeliveryRecord, Endpoint};
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{DeviceId, MessageId, RouteId};
use crate::domain::message::{Message, RejectionReason};
use crate::domain::outcome::{DeliveryStatus, Failure, Outcome, Suppression};
use crate::domain::push::Push;
use crate::domain::service::Service;
use crate::domain::time::Millis;
use crate::policy::backoff::{self, RetryPolicy};
use crate::policy::notice::notice;
use crate::policy::routing;

/// A configured route, as turns see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Its name.
    pub id: RouteId,
    /// The platform it carries.
    pub platform: Platform,
    /// How its failures are retried.
    pub retry: RetryPolicy,
}

/// Which routes carry which platform.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<RouteEntry>,
}

impl RouteTable {
    /// A table of the configured routes.
    #[must_use]
    pub const fn new(routes: Vec<RouteEntry>) -> Self {
        Self { routes }
    }

    /// The route for a device: always the same one while the configuration
    /// stays, spread by device where several carry its platform.
    #[must_use]
    pub fn route(&self, device: &Device) -> Option<&RouteId> {
        let fitting = || self.routes.iter().filter(|route| route.platform == device.platform);
        let count = u64::try_from(fitting().count()).unwrap_or(u64::MAX);
        let place = device.id().0.checked_rem(count)?;
        fitting().nth(usize::try_from(place).ok()?).map(|route| &route.id)
    }

    /// How failures of `route` are retried; none when it is not configured.
    #[must_use]
    pub fn retry(&self, route: &RouteId) -> Option<&RetryPolicy> {
        self.routes.iter().find(|entry| entry.id == *route).map(|entry| &entry.retry)
    }
}

/// What became of a message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The change to store.
    pub effect: Effect,
    /// Deliveries to attempt once it is stored, with their routes.
    pub attempts: Vec<(Endpoint, RouteId)>,
}

/// Plans a message on arrival.
#[must_use]
pub fn plan(
    message: &Message,
    citizen: Option<&Citizen>,
    service: Option<&Service>,
    routes: &RouteTable,
    now: Millis,
) -> Plan {
    let end = |effect| Plan { effect, attempts: Vec::new() };
    let reject = |reason| end(Effect::Rejected { message: message.id, reason });
    if now >= message.expires_at() {
        return end(Effect::Expired { message: message.id });
    }
    let Some(citizen) = citizen else { return reject(RejectionReason::UserNotFound) };
    let Some(service) = service else { return reject(RejectionReason::ServiceNotAllowed) };
    let secure = routing::is_secure(&message.content, service);
    let routing = match routing::route(citizen, service, secure, now) {
        Ok(routing) => routing,
        Err(reason) => return reject(reason),
    };
    let mut deliveries = vec![DeliveryRecord {
        endpoint: Endpoint::Inbox,
        route: None,
        retries: 0,
        status: DeliveryStatus::Ended { outcome: Outcome::Delivered, at: now },
    }];
    let mut attempts = Vec::new();
    for device in &citizen.devices {
        let Some(route) = routes.route(device) else { continue };
        let endpoint = Endpoint::Device(device.id());
        let status = match routing.push {
            Ok(()) => DeliveryStatus::Pending { due: now },
            Err(why) => DeliveryStatus::Ended { outcome: Outcome::Suppressed(why), at: now },
        };
        if status.due().is_some() {
            attempts.push((endpoint, route.clone()));
        }
        deliveries.push(DeliveryRecord {
            endpoint,
            route: Some(route.clone()),
            retries: 0,
            status,
        });
    }
    let effect =
        Effect::Processed { message: message.id, citizen: citizen.fiscal_code, deliveries };
    Plan { effect, attempts }
}

/// What an attempt needs to know of its device, besides the push itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What to hand to the provider.
    pub push: Push,
    /// The device's registration.
    pub registered_at: Millis,
}

/// Prepares an attempt that is about to start, from what holds now: what a
/// push may show can have changed since it was planned.
///
/// # Errors
/// The outcome that ends the delivery without an attempt.
pub fn prepare(
    message: &Message,
    endpoint: Endpoint,
    citizen: Option<&Citizen>,
    service: Option<&Service>,
    now: Millis,
) -> Result<Prepared, Outcome> {
    let (citizen, service, device) = consent(message, endpoint, citizen, service, now)?;
    let push = Push {
        delivery: endpoint.delivery_id(message.id),
        message: message.id,
        platform: device.platform,
        token: device.token.clone(),
        notice: Arc::new(notice(citizen, service, &message.content)),
        lane: message.lane,
        expires_at: message.expires_at(),
    };
    Ok(Prepared { push, registered_at: device.registered_at })
}

/// Whether a delivery may be attempted now, by time and by the citizen's and
/// the operator's choice.
///
/// # Errors
/// The outcome that ends the delivery without an attempt.
pub fn consent<'a>(
    message: &Message,
    endpoint: Endpoint,
    citizen: Option<&'a Citizen>,
    service: Option<&'a Service>,
    now: Millis,
) -> Result<(&'a Citizen, &'a Service, &'a Device), Outcome> {
    if now >= message.expires_at() {
        return Err(Outcome::Expired);
    }
    let citizen = citizen.ok_or(Outcome::Failed(Failure::EndpointRemoved))?;
    let service = service
        .filter(|service| service.enabled)
        .ok_or(Outcome::Suppressed(Suppression::ServiceDisabled))?;
    let secure = routing::is_secure(&message.content, service);
    let push = routing::route(citizen, service, secure, now)
        .map_or(Err(Suppression::ServicePreference), |routing| routing.push);
    push.map_err(Outcome::Suppressed)?;
    let Endpoint::Device(id) = endpoint else {
        return Err(Outcome::Failed(Failure::EndpointRemoved));
    };
    let device = citizen.device(id).ok_or(Outcome::Failed(Failure::EndpointRemoved))?;
    Ok((citizen, service, device))
}

/// An attempt that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The message.
    pub message: MessageId,
    /// Which of its deliveries.
    pub endpoint: Endpoint,
    /// Its attempts before this one.
    pub retries: u16,
    /// No attempt starts from here on.
    pub expires_at: Millis,
    /// When the device was registered.
    pub registered_at: Millis,
    /// What the provider said.
    pub answer: Answer,
}

/// Retries made at once, elsewhere, before even those wait: a peer that
/// refuses every stream would use up the budget within seconds.
const AT_ONCE: u16 = 3;

/// What to store about an attempt's answer. `unit` is a random number from 0
/// up to 1, for the jitter.
#[must_use]
pub fn react(
    citizen: FiscalCode,
    answered: &Answered,
    retry: &RetryPolicy,
    now: Millis,
    unit: f64,
) -> Vec<Effect> {
    let settle = |outcome| Effect::Settled {
        message: answered.message,
        endpoint: answered.endpoint,
        outcome,
    };
    let again = |hint| {
        let wait = backoff::delay(retry, answered.retries, hint, unit);
        vec![defer(answered, retry, now, now.after(wait))]
    };
    match &answered.answer {
        Answer::Accepted => vec![settle(Outcome::Delivered)],
        Answer::RetryDelivery { after, .. }
        | Answer::ProviderFailed { after, .. }
        | Answer::RetryRoute { after, .. } => again(*after),
        Answer::Unknown { .. } => again(None),
        Answer::RetryElsewhere { .. } if answered.retries < AT_ONCE => {
            vec![defer(answered, retry, now, now)]
        }
        Answer::RetryElsewhere { .. } => again(None),
        Answer::Fail { failure, .. } => vec![settle(Outcome::Failed(*failure))],
        Answer::Halt { .. } => vec![Effect::Deferred {
            message: answered.message,
            endpoint: answered.endpoint,
            due: now,
            retry: false,
        }],
        Answer::DropToken { registered_before, .. } => {
            let before = registered_before.unwrap_or(now);
            match answered.endpoint {
                Endpoint::Device(device) if answered.registered_at < before => vec![
                    settle(Outcome::Failed(Failure::EndpointGone)),
                    drop_device(citizen, device, before),
                ],
                // Registered again since: the answer is about an older
                // registration, so the token stays.
                _ => vec![settle(Outcome::Failed(Failure::RefusedEndpoint))],
            }
        }
    }
}

const fn drop_device(citizen: FiscalCode, device: DeviceId, registered_before: Millis) -> Effect {
    Effect::DeviceDropped { citizen, device, registered_before }
}

/// One more try at `due`, unless time or budget end before it.
fn defer(answered: &Answered, retry: &RetryPolicy, now: Millis, due: Millis) -> Effect {
    let Answered { message, endpoint, retries, expires_at, .. } = *answered;
    if due >= expires_at || now >= expires_at {
        Effect::Settled { message, endpoint, outcome: Outcome::Expired }
    } else if retries >= retry.budget {
        let outcome = Outcome::Failed(Failure::RetriesExhausted);
        Effect::Settled { message, endpoint, outcome }
    } else {
        Effect::Deferred { message, endpoint, due, retry: true }
    }
}

#[cfg(test)]
mod tests;
